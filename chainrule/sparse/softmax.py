"""Softmax of sparse tensors: what is not there counts as −∞."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.errors import SparseError
from chainrule.functions.scattering import scatter_reduce
from chainrule.sparse.places import linear
from chainrule.sparse.tensor import SparseTensor

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _groups(input: SparseTensor, dim: int) -> tuple[SparseTensor, Tensor, int]:
    """The tensor coalesced, the line along `dim` in which each entry lies, and how many lines there are."""
    whole = input.coalesce()
    axis, rank = whole._axis(dim), whole.sparse_dim()
    if axis >= rank:
        raise SparseError(f"softmax along dimension {dim}, which is dense; take it of _values().")
    others = [k for k in range(rank) if k != axis]
    extents = [whole.shape[k] for k in others]
    return whole, linear(whole._places[others], extents), math.prod(extents)


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of `softmax`."""
    whole, line, lines = _groups(input if dtype is None else input.to(dtype), dim)
    x = whole._entries
    shape = (lines, *x.shape[1:])
    index = line.reshape(-1, *[1] * (x.ndim - 1)).expand(*x.shape) if x.ndim > 1 else line
    lowest = x.detach().new_full(shape, -math.inf)
    largest = scatter_reduce(lowest, 0, index, x.detach(), "amax")
    shifted = x - largest[line]
    total = x.new_zeros(shape).index_add(0, line, shifted.exp())
    return whole._with(shifted - total[line].log())


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The softmax of the entries that are there: all others count as −∞ and stay zero.

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 4.0], (2, 3))
    >>> softmax(A, 1).values()
    tensor([1.0000, 0.5000, 0.5000])
    """
    logarithm = log_softmax(input, dim, dtype=dtype)
    return logarithm._with(logarithm._entries.exp())
