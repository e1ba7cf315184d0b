"""The first NaN: which operation made it, where, from what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autodiff.anomaly import Anomaly, AnomalyError, detect_anomaly
from chainrule.compiler.function import CompiledFunction


def first_nan(function: Callable[..., Any], *inputs: Any, **keywords: Any) -> Anomaly | None:
    """The first operation of a function that makes a NaN or an infinity from finite numbers; None if none does.

    The function is run for real, operation by operation, up to that one; backward passes in it are watched too. So give
    it the loss and its gradients, not a step of an optimiser, which would be taken if nothing is found. A compiled
    function is run as its program; only where a NaN comes out the program's graph is walked through in NumPy.

    A NaN that is in the inputs or the weights already was made by no operation. What becomes of it is not looked at.

    >>> import chainrule
    >>> found = first_nan(lambda x: (x.log() * 0).sum(), chainrule.tensor([2.0, 0.0]))
    >>> found.operation, found.value, found.place, found.inputs
    ('Log', -inf, (1,), (((2,), 0.0, 2.0),))
    """
    try:
        if isinstance(function, CompiledFunction):
            watched = CompiledFunction(
                function.function, True, function.strict, function.on_stale, function.backend, function.exact
            )
            watched(*inputs, **keywords)
        else:
            with detect_anomaly():
                function(*inputs, **keywords)
    except AnomalyError as error:
        if error.anomaly is None:
            raise
        return error.anomaly
    return None
