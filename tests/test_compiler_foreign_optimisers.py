"""Optimisers that others wrote, compiled: the same numbers as eager ones and PyTorch's, without a program per step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from tests import foreign_optimisers
from tests.changes import programs_of

torch = pytest.importorskip("torch")

STEPS = 12


def trained(library: Any, make: Callable[[Any], type], prepare: Callable[[Any], Any], rate: Any = None) -> Any:
    """The losses of some steps and the weights after them, and what was called."""
    numbers = np.random.default_rng(0)
    inputs = numbers.normal(size=(STEPS, 8, 3)).astype(np.float32)
    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.Tanh(), library.nn.Linear(4, 2))
    with library.no_grad():
        for p in model.parameters():
            p.copy_(library.tensor(numbers.normal(size=tuple(p.shape)).astype(np.float32)))
    optimiser = make(library)(model.parameters())

    def step(x: Any) -> Any:
        optimiser.zero_grad()
        loss = (model(x) - 1.0).square().mean()
        loss.backward()
        optimiser.step()
        return loss

    run, losses = prepare(step), []
    for i, x in enumerate(inputs):
        if rate is not None:
            optimiser.param_groups[0]["lr"] = rate(i)
        losses.append(run(library.tensor(x)).item())
    return losses, np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]), run


def plain(function: Any) -> Any:
    """The function as it is."""
    return function


@pytest.mark.parametrize("make", foreign_optimisers.ALL, ids=lambda make: make.__name__)
def test_the_numbers_are_those_of_eager_code_and_of_pytorch(make: Callable[[Any], type]) -> None:
    losses, weights, run = trained(chainrule, make, chainrule.compile)
    for library in (chainrule, torch):
        others, expected, _ = trained(library, make, plain)
        assert losses == pytest.approx(others, rel=2e-5)
        assert np.allclose(weights, expected, rtol=2e-5, atol=2e-6)
    assert programs_of(run) <= 5, "the first step, the second, all others; a way more for each answer of an `if`"


@pytest.mark.parametrize("make", foreign_optimisers.ALL, ids=lambda make: make.__name__)
def test_every_call_is_what_a_trace_gives(make: Callable[[Any], type]) -> None:
    """`strict` compares each call with a new trace: nothing that was read is forgotten."""
    losses, _, _ = trained(chainrule, make, lambda step: chainrule.compile(step, strict=True))
    assert losses == pytest.approx(trained(chainrule, make, plain)[0], rel=2e-5)


@pytest.mark.parametrize(
    "make", [foreign_optimisers.belief, foreign_optimisers.layered], ids=lambda make: make.__name__
)
def test_a_schedule_makes_one_more_program_at_most(make: Callable[[Any], type]) -> None:
    rate = lambda i: 0.1 / (1 + i)  # noqa: E731
    losses, weights, run = trained(chainrule, make, chainrule.compile, rate)
    others, expected, _ = trained(torch, make, plain, rate)
    assert losses == pytest.approx(others, rel=2e-5)
    assert np.allclose(weights, expected, rtol=2e-5, atol=2e-6)
    assert programs_of(run) <= 4
