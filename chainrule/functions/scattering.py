"""A tensor with a part of it replaced: nothing is written in place, so the result can be differentiated in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import full, ones_like
from chainrule.functions.diagonals import diagonal
from chainrule.functions.dimensions import axis_of
from chainrule.functions.gathering import (
    gather,
    in_line,
    need_places,
    need_same_dtype,
    scatter_add,
    scattered,
    source_for,
    walks,
)
from chainrule.functions.logic import where
from chainrule.functions.pieces import narrow, select
from chainrule.functions.promotion import is_tensor
from chainrule.primitives.indexing import IndexAdd, IndexReduce, IndexUpdate

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _with(part: Tensor, whole: Tensor, src: Tensor, operation: str) -> Tensor:
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
    return _with(select(whole, dim, index), whole, src, "select_scatter")


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The tensor with the slice start:end:step along `dim` replaced.

    Raises an IndexRangeError if there is no such dimension, a ShapeError if `src` has another shape than the slice.

    >>> import chainrule
    >>> chainrule.slice_scatter(chainrule.zeros(4), chainrule.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    axis = axis_of(dim, input.ndim, "slice_scatter")
    if not input.ndim:
        raise IndexRangeError("slice_scatter: a single number has no dimension to slice; reshape it to (1,).")
    whole = input.clone()
    begin, stop, step = slice(start, end, step).indices(input.shape[axis])
    count = max(0, stop - begin)
    part = narrow(whole, axis, begin if count else 0, count)
    if step != 1:
        part = part[(slice(None),) * axis + (slice(None, None, step),)]
    return _with(part, whole, src, "slice_scatter")


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The tensor with a diagonal replaced.

    >>> import chainrule
    >>> chainrule.diagonal_scatter(chainrule.zeros(2, 2), chainrule.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    whole = input.clone()
    return _with(diagonal(whole, offset, dim1, dim2), whole, src, "diagonal_scatter")


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The tensor with the entries where the mask holds replaced by those of `source`, in order.

    >>> import chainrule
    >>> mask = chainrule.tensor([True, False, True])
    >>> chainrule.masked_scatter(chainrule.zeros(3), mask, chainrule.tensor([5.0, 6.0]))
    tensor([5., 0., 6.])
    """
    need_same_dtype(input, source, "masked_scatter")
    chosen = mask.expand(tuple(input.shape))
    check_numbers(_source_suffices, chosen, wrong=_wants_more, entries=source.numel())
    if not source.numel() or not chosen.numel():
        return input.clone()
    place = chosen.reshape(-1).long().cumsum(0) - 1
    found = source.reshape(-1).index_select(0, place.clamp(0, source.numel() - 1))
    return where(chosen, found.reshape(tuple(chosen.shape)), input)


def _source_suffices(mask: Any, entries: int) -> None:
    count = int(np.count_nonzero(mask))
    if entries < count:
        raise ShapeError(f"masked_scatter: the mask holds at {count} places, `source` has {entries} entries.")


