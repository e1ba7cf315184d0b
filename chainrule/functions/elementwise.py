"""Elementwise maths: the same thing done to every entry. Two arguments are promoted and broadcast first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.cell import TensorCell
from chainrule.errors import DTypeError
from chainrule.functions.promotion import (
    as_floating,
    binary,
    broadcast,
    cast,
    common_shape,
    constant,
    expand_to,
    need_tensor,
    promote,
)
from chainrule.primitives import elementwise as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Operand = Any  # a Tensor, a NumPy array or a Python number

# ------------------------------------------------------------------------------------------- arithmetic


def _refuse_booleans(input: Operand, other: Operand, operation: str, instead: str) -> None:
    if _is_boolean(input) or _is_boolean(other):
        raise DTypeError(f"{operation} of boolean tensors is not defined; use {instead}, or convert with .int().")


def _is_boolean(x: Operand) -> bool:
    return isinstance(x, bool) or (isinstance(x, TensorCell) and x.value.array.dtype == np.bool_)


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input + alpha · other.

    >>> import chainrule
    >>> chainrule.add(chainrule.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    if alpha != 1:
        input, other = _scaled(input, other, alpha, "add")
    return binary(primitives.Add, input, other)


def _scaled(input: Operand, other: Operand, alpha: float, operation: str) -> tuple[Tensor, Tensor]:
    """Both in their common type, the second times alpha."""
    x, y = promote(input, other)
    if x.dtype.kind < 2 and isinstance(alpha, float):
        raise DTypeError(f"{operation}: alpha={alpha} would make {x.dtype} tensors fractions; give a whole number.")
    return x, cast(y * alpha, y.value.array.dtype)


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input − alpha · other.

    >>> import chainrule
    >>> chainrule.sub(chainrule.tensor([1, 2]), 10)
    tensor([-9, -8])
    """
    _refuse_booleans(input, other, "subtraction", "^ (exclusive or)")
    if alpha != 1:
        input, other = _scaled(input, other, alpha, "sub")
    return binary(primitives.Subtract, input, other)


def rsub(input: Operand, other: Operand) -> Tensor:
    """other − input."""
    return sub(other, input)


