"""The first NaN or infinity of a step, for `compile(…, debug=True)`.

The operation that made it is found by doing the same step again in NumPy, one operation after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.anomaly import AnomalyError, is_finite, watch
from chainrule.primitives.value import Array, Symbol
from chainrule.program.graph import Equation
from chainrule.state import current_state


def all_finite(arrays: Iterable[Array]) -> bool:
    """Whether no entry is a NaN or an infinity."""
    return all(is_finite(array) for array in arrays)


def blame(equations: Sequence[Equation], known: Mapping[Symbol, Array]) -> None:
    """Do the step again in NumPy and raise AnomalyError at the first operation that makes a NaN from finite numbers.

    If the inputs hold one already, nobody is to blame.
    """
    values: dict[Any, Any] = dict(known)
    state = current_state()
    before = state.path, state.module
    try:
        for equation in equations:
            state.path, state.module = equation.path, equation.module
            arrays = [values[x] if isinstance(x, Symbol) else x for x in equation.inputs]
            results = equation.evaluate(arrays)
            watch(equation.primitive, arrays, list(results), equation.line)
            values.update(zip(equation.outputs, results, strict=True))
    finally:
        state.path, state.module = before
    literals = (x for equation in equations for x in equation.inputs if isinstance(x, np.ndarray))
    if all_finite(known.values()) and all_finite(literals):
        raise AnomalyError(
            "the compiled program made a NaN or an infinity where NumPy makes none: a mistake in chainrule's compiler, "
            "please report it with the step that shows it."
        )
