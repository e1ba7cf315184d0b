"""Finding a learning rate before training begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.optim.lr_scheduler import CyclicLR, OneCycleLR
from chainrule.optim.range_test import RangeTest, learning_rate_range_test
from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class RangeFinder(Callback):
    """Before the first epoch: a range test, after which training begins with the rate that it suggests.

    The test is :func:`chainrule.optim.learning_rate_range_test`; it leaves weights, optimiser and random numbers as
    they were. All rates of the optimiser, and those of a schedule, are multiplied by the same factor, so that groups
    keep their ratios. A run that is resumed keeps its rates. Raises ValueError for `OneCycleLR` and `CyclicLR`, which
    have rates of their own.

    Args:
        low, high, steps: of the test.

    Attributes:
        found: the test's rates, losses and suggestion; `found.draw("rates.png")` draws them.

    >>> import chainrule
    >>> from chainrule.train import Trainer
    >>> model, finder = chainrule.nn.Linear(2, 1), RangeFinder(steps=50)
    >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=1e-9)
    >>> trainer = Trainer(model, chainrule.nn.MSELoss(), optimizer, callbacks=[finder], compile=False)
    >>> _ = trainer.fit([(chainrule.ones(4, 2), chainrule.zeros(4, 1))] * 3)
    >>> 1e-3 < optimizer.param_groups[0]["lr"] == finder.found.suggestion
    True
    """

    def __init__(self, low: float = 1e-6, high: float = 10.0, steps: int = 100) -> None:
        self.low, self.high, self.steps = low, high, steps
        self.found: RangeTest | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Test and set."""
        if trainer.steps:
            return
        if isinstance(trainer.schedule, OneCycleLR | CyclicLR):
            raise ValueError(
                f"{type(trainer.schedule).__name__} has rates of its own: test with learning_rate_range_test first."
            )
        self.found = learning_rate_range_test(
            trainer.model, trainer.loss, trainer.loader, trainer.optimizer, low=self.low, high=self.high,
            steps=self.steps,
        )  # fmt: skip
        if self.found.suggestion is not None:
            first = float(trainer.optimizer.param_groups[0].get("initial_lr", trainer.optimizer.param_groups[0]["lr"]))
            _scale(trainer, self.found.suggestion / first)


def _scale(trainer: Trainer, factor: float) -> None:
    for group in trainer.optimizer.param_groups:
        for name in ("lr", "initial_lr"):
            if name in group:
                group[name] = float(group[name]) * factor
    waiting: list[Any] = [trainer.schedule]
    while waiting:
        schedule = waiting.pop()
        if hasattr(schedule, "base_lrs"):
            schedule.base_lrs = [float(rate) * factor for rate in schedule.base_lrs]
        waiting += getattr(schedule, "_schedulers", [])
