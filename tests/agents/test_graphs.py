"""Passes that are recorded and repeated, on a processor by a tape that does what a CUDA graph does."""

import inspect
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from w2sg.agents import graphs
from w2sg.agents.policies import TransformersPolicy

from .tape import Tape, Writing
from .test_architectures import END, PAD, SIZES, VOCABULARY, beside_alone, cases, tiny
from .test_generation import Recording, random_prompts


@pytest.mark.parametrize(("kind", "settings"), [*cases()])
def test_what_is_repeated_equals_a_row_alone(kind, settings):
    """Greedy turns of conversations longer than the window, in which rows are set aside and dropped."""
    tape = Tape()
    beside_alone(tiny(kind, settings), record=tape)
    # BLOOM reads one token of a conversation at a time; Falcon's forward pass brings an index from the host.
    assert tape.off == (kind == "falcon")
    if kind in ("bloom", "falcon"):
        assert not tape.recorded
    else:
        assert tape.repeated > 8 * tape.recorded > 0


def playing(model, *, record, rows=30, turns=6, length=40):
    """Turns of very different lengths by drawing, in conversations that drop out one after another."""
    rng = np.random.default_rng(3)
    # One token in ten ends a turn, and all are about equally likely.
    ends = [END, *range(10, VOCABULARY, 10)]
    prompts = random_prompts(rng, VOCABULARY, rows=rows, turns=turns)
    batch = Recording(model, rows=rows, pad=PAD, end=ends, record=record)
    answers = []
    for turn in range(turns):
        kept = range(rows - 4 * turn)
        batch.keep(kept)
        answers.append(
            batch.respond(
                [prompts[row][turn] for row in kept],
                temperature=[3.0] * len(kept),
                top_p=[0.9] * len(kept),
                uniforms=rng.random((len(kept), length)),
            )
        )
    return answers, batch