def mul(input: Operand, other: Operand) -> Tensor:
    """input · other, entry by entry.

    >>> import chainrule
    >>> chainrule.mul(chainrule.tensor([1.0, 2.0]), chainrule.tensor([[3.0], [4.0]]))
    tensor([[3., 6.],
            [4., 8.]])
    """
    return binary(primitives.Multiply, input, other)


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; integers give floating-point numbers. `rounding_mode`: None, "floor" or "trunc" (towards 0).

    >>> import chainrule
    >>> chainrule.div(chainrule.tensor([-7, 7]), 2), chainrule.div(chainrule.tensor([-7, 7]), 2, rounding_mode="trunc")
    (tensor([-3.5000,  3.5000]), tensor([-3,  3]))
    """
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode not in (None, "trunc"):
        raise ValueError(f"rounding_mode is None, 'floor' or 'trunc', got {rounding_mode!r}.")
    if rounding_mode is None and any(isinstance(x, TensorCell) and x.dtype.is_floating_point for x in (input, other)):
        return binary(primitives.Divide, input, other)
    x, y = promote(input, other)
    if rounding_mode == "trunc" and x.dtype.kind < 2:
        floored = floor_divide(x, y)
        return where((floored < 0) & (floored * y != x), floored + 1, floored)
    quotient = binary(primitives.Divide, as_floating(x), as_floating(y))
    return trunc(quotient) if rounding_mode == "trunc" else quotient


def rdiv(input: Operand, other: Operand) -> Tensor:
    """other / input."""
    return div(other, input)


def floor_divide(input: Operand, other: Operand) -> Tensor:
    """⌊input / other⌋.

    >>> import chainrule
    >>> chainrule.floor_divide(chainrule.tensor([-7, 7]), 2)
    tensor([-4,  3])
    """
    return _refuse_zero_division(primitives.FloorDivide, input, other)


def remainder(input: Operand, other: Operand) -> Tensor:
    """input − other · ⌊input / other⌋, Python's %: the sign is that of `other`.

    >>> import chainrule
    >>> chainrule.remainder(chainrule.tensor([-7, 7]), 3)
    tensor([2, 1])
    """
    return _refuse_zero_division(primitives.Remainder, input, other)


def _refuse_zero_division(primitive: Any, input: Operand, other: Operand) -> Tensor:
    x, y = promote(input, other)
    if x.dtype.kind < 2 and isinstance(y.value.array, np.ndarray) and not y.value.array.all():
        raise ZeroDivisionError(f"{primitive.name}: division of integers by zero.")
    return binary(primitive, x, y)


def fmod(input: Operand, other: Operand) -> Tensor:
    """input − other · trunc(input / other), C's %: the sign is that of `input`.

    >>> import chainrule
    >>> chainrule.fmod(chainrule.tensor([-7, 7]), 3)
    tensor([-1,  1])
    """
    x, y = promote(input, other)
    if x.dtype.kind == 2:
        return _fmod(*broadcast(x, y))
    # The remainder has the sign of y: where that is not the sign of x, one y too much was added.
    rest = remainder(x, y)
    return where((rest != 0) & ((rest < 0) != (x < 0)), rest - y, rest)


@block
def _fmod(input: Tensor, other: Tensor) -> Tensor:
    rest = remainder(abs(input), abs(other))
    return where(input < 0, -rest, rest)


@_fmod.gradient
def _(g: Tensor, input: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    return g, -g * trunc(input / other)


def pow(input: Operand, exponent: Operand) -> Tensor:
    """input ^ exponent. Whole and half powers of floating-point tensors take the short way.

    >>> import chainrule
    >>> chainrule.pow(chainrule.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, (int, float)) and isinstance(input, TensorCell):
        if input.value.array.dtype.kind not in "iub":
            if exponent == 2:
                return input * input  # type: ignore[operator]
            if exponent == 1:
                return input.clone()  # type: ignore[attr-defined]
            if exponent == 0.5:
                return sqrt(input)  # type: ignore[arg-type]
            return rsqrt(input) if exponent == -0.5 else _power_by_number(input, exponent)  # type: ignore[arg-type]
        if isinstance(exponent, int) and exponent < 0:
            raise DTypeError("integers to a negative integer power are no integers; convert with .float() first.")
    x, y = promote(input, exponent)
    return _whole_power(x, y) if x.dtype.kind < 2 else binary(primitives.Power, x, y)


def _whole_power(x: Tensor, y: Tensor) -> Tensor:
    """Integers to the power of integers. Where the exponent is negative, 1/x as a whole number: 0 unless x is ±1."""
    exponents = y.value.array
    if isinstance(exponents, np.ndarray) and (exponents.dtype.kind in "ub" or not (exponents < 0).any()):
        return binary(primitives.Power, x, y)
    below = where((x == 1) | (x == -1), binary(primitives.Power, x, y & 1), 0)
    return where(y < 0, below, binary(primitives.Power, x, clamp(y, min=0)))


@block
def _power_by_number(input: Tensor, exponent: float) -> Tensor:
    return binary(primitives.Power, input, exponent)


@_power_by_number.gradient
def _(g: Tensor, input: Tensor, exponent: float) -> Tensor:
    # A number as exponent: no logarithm, no mask, and 0 where the exponent is 0.
    return g * 0 if exponent == 0 else g * (exponent * pow(input, exponent - 1))


def rpow(input: Operand, other: Operand) -> Tensor:
    """other ^ input."""
    return pow(other, input)


