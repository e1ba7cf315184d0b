"""What may happen around training: the moments at which a trainer calls its callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.train.trainer import Batch, Trainer


class Callback:
    """Something that is called at certain moments of training; a subclass says what it does at which.

    The trainer is the argument everywhere; its attributes (`model`, `optimizer`, `epoch`, `step`, `history`, …) are
    free to be read, and `trainer.stop("reason")` ends training after the current moment. What a callback remembers
    must be in `state_dict`, so that a run that was interrupted can go on.

    Attributes:
        last: whether it is called after all others, as what saves them must be.

    >>> class Count(Callback):
    ...     batches = 0
    ...     def on_batch_end(self, trainer, batch):
    ...         self.batches += 1
    """

    last: bool = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch, or the first after resuming."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def looks_inside(self, trainer: Trainer) -> bool:
        """Asked before each step of the optimiser: whether `batch.inside` is wanted of it. That costs a little time."""
        return False

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """After each training batch; the step has been taken."""

    def on_divergence(self, trainer: Trainer, batch: Batch) -> None:
        """After a batch whose loss is NaN or infinite, before `fit` raises DivergedError."""

    def on_validation_batch(self, trainer: Trainer, batch: Batch) -> None:
        """After each batch of the validation data; nothing is learned from it."""

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """After validation. `row` is the epoch's line of figures; what is added to it is logged too."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, however training ended."""

    def state_dict(self) -> dict[str, Any]:
        """What it must remember to go on: numbers, strings, tensors, and lists and dictionaries of these."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
