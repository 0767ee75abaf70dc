"""What is drafted, and that drafts change nothing but the number of forward passes."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from w2sg.agents import generation
from w2sg.agents.drafts import Drafts
from w2sg.agents.kernels import without_plans

from .test_generation import Recording, random_prompts


def said(*texts):
    drafts = Drafts(len(texts))
    for row, text in enumerate(texts):
        drafts.add(row, text)
    return drafts


def test_the_last_tokens_are_looked_for_and_what_came_then_is_drafted() -> None:
    drafts = said([1, 2, 3, 4, 5, 6, 9, 1, 2, 3])
    assert drafts.draft(0, length=4) == [4, 5, 6, 9]
    assert drafts.draft(0, length=2) == [4, 5]
    drafts.add(0, [4])
    assert drafts.draft(0, length=2) == [5, 6]


def test_the_last_place_counts_and_a_conversation_comes_before_those_beside_it() -> None:
    assert said([1, 2, 3, 4, 7, 1, 2, 3, 5, 7, 1, 2, 3]).draft(0, length=1) == [5]
    others = said([1, 2, 3, 4, 1, 2, 3], [8, 1, 2, 3, 6])
    assert others.draft(0, length=1) == [4]
    assert said([1, 2, 3], [8, 1, 2, 3, 6, 7]).draft(0, length=3) == [6, 7]


def test_three_tokens_say_more_than_one() -> None:
    """Of the conversations beside it too, before the last token alone of its own."""
    assert said([3, 9, 1, 2, 3], [1, 2, 3, 6]).draft(0, length=1) == [6]
    assert said([3, 9, 1, 2, 3], [2, 2, 3, 6]).draft(0, length=1) == [9]


@pytest.mark.parametrize("text", [[], [1], [1, 2, 3, 4]])
def test_without_anything_alike_there_is_none(text: list[int]) -> None:
    assert said(text).draft(0, length=4) == []


def test_conversations_are_told_apart() -> None:
    drafts = said([1, 2], [3, 4])
    drafts.add(0, [3])
    assert drafts.draft(0, length=1) == [4], "of another"
    drafts.add(1, [1])
    assert drafts.draft(1, length=1) == [2]


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_turns_are_those_without_drafts(model, own_tokenizer, monkeypatch, temperature) -> None:
    """Whatever is drafted: nothing, what will be said, that with one token in four another, ends among it."""
    rng = np.random.default_rng(11)
    rows, turns, length = 7, 4, 12
    ends = [own_tokenizer.eos_token_id, *range(17, 300, 40)]
    prompts = random_prompts(rng, 40, rows=rows, turns=turns)
    uniforms = rng.random((turns, rows, length))

    def played(ahead: int):
        monkeypatch.setattr(generation, "_AHEAD", ahead)
        batch = Recording(model, rows=rows, pad=own_tokenizer.pad_token_id, end=ends)
        answers = []
        for turn in range(turns):
            kept = list(range(rows - turn))
            batch.keep(kept)
            settings = {"temperature": [temperature] * len(kept), "top_p": [0.9] * len(kept)}
            asked = [prompts[row][turn] for row in kept]
            answers.append(batch.respond(asked, **settings, uniforms=uniforms[turn, kept]))
        return batch, answers

    plain, expected = played(0)
    lengths = [len(answer) for answers in expected for answer in answers]
    assert max(lengths) == length - 1 and min(lengths) < 4

    def guessed(self: Drafts, row: int, *, length: int) -> list[int]:
        """What the conversation says next, if its texts so far are as they were, one token in four another."""
        whole = [token for turn, answers in enumerate(expected) if row < len(answers)
                 for token in [*prompts[row][turn], *answers[row], ends[0]]]  # fmt: skip
        here = len(self._texts[row])
        ahead = whole[here : here + length]
        return [ends[1] if rng.random() < 0.1 else 50 if rng.random() < 0.15 else token for token in ahead]

    monkeypatch.setattr(Drafts, "draft", guessed)
    quick, found = played(4)
    assert found == expected
    assert quick.passes < 0.7 * plain.passes
    last = {row: len(answer) for row, answer in enumerate(found[-1])}
    compared = [(row, number) for row, number in plain.seen if number <= last.get(row, -1)]  # of the last turn
    assert compared
    for place in compared:
        torch.testing.assert_close(quick.seen[place], plain.seen[place], rtol=0, atol=2e-4)


def test_what_a_model_repeats_is_drafted(model, own_tokenizer) -> None:
    """Greedily, the same prompt three times: fewer passes than tokens."""
    batch = Recording(model, rows=2, pad=own_tokenizer.pad_token_id, end=[own_tokenizer.eos_token_id])
    settings = {"temperature": [0.0] * 2, "top_p": [1.0] * 2}
    turns = [batch.respond([[10, 11, 12], [10, 11, 12]], **settings, uniforms=np.zeros((2, 40))) for _ in range(3)]
    assert all(len(turn) > 10 for pair in turns for turn in pair)
    assert batch.passes < sum(max(map(len, pair)) + 1 for pair in turns)


def test_room_for_logits_bounds_the_drafts(model, own_tokenizer, monkeypatch) -> None:
    vocabulary = len(own_tokenizer)

    def ahead(room: int) -> int:
        monkeypatch.setattr(generation, "_LOGITS", room)
        return generation.Conversations(model, rows=3, pad=0, end=[1])._ahead

    assert [ahead(3 * vocabulary * tokens) for tokens in (0, 1, 2, 5, 50)] == [0, 0, 1, 4, 4]


@pytest.mark.parametrize(
    ("rows", "heads", "device", "ahead"),
    [
        (8, 4, "cpu", 4),
        (600, 2, "cpu", 4),
        (8, 4, "cuda", 4),
        (64, 4, "cuda", 3),
        (200, 4, "cuda", 0),
        (600, 4, "cuda", 0),
        (8, 2, "cuda", 0),
        (8, 1, "cuda", 0),
    ],
)
def test_a_card_drafts_for_few_rows_and_not_with_grouped_heads(rows, heads, device, ahead) -> None:
    config = LlamaConfig(vocab_size=1000, num_attention_heads=4, num_key_value_heads=heads)
    assert generation.longest_draft(config, rows=rows, device=torch.device(device)) == ahead


def test_on_a_card_no_kernel_is_planned_for_each_shape(monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", (set_to := []).append)
    without_plans(torch.device("cpu"))
    assert not set_to
    without_plans(torch.device("cuda"))
    assert set_to == [False]
