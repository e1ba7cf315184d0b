"""Hyperbolic functions and their inverses. Of halves they are computed in float32 and rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.autodiff.block import block
from chainrule.functions.arithmetic import copysign, hypot
from chainrule.functions.elementwise import abs, exp, expm1, log, log1p, sign, sqrt
from chainrule.functions.logic import where
from chainrule.functions.promotion import as_floating, in_float32, need_tensor, rounded_as

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: From here on e⁻ˣ is nothing beside eˣ, in float64 too.
FAR = 20


def sinh(input: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ) / 2.

    >>> import chainrule
    >>> chainrule.sinh(chainrule.tensor([1.0]))
    tensor([1.1752])
    """
    return _sinh(as_floating(need_tensor(input, "sinh")))


@block
def _sinh(x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(x, where(abs(wide) > FAR, sign(wide) * _half_exp(wide), (expm1(wide) - expm1(-wide)) / 2))


@_sinh.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    return rounded_as(g, in_float32(g) * cosh(in_float32(x)))


def _half_exp(x: Tensor) -> Tensor:
    """½ e^|x|, which is finite for some x whose e^|x| is not."""
    root = exp(abs(x) / 2)
    return root * (root / 2)


def cosh(input: Tensor) -> Tensor:
    """(eˣ + e⁻ˣ) / 2.

    >>> import chainrule
    >>> chainrule.cosh(chainrule.tensor([1.0]))
    tensor([1.5431])
    """
    return _cosh(as_floating(need_tensor(input, "cosh")))


@block
def _cosh(x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(x, where(abs(wide) > FAR, _half_exp(wide), (exp(wide) + exp(-wide)) / 2))


@_cosh.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    return rounded_as(g, in_float32(g) * sinh(in_float32(x)))  # the difference of the exponentials would lose a small x


def asinh(input: Tensor) -> Tensor:
    """ln(x + √(x² + 1)), the number with this hyperbolic sine.

    >>> import chainrule
    >>> chainrule.asinh(chainrule.tensor([1.0]))
    tensor([0.8814])
    """
    return _asinh(as_floating(need_tensor(input, "asinh")))


@block
def _asinh(x: Tensor) -> Tensor:
    size = abs(in_float32(x))
    # |x| + x²/(1 + √(x² + 1)) is |x| + √(x² + 1) − 1 without losing the digits of a small x. Of a large one it is
    # infinite: there x is taken out of the logarithm.
    near = log1p(size + size * (size / (1 + hypot(size, 1.0))))
    return rounded_as(x, copysign(where(size > 1, log(size) + log1p(hypot(1 / size, 1.0)), near), in_float32(x)))


@_asinh.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    return rounded_as(g, in_float32(g) / hypot(in_float32(x), 1.0))


def acosh(input: Tensor) -> Tensor:
    """ln(x + √(x² − 1)), the number above 0 with this hyperbolic cosine; NaN below 1.

    >>> import chainrule
    >>> chainrule.acosh(chainrule.tensor([2.0]))
    tensor([1.3170])
    """
    return _acosh(as_floating(need_tensor(input, "acosh")))


@block
def _acosh(x: Tensor) -> Tensor:
    wide = in_float32(x)
    near = log1p((wide - 1) + sqrt(wide - 1) * sqrt(wide + 1))  # 1 + a small number would lose its digits
    under = 1 / wide
    return rounded_as(x, where(wide > 2, log(wide) + log1p(sqrt(1 - under) * sqrt(1 + under)), near))


@_acosh.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(g, in_float32(g) / (sqrt(wide - 1) * sqrt(wide + 1)))


def atanh(input: Tensor) -> Tensor:
    """½ ln((1 + x) / (1 − x)), the number with this hyperbolic tangent; NaN outside of [−1, 1].

    >>> import chainrule
    >>> chainrule.atanh(chainrule.tensor([0.5]))
    tensor([0.5493])
    """
    x = as_floating(need_tensor(input, "atanh"))
    wide = in_float32(x)
    return rounded_as(x, (log1p(wide) - log1p(-wide)) / 2)
