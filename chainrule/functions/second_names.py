"""PyTorch's second names for what there is under another, and questions that always have the same answer here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.errors import ShapeError
from chainrule.functions import arithmetic, contraction, elementwise, hyperbolic, logic, pieces

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

arcsin, arccos, arctan = elementwise.asin, elementwise.acos, elementwise.atan
arcsinh, arccosh, arctanh = hyperbolic.asinh, hyperbolic.acosh, hyperbolic.atanh
arctan2, fix, sgn = arithmetic.atan2, elementwise.trunc, elementwise.sign
greater, greater_equal, less, less_equal = logic.gt, logic.ge, logic.lt, logic.le
not_equal, ger, vdot, row_stack = logic.ne, contraction.outer, contraction.dot, pieces.vstack
split_with_sizes = pieces.split


def adjoint(input: Tensor) -> Tensor:
    """Each matrix transposed; conjugating changes nothing in real numbers.

    >>> import chainrule
    >>> chainrule.adjoint(chainrule.zeros(2, 3)).shape
    Size([3, 2])
    """
    return input.mT


def fill(input: Tensor, value: Any) -> Tensor:
    """The number everywhere, in the shape and type of the input.

    >>> import chainrule
    >>> chainrule.fill(chainrule.zeros(2), 3)
    tensor([3., 3.])
    """
    return input.clone().fill_(value)


def is_complex(input: Tensor) -> bool:
    """False: tensors hold real numbers."""
    return False


def is_signed(input: Tensor) -> bool:
    """Whether the data type has negative numbers.

    >>> import chainrule
    >>> chainrule.is_signed(chainrule.ones(1, dtype=chainrule.uint8))
    False
    """
    return input.dtype.name not in ("uint8", "bool")


def is_nonzero(input: Tensor) -> bool:
    """Whether the one entry of a tensor is not 0. Raises ShapeError for more entries.

    >>> import chainrule
    >>> chainrule.is_nonzero(chainrule.tensor([2.0]))
    True
    """
    if input.numel() != 1:
        raise ShapeError(f"is_nonzero asks about one entry, this tensor has shape {tuple(input.shape)}; see any().")
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return tuple(input.shape) == tuple(other.shape)


def isreal(input: Tensor) -> Tensor:
    """True for each entry: tensors hold real numbers."""
    return logic.eq(input, input) | logic.isnan(input)


def real(input: Tensor) -> Tensor:
    """The tensor itself: tensors hold real numbers."""
    return input


conj = conj_physical = resolve_conj = resolve_neg = real
