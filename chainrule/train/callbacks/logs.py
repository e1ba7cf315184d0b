"""Logs of the figures of each epoch: a CSV file, or TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.files import write_atomically
from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class CSVLog(Callback):
    """A row for each epoch in a CSV file, which is whole at every moment. A resumed run writes its earlier rows too.

    Figures that are no single numbers (a confusion matrix) are left out.

    >>> CSVLog("metrics.csv").path.name
    'metrics.csv'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Write all rows."""
        rows = [{name: value for name, value in r.items() if _is_number(value)} for r in trainer.history]
        names = list(dict.fromkeys(name for r in rows for name in r))

        def write(path: Path) -> None:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(rows)

        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, write)


class TensorBoardLog(Callback):
    """The same figures as scalars for TensorBoard, one point for each epoch.

    Needs the extra `tensorboard` (`pip install chainrule[tensorboard]`); an ImportError says so.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open the event file; a resumed run goes on with the next epoch."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoardLog needs tensorboardX: pip install 'chainrule[tensorboard]'.") from error
        self._writer = SummaryWriter(str(self.folder), purge_step=trainer.epoch + 1)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """One point for each figure, `train_loss` under train/loss."""
        for name, value in row.items():
            if _is_number(value) and name != "epoch":
                self._writer.add_scalar(name.replace("_", "/", 1), float(value), trainer.epoch)
        self._writer.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or getattr(value, "shape", None) == ()
