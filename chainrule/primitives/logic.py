"""Comparing, and computing with truths and bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.kinds import Binary, Comparison, Unary
from chainrule.primitives.primitive import Primitive, same_shape
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Equal(Comparison):
    """z = [x = y]."""

    latex = r"x = y"
    evaluate = np.equal


class Less(Comparison):
    """z = [x < y]."""

    latex = r"x < y"
    evaluate = np.less


class LessEqual(Comparison):
    """z = [x ≤ y]."""

    latex = r"x \le y"
    evaluate = np.less_equal


class BitwiseAnd(Binary):
    """z = x ∧ y, bit by bit; on booleans the logical "and"."""

    latex = r"x \wedge y"
    evaluate = np.bitwise_and


class BitwiseOr(Binary):
    """z = x ∨ y, bit by bit; on booleans the logical "or"."""

    latex = r"x \vee y"
    evaluate = np.bitwise_or


class BitwiseXor(Binary):
    """z = x ⊕ y, bit by bit."""

    latex = r"x \oplus y"
    evaluate = np.bitwise_xor


class BitwiseNot(Unary):
    """z = ¬x, bit by bit; on booleans the logical "not"."""

    latex = r"\neg x"
    evaluate = np.invert


class Where(Primitive):
    """z = x where the condition holds, else y."""

    latex = r"c\,x + (1 - c)\,y"
    moves = True

    @staticmethod
    def shape(condition: Array, x: Array, y: Array) -> Form:
        same_shape("Where", x, y)
        same_shape("Where", condition, x)
        return x.shape, x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 8 * math.prod(forms[0])  # NumPy takes a branch for each entry

    @staticmethod
    def evaluate(condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    @staticmethod
    def grad_x(g: Tensor, condition: Tensor) -> Tensor:
        return g.masked_fill(~condition, 0)

    @staticmethod
    def grad_y(g: Tensor, condition: Tensor) -> Tensor:
        return g.masked_fill(condition, 0)
