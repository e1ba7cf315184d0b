"""Arithmetic of two arguments, entry by entry. They are promoted and broadcast first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.cell import TensorCell
from chainrule.errors import DTypeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.constant_in import constant_in
from chainrule.functions.logic import eq, is_boolean, isfinite, isinf, isnan, masked_fill, where
from chainrule.functions.promotion import (
    Operand,
    binary,
    broadcast,
    cast,
    common_shape,
    constant,
    expand_to,
    fitting,
    in_float32,
    in_single,
    is_tensor,
    promote,
    rounded_as,
    whole_factor,
)
from chainrule.primitives import elementwise as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _refuse_booleans(input: Operand, other: Operand, operation: str, instead: str) -> None:
    if is_boolean(input) or is_boolean(other):
        raise DTypeError(f"{operation} of boolean tensors is not defined; use {instead}, or convert with .int().")


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input + alpha · other.

    >>> import chainrule
    >>> chainrule.add(chainrule.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    if is_tensor(alpha) or alpha != 1:
        input, other = _scaled(input, other, alpha, "add")
    return binary(primitives.Add, input, other)


def _scaled(input: Operand, other: Operand, alpha: float, operation: str) -> tuple[Tensor, Tensor]:
    """Both in their common type, the second times alpha."""
    x, y = promote(input, other)
    is_fraction = alpha.dtype.is_floating_point if is_tensor(alpha) else isinstance(alpha, float)
    if x.dtype.kind < 2 and is_fraction:
        raise DTypeError(f"{operation}: alpha={alpha} would make {x.dtype} tensors fractions; give a whole number.")
    if not is_tensor(alpha):
        fitting(alpha, y.value.array.dtype, operation)
    return x, cast(y * alpha, y.value.array.dtype)


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input − alpha · other.

    >>> import chainrule
    >>> chainrule.sub(chainrule.tensor([1, 2]), 10)
    tensor([-9, -8])
    """
    _refuse_booleans(input, other, "subtraction", "^ (exclusive or)")
    if is_tensor(alpha) or alpha != 1:
        input, other = _scaled(input, other, alpha, "sub")
    return binary(primitives.Subtract, input, other)


def rsub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """other − alpha · input."""
    return sub(other, input, alpha=alpha)


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
    if rounding_mode is None:
        return primitives.Divide.apply(*broadcast(*promote(input, other, floating=True)))
    x, y = promote(input, other)
    if x.dtype.kind < 2:
        floored = floor_divide(x, y)
        return where((floored < 0) & (floored * y != x), floored + 1, floored)
    if x.dtype.itemsize == 2:  # a quotient just below a whole number must not be rounded up to it first
        exact = in_single(primitives.Divide, input, other) or [x.float(), y.float()]
        return cast(binary(primitives.Divide, *exact).trunc(), x.value.array.dtype)
    return binary(primitives.Divide, x, y).trunc()


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
    if x.dtype.kind < 2 and 0 not in common_shape([x.value.array.shape, y.value.array.shape]):
        check_numbers(_is_divisor, y, wrong=_is_zero, operation=primitive.name)
    return binary(primitive, input, other)


def _is_divisor(divisors: Any, operation: str) -> None:
    if not divisors.all():
        raise ZeroDivisionError(f"{operation}: division of integers by zero.")


def _is_zero(divisors: Tensor, operation: str) -> Tensor:
    return divisors == 0


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
    return where(input.signbit(), -rest, rest)


