"""Random programs in halves: native, NumPy's backend and eager agree, and are as near to exact numbers as rounding lets."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.language.halves import can_convert

HALVES = [name for name in ("float16", "bfloat16") if can_convert(name)]
#: Half a step from one number to the next, relative to it.
ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
PROGRAMS = 60 if os.environ.get("CHAINRULE_NIGHTLY") else 3
STEPS = 7


class Draws:
    """Random choices; weights are rounded to a half, in whatever type is computed with."""

    def __init__(self, seed: int, dtypes: tuple[Any, Any]) -> None:
        self.random, (self.half, self.dtype) = np.random.default_rng(seed), dtypes

    def weight(self, *shape: int) -> Any:
        """Numbers from −1 to 1."""
        return chainrule.tensor(self.random.uniform(-1, 1, shape)).to(self.half).to(self.dtype)

    def choice(self, *numbers: int) -> int:
        """One of them."""
        return int(self.random.choice(numbers))


class Program(NamedTuple):
    """A chain of operations on a matrix (n, m), chosen by a seed; all are smooth, and keep sizes near 1."""

    seed: int
    steps: tuple[str, ...]

    def start(self, half: Any) -> Any:
        """The matrix."""
        draws = Draws(self.seed, (half, half))
        return draws.weight(draws.choice(1, 2, 5, 16, 17, 33, 70), draws.choice(1, 2, 5, 16, 17, 33, 70))

    def run(self, x: Any, half: Any, dtype: Any) -> list[Any]:
        """The result, and the gradient of its sum of squares, computed in a data type."""
        draws, leaf = Draws(self.seed + 1, (half, dtype)), x.to(dtype).detach().requires_grad_()
        y = leaf
        for name in self.steps:
            y = STEPS_BY_NAME[name](draws, y)
        (y * y).sum().backward()
        return [y.detach(), leaf.grad]


def _product(at: Draws, x: Any) -> Any:
    columns = at.choice(1, 3, 16, 31, 64)
    w = at.weight(columns, x.shape[1]) if at.choice(0, 1) else at.weight(x.shape[1], columns).T
    return nn.functional.linear(x, w * (1 / x.shape[1] ** 0.5))


def _convolution(at: Draws, x: Any) -> Any:
    channels, groups = at.choice(2, 4, 16, 20), at.choice(1, 2)
    images = x.unsqueeze(0).unsqueeze(0).expand(1, 2, *x.shape)
    w = at.weight(channels, 2 // groups, 3, 3)
    y = nn.functional.conv2d(images, w, padding=1, groups=groups) * (1 / 18**0.5)
    return y[0].mean(0) if at.choice(0, 1) else y[0, -1]


STEPS_BY_NAME: dict[str, Any] = {
    "product": _product,
    "product again": _product,
    "square": lambda at, x: (x @ x.T) * (1 / x.shape[1]),
    "convolution": _convolution,
    "turned": lambda at, x: x.T,
    "part": lambda at, x: x[: (x.shape[0] + 1) // 2],
    "tanh": lambda at, x: x.tanh(),
    "added": lambda at, x: x + at.weight(x.shape[1]),
    "multiplied": lambda at, x: x * at.weight(x.shape[0], 1),
    "centred": lambda at, x: x - x.mean(1, keepdim=True),
}


def numbers(x: Any) -> Any:
    return x.double().numpy()


@pytest.mark.parametrize("name", HALVES)
def test_native_is_eager(name: str) -> None:
    half = getattr(chainrule, name)
    random = np.random.default_rng(0)
    programs = [Program(seed, tuple(random.choice(list(STEPS_BY_NAME), STEPS).tolist())) for seed in range(PROGRAMS)]
    starts = [program.start(half) for program in programs]

    def everything(given: Any, dtype: Any = half) -> list[Any]:
        pairs = zip(programs, given, strict=True)
        return [result for program, x in pairs for result in program.run(x, half, dtype)]

    exact, eager = everything(starts, chainrule.float64), everything(starts)
    native = chainrule.compile(everything, debug=True)
    in_numpy = chainrule.compile(everything, backend="numpy")(starts)
    for found in (native(starts), in_numpy, eager):
        for have, want in zip(found, exact, strict=True):
            assert have.dtype is half
            size = np.abs(numbers(want)).max(initial=2.0**-6)
            assert np.abs(numbers(have) - numbers(want)).max(initial=0.0) <= 8 * STEPS * ROUNDING[name] * size
    for have, want in zip(in_numpy, eager, strict=True):
        np.testing.assert_array_equal(numbers(have), numbers(want))
    assert "in NumPy" not in native.explain()