def maximum(input: Operand, other: Operand) -> Tensor:
    """The larger of each pair; NaN wins; at a tie each gets half of the gradient.

    >>> import chainrule
    >>> chainrule.maximum(chainrule.tensor([1, 5]), chainrule.tensor([3, 2]))
    tensor([3, 5])
    """
    return binary(primitives.Maximum, input, other)


def minimum(input: Operand, other: Operand) -> Tensor:
    """The smaller of each pair; NaN wins; at a tie each gets half of the gradient.

    >>> import chainrule
    >>> chainrule.minimum(chainrule.tensor([1, 5]), chainrule.tensor([3, 2]))
    tensor([1, 2])
    """
    return binary(primitives.Minimum, input, other)


def atan2(input: Operand, other: Operand) -> Tensor:
    """The angle of the point (other, input) from the first axis, in (−π, π].

    >>> import chainrule
    >>> chainrule.atan2(chainrule.tensor(1.0), chainrule.tensor(-1.0))
    tensor(2.3562)
    """
    x, y = promote(input, other)
    return binary(primitives.Arctan2, as_floating(x), as_floating(y))


def hypot(input: Operand, other: Operand) -> Tensor:
    """√(input² + other²), the length of the hypotenuse, without squares that overflow.

    >>> import chainrule
    >>> chainrule.hypot(chainrule.tensor([3.0]), chainrule.tensor([4.0]))
    tensor([5.])
    """
    x, y = promote(input, other)
    longer, shorter = maximum(abs(x), abs(y)), minimum(abs(x), abs(y))
    scale = longer.detach()
    usual = isfinite(scale) & (scale != 0)
    scale = where(usual, scale, 1.0)
    length = scale * sqrt((longer / scale) ** 2 + (shorter / scale) ** 2)
    return where(usual, length, where(isinf(x) | isinf(y), math.inf, longer))


def logaddexp(input: Operand, other: Operand) -> Tensor:
    """ln(eˣ + eʸ), shifted by the larger so that nothing overflows.

    >>> import chainrule
    >>> chainrule.logaddexp(chainrule.tensor([100.0]), chainrule.tensor([100.0]))
    tensor([100.6931])
    """
    x, y = promote(input, other)
    top = maximum(x.detach(), y.detach())
    shift = masked_fill(top, isinf(top), 0)  # ∞ − ∞ would be NaN
    return log(exp(x - shift) + exp(y - shift)) + shift


