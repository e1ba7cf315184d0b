"""The diagnosis of a finished run, from the figures it left."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule.errors import DataError
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.conditions import RULES
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.report import read_findings


def diagnose(run: str | Path | Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What is wrong with a run, as far as its curves tell: a run's folder, a CSV or JSON file, or `trainer.history`.

    In a folder it reads metrics.csv (or history.json), and doctor.json, the findings of a `Doctor` that watched: those
    come first, and are not found again. The columns looked at are epoch, train_loss, validation_loss, train_accuracy.

    Raises DataError where there are no figures, or a line of them cannot be read.

    >>> losses = [(1.0, 1.1), (0.6, 0.8), (0.3, 0.7), (0.2, 0.8), (0.1, 0.9), (0.05, 1.0), (0.02, 1.1)]
    >>> history = [{"epoch": i, "train_loss": t, "validation_loss": v} for i, (t, v) in enumerate(losses, 1)]
    >>> [(finding.condition, finding.epoch) for finding in diagnose(history)]
    [('overfitting', 6)]
    """
    findings: list[Finding] = []
    if isinstance(run, str | Path):
        path = Path(run)
        kept = path / "doctor.json"
        findings = read_findings(kept) if kept.exists() else []
        rows = _read(path)
    else:
        rows = [dict(row) for row in run]
    known = {finding.condition for finding in findings}
    for rule in (kind() for kind in RULES if kind.condition not in known):
        found = None
        for count in range(1, len(rows) + 1):
            case = Case(rows=rows[:count], epoch=int(rows[count - 1].get("epoch") or count))
            found = found or rule.at_epoch_end(case)
        found = found or (rule.at_end(case) if rows else None)
        findings += [found] if found else []
    return findings


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows of figures of a folder or file."""
    if path.is_dir():
        names = [path / name for name in ("metrics.csv", "history.json")]
        path = next((file for file in names if file.exists()), path)
    if not path.is_file():
        raise DataError(f"{path} has no figures: there is no metrics.csv or history.json (see chainrule.train.CSVLog).")
    if path.suffix == ".json":
        return _read_json(path)
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return [
            {name: _number(text, f"{path}, line {number}, {name}") for name, text in row.items() if name and text}
            for number, row in enumerate(reader, 2)
        ]


def _read_json(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON file: {error}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is to hold a list of dictionaries, one for each epoch, as `trainer.history` is.")
    return rows


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{place}: {text!r} is no number.") from error
