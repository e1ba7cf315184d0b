"""Activations of halves are rounded once: the nearest half to the exact number, or its neighbour where that is near."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn

F = nn.functional
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": chainrule.sigmoid,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "elu": F.elu,
    "selu": F.selu,
}
#: Half a step from one number to the next, relative to it; the smallest number that has all digits.
ROUNDING = {"bfloat16": (2.0**-8, 2.0**-126), "float16": (2.0**-11, 2.0**-14)}


def every(dtype: str) -> Any:
    """All numbers from −60 to 60 that the type has."""
    x = chainrule.tensor(np.arange(2**16, dtype=np.uint16).view(np.int16)).view(getattr(chainrule, dtype))
    numbers = x.double().numpy()
    return x[chainrule.tensor(np.flatnonzero(np.abs(numbers) <= 60))]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ROUNDING)
def test_every_number(dtype: str, compiled: bool) -> None:
    x, exact = every(dtype), every(dtype).double()
    relative, smallest = ROUNDING[dtype]

    def both(x: Any) -> list[Any]:
        """Each function, and its derivative."""
        results = []
        for function in FUNCTIONS.values():
            leaf = x.detach().requires_grad_()
            y = function(leaf)
            results += [y.detach(), *chainrule.autograd.grad(y.sum(), leaf)]
        return results

    found = (chainrule.compile(both) if compiled else both)(x)
    size = np.abs(exact.numpy())
    for i, (have, want) in enumerate(zip(found, both(exact), strict=True)):
        name, is_derivative = list(FUNCTIONS)[i // 2], i % 2 == 1
        assert have.dtype is x.dtype, name
        a, b = have.double().numpy(), want.numpy()
        allowed = relative * np.maximum(np.abs(b), smallest) + 2.0**-22 * (1 + size)  # the last is float32's own
        if is_derivative and name in ("sigmoid", "gelu"):  # found from what was rounded: σ·(1 − σ), Φ + x·φ
            allowed += relative
        assert (np.abs(a - b) <= allowed).all(), (name, is_derivative, (np.abs(a - b) / allowed).max())
