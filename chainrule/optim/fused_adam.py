"""Adam's rule on large arrays in one pass over memory: the operations of `adam`, in its order, to the same bits.

Written in tensor operations the rule makes a dozen new arrays of the parameter's size, and for large layers memory
costs more than arithmetic. This file is about that and nothing else; what Adam is stands in `optim/adam.py`, and a test
compares the two bit by bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.primitives.placed import place_of
from chainrule.primitives.value import Array
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: Entries in a piece. What is at work on one, seven arrays, is a megabyte of float32: a cache's size.
PIECE = 32_768


class AdamNumbers(NamedTuple):
    """The settings of a step: `rate` and `eps` have the corrections in them; `shrink` is 1 − η·λ if decoupled."""

    beta1: float
    beta2: float
    rate: Any
    eps: Any
    weight_decay: float = 0.0
    shrink: Any = None


def may_fuse(tensors: tuple[Tensor | None, ...]) -> bool:
    """Whether tensors may be updated so: large, alike, in order, and nobody looks at the single operations."""
    first: Any = tensors[0].value.array  # type: ignore[union-attr]
    if place_of(first) is not None:
        return False
    if first.size <= PIECE or first.dtype.char not in "fd":
        return False
    state = current_state()
    if state.gradients or any(seen is not None for seen in (state.trace, state.observer, state.recording)):
        return False
    arrays = [tensor.value.array for tensor in tensors if tensor is not None]
    return all(array.dtype is first.dtype and array.flags.c_contiguous for array in arrays)


def fused_adam(
    parameter: Array, gradient: Array, first: Array, second: Array, largest: Array | None, numbers: AdamNumbers
) -> list[Array | None]:
    """The new parameter, first and second moment, and largest second moment, if there is one."""
    flat: list[Any] = [None if a is None else a.reshape(-1) for a in (parameter, gradient, first, second, largest)]
    results: list[Any] = [None if a is None else np.empty_like(a) for a in (parameter, first, second, largest)]
    scratch = np.empty((2, PIECE), parameter.dtype)
    number = parameter.dtype.type  # settings become numbers of the parameter's type, as in tensor operations
    converted: list[Any] = [None if n is None else number(n) for n in numbers]
    beta1, beta2, rate, eps, decay, shrink = converted
    rest1, rest2 = number(1 - numbers.beta1), number(1 - numbers.beta2)
    for start in range(0, parameter.size, PIECE):
        place = slice(start, start + PIECE)
        pieces: list[Any] = [None if a is None else a[place] for a in flat]
        targets: list[Any] = [None if a is None else a.reshape(-1)[place] for a in results]
        (θ, g, m, v, top), (to_θ, to_m, to_v, to_top) = pieces, targets
        work = scratch[0, : len(θ)]
        if shrink is not None:
            θ = np.multiply(θ, shrink, out=to_θ)
        elif decay:
            g = np.add(g, np.multiply(θ, decay, out=work), out=scratch[1, : len(θ)])
        np.add(np.multiply(m, beta1, out=to_m), np.multiply(g, rest1, out=work), out=to_m)
        np.multiply(np.multiply(g, g, out=work), rest2, out=work)
        np.add(np.multiply(v, beta2, out=to_v), work, out=to_v)
        spread = np.sqrt(to_v if top is None else np.maximum(top, to_v, out=to_top), out=work)
        np.divide(to_m, np.add(spread, eps, out=work), out=work)
        np.subtract(θ, np.multiply(work, rate, out=work), out=to_θ)
    return results
