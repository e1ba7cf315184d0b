"""What one sees while training: a table with a row for each epoch, and under it a bar for the one that runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.train.trainer import Batch, Trainer

_WIDTH = 11  # of a column
_LEFT_OUT = ("epoch", "learning_rate", "samples_per_second", "seconds")


class ProgressBar(Callback):
    """A Rich bar with epoch, batch, loss, speed and the time that remains; then a row of the epoch's figures.

    The row is marked if its validation loss (or training loss, where there is no validation) is the least so far. Where
    the output is no terminal, only the rows are printed.

    Args:
        console: where to print; a console of Rich's own unless given.
        beside: what else is shown below the bar while an epoch runs, such as a `GradientFlow`: anything Rich can print.
    """

    def __init__(self, console: Console | None = None, beside: Sequence[Any] = ()) -> None:
        self._console, self.beside = console, list(beside)
        self._bar: Any = None
        self._live: Any = None
        self._columns: list[str] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        """The heading comes with the first row."""
        from rich.console import Console

        self._console = self._console or Console()
        self._columns = []

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Begin a bar."""
        from rich.console import Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]} samples/s"), TimeRemainingColumn(compact=True),
        )  # fmt: skip
        assert self._console is not None
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        if self.beside and self._console.is_terminal:
            shown = Group(self._bar, *self.beside)
            self._live = Live(shown, console=self._console, transient=True, refresh_per_second=4)
        total = len(trainer.loader) if hasattr(trainer.loader, "__len__") else None
        self._task = self._bar.add_task(
            "", total=total, completed=trainer.step, epoch=f"{trainer.epoch + 1}/{trainer.epochs}", loss="", rate=""
        )
        self._started, self._seen, self._shown = time.perf_counter(), 0, 0.0
        (self._live or self._bar).start()

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Move it on, a few times a second."""
        self._seen += batch.size
        now = time.perf_counter()
        if self._bar.disable or now - self._shown < 0.1:
            return
        rate = self._seen / max(now - self._started, 1e-9)
        self._bar.update(self._task, completed=trainer.step, loss=f"{batch.loss:.4f}", rate=f"{rate:,.0f}")
        self._shown = now

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Put the figures in its place."""
        self._close()
        if not self._columns:
            self._columns = [name for name, value in row.items() if isinstance(value, float) and name not in _LEFT_OUT]
            self._print_heading()
        place = f"{row['epoch']}/{trainer.epochs}"
        cells = [f"{place:>9}"] + [_shown(row.get(name)) for name in self._columns]
        cells += [f"{row['samples_per_second']:>{_WIDTH},.0f}", f"{row['seconds']:>{_WIDTH}.1f}"]
        losses = [row.get("validation_loss", row["train_loss"]) for row in trainer.history]
        best = all(losses[-1] < loss for loss in losses[:-1])
        self._print("".join(cells) + ("  [green]best[/]" if best else ""))

    def _print_heading(self) -> None:
        names = [name.partition("_") for name in self._columns]
        names = [n if n[0] in ("train", "validation") else ("", "", name) for n, name in zip(names, self._columns)]
        tops = [part.replace("train", "training") for part, _, _ in names]
        tops = [top if i == 0 or tops[i - 1] != top else "" for i, top in enumerate(tops)]
        first = " " * 9 + "".join(f"{top:>{_WIDTH}}" for top in tops)
        second = f"{'epoch':>9}" + "".join(f"{_short(name):>{_WIDTH}}" for _, _, name in names)
        self._print(f"[bold]{first.rstrip()}\n{second}{'samples/s':>{_WIDTH}}{'seconds':>{_WIDTH}}[/]")

    def _print(self, text: str) -> None:
        assert self._console is not None
        self._console.print(text, highlight=False, soft_wrap=True)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Take the bar away, however training ended."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            (self._live or self._bar).stop()
            self._bar = self._live = None


def _short(name: str) -> str:
    return name.replace("_", " ")[: _WIDTH - 1]


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return " " * _WIDTH
    return f"{value:>{_WIDTH}.4f}" if abs(value) < 1e5 else f"{value:>{_WIDTH}.4g}"
