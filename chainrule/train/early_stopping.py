"""Early stopping: give up when the validation score no longer improves, and go back to the best weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.nn.module import Module
from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class EarlyStopping(Callback):
    """Says when to stop, and keeps the weights of the best epoch until then.

    In a `Trainer`'s callbacks it watches the figure `monitor`, stops, and puts the best weights back; in a loop of your
    own you call it.

    After each epoch call it with the validation score and the model; it answers whether to stop. A score is better if
    it beats the best one by more than `min_delta`; after more than `patience` epochs in a row without a better one it
    is time to stop (so 0 stops at the first such epoch), as `ReduceLROnPlateau` counts. NaN is never better.

    The field counts this as regularisation, because weights that have not moved far from small first ones stay small;
    the lecture summary (IV.2.a) does not, because it does not make training harder.

    Args:
        patience: how many epochs without improvement are borne.
        min_delta: how much better counts as better; not negative.
        mode: "min" for losses, "max" for accuracies.
        monitor: the trainer's figure to watch, by default "validation_loss" where there is one, else "train_loss".

    Attributes:
        best: the best score so far.
        best_epoch: in which call it came, counted from 1; 0 before the first.
        waited: how many epochs it is ago.

    Source: Prechelt, "Early stopping — but when?", 1998.

    >>> import chainrule
    >>> model, stopping = chainrule.nn.Linear(2, 1), EarlyStopping(patience=1)
    >>> [stopping(loss, model) for loss in (0.9, 0.7, 0.8, 0.75)]
    [False, False, False, True]
    >>> stopping.restore(model)
    >>> stopping.best, stopping.best_epoch
    (0.7, 2)
    """

    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, mode: str = "min", monitor: str | None = None
    ) -> None:
        if patience < 0 or not min_delta >= 0:
            raise ValueError(f"patience and min_delta are not negative, got {patience} and {min_delta}.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' (losses) or 'max' (accuracies), got {mode!r}.")
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.monitor = monitor
        self.best = math.inf if mode == "min" else -math.inf
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, Any] = {}

    def __call__(self, score: float, model: Module) -> bool:
        """Take note of an epoch; whether to stop."""
        gain = self.best - score if self.mode == "min" else score - self.best
        self.waited += 1
        if gain > self.min_delta:
            self.best_epoch += self.waited
            self.best, self.waited = float(score), 0
            self._weights = {name: tensor.detach_copy() for name, tensor in model.state_dict().items()}
        return self.waited > self.patience

    def restore(self, model: Module) -> None:
        """Put weights and buffers of the best epoch back into the model. Before there is one nothing happens."""
        if self._weights:
            model.load_state_dict(self._weights)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Take note of a trainer's epoch. Raises KeyError if it has no such figure."""
        name = self.monitor or ("validation_loss" if "validation_loss" in row else "train_loss")
        if name not in row:
            raise KeyError(f"EarlyStopping monitors {name!r}, but the epoch's figures are {', '.join(row)}.")
        if self(float(row[name]), trainer.model):
            trainer.stop(f"{name} has not improved for {self.waited} epochs; the best was {self.best:.6g}.")

    def on_fit_end(self, trainer: Trainer) -> None:
        """If it was this that stopped training: put the best weights back."""
        if trainer.stopped and self.waited > self.patience:
            self.restore(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        """The best score, when it was, and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited, "weights": dict(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self._weights = dict(state["weights"])
