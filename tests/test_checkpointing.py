"""What is computed again in the backward pass gives the gradients of what was kept, also where weights are shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.utils.checkpoint import checkpoint, checkpoint_sequential, get_device_states, set_device_states


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


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_sequential_in_parts(segments: int, as_list: bool) -> None:
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 4), nn.Tanh())
    x = chainrule.randn(2, 3, requires_grad=True)
    found = []
    for run in (model, lambda x: checkpoint_sequential(list(model) if as_list else model, segments, x)):
        chainrule.manual_seed(1)
        run(x).square().sum().backward()
        found.append([x.grad.numpy(), *[p.grad.numpy() for p in model.parameters()]])
        x.grad = None
        model.zero_grad()
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-6)
    with pytest.raises(ValueError, match="one or more"):
        checkpoint_sequential(model, 0, x)


def test_both_runs_have_contexts_of_their_own() -> None:
    seen: list[str] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            seen.append(self.name)

        def __exit__(self, *_: Any) -> None:
            seen.append(f"end of {self.name}")

    x = chainrule.ones(2, requires_grad=True)
    y = checkpoint(lambda x: x.sin(), x, context_fn=lambda: (Noted("first"), Noted("again")))
    assert seen == ["first", "end of first"]
    y.sum().backward()
    assert seen[2:] == ["again", "end of again"]


def test_a_reversible_block_finds_what_it_asks_for() -> None:
    """It keeps the states of generators, and computes its inputs from its outputs with the same dropout."""

    class Kept(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any, again: bool = False) -> Any:
            if not again:
                self.state = chainrule.get_rng_state()
                if chainrule.cuda._initialized:
                    self.devices = get_device_states(x)
                return self.net(x)
            with chainrule.random.fork_rng(devices=[], enabled=True):
                chainrule.set_rng_state(self.state)
                set_device_states(*get_device_states(x))
                return self.net(x)

    chainrule.manual_seed(0)
    f, x = Kept(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))), chainrule.randn(2, 3)
    assert chainrule.equal(f(x), f(x, again=True))
