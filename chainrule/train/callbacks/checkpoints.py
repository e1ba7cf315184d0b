"""Checkpoints: files from which a run goes on as if it had never stopped."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.errors import CheckpointError
from chainrule.train.callbacks.callback import Callback
from chainrule.train.run_lock import RunLock
from chainrule.train.weights import save_weights

if TYPE_CHECKING:
    from chainrule.train.trainer import Batch, Trainer

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


class Checkpoints(Callback):
    """Saves the whole state of training in a folder, and the best weights beside it.

    `checkpoint-<batches>.safetensors` holds all that decides how training goes on (weights, buffers, optimiser,
    schedule, position in the data, random state, metrics, history): :meth:`resume` continues bit for bit.
    `best.safetensors` holds the weights of the best epoch. Every file is written beside and renamed, so none is ever
    half written. While `fit` runs, the folder is locked: another run that would write there is refused.

    Args:
        folder: where the files go; it is made.
        monitor: the figure that says which epoch is best, by default "validation_loss" where there is one.
        mode: "min" or "max": which way is better.
        keep: so many of the latest checkpoints are kept, at least 1.
        every_batches: also save after so many batches; every_seconds: or after so much time.

    >>> import chainrule, tempfile
    >>> from chainrule.train import Trainer
    >>> folder = tempfile.mkdtemp()
    >>> def trainer():
    ...     model = chainrule.nn.Linear(2, 1)
    ...     optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    ...     return Trainer(model, chainrule.nn.MSELoss(), optimizer, callbacks=[Checkpoints(folder)], compile=False)
    >>> data = [(chainrule.ones(4, 2), chainrule.zeros(4, 1))] * 3
    >>> _ = trainer().fit(data, epochs=2)
    >>> second = trainer()
    >>> Checkpoints(folder).resume(second), second.epoch
    (True, 2)
    """

    last = True

    def __init__(
        self,
        folder: str | Path,
        *,
        monitor: str | None = None,
        mode: str = "min",
        keep: int = 2,
        every_batches: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        if keep < 1:
            raise ValueError(f"at least one checkpoint is kept, got keep={keep}.")
        if mode not in ("min", "max"):
            raise ValueError(f'mode is "min" (losses) or "max" (accuracies), got {mode!r}.')
        self.folder = Path(folder)
        self.monitor, self.mode, self.keep = monitor, mode, keep
        self.every_batches, self.every_seconds = every_batches, every_seconds
        self.best: float | None = None
        self.best_epoch = 0
        self.lock = RunLock(self.folder)
        self._saved = time.monotonic()

    def on_fit_start(self, trainer: Trainer) -> None:
        """Make the folder, and lock it. Raises CheckpointError if another run writes there."""
        self.lock.take()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Let go of the folder."""
        self.lock.release()

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Save between epochs' ends, if that was asked for."""
        due = self.every_batches is not None and trainer.steps % self.every_batches == 0
        late = self.every_seconds is not None and time.monotonic() - self._saved >= self.every_seconds
        if due or late:
            self.save(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Save, and keep the weights if the epoch is the best so far."""
        name = self.monitor or ("validation_loss" if "validation_loss" in row else "train_loss")
        if name not in row:
            raise KeyError(f"Checkpoints monitors {name!r}, but the epoch's figures are {', '.join(row)}.")
        value = float(row[name])
        gain = math.inf if self.best is None else (self.best - value if self.mode == "min" else value - self.best)
        if gain > 0:
            self.best, self.best_epoch = value, int(row["epoch"])
            save_weights(trainer.model, self.folder / "best.safetensors")
        self.save(trainer)

    def save(self, trainer: Trainer) -> Path:
        """Write a checkpoint now, and remove those that are too many."""
        from chainrule.serialization import save

        path = self.folder / f"checkpoint-{trainer.steps:09d}.safetensors"
        save(trainer.state_dict(), path)
        self._saved = time.monotonic()
        for old in self._files()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def resume(self, trainer: Trainer) -> bool:
        """Put the trainer into the state of the latest checkpoint; whether there was one.

        Raises CheckpointError if there are checkpoints and none can be read, or the trainer is not of that kind.
        """
        latest = self.latest()
        if latest is None:
            return False
        trainer.resume(latest)
        return True

    def latest(self) -> Path | None:
        """The latest checkpoint, if there is one."""
        return next(reversed(self._files()), None)

    def load_best(self, trainer: Trainer) -> None:
        """Put the weights of the best epoch into the model. Raises CheckpointError if there are none."""
        from chainrule.train.weights import load_weights

        path = self.folder / "best.safetensors"
        if not path.exists():
            raise CheckpointError(f"{self.folder} holds no best weights yet: no epoch was finished.")
        load_weights(trainer.model, path)

    def _files(self) -> list[Path]:
        """The checkpoints, the latest last."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[1]))  # type: ignore[index]

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far and when it was."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
