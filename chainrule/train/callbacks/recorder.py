"""Curves over batches: the learning rate, the gradients' norm, the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from chainrule.train.trainer import Batch, Trainer

#: When a curve has more points than this, every second one is dropped.
MOST = 2000


class Recorder(Callback):
    """Records the learning rate, the loss and the gradients' norm of batches, for a report.

    With many batches only every second, fourth, eighth … is kept, so that memory stays small. The norm is missing where
    the trainer was made with `gradient_norm=False` and does not clip it.

    Attributes:
        series: for each name the numbers of the batches, counted from 1, and the values.

    >>> import chainrule
    >>> from chainrule.train import Trainer
    >>> model, recorder = chainrule.nn.Linear(2, 1), Recorder()
    >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, chainrule.nn.MSELoss(), optimizer, callbacks=[recorder], compile=False)
    >>> _ = trainer.fit([(chainrule.ones(4, 2), chainrule.zeros(4, 1))] * 3)
    >>> recorder.series["learning rate"]
    ([1, 2, 3], [0.1, 0.1, 0.1])
    """

    def __init__(self) -> None:
        self.series: dict[str, tuple[list[int], list[float]]] = {}
        self._every = 1

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Add a point to each curve."""
        if trainer.steps % self._every:
            return
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        for name, value in (("loss", batch.loss), ("learning rate", rate), ("gradient norm", batch.gradient_norm)):
            if math.isfinite(value):
                xs, ys = self.series.setdefault(name, ([], []))
                xs.append(trainer.steps)
                ys.append(value)
        if max(len(xs) for xs, _ in self.series.values()) > MOST:
            self._every *= 2
            kept = {
                name: [(x, y) for x, y in zip(*points) if x % self._every == 0] for name, points in self.series.items()
            }
            self.series = {name: ([x for x, _ in points], [y for _, y in points]) for name, points in kept.items()}

    def state_dict(self) -> dict[str, Any]:
        """The curves so far."""
        return {"series": {name: [list(xs), list(ys)] for name, (xs, ys) in self.series.items()}, "every": self._every}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.series = {name: (list(xs), list(ys)) for name, (xs, ys) in state["series"].items()}
        self._every = state["every"]
