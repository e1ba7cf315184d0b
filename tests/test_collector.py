"""Python's collector of garbage: what it passes by in a long training, and what tracing leaves to it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.train import Callback, Trainer


@pytest.fixture(params=[True, False], ids=["frozen", "not frozen"])
def frozen(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the program has frozen what there is; afterwards it is frozen, as the tests are run."""
    gc.freeze() if request.param else gc.unfreeze()
    yield request.param
    gc.freeze()


class Counting(Callback):
    """How many objects the collector passes by after each batch."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_batch_end(self, trainer: Trainer, batch: Any) -> None:
        self.counts.append(gc.get_freeze_count())


def fit(epochs: int) -> list[int]:
    """Train for five steps an epoch."""
    model, counting = nn.Linear(3, 1), Counting()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=[counting], compile=False)
    trainer.fit([(chainrule.ones(2, 3), chainrule.zeros(2, 1))] * 5, epochs=epochs)
    return counting.counts


def test_what_there_is_in_a_long_training_stays_and_what_the_program_keeps_stays_so(frozen: bool) -> None:
    counts = fit(epochs=20)
    assert bool(counts[0]) == frozen and counts[-1] > 0
    assert bool(gc.get_freeze_count()) == frozen


def test_a_short_training_leaves_the_collector_alone(frozen: bool) -> None:
    assert {bool(count) for count in fit(epochs=1)} == {frozen}


@pytest.mark.parametrize("early", [False, True], ids=["young", "old"])
def test_a_tensor_in_a_cycle_is_not_left_behind(early: bool) -> None:
    """However old it is for the collector, which the step itself may have called."""

    def step(x: Any) -> Any:
        held: list[Any] = [x * 2]
        held.append(held)
        if early:
            gc.collect()
        return held[0].sum()

    run = chainrule.compile(step)
    assert run(chainrule.ones(3)).item() == run(chainrule.ones(3)).item() == 6
    assert not run.left_behind


def test_a_tensor_that_is_held_is_left_behind() -> None:
    """Else the test above shows nothing."""
    held: list[Any] = []

    def step(x: Any) -> Any:
        held.append(x * 2)
        return held[-1].sum()

    run = chainrule.compile(step)
    run(chainrule.ones(3))
    assert run.left_behind
