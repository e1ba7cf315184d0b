"""Running totals, products and extremes along a dimension, and differences of neighbours."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions.dimensions import axis_of
from chainrule.functions.extremes import ValuesAndIndices
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import cast, constant
from chainrule.functions.reduction import prod, sum
from chainrule.primitives import reduction as primitives
from chainrule.primitives.shape import Concatenate

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
    x = cast(input, np.dtype(np.int64)) if input.value.array.dtype.kind in "iub" else input.clone()
    # Products of 1, 2, 4, … neighbours: ⌈log₂ n⌉ steps, whose gradients are right where an entry is 0.
    reach, extent = 1, x.shape[axis]
    while reach < extent:
        start = x.narrow(axis, 0, reach)
        x = Concatenate.apply(
            start, x.narrow(axis, reach, extent - reach) * x.narrow(axis, 0, extent - reach), axis=axis
        )
        reach *= 2
    return x


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
