"""Searching for good settings: each trial is a run without a folder, and its validation loss is what counts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainrule.errors import DivergedError
from chainrule.tasks.run import figures_of_mean, prepare, write_json
from chainrule.tasks.settings import Settings
from chainrule.train.callbacks import Callback
from chainrule.train.trainer import Trainer
from chainrule.tune import Search, tune


def search(settings: Settings, space: dict[str, Any], folder: Path, **options: Any) -> Search:
    """Look for the settings with the least validation loss of all epochs, or (`average`) of the mean of the weights.

    It is the loss of the weights that `train_run` would leave. `options` as of `tune`.

    The folder holds trials.journal, from which a search with the same settings and space goes on.
    """
    names = ", ".join(space)
    objective = functools.partial(_trial, settings)
    return tune(objective, space, storage=folder / "trials.journal", name=f"{settings.data}: {names}", **options)


def write_search(found: Search, folder: Path) -> None:
    """best.json, all trials as trials.json, and search.png."""
    best = {"settings": found.best_settings, "validation_loss": found.best_value}
    for name, content in (("best.json", best), ("trials.json", found.trials())):
        write_json(folder / name, content)
    found.plot(folder / "search.png")


class _Reporting(Callback):
    """Tells the search each epoch's validation loss; it may end the trial."""

    def __init__(self, report: Callable[[int, float], None]) -> None:
        self.report = report

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """See the class."""
        self.report(row["epoch"], float(row["validation_loss"]))


def _trial(settings: Settings, chosen: dict[str, Any], report: Callable[[int, float], None]) -> float:
    run = prepare(settings.changed(**chosen), [_Reporting(report)])
    try:
        run.trainer.fit(run.train, run.validation, epochs=int(run.task.settings.epochs or 1))
    except DivergedError:
        return float("inf")
    losses = [float(row["validation_loss"]) for row in run.trainer.history]
    mean = figures_of_mean(run)
    return min(losses if mean is None else [*losses, float(mean["loss"])])
