"""Norms: how large all entries are together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError
from chainrule.functions.dimensions import Dimensions, axes_of, kept
from chainrule.functions.extremes import amax, amin
from chainrule.functions.promotion import cast
from chainrule.functions.reduction import any, need_floating, sum
from chainrule.primitives.trace import known_numbers

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def norm(
    input: Tensor, p: float | str | None = 2, dim: Dimensions = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The p-norm over `dim`, (Σ|x|^p)^(1/p); ∞ gives the largest |x|, 0 counts the entries that are not 0.

    "fro" is 2; "nuc", of matrices or of two dimensions `dim`, is the sum of the singular values.
    dtype: a floating-point type that the entries are converted to first.

    >>> import chainrule
    >>> chainrule.norm(chainrule.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if dtype is not None:
        input = cast(input, as_dtype(dtype).numpy)
    need_floating(input, "norm")
    if p is None:
        p = 2
    if input.dtype.itemsize == 2:  # the powers of halves overflow where their norm does not
        return norm(input.float(), p, dim, keepdim).to(input.dtype)
    if p in ("fro", 2):
        return _euclidean(input, dim, keepdim)
    if p == "nuc":
        return nuclear_norm(input, (-2, -1) if dim is None else dim, keepdim)
    if isinstance(p, str):
        raise DTypeError(f"norm: p is a number, 'fro' or 'nuc', got {p!r}; other matrix norms are in linalg.")
    size = input.abs()
    if p == float("inf"):
        return amax(size, dim, keepdim)
    if p == float("-inf"):
        return amin(size, dim, keepdim)
    if p == 0:
        return sum(_counted(input), dim, keepdim)
    if p == 1:
        return sum(size, dim, keepdim)
    nothing = input == 0  # where the power has no derivative for p < 1
    total = sum((size.masked_fill(nothing, 1) ** p).masked_fill(nothing, 0), dim, keepdim)
    # A negative power of 0 is ∞, and the norm then 0, whatever the others are.
    zero = any(nothing, dim, keepdim) if p < 0 else total == 0
    return (total.masked_fill(zero, 1) ** (1 / p)).masked_fill(zero, 0)


def nuclear_norm(A: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The sum of the singular values of the matrices in two dimensions."""
    from chainrule.primitives.linear_algebra import SVD  # here: few need it, and it is large

    rows, columns = (d % A.ndim for d in dim)
    total = SVD.apply(A.movedim((rows, columns), (-2, -1)))[1].sum(-1)
    return kept(total, A.shape, (rows, columns), keepdim)


@block
def _counted(input: Tensor) -> Tensor:
    """1 where an entry is not 0. It can be differentiated, but nothing comes back, as in PyTorch."""
    return (input != 0).to(input.dtype)


@_counted.gradient
def _(g: Tensor) -> None:
    return None


def _euclidean(input: Tensor, dim: Dimensions, keepdim: bool) -> Tensor:
    """The root of the sum of squares; in float64 where squares leave the range of float32."""
    if input.value.array.dtype.itemsize == 4:
        length = _length(input, dim, keepdim, False)[0]
        array = known_numbers(length)
        if array is None or not ((array > 1e-15) & (array < np.inf)).all():
            return _length(input, dim, keepdim, True)[0]
        return length
    return _length(input, dim, keepdim, False)[0]


@block
def _length(input: Tensor, dim: Dimensions, keepdim: bool, wide: bool) -> tuple[Tensor, Tensor]:
    """√Σ x² over `dim`, and the same before it is rounded to the type of the input."""
    x = input.double() if wide else input
    length = sum(x * x, dim, keepdim).sqrt()
    return cast(length, input.value.array.dtype), length


@_length.gradient
def _(
    g: tuple[Tensor | None, Tensor | None], input: Tensor, dim: Dimensions, output: tuple[Tensor, Tensor]
) -> Tensor | None:
    """x̄ = g·x/‖x‖, and 0 where the length is 0, by the field's convention."""
    length = output[1]
    shape = input.value.array.shape
    axes = axes_of(dim, len(shape), "norm")
    upstream = [cast(part, length.value.array.dtype) for part in g if part is not None]
    total = upstream[0] if len(upstream) == 1 else upstream[0] + upstream[1]
    zero = length == 0
    share = (total / length.masked_fill(zero, 1)).masked_fill(zero, 0)
    share = share.reshape([1 if axis in axes else extent for axis, extent in enumerate(shape)])
    return cast(cast(input, length.value.array.dtype) * share, input.value.array.dtype)
