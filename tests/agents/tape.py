"""What a CUDA graph does, on a processor: operations are written down with their tensors, and done again on them.

Nothing that the host did in between is repeated, and nothing may be asked of a tensor meanwhile. (Reading its memory,
as `tolist` does on a processor, is not seen.) Of tensors that were there before only their place is kept.
"""

from dataclasses import dataclass

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _place(tensor):
    return tensor.untyped_storage().data_ptr()


def _waits(func, args):
    """Whether the host has to know what a tensor holds, or brings one of its own."""
    if func is torch.ops.aten.lift_fresh.default:
        return True
    if "index" in func.name():  # by truth values: how many are true; by numbers: nothing
        return any(each.dtype == torch.bool for each in _tensors(args[1]))
    return bool(_WAITING & set(func.tags))


@dataclass
class _Outside:
    """A tensor that was there before, or a part of one."""

    storage: StorageWeakRef
    dtype: torch.dtype
    view: tuple

    def there(self):
        """The tensor that is there now."""
        storage = torch.UntypedStorage._new_with_weak_ptr(self.storage.cdata)
        assert storage is not None, "what was recorded lies in memory that was given back"
        return torch.empty(0, dtype=self.dtype).set_(storage, *self.view)


class Writing(TorchDispatchMode):
    """Writes down what is done within."""

    def __init__(self):
        super().__init__()
        self._operations = []
        self._own = {}  # tensors that were made within, by their place

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Take one operation apart as far as it is made of others, do it and write it down."""
        kwargs = kwargs or {}
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        given = tree_map_only(torch.Tensor, self._noted, (args, kwargs))
        result = func(*args, **kwargs)
        if _waits(func, args):
            raise RuntimeError(f"called a synchronizing operation: {func}")
        inputs = {_place(each) for each in _tensors((args, kwargs))}
        made = [each if _place(each) not in inputs else None for each in _tensors(result)]
        self._own |= {_place(each): each for each in made if each is not None}
        self._operations.append((func, *given, made))
        return result

    def _noted(self, tensor):
        if _place(tensor) in self._own:
            return tensor
        view = tensor.storage_offset(), tensor.shape, tensor.stride()
        return _Outside(StorageWeakRef(tensor.untyped_storage()), tensor.dtype, view)

    def replay(self):
        """Do it again: results go where they went."""
        for func, args, kwargs, results in self._operations:
            args, kwargs = tree_map_only(_Outside, _Outside.there, (args, kwargs))
            for old, new in zip(results, _tensors(func(*args, **kwargs)), strict=True):
                if old is not None:
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
