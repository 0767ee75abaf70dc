"""Passes that write tokens, recorded once for each shape and then repeated by one launch (CUDA graphs).

For a token of 7B parameters the host launches a thousand kernels, which takes it longer than the card takes to compute
(64 conversations on an H100: 37 ms a token, the weights are read in 5). What is recorded is fixed: shapes, addresses
and whatever the host decided meanwhile. So inputs lie in tensors that stay, attention reads all columns that there is
room for, and the slots that it reads become fewer in steps.

A model cannot be recorded whose forward pass waits for the card, as for which experts are wanted or whether a position
is beyond some length. It is met when it is recorded; then its kernels are launched one by one as before.
"""

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import torch
from transformers import PreTrainedModel

from w2sg.agents.cache import ConversationCache

# "0" launches every kernel by itself.
SWITCH = "W2SG_CUDA_GRAPHS"

# For each number of slots, width of a block and room of the cache there is a recording, which takes as long as some
# tokens. So slots become fewer in steps of so many, or of a quarter of the cohort.
_SLOTS, _STEPS = 8, 4
# As in `Head`: far above what another order of adding up does in bfloat16, far below what an operation left out does.
_TOLERANCE = 5e-3

Work: TypeAlias = Callable[[], torch.Tensor]


class Recorder(Protocol):
    """Turns work into the same work, repeated on the same tensors.

    Attributes:
        off: the model cannot be recorded, as was found out.
    """

    off: bool

    def __call__(self, work: Work) -> Work:
        """Do some work once, and return what repeats it on what its tensors hold by then.

        Its result has the same place each time.

        Raises:
            RuntimeError: it cannot be repeated.
        """


def recorder(device: torch.device) -> Recorder | None:
    """What records on this device, None where kernels are launched one by one."""
    return CudaGraphs(device) if device.type == "cuda" and os.environ.get(SWITCH) != "0" else None


class CudaGraphs:
    """See Recorder. Recordings share the memory of what they hold meanwhile, as they never run side by side.

    All of them are to be given up together: with one goes the workspace of all (pytorch issue 193402).
    """

    def __init__(self, device: torch.device) -> None:
        self.off = False
        self._stream = torch.cuda.Stream(device)
        self._graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()

    def __call__(self, work: Work) -> Work:
        """See Recorder."""
        with _waiting_is_an_error():
            work()  # What a library sets up at its first call is not recorded.
        if not self._graphs:  # memory that nothing was recorded in any more cannot be taken again
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # The outer context puts the stream back where recording fails. Other threads may go on meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            result = work()
        self._graphs.add(graph)

        def again() -> torch.Tensor:
            graph.replay()
            return result

        return again


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether logits are the same up to rounding, and minus infinity in the same places."""
    finite = expected.isfinite()
    apart = torch.where(finite, found - expected, 0.0).abs().max()
    largest = torch.where(finite, expected, 0.0).abs().max()
    return bool((found.isfinite() == finite).all() & (apart <= _TOLERANCE * largest))


class Passes:
    """The passes of one batch of conversations that write.

    Attributes:
        off: they cannot be recorded, or there was no memory for it.

    Args:
        rows: number of conversations.
        widest: most columns of a block.
    """

    def __init__(
        self, model: PreTrainedModel, cache: ConversationCache, *, record: Recorder, rows: int, widest: int
    ) -> None:
        self.off = record.off
        self._model, self._cache, self._record = model, cache, record
        self._step = max(_SLOTS, -(-rows // (_STEPS * _SLOTS)) * _SLOTS)
        self._most, self._widest = rows * widest, widest
        self._result = torch.empty(0, device=model.device)
        self._place = 0
        self._recorded: dict[tuple[int, ...], tuple[torch.Tensor, Work]] = {}
        self._compared: set[torch.Size] = set()

    def block(self, width: int) -> tuple[int, int]:
        """Slots and columns of the block in which so many tokens of each conversation are written next."""
        place, slots, self._room = self._cache.make_room(self._widest)
        if place != self._place:
            self._recorded.clear()
            self._place = place
        active = len(self._cache.rows)
        return min(slots, -(-active // self._step) * self._step), 1 if width == 1 else self._widest

    def forward(self, tokens: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Let the model read a block and enter it into the cache.

        Args:
            tokens, own: the block, and True where it is a conversation's, on the host, in the shape that `block` said.

        Returns:
            Logits, shape (slots, columns, vocabulary), until the next call.
        """
        positions, targets = self._cache.append_fixed(own, columns=self._room)
        inputs = torch.cat([torch.stack([tokens, positions]), targets])
        shape = (*own.shape, self._room)
        if shape not in self._recorded:
            fixed = inputs.to(self._model.device, copy=True)
            self._cache.write_to(fixed[2:])
            try:
                self._recorded[shape] = fixed, self._recording(fixed, inputs)
            except RuntimeError as error:
                self._go_without(error)
                fixed.copy_(inputs)
                return self._pass(fixed)
        fixed, again = self._recorded[shape]
        fixed.copy_(inputs)
        return again()

    def _recording(self, fixed: torch.Tensor, inputs: torch.Tensor) -> Work:
        """The pass of a shape, recorded; the first one of a block's shape is held against the pass itself.

        Raises:
            RuntimeError: it cannot be, or gives something else.
        """
        fixed[:2] = 0  # others than are to be repeated, so that what is fixed by mistake shows
        again = self._record(lambda: self._pass(fixed))
        if fixed.shape not in self._compared:
            fixed.copy_(inputs)
            found = again().clone()
            if not _close(found, self._pass(fixed)):
                raise RuntimeError("what is repeated gives other logits")
            self._compared.add(fixed.shape)
        return again

    def _go_without(self, error: RuntimeError) -> None:
        self.off = True
        # Another cohort may have room.
        self._record.off = not isinstance(error, torch.OutOfMemoryError)
        self._recorded.clear()
        name = self._model.config.name_or_path or self._model.config.model_type
        said = " ".join(str(error).split())[:200]
        print(
            f"{name}: kernels are launched one by one, as {SWITCH}=0 does from the start, which is slower: {said}",
            file=sys.stderr,
        )

    def _pass(self, fixed: torch.Tensor) -> torch.Tensor:
        tokens, positions = fixed[:2]
        logits = self._model(
            input_ids=tokens,
            attention_mask=self._cache.attention_mask(positions, dtype=self._model.dtype),
            position_ids=positions,
            past_key_values=self._cache.states,
            use_cache=True,
            logits_to_keep=tokens.shape[1],
        ).logits
        if self._result.numel() < logits.numel():  # at first, when nothing is recorded yet
            self._result = logits.new_empty(self._most * logits.shape[-1])
        return self._result[: logits.numel()].view(logits.shape).copy_(logits)
