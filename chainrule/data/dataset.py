"""Data sets: things with a length whose entries are samples."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.tensor import Tensor


class TensorDataset:
    """Tensors of equal length side by side: sample i is the tuple of their entries i.

    Indexing takes what tensors take, so a whole batch is one read: `dataset[indices]`.

    >>> import chainrule
    >>> data = TensorDataset(chainrule.arange(3), chainrule.tensor([5, 6, 7]))
    >>> len(data), data[chainrule.tensor([0, 2])]
    (3, (tensor([0, 2]), tensor([5, 7])))
    """

    def __init__(self, *tensors: Tensor) -> None:
        lengths = {x.shape[0] if x.ndim else 0 for x in tensors}
        if len(lengths) != 1:
            shapes = ", ".join(str(tuple(x.shape)) for x in tensors) or "no tensors"
            raise ShapeError(f"a TensorDataset takes tensors of equal length, got {shapes}.")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)
