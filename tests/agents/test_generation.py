"""Many conversations on a shared cache against one conversation at a time."""

import numpy as np
import pytest
import torch

from w2sg.agents.generation import Conversations


@torch.inference_mode()
def alone(model, prompts, *, end: int, turn_length: int):
    """Greedy turns of one conversation, re-encoded from its start for every token; the logits before each token."""
    tokens, turns, seen = [], [], []
    for prompt in prompts:
        tokens = tokens + list(prompt)
        turn = []
        for number in range(turn_length):
            logits = model(torch.tensor([tokens])).logits[0, -1].double()
            seen.append(logits)
            token = end if number == turn_length - 1 else int(logits.argmax())
            tokens.append(token)
            if token == end:
                break
            turn.append(token)
        turns.append(turn)
    return turns, tokens, seen


class Recording(Conversations):
    """Keeps the logits before every token of a turn by conversation, and counts tokens that were read from the cache.

    Attributes:
        seen: logits by conversation and number of the token; where a draft did not stand, those that came later.
        passes: forward passes.
    """

    read = passes = 0

    def __init__(self, *values, **options):
        super().__init__(*values, **options)
        self.seen = {}

    def _draw(self, draws, logits, places, turns, drafts, *, most):
        for slot, row in enumerate(self._cache.rows):
            if not self._unread[row]:
                for ahead, own in enumerate(logits[slot, -1 - len(drafts[row]) :].double()):
                    self.seen[row, len(turns[row]) + ahead] = own
        return super()._draw(draws, logits, places, turns, drafts, most=most)

    def _forward(self, tokens, *, keep):
        logits = super()._forward(tokens, keep=keep)
        self.read += len(self._cache.rows) * self._cache.width
        self.passes += 1
        return logits


def random_prompts(rng, vocabulary, *, rows, turns):
    """Blocks of very different lengths, without special tokens."""
    return [[rng.integers(5, vocabulary, size=rng.integers(1, 30)).tolist() for _ in range(turns)] for _ in range(rows)]


def compared(batch, prompts, last, *, expected, length, tolerance):
    """Play greedy turns of conversations that drop out one after another, and compare every logit with `expected`.

    Args:
        last: turns of each row.
        expected: what `alone` gave for each row.

    Returns:
        The turns of each row, and how many logits of it were compared.
    """
    found, used = [[] for _ in prompts], [0] * len(prompts)
    for turn in range(max(last)):
        kept = [row for row in range(len(prompts)) if last[row] > turn]
        batch.keep(kept)
        batch.seen.clear()
        answers = batch.respond(
            [prompts[row][turn] for row in kept],
            temperature=[0.0] * len(kept),
            top_p=[1.0] * len(kept),
            uniforms=np.zeros((len(kept), length)),
        )
        for row, answer in zip(kept, answers, strict=True):
            found[row].append(answer)
            for number in range(min(len(answer) + 1, length)):
                torch.testing.assert_close(batch.seen[row, number], expected[row][2][used[row]], rtol=0, atol=tolerance)
                used[row] += 1
    return found, used


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", ["model", "absolute_model"])
def test_ragged_batch_equals_one_by_one(request, own_tokenizer, shape, seed):
    """Greedy turns of many conversations that drop out one after another, as each alone without a cache."""
    model = request.getfixturevalue(shape)
    rng = np.random.default_rng(seed)
    rows, turns, length = 6, 4, 7
    end, pad = own_tokenizer.eos_token_id, own_tokenizer.pad_token_id
    prompts = random_prompts(rng, len(own_tokenizer), rows=rows, turns=turns)
    last = rng.integers(1, turns + 1, size=rows)
    expected = [alone(model, prompts[row][: last[row]], end=end, turn_length=length) for row in range(rows)]
    found, used = compared(
        Recording(model, rows=rows, pad=pad, end=[end]), prompts, last, expected=expected, length=length, tolerance=2e-4
    )
    assert found == [turns for turns, _, _ in expected]
    assert used == [len(seen) for _, _, seen in expected], "every logit was compared"
    assert any(len(answer) < length - 1 for answers in found for answer in answers) or seed, (
        "some turns end by themselves"
    )


