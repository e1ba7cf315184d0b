"""A tensor with a part of it replaced: nothing is written in place, so the result can be differentiated in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.creation import make, ones_like
from chainrule.functions.indexing import gather, need_same_dtype, scatter, scatter_add
from chainrule.functions.shape import diagonal, narrow, select

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _with(input: Tensor, part: Tensor, whole: Tensor, src: Tensor, operation: str) -> Tensor:
    if tuple(part.shape) != tuple(src.shape):
        raise ShapeError(f"{operation}: the part has shape {tuple(part.shape)}, what replaces it {tuple(src.shape)}.")
    part.copy_(src)
    return whole


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """The tensor with `select(dim, index)` replaced.

    >>> import chainrule
    >>> chainrule.select_scatter(chainrule.zeros(2, 2), chainrule.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    whole = input.clone()
    return _with(input, select(whole, dim, index), whole, src, "select_scatter")


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The tensor with the slice start:end:step along `dim` replaced.

    >>> import chainrule
    >>> chainrule.slice_scatter(chainrule.zeros(4), chainrule.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    whole = input.clone()
    begin, stop, step = slice(start, end, step).indices(input.shape[dim])
    count = max(0, stop - begin)
    part = narrow(whole, dim, begin if count else 0, count)
    if step != 1:
        part = part[(slice(None),) * (dim % input.ndim) + (slice(None, None, step),)]
    return _with(input, part, whole, src, "slice_scatter")


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The tensor with a diagonal replaced.

    >>> import chainrule
    >>> chainrule.diagonal_scatter(chainrule.zeros(2, 2), chainrule.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    whole = input.clone()
    return _with(input, diagonal(whole, offset, dim1, dim2), whole, src, "diagonal_scatter")


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The tensor with the entries where the mask holds replaced by those of `source`, in order.

    >>> import chainrule
    >>> mask = chainrule.tensor([True, False, True])
    >>> chainrule.masked_scatter(chainrule.zeros(3), mask, chainrule.tensor([5.0, 6.0]))
    tensor([5., 0., 6.])
    """
    need_same_dtype(input, source, "masked_scatter")
    chosen = mask.expand(tuple(input.shape))
    count = int(np.count_nonzero(chosen.array))
    if source.numel() < count:
        raise ShapeError(f"masked_scatter: the mask holds at {count} places, `source` has {source.numel()} entries.")
    whole = input.clone()
    whole[chosen] = source.reshape(-1)[:count]
    return whole


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Entries of `src` that go to the same place reduced to one, "sum", "mean", "amax" or "amin", with what is there.

    Places are those of `scatter`. Without `include_self` what is there counts only where nothing goes.

    >>> import chainrule
    >>> index, src = chainrule.tensor([0, 0, 1]), chainrule.tensor([1.0, 2.0, 5.0])
    >>> chainrule.scatter_reduce(chainrule.zeros(2), 0, index, src, "amax")
    tensor([2., 5.])
    """
    if reduce not in ("sum", "mean", "amax", "amin"):
        raise ValueError(f"scatter_reduce: reduce is 'sum', 'mean', 'amax' or 'amin', got {reduce!r}.")
    if not input.ndim:
        parts = index.reshape(-1), src.reshape(-1)
        return scatter_reduce(input.reshape(1), 0, *parts, reduce, include_self=include_self).reshape(())
    src = src[tuple(slice(0, extent) for extent in index.shape)]
    if reduce in ("amax", "amin"):
        return _extreme(input, dim, index, src, reduce, include_self)
    start = input if include_self else scatter(input, dim, index, 0)
    total = scatter_add(start, dim, index, src)
    if reduce == "sum":
        return total
    ones = ones_like(input)
    counts = scatter_add(ones if include_self else scatter(ones, dim, index, 0), dim, index, ones_like(src))
    return total / counts if input.dtype.is_floating_point else total // counts


def _extreme(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """The largest or smallest; equal ones share the gradient."""
    given = input.array.copy()
    worst = -np.inf if reduce == "amax" else np.inf
    if given.dtype.kind in "iu":
        worst = getattr(np.iinfo(given.dtype), "min" if reduce == "amax" else "max")
    if not include_self:
        given = scatter(input.detach(), dim, index, worst).array.copy()
    places = list(np.indices(index.array.shape, sparse=True)) if index.ndim else []
    if places:
        places[dim] = index.array
    with np.errstate(invalid="ignore"):
        (np.maximum if reduce == "amax" else np.minimum).at(given, tuple(places), src.array)
    best = make(given)
    if not (input.requires_grad or src.requires_grad):
        return best
    hits = (src == gather(best, dim, index)).to(input.dtype)
    own = (input == best).to(input.dtype)
    if not include_self:
        own = scatter(own, dim, index, 0)
    shares = scatter_add(own, dim, index, hits)
    linear = scatter_add(input * own, dim, index, src * hits) / shares
    return best + (linear - linear.detach())
