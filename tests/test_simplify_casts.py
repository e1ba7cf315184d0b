"""Casts that say nothing go, and a value that is only wanted in another type is made in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.passes.simplify import simplify
from chainrule.compiler.trace import trace_step

FLOAT, HALF, DOUBLE = chainrule.float32, chainrule.bfloat16, chainrule.float64


def names(step: Any, *tensors: Any) -> list[str]:
    """What is left of a step."""
    return [e.primitive.name for e in simplify(trace_step(step, list(tensors)).graph()).equations]


def test_widened_and_rounded_again_is_nothing() -> None:
    x, half = chainrule.ones(3), chainrule.ones(3, dtype=HALF)
    assert names(lambda t: [t[0].float().bfloat16().exp()], half) == ["Exp"]
    assert names(lambda t: [t[0].double().float().exp()], x) == ["Exp"]
    assert names(lambda t: [t[0].bfloat16().float().exp()], x) == ["Cast", "Cast", "Exp"]  # this one rounds
    assert names(lambda t: [t[0].half().bfloat16().exp()], half) == ["Cast", "Cast", "Exp"]  # neither holds the other
    assert names(lambda t: [t[0].int().float().exp()], x) == ["Cast", "Cast", "Exp"]


def test_joined_in_the_type_that_is_wanted() -> None:
    x = chainrule.ones(2, 3)
    joined = names(lambda t: [chainrule.cat([t[0], t[0] * 2]).bfloat16().exp()], x)
    assert joined[-2:] == ["Concatenate", "Exp"] and joined.count("Cast") == 2
    both = names(lambda t: [(y := chainrule.cat([t[0], t[0] * 2])).bfloat16().exp(), y], x)
    assert both.count("Cast") == 1


@pytest.mark.parametrize("dtype", [HALF, DOUBLE])
def test_the_numbers_are_the_same(dtype: Any) -> None:
    x = chainrule.tensor(np.random.default_rng(0).standard_normal((5, 33)).astype("f4"))

    def step(x: Any) -> list[Any]:
        y = chainrule.cat([x.tanh(), x, chainrule.ones(5, 2)], 1)
        z = chainrule.cat([x, x.exp()])
        return [y.to(dtype), y.to(dtype) * 2, z.to(dtype), z.sum(), chainrule.ones(3).bfloat16().float()]

    for have, want in zip(chainrule.compile(step)(x), step(x), strict=True):
        assert have.dtype is want.dtype
        np.testing.assert_allclose(have.double().numpy(), want.double().numpy(), rtol=2.0**-8)
