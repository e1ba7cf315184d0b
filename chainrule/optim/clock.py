"""Time as optimisers see it: the step count is a tensor, and what follows from it is computed once for all parameters.

Every parameter has a step count of its own, a 0-d tensor as in PyTorch. Numbers made from it (a bias correction, a
decayed rate) are tensor operations too, so every step is the same program, which is what a compiler needs. Computed
anew for each parameter they would cost more than the update of a bias does. But values never change, and equal counts
share one value; so a function of values can be remembered by the identity of its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.dtypes import float32, float64, get_default_dtype
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state
from chainrule.tensor import Tensor


def of_step(function: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """Remember what a pure function of 0-d tensors and numbers gave for the same values (decorator).

    While a trace or gradients are recorded (`differentiable=True`) it is called every time.
    """

    @functools.lru_cache(maxsize=64)
    def remembered(*keys: Any) -> tuple[Value, ...]:
        arguments = [Primitive.make_tensor(key) if isinstance(key, Value) else key for key in keys]
        return tuple(result.value for result in function(*arguments))

    @functools.wraps(function)
    def look_up(*arguments: Any) -> tuple[Tensor, ...]:
        state = current_state()
        if state.trace is not None or state.gradients:
            return function(*arguments)
        keys = [argument.value if isinstance(argument, Tensor) else argument for argument in arguments]
        return tuple([Primitive.make_tensor(value) for value in remembered(*keys)])

    return look_up


@functools.lru_cache(maxsize=64)
def shared_number(number: float, dtype: Any) -> Value:
    """The 0-d value of a number; one for all that ask, so that what is computed from it is shared too."""
    return Value(np.array(number, dtype.numpy))


def clock_number(number: float) -> Tensor:
    """A cell with a number that goes with time: float32, or float64 where that is the default data type.

    >>> clock_number(0.0)
    tensor(0.)
    """
    return Primitive.make_tensor(shared_number(number, float64 if get_default_dtype() is float64 else float32))


@of_step
def _later(step: Tensor) -> tuple[Tensor, ...]:
    return (step + 1,)


def next_step(state: dict[str, Any]) -> Tensor:
    """Count one step in `state["step"]`, and answer with the count, from 1 on."""
    (later,) = _later(state["step"])
    state["step"].set_value(later.value)
    return state["step"]


@of_step
def bias_corrections(step: Tensor, beta1: float, beta2: float) -> tuple[Tensor, ...]:
    """1 − β₁ᵗ and 1 − β₂ᵗ, in float64: what running means that start at 0 lack of their size.

    >>> [float(c) for c in bias_corrections(clock_number(1.0), 0.5, 0.75)]
    [0.5, 0.25]
    """
    t = step.double()
    return 1 - beta1**t, 1 - beta2**t
