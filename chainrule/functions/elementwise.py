"""Elementwise maths of one argument: the same thing done to every entry; and rounding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.block import block
from chainrule.errors import DTypeError
from chainrule.functions.arithmetic import atan2, clamp, div, pow, rpow
from chainrule.functions.logic import gt, is_boolean, lt, masked_fill, where
from chainrule.functions.promotion import as_floating, in_float32, need_tensor, rounded_as
from chainrule.primitives import elementwise as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _floating(primitive: Any, input: Tensor) -> Tensor:
    return primitive.apply(as_floating(need_tensor(input, primitive.name.lower())))


def neg(input: Tensor) -> Tensor:
    """−input.

    >>> import chainrule
    >>> chainrule.neg(chainrule.tensor([1, -2]))
    tensor([-1,  2])
    """
    if is_boolean(input):
        raise DTypeError("− of a boolean tensor is not defined; use ~ (not).")
    return primitives.Negate.apply(need_tensor(input, "neg"))


def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    return input


def abs(input: Tensor) -> Tensor:
    """|input|; its gradient at 0 is 0.

    >>> import chainrule
    >>> chainrule.abs(chainrule.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """
    return primitives.Absolute.apply(need_tensor(input, "abs"))


def exp(input: Tensor) -> Tensor:
    """e to the power of each entry.

    >>> import chainrule
    >>> chainrule.exp(chainrule.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    return _floating(primitives.Exp, input)


def exp2(input: Tensor) -> Tensor:
    """2 to the power of each entry.

    >>> import chainrule
    >>> chainrule.exp2(chainrule.tensor([3.0]))
    tensor([8.])
    """
    return rpow(as_floating(input), 2.0)


def expm1(input: Tensor) -> Tensor:
    """eˣ − 1, exact for small x.

    >>> import chainrule
    >>> chainrule.expm1(chainrule.tensor([0.0]))
    tensor([0.])
    """
    return _floating(primitives.Expm1, input)


def log(input: Tensor) -> Tensor:
    """The natural logarithm; −∞ at 0, NaN below.

    >>> import chainrule
    >>> chainrule.log(chainrule.tensor([1.0, 2.0]))
    tensor([0.0000, 0.6931])
    """
    return _floating(primitives.Log, input)


def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2.

    >>> import chainrule
    >>> chainrule.log2(chainrule.tensor([8.0]))
    tensor([3.])
    """
    return log(input) / math.log(2)


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10.

    >>> import chainrule
    >>> chainrule.log10(chainrule.tensor([1000.0]))
    tensor([3.])
    """
    return log(input) / math.log(10)


def log1p(input: Tensor) -> Tensor:
    """ln(1 + x), exact for small x.

    >>> import chainrule
    >>> chainrule.log1p(chainrule.tensor([0.0]))
    tensor([0.])
    """
    return _floating(primitives.Log1p, input)


def sqrt(input: Tensor) -> Tensor:
    """The square root; NaN below 0.

    >>> import chainrule
    >>> chainrule.sqrt(chainrule.tensor([9.0]))
    tensor([3.])
    """
    return _floating(primitives.Sqrt, input)


def rsqrt(input: Tensor) -> Tensor:
    """1 / √x.

    >>> import chainrule
    >>> chainrule.rsqrt(chainrule.tensor([4.0]))
    tensor([0.5000])
    """
    return _floating(primitives.Rsqrt, input)


def square(input: Tensor) -> Tensor:
    """x².

    >>> import chainrule
    >>> chainrule.square(chainrule.tensor([3.0]))
    tensor([9.])
    """
    return pow(input, 2)


def reciprocal(input: Tensor) -> Tensor:
    """1 / x.

    >>> import chainrule
    >>> chainrule.reciprocal(chainrule.tensor([4.0]))
    tensor([0.2500])
    """
    return div(1, input)


def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians.

    >>> import chainrule
    >>> chainrule.sin(chainrule.tensor([0.0]))
    tensor([0.])
    """
    return _floating(primitives.Sin, input)


def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians.

    >>> import chainrule
    >>> chainrule.cos(chainrule.tensor([0.0]))
    tensor([1.])
    """
    return _floating(primitives.Cos, input)


def tan(input: Tensor) -> Tensor:
    """The tangent of an angle in radians.

    >>> import chainrule
    >>> chainrule.tan(chainrule.tensor([0.0]))
    tensor([0.])
    """
    return _tan(as_floating(need_tensor(input, "tan")))


@block
def _tan(x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(x, sin(wide) / cos(wide))


@_tan.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    slope = tan(in_float32(x))
    return rounded_as(g, in_float32(g) * (1 + slope * slope))


def deg2rad(input: Tensor) -> Tensor:
    """An angle in degrees as radians: x · π / 180.

    >>> import chainrule
    >>> chainrule.deg2rad(chainrule.tensor([180.0]))
    tensor([3.1416])
    """
    return as_floating(input) * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """An angle in radians as degrees: x · 180 / π.

    >>> import chainrule
    >>> chainrule.rad2deg(chainrule.tensor([math.pi]))
    tensor([180.])
    """
    return as_floating(input) * (180 / math.pi)


def asin(input: Tensor) -> Tensor:
    """The angle in [−π/2, π/2] with this sine; NaN outside of [−1, 1].

    >>> import chainrule
    >>> chainrule.asin(chainrule.tensor([1.0]))
    tensor([1.5708])
    """
    return _floating(primitives.Arcsin, input)


def acos(input: Tensor) -> Tensor:
    """The angle in [0, π] with this cosine; NaN outside of [−1, 1].

    >>> import chainrule
    >>> chainrule.acos(chainrule.tensor([0.0]))
    tensor([1.5708])
    """
    x = as_floating(need_tensor(input, "acos"))
    return rounded_as(x, math.pi / 2 - asin(in_float32(x)))


def atan(input: Tensor) -> Tensor:
    """The angle in (−π/2, π/2) with this tangent.

    >>> import chainrule
    >>> chainrule.atan(chainrule.tensor([1.0]))
    tensor([0.7854])
    """
    return _floating(primitives.Arctan, input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, 2σ(2x) − 1; its derivative 1 − tanh² is 1 at 0 and 0.07 at 2.

    >>> import chainrule
    >>> chainrule.tanh(chainrule.tensor([0.0, 2.0]))
    tensor([0.0000, 0.9640])
    """
    return _floating(primitives.Tanh, input)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(p / (1 − p)), the inverse of `sigmoid`; with `eps`, p is first kept within [eps, 1 − eps].

    >>> import chainrule
    >>> chainrule.logit(chainrule.tensor([0.5]))
    tensor([0.])
    """
    p = as_floating(input)
    return _logit(p if eps is None else clamp(p, eps, 1 - eps))


@block
def _logit(p: Tensor) -> Tensor:
    return log(p / (1 - p))


@_logit.gradient
def _(g: Tensor, p: Tensor) -> Tensor:
    # Where the value is NaN the slope is no number either, though 1/(p(1 − p)) would be one.
    return g / masked_fill(p * (1 - p), (p < 0) | (p > 1), math.nan)


def erf(input: Tensor) -> Tensor:
    """The error function 2/√π · ∫₀ˣ e^(−t²) dt.

    >>> import chainrule
    >>> chainrule.erf(chainrule.tensor([0.5]))
    tensor([0.5205])
    """
    return _floating(primitives.Erf, input)


def erfc(input: Tensor) -> Tensor:
    """1 − erf(x), exact where that is small.

    >>> import chainrule
    >>> chainrule.erfc(chainrule.tensor([0.0, 6.0]))
    tensor([1.0000e+00, 2.1520e-17])
    """
    return _floating(primitives.Erfc, input)


def _step(primitive: Any, input: Tensor) -> Tensor:
    """Rounding leaves integers as they are."""
    if need_tensor(input, primitive.name.lower()).dtype.kind < 2:
        return input.clone()
    return primitive.apply(input)


def sign(input: Tensor) -> Tensor:
    """−1, 0 or 1.

    >>> import chainrule
    >>> chainrule.sign(chainrule.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return primitives.Sign.apply(need_tensor(input, "sign"))


def signbit(input: Tensor) -> Tensor:
    """Whether the sign is minus, also that of −0.

    >>> import chainrule
    >>> chainrule.signbit(chainrule.tensor([-1.0, -0.0, 2.0]))
    tensor([ True,  True, False])
    """
    if not need_tensor(input, "signbit").dtype.is_floating_point:
        return lt(input, 0)
    return gt(atan2(input.new_zeros(()), input.detach()).abs(), 0)  # the angle of (x, 0): 0 or π


def floor(input: Tensor) -> Tensor:
    """The largest whole number not above x.

    >>> import chainrule
    >>> chainrule.floor(chainrule.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return _step(primitives.Floor, input)


def ceil(input: Tensor) -> Tensor:
    """The smallest whole number not below x.

    >>> import chainrule
    >>> chainrule.ceil(chainrule.tensor([-1.5, 1.5]))
    tensor([-1.,  2.])
    """
    return input.clone() if input.dtype.kind < 2 else -floor(-input)


def trunc(input: Tensor) -> Tensor:
    """x without its fraction: rounded towards 0.

    >>> import chainrule
    >>> chainrule.trunc(chainrule.tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """
    return input.clone() if input.dtype.kind < 2 else where(input < 0, ceil(input), floor(input))


def frac(input: Tensor) -> Tensor:
    """x minus its truncation.

    >>> import chainrule
    >>> chainrule.frac(chainrule.tensor([-1.5, 1.5]))
    tensor([-0.5000,  0.5000])
    """
    return input - trunc(input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number (or number with that many decimals); halves go to the even one.

    >>> import chainrule
    >>> chainrule.round(chainrule.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    if decimals and input.dtype.is_floating_point:
        scale = 10.0**decimals
        return _step(primitives.Round, input * scale) / scale
    return _step(primitives.Round, input)


negative, absolute = neg, abs


def sinc(input: Tensor) -> Tensor:
    """sin(πx) / (πx), and 1 at 0.

    >>> import chainrule
    >>> chainrule.sinc(chainrule.tensor([0.0, 0.5, 1.0])).round(decimals=4).abs()
    tensor([1.0000, 0.6366, 0.0000])
    """
    return _sinc(as_floating(input))


@block
def _sinc(x: Tensor) -> Tensor:
    wide = in_float32(x)
    angle = where(wide == 0, 1.0, wide * math.pi)
    return rounded_as(x, where(wide == 0, 1.0, sin(angle) / angle))


@_sinc.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    # (cos πx − sinc x)/x is the difference of nearly equal numbers near 0; there the series of the derivative,
    # Σ (−1)ᵏ 2k a^(2k−1)/(2k + 1)! with a = πx, by Horner's rule.
    wide = in_float32(x)
    angle = wide * math.pi
    near = abs(angle) < 1
    square = where(near, angle * angle, 0.0)
    series = square * 0
    for k in range(9, 0, -1):
        series = series * square + (-1) ** k * 2 * k / math.factorial(2 * k + 1)
    far = where(near, 1.0, wide)
    quotient = (cos(far * math.pi) - sinc(far)) / far
    return rounded_as(g, in_float32(g) * where(near, series * angle * math.pi, quotient))