def xlogy(input: Operand, other: Operand) -> Tensor:
    """input · ln(other), and 0 where input is 0, as in the entropy Σ p ln p.

    >>> import chainrule
    >>> chainrule.xlogy(chainrule.tensor([0.0, 1.0]), chainrule.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    x, y = promote(input, other)
    x, y = as_floating(x), as_floating(y)
    nothing = (x == 0) & ((y <= 0) | isinf(y))
    return masked_fill(x * log(where(nothing, 1.0, y)), nothing, 0)


def clamp(input: Tensor, min: Operand = None, max: Operand = None) -> Tensor:
    """Entries below `min` become `min`, above `max` `max`. The gradient passes where an entry was within (borders too).

    >>> import chainrule
    >>> chainrule.clamp(chainrule.tensor([-2.0, 0.5, 9.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise ValueError("clamp needs min, max or both.")
    bounds = [bound for bound in (min, max) if bound is not None]
    if any(isinstance(bound, TensorCell) and bound.requires_grad for bound in bounds):
        # Not maximum and minimum, which share the gradient at a tie: here all of it is the input's.
        low = input if min is None else where((input < min) | isnan(promote(min)[0]), min, input)
        return low if max is None else where((low > max) | isnan(promote(max)[0]), max, low)
    x = promote(input, *bounds)[0]
    shape = common_shape([x.value.array.shape, *[b.value.array.shape for b in bounds if isinstance(b, TensorCell)]])
    return _clamp(expand_to(x, shape), min, max)


@block
def _clamp(input: Tensor, min: Operand, max: Operand) -> Tensor:
    low = input if min is None else maximum(input, min)
    return low if max is None else minimum(low, max)


@_clamp.gradient
def _(g: Tensor, input: Tensor, min: Operand, max: Operand) -> Tensor:
    if min is None:
        outside = input > max
    else:
        outside = input < min if max is None else (input < min) | (input > max)
    return g.masked_fill(outside, 0)


clip = clamp

# --------------------------------------------------------------------------------- functions of one number


def _floating(primitive: Any, input: Tensor) -> Tensor:
    return primitive.apply(as_floating(need_tensor(input, primitive.name.lower())))


def neg(input: Tensor) -> Tensor:
    """−input.

    >>> import chainrule
    >>> chainrule.neg(chainrule.tensor([1, -2]))
    tensor([-1,  2])
    """
    if _is_boolean(input):
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
    return sin(input) / cos(input)


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
    return math.pi / 2 - asin(input)


def atan(input: Tensor) -> Tensor:
    """The angle in (−π/2, π/2) with this tangent.

    >>> import chainrule
    >>> chainrule.atan(chainrule.tensor([1.0]))
    tensor([0.7854])
    """
    return _floating(primitives.Arctan, input)


def sinh(input: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ) / 2.

    >>> import chainrule
    >>> chainrule.sinh(chainrule.tensor([1.0]))
    tensor([1.1752])
    """
    x = as_floating(input)
    return (expm1(x) - expm1(-x)) / 2


def cosh(input: Tensor) -> Tensor:
    """(eˣ + e⁻ˣ) / 2.

    >>> import chainrule
    >>> chainrule.cosh(chainrule.tensor([1.0]))
    tensor([1.5431])
    """
    x = as_floating(input)
    return (exp(x) + exp(-x)) / 2


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, 2σ(2x) − 1; its derivative 1 − tanh² is 1 at 0 and 0.07 at 2.

    >>> import chainrule
    >>> chainrule.tanh(chainrule.tensor([0.0, 2.0]))
    tensor([0.0000, 0.9640])
    """
    return _floating(primitives.Tanh, input)


@block
def asinh(input: Tensor) -> Tensor:
    """ln(x + √(x² + 1)), the number with this hyperbolic sine.

    >>> import chainrule
    >>> chainrule.asinh(chainrule.tensor([1.0]))
    tensor([0.8814])
    """
    size = abs(as_floating(input))
    # |x| + x²/(1 + √(x² + 1)) is |x| + √(x² + 1) − 1 without losing the digits of a small x.
    result = where(isinf(size), size, log1p(size + size * (size / (1 + hypot(size, 1.0)))))
    return where(input < 0, -result, result)


@asinh.gradient
def _(g: Tensor, input: Tensor) -> Tensor:
    return g / hypot(input, 1.0)


def acosh(input: Tensor) -> Tensor:
    """ln(x + √(x² − 1)), the number above 0 with this hyperbolic cosine; NaN below 1.

    >>> import chainrule
    >>> chainrule.acosh(chainrule.tensor([2.0]))
    tensor([1.3170])
    """
    x = as_floating(input)
    return log(x + sqrt(x - 1) * sqrt(x + 1))


def atanh(input: Tensor) -> Tensor:
    """½ ln((1 + x) / (1 − x)), the number with this hyperbolic tangent; NaN outside of [−1, 1].

    >>> import chainrule
    >>> chainrule.atanh(chainrule.tensor([0.5]))
    tensor([0.5493])
    """
    x = as_floating(input)
    return (log1p(x) - log1p(-x)) / 2


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(p / (1 − p)), the inverse of `sigmoid`; with `eps`, p is first kept within [eps, 1 − eps].

    >>> import chainrule
    >>> chainrule.logit(chainrule.tensor([0.5]))
    tensor([0.])
    """
    p = as_floating(input)
    p = p if eps is None else clamp(p, eps, 1 - eps)
    return log(p / (1 - p))


@block
def sigmoid(input: Tensor) -> Tensor:
    """σ(x) = 1 / (1 + e⁻ˣ), from numbers to (0, 1); its derivative σ(1 − σ) is ¼ at 0.

    >>> import chainrule
    >>> chainrule.sigmoid(chainrule.tensor([0.0, 3.5]))
    tensor([0.5000, 0.9707])
    """
    return reciprocal(exp(-as_floating(input)) + 1)


@sigmoid.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    return g * (output * (1 - output))


@block
def relu(input: Tensor) -> Tensor:
    """max(0, x); its derivative is 1 above 0, and 0 below and at 0.

    >>> import chainrule
    >>> chainrule.relu(chainrule.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return maximum(input, 0)


@relu.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    return g * cast(output > 0, g.value.array.dtype)


def erf(input: Tensor) -> Tensor:
    """The error function 2/√π · ∫₀ˣ e^(−t²) dt.

    >>> import chainrule
    >>> chainrule.erf(chainrule.tensor([0.5]))
    tensor([0.5205])
    """
    return _floating(primitives.Erf, input)


def erfc(input: Tensor) -> Tensor:
    """1 − erf(x).

    >>> import chainrule
    >>> chainrule.erfc(chainrule.tensor([0.0]))
    tensor([1.])
    """
    return 1 - erf(input)


# ------------------------------------------------------------------------------- steps, signs and rounding


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
subtract, multiply, divide, true_divide = sub, mul, div, div

# --------------------------------------------------------------------------------- comparisons and logic


def eq(input: Operand, other: Operand) -> Tensor:
    """[input = other].

    >>> import chainrule
    >>> chainrule.eq(chainrule.tensor([1, 2]), 2)
    tensor([False,  True])
    """
    return binary(primitives.Equal, input, other)


def ne(input: Operand, other: Operand) -> Tensor:
    """[input ≠ other]; NaN differs from everything.

    >>> import chainrule
    >>> chainrule.ne(chainrule.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return ~eq(input, other)


def lt(input: Operand, other: Operand) -> Tensor:
    """[input < other].

    >>> import chainrule
    >>> chainrule.lt(chainrule.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return binary(primitives.Less, input, other)


def le(input: Operand, other: Operand) -> Tensor:
    """[input ≤ other].

    >>> import chainrule
    >>> chainrule.le(chainrule.tensor([1, 2, 3]), 2)
    tensor([ True,  True, False])
    """
    return binary(primitives.LessEqual, input, other)


def gt(input: Operand, other: Operand) -> Tensor:
    """[input > other].

    >>> import chainrule
    >>> chainrule.gt(chainrule.tensor([1, 2, 3]), 2)
    tensor([False, False,  True])
    """
    return binary(primitives.Less, other, input)


def ge(input: Operand, other: Operand) -> Tensor:
    """[input ≥ other].

    >>> import chainrule
    >>> chainrule.ge(chainrule.tensor([1, 2, 3]), 2)
    tensor([False,  True,  True])
    """
    return binary(primitives.LessEqual, other, input)


def bitwise_and(input: Operand, other: Operand) -> Tensor:
    """input ∧ other, bit by bit; "and" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_and(chainrule.tensor([6]), 3)
    tensor([2])
    """
    return binary(primitives.BitwiseAnd, *_whole(input, other, "&"))


def bitwise_or(input: Operand, other: Operand) -> Tensor:
    """input ∨ other, bit by bit; "or" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_or(chainrule.tensor([6]), 3)
    tensor([7])
    """
    return binary(primitives.BitwiseOr, *_whole(input, other, "|"))


def bitwise_xor(input: Operand, other: Operand) -> Tensor:
    """input ⊕ other, bit by bit; "either or" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_xor(chainrule.tensor([6]), 3)
    tensor([5])
    """
    return binary(primitives.BitwiseXor, *_whole(input, other, "^"))


def bitwise_not(input: Tensor) -> Tensor:
    """Each bit turned over; "not" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_not(chainrule.tensor([True, False]))
    tensor([False,  True])
    """
    return primitives.BitwiseNot.apply(*_whole(input, input, "~")[:1])


def _whole(input: Operand, other: Operand, sign: str) -> list[Tensor]:
    pair = promote(input, other)
    if pair[0].dtype.is_floating_point:
        raise DTypeError(f"{sign} works on booleans and integers, got {pair[0].dtype}; compare first, as in x > 0.")
    return pair


def _truth(x: Operand) -> Tensor:
    x = promote(x)[0]
    return x if x.value.array.dtype == np.bool_ else ne(x, 0)


def logical_and(input: Operand, other: Operand) -> Tensor:
    """Whether both are not zero.

    >>> import chainrule
    >>> chainrule.logical_and(chainrule.tensor([0, 2]), chainrule.tensor([1, 1]))
    tensor([False,  True])
    """
    return bitwise_and(_truth(input), _truth(other))


def logical_or(input: Operand, other: Operand) -> Tensor:
    """Whether at least one is not zero.

    >>> import chainrule
    >>> chainrule.logical_or(chainrule.tensor([0, 2]), chainrule.tensor([0, 1]))
    tensor([False,  True])
    """
    return bitwise_or(_truth(input), _truth(other))


def logical_xor(input: Operand, other: Operand) -> Tensor:
    """Whether exactly one is not zero.

    >>> import chainrule
    >>> chainrule.logical_xor(chainrule.tensor([0, 2]), chainrule.tensor([1, 1]))
    tensor([ True, False])
    """
    return bitwise_xor(_truth(input), _truth(other))


def logical_not(input: Tensor) -> Tensor:
    """Whether it is zero.

    >>> import chainrule
    >>> chainrule.logical_not(chainrule.tensor([0, 2]))
    tensor([ True, False])
    """
    return ~_truth(input)


def isnan(input: Tensor) -> Tensor:
    """Whether it is not a number: only NaN differs from itself.

    >>> import chainrule
    >>> chainrule.isnan(chainrule.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return ne(input, input)


def isinf(input: Tensor) -> Tensor:
    """Whether it is +∞ or −∞.

    >>> import chainrule
    >>> chainrule.isinf(chainrule.tensor([1.0, -float("inf")]))
    tensor([False,  True])
    """
    return eq(abs(as_floating(input)), math.inf)


def isfinite(input: Tensor) -> Tensor:
    """Whether it is neither NaN nor infinite.

    >>> import chainrule
    >>> chainrule.isfinite(chainrule.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    return lt(abs(as_floating(input)), math.inf)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input − other| ≤ atol + rtol · |other|, entry by entry.

    >>> import chainrule
    >>> chainrule.isclose(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    near = eq(input, other)
    if not (_is_boolean(input) and _is_boolean(other)):
        x, y = promote(input, other)
        if x.dtype.kind < 2:
            x, y = x.double(), y.double()  # small unsigned numbers would wrap around in the difference
        near = near | (le(abs(x - y), atol + rtol * abs(y)) & isfinite(y))
    if equal_nan:
        near = near | (isnan(input) & isnan(other))
    return near


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all entries are close, see `isclose`.

    >>> import chainrule
    >>> chainrule.allclose(chainrule.tensor([1.0]), chainrule.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all entries are the same.

    >>> import chainrule
    >>> chainrule.equal(chainrule.tensor([1, 2]), chainrule.tensor([1, 2]))
    True
    """
    return input.shape == other.shape and bool(eq(input, other).all())


# ------------------------------------------------------------------------------------------------- choice


def where(condition: Tensor, input: Operand = None, other: Operand = None) -> Any:
    """`input` where the condition holds, else `other`; with the condition alone, where it holds (as `nonzero`).

    >>> import chainrule
    >>> x = chainrule.tensor([-1.0, 2.0])
    >>> chainrule.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition.value.array.dtype != np.bool_:
        raise DTypeError(f"where: the condition must be boolean, got {condition.dtype}; compare first, as in x > 0.")
    x, y = promote(input, other)
    shape = common_shape([t.value.array.shape for t in (condition, x, y)])
    return primitives.Where.apply(*[expand_to(t, shape) for t in (condition, x, y)])


def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """`value` where the mask holds, else the entry; in the type of the input.

    >>> import chainrule
    >>> chainrule.masked_fill(chainrule.tensor([1.0, 2.0]), chainrule.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    dtype = input.value.array.dtype
    if mask.value.array.dtype != np.bool_:
        raise DTypeError(f"masked_fill: the mask must be boolean, got {mask.dtype}; compare first, as in x > 0.")
    filling = cast(value, dtype) if isinstance(value, TensorCell) else constant(value, dtype)  # type: ignore[arg-type]
    shape = common_shape([mask.value.array.shape, input.value.array.shape])
    return primitives.Where.apply(expand_to(mask, shape), expand_to(filling, shape), expand_to(input, shape))


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and ±∞ replaced by numbers; ±∞ by the largest of the type unless given.

    >>> import chainrule
    >>> chainrule.nan_to_num(chainrule.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    if input.dtype.kind < 2:
        return input.clone()
    from chainrule.dtypes import FloatLimits

    largest = FloatLimits(input.dtype).max
    x = masked_fill(input, isnan(input), nan)
    x = masked_fill(x, eq(x, math.inf), largest if posinf is None else posinf)
    return masked_fill(x, eq(x, -math.inf), -largest if neginf is None else neginf)


def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """input + weight · (end − input).

    >>> import chainrule
    >>> chainrule.lerp(chainrule.tensor([0.0]), chainrule.tensor([10.0]), 0.3)
    tensor([3.])
    """
    return input + weight * (end - input)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 · tensor2.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> chainrule.addcmul(one, one, one, value=2)
    tensor([3.])
    """
    x, first, second = promote(input, tensor1, tensor2)
    return add(x, mul(first, second), alpha=value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 / tensor2.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> chainrule.addcdiv(one, one, one, value=2)
    tensor([3.])
    """
    x, over, under = promote(input, tensor1, tensor2)
    return add(x, div(over, under), alpha=value)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """eˣ / Σ eˣ along `dim`: numbers become probabilities. Shifted by the maximum, which changes nothing.

    >>> import chainrule
    >>> chainrule.softmax(chainrule.tensor([1000.0, 1000.0]), 0)
    tensor([0.5000, 0.5000])
    """
    x = as_floating(input) if dtype is None else input.to(dtype)
    return _softmax(x, dim)


@block
def _softmax(input: Tensor, dim: int) -> Tensor:
    if input.value.array.size == 0:
        return input.clone()
    shifted = exp(input - input.detach().amax(dim, keepdim=True))
    return shifted / shifted.sum(dim, keepdim=True)


@_softmax.gradient
def _(g: Tensor, output: Tensor, dim: int) -> Tensor:
    weighted = g * output
    return weighted - output * weighted.sum(dim, keepdim=True)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """ln softmax(x) = x − ln Σ eˣ along `dim`, without going through probabilities that could be 0.

    >>> import chainrule
    >>> chainrule.log_softmax(chainrule.tensor([0.0, 1000.0]), 0)
    tensor([-1000.,     0.])
    """
    x = as_floating(input) if dtype is None else input.to(dtype)
    return _log_softmax(x, dim)


@block
def _log_softmax(input: Tensor, dim: int) -> Tensor:
    if input.value.array.size == 0:
        return input.clone()
    shifted = input - input.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@_log_softmax.gradient
def _(g: Tensor, output: Tensor, dim: int) -> Tensor:
    return g - exp(output) * g.sum(dim, keepdim=True)