def _wants_more(mask: Tensor, entries: int) -> Tensor:
    return mask.long().sum() > entries


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """The tensor with the entries of `src` (or one number) put where `gather` with this index would read.

    With `reduce="add"` they are added to what is there, as `scatter_add` does, with "multiply" multiplied, as
    `scatter_reduce` does with "prod".

    Raises a TypeError unless one of `src` and `value` is given, a ValueError for another `reduce`.

    >>> import chainrule
    >>> chainrule.zeros(3).scatter(0, chainrule.tensor([2]), 5.0)
    tensor([0., 0., 5.])
    """
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce is None, 'add' or 'multiply', got {reduce!r}.")
    if (src is None) is (value is None):
        raise TypeError(f"scatter: give src or value{'' if src is None else ', not both'}.")
    source = value if src is None else src
    if reduce == "multiply":
        if not is_tensor(source):
            source = full(tuple(index.shape), source, dtype=input.dtype, device=input.device)
        return scatter_reduce(input, dim, index, source, "prod")
    return scattered(IndexAdd if reduce else IndexUpdate, input, dim, index, source, "scatter")


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Entries of `src` that go to the same place reduced to one, with what is there.

    `reduce` is "sum", "mean", "prod", "amax" or "amin"; of booleans "sum" and "amax" say whether any of them is true,
    "prod" and "amin" whether all are. Places are those of `scatter`. Without `include_self` what is
    there counts only where nothing goes.

    Raises:
        ValueError: for another `reduce`.
        ShapeError: if the index does not fit the tensor, or `src` is smaller than the index.
        IndexRangeError: if there is no such dimension, or no such place along it.
        DTypeError: if the places are no integers, `src` is of another type than the tensor, or it is the mean of
            booleans.

    >>> import chainrule
    >>> index, src = chainrule.tensor([0, 0, 1]), chainrule.tensor([1.0, 2.0, 5.0])
    >>> chainrule.scatter_reduce(chainrule.zeros(2), 0, index, src, "amax")
    tensor([2., 5.])
    """
    if reduce not in ("sum", "mean", "prod", "amax", "amin"):
        raise ValueError(f"scatter_reduce: reduce is 'sum', 'mean', 'prod', 'amax' or 'amin', got {reduce!r}.")
    if reduce == "mean" and input.dtype.kind == 0:
        raise DTypeError("scatter_reduce: booleans have no mean; convert them with .float().")
    if not input.ndim:
        axis_of(dim, 0, "scatter_reduce")
        parts = index.reshape(-1), src.reshape(-1)
        return scatter_reduce(input.reshape(1), 0, *parts, reduce, include_self=include_self).reshape(())
    index, src = in_line(input, index, src)
    need_places(input, dim, index, "scatter_reduce")
    src = source_for(input, index, src, "scatter_reduce")
    if reduce in ("amax", "amin"):
        return _extreme(input, dim, index, src, reduce, include_self)
    start = input if include_self else scatter(input, dim, index, int(reduce == "prod"))
    if reduce == "prod":
        return _product(start, dim, index, src)
    total = scatter_add(start, dim, index, src)
    if reduce == "sum":
        return total
    ones = ones_like(input)
    counts = scatter_add(ones if include_self else scatter(ones, dim, index, 0), dim, index, ones_like(src))
    return total / counts if input.dtype.is_floating_point else total // counts


def _collected(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> Tensor:
    """The numbers alone, without a gradient."""
    key, places = walks(index, dim % input.ndim)
    return IndexReduce.apply(input.detach(), src.detach(), *places, key=key, reduce=reduce)


def _extreme(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """The largest or smallest; equal ones share the gradient."""
    worst: float = -np.inf if reduce == "amax" else np.inf
    if input.dtype.kind == 0:
        worst = reduce == "amin"
    elif input.dtype.kind == 1:
        worst = getattr(np.iinfo(input.dtype.numpy), "min" if reduce == "amax" else "max")
    given = input if include_self else scatter(input.detach(), dim, index, worst)
    best = _collected(given, dim, index, src, reduce)
    if not (input.requires_grad or src.requires_grad):
        return best
    hits = (src == gather(best, dim, index)).to(input.dtype)
    own = (input == best).to(input.dtype)
    if not include_self:
        own = scatter(own, dim, index, 0)
    shares = scatter_add(own, dim, index, hits)
    linear = scatter_add(input * own, dim, index, src * hits) / shares
    return best + (linear - linear.detach())


@block
def _product(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The products, of what is there and all that goes there."""
    return _collected(input, dim, index, src, "prod")


@_product.gradient
def _(g: Tensor, input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Tensor, None, Tensor]:
    # For each factor the product of the others. It is the product without the zeros over the factor itself; where one
    # or two are zeros, times these (a zero that is multiplied in, so that a second derivative finds it).
    zero, zero_there = src == 0, input == 0
    rest = _product(where(zero_there, 1, input), dim, index, where(zero, 1, src))
    zeros = scatter_add(zero_there.to(g.dtype), dim, index, zero.to(g.dtype))
    nothing = scatter_add(where(zero_there, input, 0), dim, index, where(zero, src, 0))

    def others(factor: Tensor, is_zero: Tensor, rest: Tensor, zeros: Tensor, nothing: Tensor) -> Tensor:
        left = zeros - is_zero.to(zeros.dtype)
        among = rest / where(is_zero, 1, factor)
        return where(left == 0, among, where(left == 1, among * (nothing - where(is_zero, factor, 0)), 0 * among))

    to_input = g * others(input, zero_there, rest, zeros, nothing)
    reached = [gather(x, dim, index) for x in (g, rest, zeros, nothing)]
    return to_input, None, reached[0] * others(src, zero, *reached[1:])
