"""Adam's rule in one pass over memory: the operations of `adam`, in its order.

Written in tensor operations the rule makes a dozen new arrays of the parameter's size. For small parameters that costs
more than the arithmetic: NumPy does it here in as few calls as it can, to the same bits. For large ones memory costs
most, and the rule becomes a program like any large operation of eager code. This file is about that and nothing else;
what Adam is stands in `optim/adam.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.block import LARGE, Block
from chainrule.optim.clock import shared_number
from chainrule.primitives.placed import place_of
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Value
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: Parameter, gradient, first, second and largest second moment; the last is None without AMSGrad.
Tensors = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


class AdamNumbers(NamedTuple):
    """The settings of a step, numbers or 0-d tensors.

    `rest1` is 1 − β₁, `rest2` 1 − β₂; `rate` and `eps` have the corrections in them; `decay` is λ if it is coupled,
    `shrink` 1 − η·λ if it is decoupled.
    """

    beta1: Any
    rest1: Any
    beta2: Any
    rest2: Any
    rate: Any
    eps: Any
    decay: Any = None
    shrink: Any = None


def may_fuse(tensors: Tensors) -> bool:
    """Whether tensors may be updated so: alike, in order, and nobody looks at the single operations."""
    state = current_state()
    if state.gradients or any(seen is not None for seen in (state.trace, state.observer, state.recording)):
        return False
    arrays = [tensor.value.array for tensor in tensors if tensor is not None]
    if any(place_of(array) is not None for array in arrays):  # on another device
        return False
    alike = all(array.dtype is arrays[0].dtype and array.flags.c_contiguous for array in arrays)
    return alike and arrays[0].ndim > 0 and arrays[0].dtype.char in "fd"


def in_one_pass(rule: Callable[..., Any], tensors: Tensors, numbers: AdamNumbers) -> tuple[Any, ...]:
    """The new parameter, first and second moment, and largest second moment, if there is one.

    rule: the same in tensor operations.
    """
    values = _values(tensors[0].dtype, *[n.value if isinstance(n, Tensor) else n for n in numbers])
    if tensors[0].value.array.size >= LARGE:  # numbers are inputs of the program, so that every step is the same one
        given = [None if value is None else Primitive.make_tensor(value) for value in values]
        return tuple(Block.computed(rule, (*tensors, *given)))
    arrays = [None if tensor is None else tensor.value.array for tensor in tensors]
    quietly: Any = current_state().quiet.run
    new = quietly(_in_numpy, *arrays, *[None if value is None else value.array for value in values])
    return tuple([None if array is None else Primitive.make_tensor(Value(array)) for array in new])


@functools.lru_cache(maxsize=64)
def _values(dtype: Any, *numbers: Any) -> tuple[Value | None, ...]:
    """Settings as numbers of the parameter's type, as in tensor operations; the same for all parameters of a step."""
    return tuple([None if number is None else _value(dtype, number) for number in numbers])


def _value(dtype: Any, number: Any) -> Value:
    if not isinstance(number, Value):
        return shared_number(float(number), dtype)
    fits = number.array.dtype == dtype.numpy and not number.array.shape
    return number if fits else shared_number(float(number.array), dtype)


def _in_numpy(
    θ: Array, g: Array, m: Array, v: Array, top: Array | None, *numbers: Any
) -> tuple[Array, Array, Array, Array | None]:
    """The rule with one array beside the results."""
    beta1, rest1, beta2, rest2, rate, eps, decay, shrink = numbers
    work = np.empty_like(g)
    if shrink is not None:
        θ = np.multiply(θ, shrink)
    elif decay is not None:
        g = np.add(g, np.multiply(θ, decay, out=work))
    m = np.multiply(m, beta1)
    np.add(m, np.multiply(g, rest1, out=work), out=m)
    v = np.multiply(v, beta2)
    np.multiply(np.multiply(g, g, out=work), rest2, out=work)
    np.add(v, work, out=v)
    top = None if top is None else np.maximum(top, v)
    np.sqrt(v if top is None else top, out=work)
    np.divide(m, np.add(work, eps, out=work), out=work)
    return np.subtract(θ, np.multiply(work, rate, out=work)), m, v, top
