"""Checks of numbers, the same in eager and in traced code.

A function that needs more of its arguments than shapes and data types can say writes a *rule*, a function of arrays
that raises the error, and calls :func:`check_numbers` with it: one line, whether or not a trace is being made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.check import Check
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def check_numbers(
    rule: Callable[..., None], *tensors: Tensor, wrong: Callable[..., Tensor] | None = None, **settings: Any
) -> None:
    """Let `rule(*arrays, **settings)` raise if it does not like the numbers: now, or in each run of what is traced.

    Args:
        rule: a function of a module (not made anew in each call), so that equal checks are known as equal.
        tensors: whose numbers it looks at.
        wrong: a function of the tensors and settings that answers a boolean tensor, true where the rule raises, so that
            compiled programs can check natively. Without it they call the rule in each run.
        settings: what else the rule needs; values that can be keys of a dictionary.

    >>> import chainrule
    >>> def even(array):
    ...     if (array % 2).any():
    ...         raise ValueError("odd numbers among them.")
    >>> check_numbers(even, chainrule.tensor([2, 4]))
    """
    if current_state().trace is None:
        rule(*[tensor.read() for tensor in tensors], **settings)
        return
    where = Primitive.make_tensor(Value(np.ones((), np.bool_))) if wrong is None else wrong(*tensors, **settings)
    Check.apply(where, *tensors, rule=rule, settings=tuple(settings.items()))


def check_range(rule: Callable[..., None], tensor: Tensor, low: int, high: int, **settings: Any) -> None:
    """`check_numbers` for integers that must lie in low … high: the rule raises if and only if one does not."""
    check_numbers(rule, tensor, wrong=_outside, low=low, high=high, **settings)


def _outside(x: Tensor, low: int, high: int, **_: Any) -> Tensor:
    wide = x.long()  # the bounds may be too large for the type of the numbers
    return (wide < low) | (wide > high)
