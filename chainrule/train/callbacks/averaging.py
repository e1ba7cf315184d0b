"""Averaging weights over the course of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.nn.module import Module
from chainrule.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from chainrule.train.trainer import Batch, Trainer


class WeightAveraging(Callback):
    """Keeps a second set of weights: the mean of those after each batch, exponentially fading or equal.

    Args:
        decay: of the exponential mean, below 1; None takes the equal mean of all (stochastic weight averaging).
        start: from which epoch on, counted from 1.

    Attributes:
        average: the averaged model (`AveragedModel`), from `start` on.

    >>> import chainrule
    >>> from chainrule.train import Trainer
    >>> model = chainrule.nn.Linear(2, 1)
    >>> averaging = WeightAveraging(decay=0.9)
    >>> trainer = Trainer(
    ...     model, chainrule.nn.MSELoss(), chainrule.optim.SGD(model.parameters(), lr=0.1), callbacks=[averaging]
    ... )
    >>> _ = trainer.fit([(chainrule.ones(4, 2), chainrule.zeros(4, 1))] * 3)
    >>> averaging.average(chainrule.ones(1, 2)).shape
    Size([1, 1])
    """

    def __init__(self, decay: float | None = 0.999, start: int = 1) -> None:
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"the decay of an exponential mean is at least 0 and below 1, got {decay}.")
        self.decay, self.start = decay, start
        self.average: AveragedModel | None = None
        self._waiting: dict[str, Any] | None = None
        self._source: Module | None = None

    def _make(self, trainer: Trainer) -> AveragedModel:
        rule = None if self.decay is None else get_ema_multi_avg_fn(self.decay)
        return AveragedModel(self._weights(trainer), multi_avg_fn=rule, use_buffers=True)

    def _weights(self, trainer: Trainer) -> Module:
        """The model; of one in bfloat16, whose numbers would hide small steps, what the optimiser works on."""
        if trainer.halves is None:
            return trainer.model
        if self._source is None:
            self._source = trainer.halves.with_masters(trainer.model)
        return self._source

    def on_fit_start(self, trainer: Trainer) -> None:
        """After resuming: make the average of then again."""
        self._source = None
        if self._waiting is not None:
            self.average = self._make(trainer)
            self.average.load_state_dict(self._waiting)
            self._waiting = None

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Take the weights into the mean."""
        if trainer.epoch + 1 >= self.start:
            if self.average is None:
                self.average = self._make(trainer)
            self.average.update_parameters(self._weights(trainer))

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights."""
        return {"average": None if self.average is None else dict(self.average.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._waiting = state["average"]
