"""Elementwise primitives: each entry of the result depends on the entries at the same place, and on nothing else.

Binary rules expect equal shapes and equal data types: promotion and broadcasting have been done before, as steps of
their own (`Cast`, `Broadcast`), so that every rule here is the line that stands in a formula collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.error_function import erf, erfc
from chainrule.primitives.kinds import Binary, Unary
from chainrule.primitives.logic import Where
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, DataType, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

# ------------------------------------------------------------------------------------------- arithmetic


class Add(Binary):
    """z = x + y."""

    latex = r"x + y"
    evaluate = np.add

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g

    @staticmethod
    def grad_y(g: Tensor) -> Tensor:
        return g


class Subtract(Binary):
    """z = x − y."""

    latex = r"x - y"
    evaluate = np.subtract

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g

    @staticmethod
    def grad_y(g: Tensor) -> Tensor:
        return -g


class Multiply(Binary):
    """z = x · y, elementwise."""

    latex = r"x \odot y"
    evaluate = np.multiply

    @staticmethod
    def grad_x(g: Tensor, y: Tensor) -> Tensor:
        return g * y

    @staticmethod
    def grad_y(g: Tensor, x: Tensor) -> Tensor:
        return g * x


class Divide(Binary):
    """z = x / y of floating-point numbers."""

    latex = r"x / y"
    evaluate = np.true_divide

    @staticmethod
    def grad_x(g: Tensor, y: Tensor) -> Tensor:
        return g / y

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return -g * (x / y) / y  # y·y would underflow long before y does


class FloorDivide(Binary):
    """z = ⌊x / y⌋. Constant between its jumps, so its gradient is 0."""

    latex = r"\lfloor x / y \rfloor"
    evaluate = np.floor_divide

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g * 0

    @staticmethod
    def grad_y(g: Tensor) -> Tensor:
        return g * 0


class Remainder(Binary):
    """z = x − y·⌊x / y⌋: it has the sign of y, as Python's %."""

    latex = r"x - y \lfloor x / y \rfloor"
    evaluate = np.remainder

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return -g * (x / y).floor()


class Power(Binary):
    """z = x^y. Where y = 0 the gradient in x is 0; where x = 0 < y the gradient in y is 0, its limit."""

    latex = r"x^{y}"
    evaluate = np.power

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return (g * y * x ** (y - 1)).masked_fill(y == 0, 0)

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        zero = (x == 0) & (y >= 0)
        return (g * output * x.masked_fill(zero, 1).log()).masked_fill(zero, 0)


class Maximum(Binary):
    """z = max(x, y); NaN wins. At a tie each argument gets half of the gradient."""

    latex = r"\max(x, y)"
    evaluate = np.maximum

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _share(g, x < y, x == y)

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _share(g, y < x, x == y)


class Minimum(Binary):
    """z = min(x, y); NaN wins. At a tie each argument gets half of the gradient."""

    latex = r"\min(x, y)"
    evaluate = np.minimum

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _share(g, x > y, x == y)

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _share(g, y > x, x == y)


def _share(g: Tensor, loses: Tensor, ties: Tensor) -> Tensor:
    # Asked for who loses, not who wins: beside a NaN nobody loses, and both gradients stay, as in PyTorch.
    return Where.apply(ties, g / 2, g).masked_fill(loses, 0)


