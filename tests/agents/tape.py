"""What a CUDA graph does, on a processor: operations are written down with their tensors, and done again on them.

Nothing that the host did in between is repeated, and nothing may be asked of a tensor meanwhile. (Reading its memory,
as `tolist` does on a processor, is not seen.)
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _waits(func, args):
    """Whether the host has to know what a tensor holds."""
    if "index" in func.name():  # by truth values: how many are true; by numbers: nothing
        return any(each.dtype == torch.bool for each in _tensors(args[1]))
    return bool(_WAITING & set(func.tags))


class Writing(TorchDispatchMode):
    """Writes down what is done within."""

    def __init__(self):
        super().__init__()
        self._operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Take one operation apart as far as it is made of others, do it and write it down."""
        kwargs = kwargs or {}
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        result = func(*args, **kwargs)
        if _waits(func, args):
            raise RuntimeError(f"called a synchronizing operation: {func}")
        inputs = {each.untyped_storage().data_ptr() for each in _tensors((args, kwargs))}
        fresh = [each.untyped_storage().data_ptr() not in inputs for each in _tensors(result)]
        self._operations.append((func, args, kwargs, result, fresh))
        return result

    def replay(self):
        """Do it again: results go where they went."""
        for func, args, kwargs, before, fresh in self._operations:
            now = func(*args, **kwargs)
            for old, new, own in zip(_tensors(before), _tensors(now), fresh, strict=True):
                if own:
                    old.copy_(new)


class Tape:
    """See w2sg.agents.graphs.Recorder.

    Attributes:
        recorded: how much work was recorded.
        repeated: how often any of it was repeated.
    """

    def __init__(self):
        self.off = False
        self.recorded = self.repeated = 0

    def __call__(self, work):
        work()
        with Writing() as tape:
            result = work()
        self.recorded += 1

        def again():
            self.repeated += 1
            tape.replay()
            return result

        return again