@_fmod.gradient
def _(g: Tensor, input: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    return g, -g * (input / other).trunc()


def pow(input: Operand, exponent: Operand) -> Tensor:
    """input ^ exponent. Whole and half powers of floating-point tensors take the short way.

    >>> import chainrule
    >>> chainrule.pow(chainrule.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, (int, float)) and isinstance(input, TensorCell):
        base: Any = input
        if base.value.array.dtype.kind not in "iub":
            if exponent == 2:
                return base * base
            if exponent == 1:
                return base.clone()
            fitting(exponent, base.value.array.dtype, "pow")
            if exponent == 0.5:
                return base.sqrt()
            if exponent == -1:
                return base.reciprocal()
            return base.rsqrt() if exponent == -0.5 else _power_by_number(base, exponent)
        if not isinstance(exponent, float):
            fitting(exponent, base.value.array.dtype, "pow")
        if isinstance(exponent, int) and exponent < 0:
            raise DTypeError("integers to a negative integer power are no integers; convert with .float() first.")
    x, y = promote(input, exponent)
    return _whole_power(x, y) if x.dtype.kind < 2 else binary(primitives.Power, x, y)


def _whole_power(x: Tensor, y: Tensor) -> Tensor:
    """Integers to the power of integers. Where the exponent is negative, 1/x as a whole number: 0 unless x is ±1."""
    exponents = y.shared_array()
    if exponents.dtype.kind in "ub" or (isinstance(exponents, np.ndarray) and not (exponents < 0).any()):
        return binary(primitives.Power, x, y)
    below = where((x == 1) | (x == -1), binary(primitives.Power, x, y & 1), 0)
    return where(y < 0, below, binary(primitives.Power, x, clamp(y, min=0)))


@block
def _power_by_number(input: Tensor, exponent: float) -> Tensor:
    if exponent == 3:  # two products, as in PyTorch: the general way takes thirty times as long
        return input * input * input
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
    return primitives.Arctan2.apply(*broadcast(*promote(input, other, floating=True)))


def hypot(input: Operand, other: Operand) -> Tensor:
    """√(input² + other²), the length of the hypotenuse, without squares that overflow.

    >>> import chainrule
    >>> chainrule.hypot(chainrule.tensor([3.0]), chainrule.tensor([4.0]))
    tensor([5.])
    """
    return _hypot(*broadcast(*promote(input, other)))


@block
def _hypot(x: Tensor, y: Tensor) -> Tensor:
    longer, shorter = maximum(abs(x), abs(y)), minimum(abs(x), abs(y))
    usual = isfinite(longer) & (longer != 0)
    scale = where(usual, longer, 1.0)
    length = scale * (1 + (shorter / scale) ** 2).sqrt()
    return where(usual, length, where(isinf(x) | isinf(y), math.inf, longer))


@_hypot.gradient
def _(g: Tensor, x: Tensor, y: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    return g * (x / output), g * (y / output)


def logaddexp(input: Operand, other: Operand) -> Tensor:
    """ln(eˣ + eʸ), shifted by the larger so that nothing overflows.

    >>> import chainrule
    >>> chainrule.logaddexp(chainrule.tensor([100.0]), chainrule.tensor([100.0]))
    tensor([100.6931])
    """
    x, y = promote(input, other)
    if x.dtype.itemsize == 2:  # the logarithm of a sum near 1 would lose all digits
        return cast(logaddexp(x.float(), y.float()), x.value.array.dtype)
    return _logaddexp(*broadcast(x, y))


@block
def _logaddexp(x: Tensor, y: Tensor) -> Tensor:
    # The logarithm of what the smaller adds keeps its digits where the larger is 0.
    distance = masked_fill(-abs(x - y), eq(x, y), 0)  # ∞ − ∞ would be NaN
    return maximum(x, y) + distance.exp().log1p()


@_logaddexp.gradient
def _(g: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return g * (x - y).sigmoid(), g * (y - x).sigmoid()


def xlogy(input: Operand, other: Operand) -> Tensor:
    """input · ln(other), and 0 where input is 0, as in the entropy Σ p ln p.

    >>> import chainrule
    >>> chainrule.xlogy(chainrule.tensor([0.0, 1.0]), chainrule.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    x, y = promote(input, other, floating=True)
    nothing = (x == 0) & ((y <= 0) | isinf(y))
    return masked_fill(x * where(nothing, 1.0, y).log(), nothing, 0)


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
    for bound in bounds:
        if not isinstance(bound, TensorCell):
            fitting(bound, x.value.array.dtype, "clamp")
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


subtract, multiply, divide, true_divide = sub, mul, div, div


def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """input + weight · (end − input).

    >>> import chainrule
    >>> chainrule.lerp(chainrule.tensor([0.0]), chainrule.tensor([10.0]), 0.3)
    tensor([3.])
    """
    x, y = promote(input, end)
    start = in_float32(x)  # of halves, the difference may be beyond their range
    return rounded_as(x, start + weight * (in_float32(y) - start))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 · tensor2.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> chainrule.addcmul(one, one, one, value=2)
    tensor([3.])
    """
    x, first, second = promote(input, tensor1, tensor2)
    factor = whole_factor(value, x.dtype, "addcmul", "value")
    return rounded_as(x, add(in_float32(x), mul(in_float32(first), in_float32(second)), alpha=factor))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 / tensor2.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> chainrule.addcdiv(one, one, one, value=2)
    tensor([3.])
    """
    x, over, under = promote(input, tensor1, tensor2)
    return rounded_as(x, add(in_float32(x), div(in_float32(over), in_float32(under)), alpha=value))


def clamp_min(input: Tensor, min: Operand) -> Tensor:
    """Entries below `min` become `min`."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Operand) -> Tensor:
    """Entries above `max` become `max`."""
    return clamp(input, max=max)


def fmax(input: Operand, other: Operand) -> Tensor:
    """The larger of two, and the other one where one is NaN.

    >>> import chainrule
    >>> chainrule.fmax(chainrule.tensor([1.0, float("nan")]), chainrule.tensor([2.0, 3.0]))
    tensor([2., 3.])
    """
    x, y = promote(input, other)
    return where((x >= y) | isnan(y), x, y)


def fmin(input: Operand, other: Operand) -> Tensor:
    """The smaller of two, and the other one where one is NaN.

    >>> import chainrule
    >>> chainrule.fmin(chainrule.tensor([1.0, float("nan")]), chainrule.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """
    x, y = promote(input, other)
    return where((x <= y) | isnan(y), x, y)


def copysign(input: Operand, other: Operand) -> Tensor:
    """|input| with the sign of `other`, of −0 too.

    >>> import chainrule
    >>> chainrule.copysign(chainrule.tensor([1.0, 2.0]), chainrule.tensor([-3.0, 0.0]))
    tensor([-1.,  2.])
    """
    x, y = promote(input, other, floating=True)
    result = x.abs() * where(y.signbit(), -1.0, 1.0).to(x.dtype)
    return constant_in(result, y) if y.requires_grad else result


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and `values` at 0.

    >>> import chainrule
    >>> chainrule.heaviside(chainrule.tensor([-1.0, 0.0, 2.0]), chainrule.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    x, y = promote(input, values)
    return where(isnan(x), x, where(x == 0, y, (x > 0).to(x.dtype))).detach()


def logaddexp2(input: Operand, other: Operand) -> Tensor:
    """log₂(2ˣ + 2ʸ) without overflow.

    >>> import chainrule
    >>> chainrule.logaddexp2(chainrule.tensor([3.0]), chainrule.tensor([3.0]))
    tensor([4.])
    """
    x, y = promote(input, other)
    if x.dtype.itemsize == 2:
        return cast(logaddexp2(x.float(), y.float()), x.value.array.dtype)
    return logaddexp(x * math.log(2), y * math.log(2)) / math.log(2)


def float_power(input: Operand, exponent: Operand) -> Tensor:
    """input to the power of `exponent`, computed in float64.

    >>> import chainrule
    >>> chainrule.float_power(chainrule.tensor([2]), -1)
    tensor([0.5000], dtype=chainrule.float64)
    """
    double = np.dtype(np.float64)
    return pow(*[cast(z, double) if is_tensor(z) else constant(z, double) for z in (input, exponent)])