class Arctan2(Binary):
    """z = the angle of the point (y, x) = (first, second), in (−π, π]. At the origin the gradient is 0."""

    latex = r"\operatorname{atan2}(x, y)"
    evaluate = np.arctan2

    @staticmethod
    def grad_x(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return g * y / _not_zero(x * x + y * y)

    @staticmethod
    def grad_y(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return -g * x / _not_zero(x * x + y * y)


def _not_zero(squares: Tensor) -> Tensor:
    return squares.masked_fill(squares == 0, 1)


# --------------------------------------------------------------------------------- functions of one number


class Negate(Unary):
    """z = −x."""

    latex = r"-x"
    evaluate = np.negative

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return -g


class Exp(Unary):
    """z = eˣ."""

    latex = r"e^{x}"
    evaluate = np.exp

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * output


class Expm1(Unary):
    """z = eˣ − 1, exact for small x."""

    latex = r"e^{x} - 1"
    evaluate = np.expm1

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * (output + 1)


class Log(Unary):
    """z = ln x; −∞ at 0 and NaN below."""

    latex = r"\ln x"
    evaluate = np.log

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g / x


class Log1p(Unary):
    """z = ln(1 + x), exact for small x."""

    latex = r"\ln(1 + x)"
    evaluate = np.log1p

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g / (x + 1)


class Sqrt(Unary):
    """z = √x; NaN below 0."""

    latex = r"\sqrt{x}"
    evaluate = np.sqrt

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g / (2 * output)


class Rsqrt(Unary):
    """z = 1/√x."""

    latex = r"1 / \sqrt{x}"

    @staticmethod
    def evaluate(x: Array) -> Array:
        return np.reciprocal(np.sqrt(x))

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * -0.5 * output * output * output


class Sin(Unary):
    """z = sin x, x in radians."""

    latex = r"\sin x"
    evaluate = np.sin

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * x.cos()


class Cos(Unary):
    """z = cos x, x in radians."""

    latex = r"\cos x"
    evaluate = np.cos

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return -g * x.sin()


class Arcsin(Unary):
    """z = arcsin x for x in [−1, 1]; NaN outside."""

    latex = r"\arcsin x"
    evaluate = np.arcsin

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * (1 - x * x).rsqrt()


class Arctan(Unary):
    """z = arctan x."""

    latex = r"\arctan x"
    evaluate = np.arctan

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g / (1 + x * x)


class Tanh(Unary):
    """z = tanh x."""

    latex = r"\tanh x"
    evaluate = np.tanh

    @staticmethod
    def grad_x(g: Tensor, output: Tensor) -> Tensor:
        return g * (1 - output * output)


class Erf(Unary):
    """z = erf x = 2/√π · ∫₀ˣ e^(−t²) dt."""

    latex = r"\operatorname{erf} x"

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 32 * arrays[0].size  # a polynomial, each of its terms a pass of NumPy

    @staticmethod
    def evaluate(x: Array) -> Array:
        return erf(x)

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * (2 / np.pi**0.5) * (-x * x).exp()


class Erfc(Unary):
    """z = 1 − erf x, without cancellation where x is large."""

    latex = r"\operatorname{erfc} x"
    evaluate = erfc

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * (-(x * x)).exp() * float(-2 / np.sqrt(np.pi))


class Absolute(Unary):
    """z = |x|; the gradient at 0 is 0."""

    latex = r"|x|"
    evaluate = np.absolute

    @staticmethod
    def grad_x(g: Tensor, x: Tensor) -> Tensor:
        return g * x.sign()


# ------------------------------------------------------------ steps: constant pieces, gradient 0 everywhere


class Sign(Unary):
    """z = −1, 0 or 1; NaN stays NaN."""

    latex = r"\operatorname{sign} x"

    @staticmethod
    def evaluate(x: Array) -> Array:
        return x.copy() if x.dtype == np.bool_ else np.sign(x)

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g * 0


class Floor(Unary):
    """z = ⌊x⌋."""

    latex = r"\lfloor x \rfloor"
    evaluate = np.floor

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g * 0


class Round(Unary):
    """z = x to the nearest integer, halves to the even one."""

    latex = r"\operatorname{round} x"
    evaluate = np.rint

    @staticmethod
    def grad_x(g: Tensor) -> Tensor:
        return g * 0


# ------------------------------------------------------------------------------------------------------ type


class Cast(Primitive):
    """z = x as another data type. Towards integers it truncates, and no gradient comes back.

    What is too large for an integer type is the same on every machine: int32 and int64 hold their most negative number,
    as they do for NaN and infinities; smaller types get the last bits of the int64.
    """

    latex = r"x"

    @staticmethod
    def shape(x: Array, *, dtype: DataType) -> Form:
        return x.shape, dtype

    @staticmethod
    def evaluate(x: Array, *, dtype: DataType) -> Array:
        return _whole(x, dtype) if dtype.kind in "iu" and x.dtype.kind in "fV" else x.astype(dtype)

    @staticmethod
    def grad_x(g: Tensor, x_dtype: Any) -> Tensor:
        return g.to(x_dtype)


_int32, _int64 = np.dtype(np.int32), np.dtype(np.int64)


def _whole(x: Array, dtype: DataType) -> Array:
    """Floating-point numbers as integers; what a processor would do with those that do not fit is not asked."""
    x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    # The last bits of what fits int32 are those of the int64, and found in half the time.
    types: tuple[DataType, ...] = (dtype,) if dtype.itemsize >= 4 else (_int32, _int64)
    for wide in types:
        limit = 2.0 ** (8 * wide.itemsize - 1)
        inside = (x >= -limit) & (x < limit)
        if inside.all():
            return x.astype(wide).astype(dtype, copy=False)
    return np.where(inside, np.where(inside, x, 0).astype(wide), -int(limit)).astype(dtype)
