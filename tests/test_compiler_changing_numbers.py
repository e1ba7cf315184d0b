"""Numbers that change between calls: how many programs they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from tests.changes import programs_of

X = chainrule.tensor([1.0, 2.0, 3.0])


class Plain:
    """Somebody's object."""

    def __init__(self, scale: Any) -> None:
        self.scale = scale


@pytest.mark.parametrize("give", ["argument", "attribute", "closure", "item", "nested argument"])
def test_a_number_that_only_enters_arithmetic_makes_one_more_program_for_ever(give: str) -> None:
    at, listed, number = Plain(0.0), [0.0], 0.0
    bodies: dict[str, Callable[..., Any]] = {
        "argument": lambda x, n: x * n,
        "attribute": lambda x, n: x * at.scale,
        "closure": lambda x, n: x * number,
        "item": lambda x, n: x * listed[0],
        "nested argument": lambda x, n: x * n["k"][0],
    }
    body = bodies[give]
    steps: dict[str, Callable[..., Any]] = {
        "argument": lambda x, n: body(x, n), "nested argument": lambda x, n: body(x, n),
    }  # fmt: skip
    step = chainrule.compile(steps.get(give, lambda x: body(x, None)))
    for i in range(12):
        number = at.scale = listed[0] = i / 4
        given = {"argument": (number,), "nested argument": ({"k": [number]},)}.get(give, ())
        assert step(X, *given).tolist() == [number, 2 * number, 3 * number]
    assert programs_of(step) <= 2


def test_an_epoch_as_argument_makes_one_more_program_for_ever() -> None:
    def outcome(prepare: Callable[[Any], Any]) -> tuple[Any, list[float]]:
        chainrule.manual_seed(0)
        model = nn.Linear(3, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any, epoch: int) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().mean() / (1 + epoch) + epoch
            loss.backward()
            optimizer.step()
            return loss

        run = prepare(step)
        return run, [run(X, epoch).item() for epoch in range(10)]

    run, losses = outcome(chainrule.compile)
    assert losses == pytest.approx(outcome(lambda function: function)[1], rel=1e-5)
    assert programs_of(run) <= 2


def test_a_number_that_decides_makes_a_program_for_each_value_it_takes() -> None:
    step = chainrule.compile(lambda x, n: sum((x for _ in range(n)), x))
    for n in (0, 1, 2, 1, 0, 2):
        assert step(X, n).tolist() == [n + 1, 2 * n + 2, 3 * n + 3]
    assert programs_of(step) <= 3


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_a_learning_rate_makes_one_more_program_at_most(kind: str) -> None:
    def outcome(prepare: Callable[[Any], Any]) -> Any:
        chainrule.manual_seed(0)
        model = nn.Linear(3, 1)
        optimizer = getattr(optim, kind)(model.parameters(), lr=0.1)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

        run = prepare(step)
        for _ in range(8):
            run(X)
            schedule.step()
        return run, model.weight.detach().numpy()

    run, weight = outcome(chainrule.compile)
    assert np.allclose(weight, outcome(lambda function: function)[1], rtol=1e-5, atol=1e-7)
    assert programs_of(run) <= 2
