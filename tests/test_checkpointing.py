"""What is computed again in the backward pass gives the gradients of what was kept, also where weights are shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.utils.checkpoint import checkpoint


def as_it_is(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def unrolled(run: Callable[..., Any], x: Any, w: Any, steps: int = 4) -> Any:
    """A recurrent cell: the weights of each step are those of all steps before, from which its state was computed."""
    state = x * w.sum()
    for _ in range(steps):
        state = state + run(lambda s: (s @ w).tanh(), state)
    return (state * state).sum()


def inputs() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    x, w = (
        chainrule.tensor(random.normal(0, 0.5, shape), dtype=chainrule.float64, requires_grad=True)
        for shape in ((2, 3), (3, 3))
    )
    return x, w


@pytest.mark.parametrize("keep", [False, True])
def test_shared_weights(keep: bool) -> None:
    found = []
    for run in (as_it_is, checkpoint):
        x, w = inputs()
        unrolled(run, x, w).backward(retain_graph=keep)
        found.append((x.grad.numpy(), w.grad.numpy()))
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-12)


def test_second_derivatives_of_shared_weights() -> None:
    found = []
    for run in (as_it_is, checkpoint):
        x, w = inputs()
        slopes = chainrule.autograd.grad(unrolled(run, x, w), [x, w], create_graph=True)
        found.append(chainrule.autograd.grad(sum((s * s).sum() for s in slopes), [x, w]))
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(again.numpy(), plain.numpy(), rtol=1e-11)


def test_one_within_another() -> None:
    found = []
    for run in (as_it_is, checkpoint):
        x, w = inputs()
        run(lambda s, run=run, w=w: unrolled(run, s, w, 2) * unrolled(run, s.tanh(), w, 2), x * w.mean()).backward()
        found.append((x.grad.numpy(), w.grad.numpy()))
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-11)


def test_compiled() -> None:
    found = []
    for run in (as_it_is, checkpoint):
        x, w = inputs()

        @chainrule.compile
        def slopes(x: Any, w: Any, run: Any = run) -> Any:
            return chainrule.autograd.grad(unrolled(run, x, w), [x, w])

        found.append([g.numpy() for _ in range(3) for g in slopes(x, w)])
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-12)
