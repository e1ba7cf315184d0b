"""What one sees while training: a bar for the epoch that runs, and a line for each that is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.train.trainer import Batch, Trainer


class ProgressBar(Callback):
    """A Rich bar with epoch, batch, loss, samples a second and the time that remains; then the epoch's figures.

    Where the output is no terminal, only the lines of figures are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._bar: Any = None

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Begin a bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = self._console or Console()
        columns = (
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]} samples/s"), TimeRemainingColumn(compact=True),
        )  # fmt: skip
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        total = len(trainer._loader) if hasattr(trainer._loader, "__len__") else None
        self._task = self._bar.add_task(
            "", total=total, completed=trainer.step, epoch=trainer.epoch + 1, loss="", rate=""
        )
        self._started, self._seen = time.perf_counter(), 0
        self._bar.start()

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Move it on."""
        self._seen += batch.size
        rate = self._seen / max(time.perf_counter() - self._started, 1e-9)
        self._bar.update(self._task, advance=1, loss=f"{batch.loss:.4f}", rate=f"{rate:,.0f}")

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Put the figures in its place."""
        self._close()
        assert self._console is not None
        shown = [f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float)]
        self._console.print(f"epoch {row['epoch']}: " + ", ".join(shown), highlight=False, soft_wrap=True)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Take the bar away, however training ended."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
