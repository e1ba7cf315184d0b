"""`Check`: nothing is computed, but an error is raised where numbers are not what an operation needs.

Shapes and data types are checked when an operation is applied. Numbers (a label among the classes, a divisor that is
not 0) can only be checked when they are there: in eager code at once, in a traced program in each of its runs. A check
is therefore part of the program, an equation like any other, which is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Form

_truth = np.dtype(np.bool_)


class Check(Primitive):
    """Raise what `rule` raises for these numbers; the result, True, says that it raised nothing.

    `wrong` is true where the rule would raise: native code looks at it alone, and only where it holds somewhere are the
    numbers shown to the rule, which says what is wrong with them. `settings` are pairs of a name and a value.
    """

    latex = r"x \in D"
    checks = True

    @staticmethod
    def shape(wrong: Array, *numbers: Array, rule: Callable[..., None], settings: tuple[tuple[str, Any], ...]) -> Form:
        return (), _truth

    @staticmethod
    def evaluate(
        wrong: Array, *numbers: Array, rule: Callable[..., None], settings: tuple[tuple[str, Any], ...]
    ) -> Array:
        rule(*numbers, **dict(settings))
        return np.ones((), _truth)