def test_ended_turns_and_holes_are_not_read_again(model, own_tokenizer):
    """Turns of very different lengths: the answers are those of each row alone, and so, nearly, is what is read."""
    rng = np.random.default_rng(7)
    rows, turns, length = 8, 5, 40
    # One token in ten ends a turn, and all are about equally likely.
    ends = [own_tokenizer.eos_token_id, *range(10, len(own_tokenizer), 10)]
    prompts = random_prompts(rng, len(own_tokenizer), rows=rows, turns=turns)
    uniforms = rng.random((turns, rows, length))

    def play(members):
        batch = Recording(model, rows=len(members), pad=own_tokenizer.pad_token_id, end=ends)
        settings = {"temperature": [9.0] * len(members), "top_p": [1.0] * len(members)}
        return batch, [
            batch.respond([prompts[row][turn] for row in members], **settings, uniforms=uniforms[turn, members])
            for turn in range(turns)
        ]

    together, answers = play(list(range(rows)))
    lengths = [len(answer) for turn in answers for answer in turn]
    assert min(lengths) < 2 and max(lengths) > 30
    alone = [play([row]) for row in range(rows)]
    assert [[turn[row] for turn in answers] for row in range(rows)] == [[turn[0] for turn in own] for _, own in alone]
    assert together.read < 1.5 * sum(batch.read for batch, _ in alone)


def test_turns_end_at_the_limit_and_at_every_end_token(model, own_tokenizer):
    """With all tokens but the most likely one called an end, a turn is at most one token long."""
    end, pad = own_tokenizer.eos_token_id, own_tokenizer.pad_token_id
    prompts = random_prompts(np.random.default_rng(0), len(own_tokenizer), rows=4, turns=1)
    settings = {"temperature": [0.0] * 4, "top_p": [1.0] * 4}
    ask = [each[0] for each in prompts]
    free = Conversations(model, rows=4, pad=pad, end=[end]).respond(ask, **settings, uniforms=np.zeros((4, 9)))
    first = free[0][0]
    ended = Conversations(model, rows=4, pad=pad, end=[end, first]).respond(ask, **settings, uniforms=np.zeros((4, 9)))
    assert ended[0] == []
    assert all(first not in turn for turn in ended)
    short = Conversations(model, rows=4, pad=pad, end=[end]).respond(ask, **settings, uniforms=np.zeros((4, 3)))
    assert short == [turn[:2] for turn in free]
    one = Conversations(model, rows=4, pad=pad, end=[end]).respond(ask, **settings, uniforms=np.zeros((4, 1)))
    assert one == [[]] * 4


def test_the_model_sees_its_own_end_token(model, own_tokenizer):
    """The second turn is conditioned on prompt, answer, end token, prompt: nothing more, nothing less."""
    end, pad = own_tokenizer.eos_token_id, own_tokenizer.pad_token_id
    batch = Recording(model, rows=1, pad=pad, end=[end])
    settings = {"temperature": [0.0], "top_p": [1.0]}
    (first,) = batch.respond([[10, 11, 12]], **settings, uniforms=np.zeros((1, 4)))
    batch.seen.clear()
    batch.respond([[20, 21]], **settings, uniforms=np.zeros((1, 1)))
    with torch.inference_mode():
        whole = model(torch.tensor([[10, 11, 12, *first, end, 20, 21]])).logits[0, -1].double()
        without = model(torch.tensor([[10, 11, 12, *first, 20, 21]])).logits[0, -1].double()
    torch.testing.assert_close(batch.seen[0, 0], whole, rtol=0, atol=2e-4)
    assert (batch.seen[0, 0] - without).abs().max() > 1e-2


def test_uniform_numbers_belong_to_their_rows(model, own_tokenizer):
    """A row's sampled turn is the same alone and among others."""
    end, pad = own_tokenizer.eos_token_id, own_tokenizer.pad_token_id
    rng = np.random.default_rng(3)
    prompts = [each[0] for each in random_prompts(rng, len(own_tokenizer), rows=5, turns=1)]
    uniforms = rng.random((5, 8))
    heat, nucleus = [1.0, 0.7, 0.0, 1.3, 0.5], [1.0, 0.9, 1.0, 0.5, 0.95]
    together = Conversations(model, rows=5, pad=pad, end=[end]).respond(
        prompts, temperature=heat, top_p=nucleus, uniforms=uniforms
    )
    for row in range(5):
        single = Conversations(model, rows=1, pad=pad, end=[end]).respond(
            [prompts[row]],
            temperature=heat[row : row + 1],
            top_p=nucleus[row : row + 1],
            uniforms=uniforms[row : row + 1],
        )
        assert single == [together[row]]
    assert len({tuple(turn) for turn in together}) == 5
