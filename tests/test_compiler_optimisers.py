"""Compiled steps of every first-order optimiser are eager ones; the learning rate is an input."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from tests.optimiser_cases import OPTIONS

STEPS = 20 if os.environ.get("CHAINRULE_NIGHTLY") else 10
CASES = [(name, options) for name in OPTIONS for options in OPTIONS[name] if name not in ("LBFGS",)]


def parameters(seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    shapes = [(3, 4), (4,), (2, 3)] if seed == 0 else [(3, 4), (2, 5)]
    return [chainrule.tensor(random.standard_normal(shape), requires_grad=True) for shape in shapes]


def step_of(optimizer: Any, ps: list[Any]) -> Any:
    def step(t: Any) -> Any:
        optimizer.zero_grad()
        loss = sum(((p - 0.3 * t) ** 2 * (i + 1)).sum() + (p * t).sin().sum() for i, p in enumerate(ps))
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_steps_are_those_of_eager_code(name: str) -> None:
    """All settings of an optimiser are steps of one program."""
    if name in ("LBFGS", "Newton"):
        pytest.skip("they branch on values; only their closures compile")
    both = []
    for compiled in (False, True):
        sets = [parameters(1 if name == "Muon" else 0) for _ in OPTIONS[name]]
        steps = [
            step_of(getattr(chainrule.optim, name)(ps, **options), ps)
            for ps, options in zip(sets, OPTIONS[name], strict=True)
        ]

        def step(t: Any, steps: list[Any] = steps) -> Any:
            return [one(t) for one in steps]

        run = chainrule.compile(step) if compiled else step
        losses = [run(chainrule.tensor(0.1 * i, dtype=chainrule.float64)) for i in range(STEPS)]
        both.append((losses, sets, run))
    (eager, theirs, _), (ours, mine, run) = both
    for a, b in zip(eager[-1], ours[-1], strict=True):
        np.testing.assert_allclose(b.item(), a.item(), rtol=1e-9)
    for ps, qs, options in zip(theirs, mine, OPTIONS[name], strict=True):
        for p, q in zip(ps, qs, strict=True):
            np.testing.assert_allclose(
                q.detach().numpy(), p.detach().numpy(), rtol=1e-9, atol=1e-9, err_msg=str(options)
            )
    assert sum(len(found) for found in run.programs.values()) <= 2


def test_learning_rate_is_an_input() -> None:
    ps = parameters(0)
    optimizer = chainrule.optim.SGD(ps, lr=0.1)
    step = chainrule.compile(step_of(optimizer, ps))
    t = chainrule.tensor(1.0, dtype=chainrule.float64)
    step(t)
    optimizer.param_groups[0]["lr"] = 0.0
    before = ps[0].detach().numpy()
    step(t)
    np.testing.assert_array_equal(ps[0].detach().numpy(), before)
    assert sum(len(found) for found in step.programs.values()) == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("Adam", {}),
        ("AdamW", {}),
        ("NAdam", {}),
        ("RMSprop", {"momentum": 0.5}),
        ("Lion", {}),
    ],
)
def test_a_schedule_of_momentum_needs_no_new_programs(name: str, options: dict[str, Any]) -> None:
    """One cycle moves the learning rate, and the momentum or β₁ the other way."""
    both = []
    for compiled in (False, True):
        ps = parameters(0)
        optimizer = getattr(chainrule.optim, name)(ps, lr=0.01, **options)
        schedule = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=12)
        step = chainrule.compile(step_of(optimizer, ps)) if compiled else step_of(optimizer, ps)
        for i in range(12):
            step(chainrule.tensor(0.1 * i, dtype=chainrule.float64))
            if i < 11:
                schedule.step()
        both.append(ps)
    for p, q in zip(*both, strict=True):
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-9, atol=1e-9)
    assert sum(len(found) for found in step.programs.values()) <= 2


def test_the_gradient_of_a_bias_before_batch_norm_is_rounding_in_both() -> None:
    """Σ (gradient of a normalised batch) is 0, so whatever float32 finds there is noise, and Adam steps by its sign."""

    def gradients(dtype: Any, prepare: Any) -> list[Any]:
        chainrule.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.GELU(), nn.Linear(7, 3)).to(dtype)
        x, y = chainrule.randn(33, 5).to(dtype), chainrule.randint(0, 3, (33,))

        def step(x: Any, y: Any) -> Any:
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            return [p.grad.clone() for p in model.parameters()]

        return [g.double().numpy() for g in prepare(step)(x, y)]

    truth = gradients(chainrule.float64, lambda step: step)
    assert abs(truth[1]).max() < 1e-15
    scale = max(abs(g).max() for g in truth)
    for prepare in (lambda step: step, chainrule.compile):
        for number, (found, exact) in enumerate(zip(gradients(chainrule.float32, prepare), truth, strict=True)):
            assert abs(found - exact).max() < 33 * 2**-24 * scale * 8, number
