"""PyTorch's assertions: what a program says must hold, also of numbers that are only known when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.errors import NumberRangeError, ShapeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.promotion import is_tensor, need_tensor

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def assert_true(condition: Any, message: str) -> None:
    """Raise an AssertionError with this message unless the condition, a tensor of one number too, is true.

    >>> import chainrule
    >>> chainrule._assert(chainrule.tensor(2) > 1, "two is less")
    """
    if is_tensor(condition) and condition.numel() == 1:
        check_numbers(_holds, condition, wrong=_does_not_hold, message=message)
    elif not condition:
        raise AssertionError(message)


def assert_nonzero(tensor: Tensor, assert_msg: str | None = None) -> None:
    """Raise a NumberRangeError if a tensor of one number is 0 or False; in a compiled step in each run.

    >>> import chainrule
    >>> chainrule._assert_async(chainrule.tensor(0.5))
    """
    x = need_tensor(tensor, "_assert_async")
    if x.numel() != 1:
        raise ShapeError(f"_assert_async takes a tensor of one number, got shape {tuple(x.shape)}; see x.all().")
    said = "expected a tensor that is not zero, got zero." if assert_msg is None else assert_msg
    check_numbers(_is_nonzero, x, wrong=_does_not_hold, message=said)


def _holds(x: Any, message: str) -> None:
    if not x.all():
        raise AssertionError(message)


def _is_nonzero(x: Any, message: str) -> None:
    if not x.all():
        raise NumberRangeError(message)


def _does_not_hold(x: Tensor, **_: Any) -> Tensor:
    return x == 0
