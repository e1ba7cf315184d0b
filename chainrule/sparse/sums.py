"""Sums of the entries of sparse tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.sparse.tensor import SparseTensor


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of all entries, a number; or along some dimensions, sparse unless no listed dimension is left.

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> sum(A), sum(A, dim=1).to_dense()
    (tensor(12.), tensor([3., 9.]))
    """
    entries = input._entries if dtype is None else input._entries.to(dtype)
    if dim is None:
        return entries.sum()
    rank = input.sparse_dim()
    axes = sorted({input._axis(d) for d in (dim if isinstance(dim, tuple | list) else (dim,))})
    inner = tuple(axis - rank + 1 for axis in axes if axis >= rank)
    entries = entries.sum(inner) if inner else entries
    kept = [axis for axis in range(rank) if axis not in axes]
    if not kept:
        return entries.sum(0)
    shape = [extent for axis, extent in enumerate(input.shape) if axis not in axes]
    summed = type(input)(input._places[kept], entries, shape)
    return summed if current_state().trace else summed.coalesce()  # how many places there are is not known in a trace
