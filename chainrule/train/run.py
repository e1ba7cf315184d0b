"""The folder of a run: everything that a training run leaves behind.

config.json           what was asked for, resolved, with versions
metrics.csv           one row for each epoch
weights.safetensors   the weights of the epoch with the best validation accuracy
last.safetensors      the weights after the last epoch, or when the run was interrupted
curves.png            loss and accuracy by epoch
summary.json          the result, once there is one
report.html           all of it on one page
"""

from __future__ import annotations

import csv
import json
import platform
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.train.files import write_atomically
from chainrule.train.loop import Scores
from chainrule.train.weights import load_weights, save_weights

COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")


class Run:
    """A run folder being filled. Every file is whole at every moment.

    Args:
        path: the folder; it is made, and must not hold a run already.
        config: what is written to config.json, with the versions of chainrule, NumPy and Python added.
    """

    def __init__(self, path: str | Path, config: dict[str, Any]) -> None:
        import chainrule

        self.path = Path(path)
        if (self.path / "config.json").exists():
            raise FileExistsError(f"{self.path} holds a run already; choose another folder.")
        self.path.mkdir(parents=True, exist_ok=True)
        self.rows: list[dict[str, float]] = []
        self.best_epoch = 0
        versions = {
            "chainrule": chainrule.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }
        self._write_json("config.json", {**config, "versions": versions})

    def record(self, epoch: int, train: Scores, validation: Scores, seconds: float, model: Module) -> bool:
        """Add an epoch: a row of metrics, the weights, and the curves. Answers whether it is the best so far."""
        values = (epoch, train.loss, train.accuracy, validation.loss, validation.accuracy, seconds)
        self.rows.append(dict(zip(COLUMNS, values, strict=True)))
        accuracies = [row["validation_accuracy"] for row in self.rows]
        best = accuracies[-1] >= max(accuracies)  # of equals the later one, which has learned longer
        if best:
            self.best_epoch = epoch
            save_weights(model, self.path / "weights.safetensors")
        self.keep_last(model)
        write_atomically(self.path / "metrics.csv", self._write_csv)
        return best

    def keep_last(self, model: Module) -> None:
        """Save the weights as they are now as the last ones."""
        save_weights(model, self.path / "last.safetensors")

    def load_best(self, model: Module) -> None:
        """Put the weights of the best epoch into the model."""
        load_weights(model, self.path / "weights.safetensors")

    def finish(self, result: dict[str, Any]) -> None:
        """Draw the curves, and write what came out."""
        if self.rows:
            write_atomically(self.path / "curves.png", lambda path: draw_curves(self.rows, path, self.best_epoch))
        self._write_json("summary.json", {"best_epoch": self.best_epoch, "epochs": len(self.rows), **result})

    def _write_csv(self, path: Path) -> None:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2) + "\n"
        write_atomically(self.path / name, lambda path: path.write_text(text, encoding="utf-8"))


def new_run_path(root: str | Path, name: str) -> Path:
    """A folder name that says when and what, and that is not taken: `2026-01-31-093005-lenet5-digits`."""
    stem = f"{datetime.now():%Y-%m-%d-%H%M%S}-{name}"
    path, number = Path(root) / stem, 2
    while path.exists():
        path, number = Path(root) / f"{stem}-{number}", number + 1
    return path


def draw_curves(rows: list[dict[str, float]], path: Path, best_epoch: int) -> None:
    """Loss and accuracy by epoch, for training and validation, side by side as a PNG; a line marks the best epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, what, unit in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("nats per sample", "share of right answers"), strict=True
    ):
        for split, style in (("train", "-"), ("validation", "--")):
            axes.plot(epochs, [row[f"{split}_{what}"] for row in rows], style, marker=".", label=split)
        axes.axvline(best_epoch, color="gray", linestyle=":", label=f"best epoch, {best_epoch}")
        axes.set(title=what.capitalize(), xlabel="epoch", ylabel=unit)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    losses = [row[f"{split}_loss"] for row in rows for split in ("train", "validation")]
    if max(losses) > 10 * min(losses) > 0:
        figure.axes[0].set_yscale("log")
        figure.axes[0].yaxis.set_major_formatter("{x:g}")
    figure.savefig(path, format="png")
