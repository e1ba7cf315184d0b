"""Running totals, products and extremes along a dimension, and differences of neighbours."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions.dimensions import axis_of
from chainrule.functions.extremes import ValuesAndIndices
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import cast, constant, in_float32, rounded_as
from chainrule.functions.reduction import prod, sum
from chainrule.primitives import reduction as primitives
from chainrule.primitives.shape import Concatenate, Pad

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along `dim`. Integers and booleans are added up as int64.

    >>> import chainrule
    >>> chainrule.cumsum(chainrule.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(cumsum(cast(input, wanted), dim), wanted)
    axis = axis_of(dim, input.ndim, "cumsum")
    if not input.ndim:
        return sum(input)
    return primitives.CumulativeSum.apply(input, axis=axis)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along `dim`. Integers and booleans are multiplied as int64.

    >>> import chainrule
    >>> chainrule.cumprod(chainrule.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    if dtype is not None:
        wanted = as_dtype(dtype).numpy
        return cast(cumprod(cast(input, wanted), dim), wanted)
    axis = axis_of(dim, input.ndim, "cumprod")
    if not input.ndim:
        return prod(input)
    if input.value.array.dtype.kind in "iub":
        return _products(cast(input, np.dtype(np.int64)), axis)
    return rounded_as(input, _products(in_float32(input), axis)) if input.shape[axis] > 1 else input.clone()


@block
def _products(x: Tensor, axis: int) -> Tensor:
    """Products of 1, 2, 4, … neighbours: ⌈log₂ n⌉ steps."""
    reach, extent = 1, x.shape[axis]
    while reach < extent:
        first, last = x.narrow(axis, 0, extent - reach), x.narrow(axis, reach, extent - reach)
        x = Concatenate.apply(x.narrow(axis, 0, reach), last * first, axis=axis)
        reach *= 2
    return x


@_products.gradient
def _(g: Tensor, x: Tensor, output: Tensor, axis: int) -> Tensor:
    """x̄ₖ = Π_{j<k} xⱼ · sₖ with sₖ = gₖ + xₖ₊₁·sₖ₊₁, which divides by nothing: an entry may be 0.

    sₖ is a sum over what comes behind; it is taken over 1, 2, 4, … neighbours too, with the products between them.
    """
    extent = x.shape[axis]
    front = tuple([int(d == axis) for d in range(x.ndim)])
    none = (0,) * x.ndim
    before = Pad.apply(output.narrow(axis, 0, extent - 1), before=front, after=none, constant=1)
    between = x.narrow(axis, 1, extent - 1)  # from k to k + reach
    reach = 1
    while reach < extent:
        rest = extent - reach
        here, there = g.narrow(axis, 0, rest), g.narrow(axis, reach, rest)
        g = Concatenate.apply(here + between * there, g.narrow(axis, rest, reach), axis=axis)
        further = max(rest - reach, 0)
        between = between.narrow(axis, 0, further) * between.narrow(axis, reach, further) if further else between
        reach *= 2
    return before * g


def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest entry so far along `dim`, and where it stands (the last of equals).

    >>> import chainrule
    >>> chainrule.cummax(chainrule.tensor([1, 3, 2]), 0).values
    tensor([1, 3, 3])
    """
    return _running(input, dim, True, "cummax")


def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest entry so far along `dim`, and where it stands (the last of equals).

    >>> import chainrule
    >>> chainrule.cummin(chainrule.tensor([2, 1, 3]), 0).values
    tensor([2, 1, 1])
    """
    return _running(input, dim, False, "cummin")


def _running(input: Tensor, dim: int, largest: bool, operation: str) -> ValuesAndIndices:
    axis = axis_of(dim, input.ndim, operation)
    if not input.ndim:
        return ValuesAndIndices(input.clone(), constant(0, np.dtype(np.int64)))
    indices = primitives.CumulativeArgmax.apply(input, axis=axis, largest=largest)
    return ValuesAndIndices(input.gather(axis, indices), indices)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each entry minus the one before it along `dim`, n times over; `prepend` and `append` are joined to it first.

    >>> import chainrule
    >>> chainrule.diff(chainrule.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input.ndim:
        raise ShapeError("diff: a 0-d tensor has no neighbours; it needs at least one dimension.")
    axis = axis_of(dim, input.ndim, "diff")
    parts = [part for part in (prepend, input, append) if part is not None]
    if len(parts) > 1:
        input = cat(parts, axis)
    for _ in range(n):
        count = builtins.max(input.shape[axis] - 1, 0)
        after, before = (
            input.narrow(axis, builtins.min(1, input.shape[axis]), count),
            input.narrow(axis, 0, count),
        )
        input = after ^ before if input.value.array.dtype == np.bool_ else after - before
    return input
