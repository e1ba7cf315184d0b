"""A product with a matrix that is kept in 8 or 4 bits: whole numbers times scales.

    8 bits: numbers (out, in) of int8 from −127 to 127, a scale for each row (out, 1)
    4 bits: numbers (out, groups, 16) of int8, two in each byte, a scale for each group of 32 inputs (out, groups, 1)

In 4 bits, input i of a group is the lower half of byte i with 8 added, input i + 16 the upper half: the byte is
16·upper + lower + 8, with both from −8 to 7. Inputs are whole groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Concatenate
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

#: How many inputs share a scale in 4 bits.
GROUP = 32


def whole_numbers(numbers: Tensor, dtype: Tensor) -> Tensor:
    """The numbers as floating-point ones of another tensor's type, the last dimension being what shares a scale."""
    byte = numbers.to(dtype.dtype)
    if byte.ndim == 2:
        return byte
    upper = (byte * (1 / 16)).floor()
    return Concatenate.apply(byte - 16 * upper - 8, upper, axis=2)


def unpacked(numbers: Tensor, scales: Tensor) -> Tensor:
    """The matrix (out, in), as Tensor code: scales times numbers."""
    return (whole_numbers(numbers, scales) * scales).reshape(numbers.shape[0], -1)


def unpacked_array(numbers: Array, scales: Array) -> Array:
    """The same of arrays."""
    if numbers.ndim == 3:
        upper = numbers >> 4
        numbers = np.concatenate([(numbers & 15) - 8, upper], axis=2)
    return (numbers.astype(scales.dtype) * scales).reshape(numbers.shape[0], -1)


class LowBitsMatMul(Primitive):
    """Y = X·Wᵀ for X (n, in) and a matrix W (out, in) = scales·numbers that is never written out. Y is (n, out).

    X and the scales are float32, or both float64.
    """

    latex = r"X (s \odot Q)^\top"
    accumulates = True

    @staticmethod
    def shape(x: Array, numbers: Array, scales: Array) -> Form:
        four = len(numbers.shape) == 3
        inputs = numbers.shape[1] * GROUP if four else numbers.shape[-1]
        fits = len(x.shape) == 2 and x.shape[1] == inputs and scales.shape == (*numbers.shape[:-1], 1)
        if not fits or len(numbers.shape) not in (2, 3) or (four and numbers.shape[2] != GROUP // 2):
            raise ShapeError(
                f"a product with a matrix in few bits takes inputs (n, in) and numbers (out, in) with scales (out, 1), "
                f"or numbers (out, in/32, 16) with scales (out, in/32, 1); got {tuple(x.shape)}, "
                f"{tuple(numbers.shape)} and {tuple(scales.shape)}."
            )
        if numbers.dtype != np.int8 or scales.dtype != x.dtype or x.dtype.kind != "f" or x.dtype.itemsize < 4:
            raise DTypeError(
                f"a product with a matrix in few bits takes int8 numbers, and inputs and scales of float32 (or both of "
                f"float64); got {numbers.dtype}, {x.dtype} and {scales.dtype}."
            )
        return (x.shape[0], numbers.shape[0]), x.dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 2 * arrays[0].size * arrays[1].shape[0]

    @staticmethod
    def evaluate(x: Array, numbers: Array, scales: Array) -> Array:
        return np.matmul(x, unpacked_array(numbers, scales).T)

    @staticmethod
    def grad_x(g: Tensor, numbers: Tensor, scales: Tensor) -> Tensor:
        return g @ unpacked(numbers, scales)

    @staticmethod
    def grad_scales(g: Tensor, x: Tensor, numbers: Tensor, scales: Tensor) -> Tensor:
        whole = whole_numbers(numbers, scales)
        return ((g.mT @ x).reshape(*whole.shape) * whole).sum(-1, keepdim=True)
