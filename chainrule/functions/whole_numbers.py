"""Whole numbers: their bits shifted, their common divisors and multiples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.errors import DTypeError
from chainrule.functions.promotion import Operand, binary, promote
from chainrule.primitives import whole_numbers as primitives

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _integers(primitive: Any, input: Operand, other: Operand, name: str) -> Any:
    x, y = promote(input, other)
    if x.value.array.dtype.kind not in "iu":
        raise DTypeError(f"{name} works on integers, got {x.dtype}.")
    return binary(primitive, x, y)


def bitwise_left_shift(input: Operand, other: Operand) -> Tensor:
    """input · 2^other, the bits moved to the left: `x << n`.

    >>> import chainrule
    >>> chainrule.tensor([1, 3]) << 2
    tensor([ 4, 12])
    """
    return _integers(primitives.LeftShift, input, other, "<<")


def bitwise_right_shift(input: Operand, other: Operand) -> Tensor:
    """⌊input / 2^other⌋, the bits moved to the right: `x >> n`.

    >>> import chainrule
    >>> chainrule.tensor([13, -1]) >> 2
    tensor([ 3, -1])
    """
    return _integers(primitives.RightShift, input, other, ">>")


def gcd(input: Operand, other: Operand) -> Tensor:
    """The greatest common divisor; that of 0 and 0 is 0.

    >>> import chainrule
    >>> chainrule.gcd(chainrule.tensor([12, 7]), 18)
    tensor([6, 1])
    """
    return _integers(primitives.GreatestDivisor, input, other, "gcd")


def lcm(input: Operand, other: Operand) -> Tensor:
    """The least common multiple; with 0 it is 0.

    >>> import chainrule
    >>> chainrule.lcm(chainrule.tensor([4, 7]), 6)
    tensor([12, 42])
    """
    return _integers(primitives.LeastMultiple, input, other, "lcm")
