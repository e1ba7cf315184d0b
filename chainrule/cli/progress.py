"""What a run shows while it goes: a table that grows by one row per epoch, with a bar under it on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.train import Scores

HEADING = "  epoch    train loss  accuracy    validation loss  accuracy    seconds"


class EpochTable:
    """Prints an epoch's row when it is done. Elsewhere than on a terminal the rows are all there is."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console = console
        self.epochs = epochs

    def print_heading(self) -> None:
        """The names of the columns."""
        self.console.print(f"\n[bold]{HEADING}[/]", highlight=False, soft_wrap=True)

    def print_row(self, epoch: int, train: Scores, validation: Scores, seconds: float, best: bool) -> None:
        """One epoch, marked if it is the best so far."""
        row = f"{f'{epoch}/{self.epochs}':>7}{train.loss:14.4f}{train.accuracy:10.4f}"
        row += f"{validation.loss:19.4f}{validation.accuracy:10.4f}{seconds:11.1f}"
        self.console.print(row + ("  [green]best[/]" if best else ""), highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, epoch: int, samples: int) -> Iterator[Callable[[int, Scores], None]]:
        """A bar that fills up while an epoch goes and then vanishes. Gives `advance(samples done, means so far)`."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("  epoch {task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(),
            TextColumn("{task.fields[means]}"), TimeRemainingColumn(compact=True),
        )  # fmt: skip
        hidden = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            task = progress.add_task(f"{epoch}/{self.epochs}", total=samples, means="")
            yield lambda done, means: progress.update(
                task, advance=done, means=f"loss {means.loss:.4f}  accuracy {means.accuracy:.4f}"
            )