def test_recordings_are_few_and_none_outlives_what_it_was_made_of():
    """Rows that become fewer, a cache that moves as it grows, drafts of all lengths: as without recording."""
    model = tiny(
        "llama", {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    )
    expected, plain = playing(model, record=None)
    tape = Tape()
    found, batch = playing(model, record=tape)
    assert found == expected
    lengths = [len(answer) for turn in expected for answer in turn]
    assert min(lengths) < 2 < 30 < max(lengths)
    blocks = batch._cache.states.layers[0].blocks[0]
    assert blocks.shape[2] > 200, "it grew"
    made = set(batch._passes._recorded)
    assert {room for *_, room in made} == {blocks.shape[2] // 8 * 8}, "older ones are let go"
    assert len(made) < tape.recorded < 30
    assert tape.repeated > plain.passes - 2 * 6 - tape.recorded


@pytest.mark.parametrize(
    ("rows", "steps"), [(6, [6]), (30, [8, 16, 24, 30]), (64, [16, 32, 48, 64]), (600, [152, 304, 456, 600])]
)
def test_slots_become_fewer_in_steps(rows, steps):
    class Cache:
        def make_room(self, tokens):
            return 1, rows, 64

    cache = Cache()
    passes = graphs.Passes(tiny("llama", SIZES), cache, record=Tape(), rows=rows, widest=4)
    seen = set()
    for active in range(1, rows + 1):
        cache.rows = range(active)
        slots, _ = passes.block(1)
        assert active <= slots <= rows
        seen.add(slots)
    assert sorted(seen) == steps
    assert [passes.block(width)[1] for width in (1, 2, 4)] == [1, 4, 4]


class Deaf(Tape):
    """Repeats what came out at first, as if the host had fixed what was read."""

    def __call__(self, work):
        result = super().__call__(work)()
        first = result.clone()
        return lambda: result.copy_(first)


class Waiting(Tape):
    """The model asks the card for a number."""

    def __call__(self, work):
        def asks():
            result = work()
            assert result.sum().item()
            return result

        return super().__call__(asks)


@pytest.mark.parametrize(
    ("record", "said"),
    [(Deaf, "what is repeated gives other logits"), (Waiting, "called a synchronizing operation: aten._local_scalar")],
)
def test_a_model_that_cannot_be_recorded_plays_without(record, said, capsys):
    model = tiny("llama", SIZES)
    expected, _ = playing(model, record=None)
    tape = record()
    found, _ = playing(model, record=tape)
    assert found == expected
    assert tape.off
    assert tape.recorded <= 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"llama: kernels are launched one by one, as W2SG_CUDA_GRAPHS=0 does from the start, which is slower: {said}"
    )
    playing(model, record=tape)
    assert capsys.readouterr().err == "", "said once"


def test_a_tape_repeats_what_was_written_down_and_nothing_else():
    numbers = torch.tensor([1.0, 2.0, 3.0])
    table = torch.zeros(3)
    places = torch.tensor([0, 1, 2])
    calls = []

    def work():
        calls.append(len(calls))
        table[places] = numbers.view(3, 1).flatten() * 2 + len(calls)
        return table[places] + numbers.mean()

    again = Tape()(work)
    assert len(calls) == 2
    numbers.copy_(torch.tensor([10.0, 20.0, 60.0]))
    places.copy_(torch.tensor([2, 1, 0]))
    assert again().tolist() == [52.0, 72.0, 152.0], "what the host counted is as it was, tensors are as they are"
    assert table.tolist() == [122.0, 42.0, 22.0]
    assert len(calls) == 2


@pytest.mark.parametrize(
    "ask",
    [
        torch.Tensor.item,
        bool,
        torch.nonzero,
        lambda one: one[[0]],
        lambda one: torch.tensor([1.0]),
        lambda one: torch.zeros(1)[one > 0],
        lambda one: torch.zeros(1).index_put_((one > 0,), torch.ones(1)),
        lambda one: torch.repeat_interleave(torch.ones(1, dtype=torch.long)),
    ],
)
@torch.inference_mode()
def test_a_tape_shows_a_wait(ask):
    def work():
        one = torch.ones(1)
        ask(one)
        return one

    with pytest.raises(RuntimeError, match=r"^called a synchronizing operation: aten"):
        Tape()(work)


class Card:
    """As much of torch.cuda as recording takes, on the processor.

    Attributes:
        mode: what happens when the host waits.
        modes: what it was at each piece of work.
    """

    CUDAGraph = Writing

    def __init__(self):
        self.mode, self.modes, self.handles, self.pools, self.streams = 0, [], 0, [], ["main"]

    def graph_pool_handle(self):
        self.handles += 1
        return self.handles

    def Stream(self, device):
        return f"recording on {device}"

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        self.mode = mode

    def current_stream(self):
        return self.streams[-1]

    @contextmanager
    def stream(self, stream):
        before = list(self.streams)
        try:
            yield
        finally:
            self.streams = before

    @contextmanager
    def graph(self, graph, *, pool, stream, capture_error_mode):
        """As torch's: where recording fails, the stream stays that of the recording."""
        assert capture_error_mode == "thread_local"
        assert stream == "recording on cuda:1"
        self.pools.append(pool)
        self.streams.append(stream)
        with graph:
            yield
        self.streams.pop()


def test_cuda_graphs_warm_up_without_waiting_and_repeat(monkeypatch):
    card = Card()
    monkeypatch.setattr(graphs.torch, "cuda", card)
    numbers = torch.ones(2)

    def work():
        card.modes.append(card.mode)
        return numbers * 2

    record = graphs.CudaGraphs(torch.device("cuda", 1))
    again = record(work)
    numbers.fill_(21.0)
    assert again().tolist() == [42.0, 42.0]
    assert card.modes == ["error", 0], "what is recorded is not looked at twice"
    other = record(work)
    assert card.pools == [1, 1], "recordings share their memory"
    del again, other
    record(work)
    assert card.pools == [1, 1, 2], "until all are given up"
    with pytest.raises(RuntimeError, match="called a synchronizing"):
        record(lambda: numbers[numbers > 0])
    assert card.mode == 0
    assert card.streams == ["main"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("graph", {"cuda_graph": None, "pool": None, "stream": None, "capture_error_mode": "thread_local"}),
        ("set_sync_debug_mode", {"debug_mode": "error"}),
        ("get_sync_debug_mode", {}),
        ("graph_pool_handle", {}),
    ],
)
def test_torch_has_what_recording_takes(name, arguments):
    inspect.signature(getattr(torch.cuda, name)).bind(**arguments)


def test_a_card_records_unless_told_otherwise(monkeypatch):
    made = []

    class Made:
        def __init__(self, device):
            made.append(self)

    monkeypatch.setattr(graphs, "CudaGraphs", Made)
    assert graphs.recorder(torch.device("cpu")) is None
    assert graphs.recorder(torch.device("cuda", 0)) is made[0]
    monkeypatch.setenv(graphs.SWITCH, "0")
    assert graphs.recorder(torch.device("cuda", 0)) is None


def test_a_policy_records_with_one_recorder(model, own_tokenizer, monkeypatch):
    tape = Tape()
    monkeypatch.setattr("w2sg.agents.policies.recorder", lambda device: tape)
    policy = TransformersPolicy(model, own_tokenizer)
    for _ in range(2):
        before = tape.repeated
        policy.start(2).respond(
            [0, 1], ["a mug", "a drawer"], temperature=[1.0] * 2, top_p=[1.0] * 2, uniforms=np.full((2, 6), 0.5)
        )
        assert tape.repeated > before
