"""Why a run failed: the step is done again in NumPy, which stops where eager code would and says the same.

A kernel that meets a bad index only sets a word, and what runs in NumPy may come earlier than it stands in the step.
But nothing outside of the program has been written when a check fails, so its inputs are still what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from chainrule.autodiff.anomaly import AnomalyError
from chainrule.compiler.origins import Argument, Gradient, Setting, Step
from chainrule.distributed.exchange import is_exchange
from chainrule.primitives.placed import on_host, place_of
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, checks, needed
from chainrule.state import current_state


def explain(program: Step, arguments: list[Any], error: Exception) -> NoReturn:
    """Raise the error that the eager step raises first; if NumPy finds none (by its last digit), the given one."""
    if isinstance(error, AnomalyError):
        raise error
    state = current_state()
    path, module = state.path, state.module
    try:
        _restore_new(program, arguments)
        _repeat(program.equations, {symbol: _now(origin, arguments) for symbol, origin in program.inputs})
    except Exception as found:
        raise found from None
    finally:
        state.path, state.module = path, module
    raise error


def _restore_new(program: Step, arguments: list[Any]) -> None:
    """Tensors that the step has made and that outlive it (an optimiser's memory) hold what they were made with."""
    if not program.first:
        return
    wanted = [x for _, x in program.first]
    unchecked = [e for e in program.equations if not checks(e)]
    values = {symbol: _now(origin, arguments) for symbol, origin in program.inputs}
    with suppress(Exception):  # one that began with what the error is about is nobody's: Python is rolled back
        _repeat(needed(unchecked, wanted), values)
    for tensor, x in program.first:
        if isinstance(x, Symbol) and x not in values:
            continue
        place, array = place_of(tensor._value.array), np.array(values[x] if isinstance(x, Symbol) else on_host(x))
        tensor._value = Value(array if place is None else place.put(array))


def _repeat(equations: Sequence[Equation], values: dict[Symbol, Any]) -> None:
    """The equations in their order, as long as none raises an error, and none needs other processes for it."""
    state = current_state()
    for equation in equations:
        if is_exchange(equation):
            return
        state.path, state.module = equation.path, equation.module
        arrays = [values[x] if isinstance(x, Symbol) else on_host(x) for x in equation.inputs]
        values.update(zip(equation.outputs, equation.evaluate(arrays), strict=True))


def _now(origin: Any, arguments: list[Any]) -> Any:
    """What an input of the program holds."""
    if isinstance(origin, Argument):
        return np.asarray(on_host(arguments[origin.number].value.array))
    if isinstance(origin, Setting):
        return np.array(origin.number())
    tensor = origin.leaf.gradient if isinstance(origin, Gradient) else origin.tensor
    return np.zeros(0) if tensor is None else np.asarray(on_host(tensor.value.array))
