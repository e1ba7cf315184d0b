"""Twenty compiled steps of every first-order optimiser are twenty eager ones; the learning rate is an input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from tests.optimiser_cases import OPTIONS

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
def test_twenty_steps(name: str) -> None:
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
        losses = [run(chainrule.tensor(0.1 * i, dtype=chainrule.float64)) for i in range(20)]
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
