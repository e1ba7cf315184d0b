"""The diagnosis of a run from what it left: the findings of a doctor that watched it, or else its figures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule.errors import CheckpointError, DataError
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.conditions import RULES
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.report import read_findings

#: The file in a run's folder that holds the findings of a doctor that watched.
WATCHED = "doctor.json"
#: The figures that the rules read.
COLUMNS = ("epoch", "train_loss", "validation_loss", "train_accuracy")

Row = dict[str, Any]


def diagnose(run: str | Path | Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What is wrong with a run, as far as it can be told afterwards; [] if nothing is.

    run: its folder, a CSV or JSON file of its figures, or `trainer.history`.

    If a `Doctor` watched (doctor.json, or a checkpoint that has its state), its findings are the answer: it saw more
    than figures tell. Otherwise the figures are looked at, from metrics.csv (`CSVLog`), history.json, or the latest
    checkpoint (`Checkpoints`), whichever there is first: epoch, train_loss, validation_loss and train_accuracy.

    Raises DataError where there is nothing to read, saying what is missing, or where a file is damaged.

    >>> losses = [(1.0, 1.1), (0.6, 0.8), (0.3, 0.7), (0.2, 0.8), (0.1, 0.9), (0.05, 1.0), (0.02, 1.1)]
    >>> history = [{"epoch": i, "train_loss": t, "validation_loss": v} for i, (t, v) in enumerate(losses, 1)]
    >>> [(finding.condition, finding.epoch) for finding in diagnose(history)]
    [('overfitting', 6)]
    """
    if not isinstance(run, str | Path):
        return _from_figures([dict(row) for row in run], "the history")
    path = Path(run)
    if not path.is_dir():
        return _from_figures(_read_file(path), str(path))
    if (path / WATCHED).exists():
        return read_findings(path / WATCHED)
    files = [file for name in ("metrics.csv", "history.json") if (file := path / name).exists()]
    if files:
        return _from_figures(_read_file(files[0]), str(files[0]))
    checkpoints = sorted(path.glob("checkpoint-*.safetensors"))
    if not checkpoints:
        raise DataError(
            f"{path} holds nothing that could be diagnosed: no doctor.json (of a Doctor with this path), no "
            "metrics.csv (CSVLog), no history.json and no checkpoint-….safetensors (Checkpoints)."
        )
    return _from_checkpoint(checkpoints[-1])


def _from_figures(rows: list[Row], place: str) -> list[Finding]:
    """Ask every rule after each epoch what it would have said; one finding of each."""
    _check(rows, place)
    findings = []
    for rule in (kind() for kind in RULES if kind.from_figures):
        found: Finding | None = None
        for count in range(1, len(rows) + 1):
            case = Case(rows=rows[:count], epoch=int(rows[count - 1].get("epoch") or count))
            found = found or rule.at_epoch_end(case)
        found = found or rule.at_end(case)
        findings += [found] if found else []
    return findings


def _check(rows: list[Row], place: str) -> None:
    if not rows:
        raise DataError(f"{place} holds no epoch yet: there is nothing to diagnose.")
    if "train_loss" not in rows[0]:
        raise DataError(f"{place} has no figure named train_loss, only {', '.join(map(str, rows[0])) or 'none'}.")
    for number, row in enumerate(rows, 1):
        for name in COLUMNS:
            value = row.get(name)
            if value is not None and not isinstance(value, int | float) and getattr(value, "shape", None) != ():
                raise DataError(f"{place}, epoch {number}: {name} is {value!r}, which is no number.")
        if not math.isfinite(row.get("epoch") or 0):
            raise DataError(f"{place}, epoch {number}: the epoch's number is {row['epoch']}.")


# ------------------------------------------------------------------------------------- files


def _from_checkpoint(path: Path) -> list[Finding]:
    """From the trainer's state: what its doctor found, or its history."""
    from chainrule.serialization import load

    try:
        state = load(path)
        doctors = [callback for callback in state["callbacks"].values() if "findings" in callback]
        history = state["history"]
    except (CheckpointError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no checkpoint of a Trainer: {error}") from error
    if doctors:
        return [Finding.from_json(finding) for finding in doctors[0]["findings"]]
    return _from_figures(history, str(path))


def _read_file(path: Path) -> list[Row]:
    if not path.is_file():
        raise DataError(f"{path} does not exist: a run's folder, or its metrics.csv, is needed.")
    try:
        return _read_json(path) if path.suffix == ".json" else _read_csv(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as text: {error}.") from error


def _read_csv(path: Path) -> list[Row]:
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    f"{path}, line {reader.line_num}: the line has not as many cells as the first one, "
                    f"{len(reader.fieldnames or [])}."
                )
            place = f"{path}, line {reader.line_num}"
            rows.append(
                {
                    name: _number(text, f"{place}, {name}") if name in COLUMNS else text
                    for name, text in row.items()
                    if text
                }
            )
    return rows


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{place}: {text!r} is no number.") from error


def _read_json(path: Path) -> list[Row]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON file: {error}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is to hold a list of dictionaries, one for each epoch, as `trainer.history` is.")
    return rows
