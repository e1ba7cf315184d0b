"""Floating-point numbers as they are kept, mantissa · 2^exponent: taken apart, put together, and their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chainrule.autodiff.block import block
from chainrule.errors import DTypeError
from chainrule.functions.arithmetic import mul, pow
from chainrule.functions.promotion import Operand, broadcast, cast, promote
from chainrule.primitives.numpy_function import by_numpy
from chainrule.primitives.value import Array

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Parts(NamedTuple):
    """What `frexp` answers."""

    mantissa: Tensor
    exponent: Tensor


def _scaled(x: Array, exponent: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):  # ∞ and 0 are the results that are meant
        return np.ldexp(x, exponent)


@block
def _times_power_of_two(x: Tensor, exponent: Tensor) -> Tensor:
    """x · 2^exponent with one rounding, where the result is below the normal numbers."""
    return by_numpy(_scaled, x, exponent, forms=[(x.value.array.shape, x.value.array.dtype)])[0]


@_times_power_of_two.gradient
def _(g: Tensor, x: Tensor, exponent: Tensor) -> tuple[Tensor, None]:
    return _times_power_of_two(g, exponent), None


def ldexp(input: Operand, other: Operand) -> Tensor:
    """input · 2 to the power of `other`; exact for whole exponents, where the data type holds the result.

    >>> import chainrule
    >>> chainrule.ldexp(chainrule.tensor([1.5]), chainrule.tensor([3]))
    tensor([12.])
    """
    exponent = promote(other)[0]
    if exponent.dtype.is_floating_point:
        return mul(input, pow(2.0, exponent))
    x = promote(input, floating=True)[0]
    wide, whole = broadcast(x.double(), exponent.long().clamp(-3000, 3000))  # beyond these all is 0 or ∞
    return cast(_times_power_of_two(wide, whole), x.value.array.dtype)


def frexp(input: Tensor) -> Parts:
    """(mantissa, exponent): input = mantissa · 2^exponent with 1/2 ≤ |mantissa| < 1, and the exponent an int32.

    0, infinite numbers and NaN are their own mantissas, with the exponent 0. The mantissa has a gradient: 2^−exponent.
    Raises DTypeError for other types than floating-point ones.

    >>> import chainrule
    >>> chainrule.frexp(chainrule.tensor([12.0]))
    Parts(mantissa=tensor([0.7500]), exponent=tensor([4], dtype=chainrule.int32))
    """
    x = _need_floating(promote(input)[0], "frexp")
    wide = x.detach().double()
    form = (wide.value.array.shape, np.dtype(np.int32))
    exponent = by_numpy(_exponent, wide, forms=[form])[0]
    return Parts(ldexp(x, -exponent), exponent)


def _exponent(x: Array) -> Array:
    return np.where(np.isfinite(x), np.frexp(x)[1], 0).astype(np.int32)


def nextafter(input: Operand, other: Operand) -> Tensor:
    """The next number of the data type after `input` on the way to `other`; where they are equal, `other`.

    It has no gradient: it is a step, as `floor`. Raises DTypeError for other types than floating-point ones.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0])
    >>> chainrule.nextafter(x, 2.0) - x == chainrule.finfo(x.dtype).eps
    tensor([True])
    """
    x, y = promote(input, other)
    x, y = broadcast(_need_floating(x, "nextafter").detach(), y.detach())
    return by_numpy(_neighbour, x, y, forms=[(x.value.array.shape, x.value.array.dtype)])[0]


def _neighbour(x: Array, towards: Array) -> Array:
    return np.nextafter(x, towards)


def _need_floating(x: Tensor, name: str) -> Tensor:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name} works on floating-point numbers, got {x.dtype}; convert with .float() first.")
    return x
