"""Comparisons, logic, and choosing between values by them."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.errors import DTypeError
from chainrule.functions.promotion import (
    Operand,
    as_floating,
    binary,
    cast,
    common_shape,
    constant,
    expand_to,
    fitting,
    promote,
)
from chainrule.primitives import logic

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def is_boolean(x: Operand) -> bool:
    """Whether it is a truth, or a tensor of truths."""
    return isinstance(x, bool) or (isinstance(x, TensorCell) and x.value.array.dtype == np.bool_)


def eq(input: Operand, other: Operand) -> Tensor:
    """[input = other].

    >>> import chainrule
    >>> chainrule.eq(chainrule.tensor([1, 2]), 2)
    tensor([False,  True])
    """
    return binary(logic.Equal, input, other)


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
    return binary(logic.Less, input, other)


def le(input: Operand, other: Operand) -> Tensor:
    """[input ≤ other].

    >>> import chainrule
    >>> chainrule.le(chainrule.tensor([1, 2, 3]), 2)
    tensor([ True,  True, False])
    """
    return binary(logic.LessEqual, input, other)


def gt(input: Operand, other: Operand) -> Tensor:
    """[input > other].

    >>> import chainrule
    >>> chainrule.gt(chainrule.tensor([1, 2, 3]), 2)
    tensor([False, False,  True])
    """
    return binary(logic.Less, other, input)


def ge(input: Operand, other: Operand) -> Tensor:
    """[input ≥ other].

    >>> import chainrule
    >>> chainrule.ge(chainrule.tensor([1, 2, 3]), 2)
    tensor([False,  True,  True])
    """
    return binary(logic.LessEqual, other, input)


def bitwise_and(input: Operand, other: Operand) -> Tensor:
    """input ∧ other, bit by bit; "and" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_and(chainrule.tensor([6]), 3)
    tensor([2])
    """
    return binary(logic.BitwiseAnd, *_whole(input, other, "&"))


def bitwise_or(input: Operand, other: Operand) -> Tensor:
    """input ∨ other, bit by bit; "or" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_or(chainrule.tensor([6]), 3)
    tensor([7])
    """
    return binary(logic.BitwiseOr, *_whole(input, other, "|"))


def bitwise_xor(input: Operand, other: Operand) -> Tensor:
    """input ⊕ other, bit by bit; "either or" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_xor(chainrule.tensor([6]), 3)
    tensor([5])
    """
    return binary(logic.BitwiseXor, *_whole(input, other, "^"))


def bitwise_not(input: Tensor) -> Tensor:
    """Each bit turned over; "not" of booleans.

    >>> import chainrule
    >>> chainrule.bitwise_not(chainrule.tensor([True, False]))
    tensor([False,  True])
    """
    return logic.BitwiseNot.apply(*_whole(input, input, "~")[:1])


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
    return eq(as_floating(input).abs(), math.inf)


def isfinite(input: Tensor) -> Tensor:
    """Whether it is neither NaN nor infinite.

    >>> import chainrule
    >>> chainrule.isfinite(chainrule.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    return lt(as_floating(input).abs(), math.inf)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input − other| ≤ atol + rtol · |other|, entry by entry.

    >>> import chainrule
    >>> chainrule.isclose(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    x, y = promote(input, other)
    if x.dtype.kind < 2:
        x, y = x.double(), y.double()  # small unsigned numbers would wrap around in the difference
    near = eq(input, other) | (le(abs(x - y), atol + rtol * abs(y)) & isfinite(y))
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


def where(condition: Tensor, input: Operand = None, other: Operand = None) -> Any:
    """`input` where the condition holds, else `other`; with the condition alone, where it holds (as `nonzero`).

    >>> import chainrule
    >>> x = chainrule.tensor([-1.0, 2.0])
    >>> chainrule.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition.value.array.dtype == np.uint8:
        warnings.warn("where: a condition of uint8 is read as condition != 0; write condition.bool().", stacklevel=2)
        condition = condition != 0
    if condition.value.array.dtype != np.bool_:
        raise DTypeError(f"where: the condition must be boolean, got {condition.dtype}; compare first, as in x > 0.")
    x, y = promote(input, other)
    for given in (input, other):
        if not isinstance(given, TensorCell) and x.dtype.kind < 2:
            fitting(given, x.value.array.dtype, "where")
    shape = common_shape([t.value.array.shape for t in (condition, x, y)])
    return logic.Where.apply(*[expand_to(t, shape) for t in (condition, x, y)])


def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """`value` where the mask holds, else the entry; in the type of the input.

    >>> import chainrule
    >>> chainrule.masked_fill(chainrule.tensor([1.0, 2.0]), chainrule.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    dtype = input.value.array.dtype
    if mask.value.array.dtype != np.bool_:
        raise DTypeError(f"masked_fill: the mask must be boolean, got {mask.dtype}; compare first, as in x > 0.")
    filling = _held(value, dtype) if isinstance(value, TensorCell) else fitting(value, dtype, "masked_fill")
    shape = common_shape([mask.value.array.shape, input.value.array.shape])
    return logic.Where.apply(expand_to(mask, shape), expand_to(filling, shape), expand_to(input, shape))


def _held(value: Any, dtype: Any) -> Tensor:
    """A tensor in another type; if it is one number that is known, a NumberRangeError unless the type holds it."""
    array = value.value.array
    if isinstance(array, np.ndarray) and not array.shape and array.dtype != dtype:
        fitting(array.item(), dtype, "masked_fill")
    return cast(value, dtype)


def nan_to_num(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and ±∞ replaced by numbers; ±∞ by the largest of the type unless given.

    A number that is too large for the type stays infinite.

    >>> import chainrule
    >>> chainrule.nan_to_num(chainrule.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    if input.dtype.kind < 2:
        return input.clone()
    from chainrule.dtypes import FloatLimits

    largest = FloatLimits(input.dtype).max
    x, dtype = input, input.value.array.dtype
    # All places are looked for first: what is put to one of them may be infinite.
    places = isnan(x), eq(x, math.inf), eq(x, -math.inf)
    for there, number, usual in zip(places, (nan, posinf, neginf), (0.0, largest, -largest)):
        x = masked_fill(x, there, constant(usual if number is None else number, dtype))
    return x


def isposinf(input: Tensor) -> Tensor:
    """Whether each entry is +∞.

    >>> import chainrule
    >>> chainrule.isposinf(chainrule.tensor([float("inf"), -float("inf")]))
    tensor([ True, False])
    """
    return eq(input, float("inf"))


def isneginf(input: Tensor) -> Tensor:
    """Whether each entry is −∞.

    >>> import chainrule
    >>> chainrule.isneginf(chainrule.tensor([float("inf"), -float("inf")]))
    tensor([False,  True])
    """
    return eq(input, -float("inf"))
