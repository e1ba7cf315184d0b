"""Predicting a column of a table: a number (regression) or a class (classification)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import TensorDataset
from chainrule.data.readers.features import Options, Table
from chainrule.data.readers.table import column_names, read_csv, read_parquet, table_of
from chainrule.data.split import stratified_split
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, tensor, zeros
from chainrule.models.registry import create, find
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tensor import Tensor
from chainrule.train.classifier import classify


class TableTask(Task):
    """Rows of numbers and categories, and the column that is to be predicted.

    Facts: "names" of the features; "categories" of columns of texts; "classes", or None where the target is a number;
    "mean" and "std" of the training features, by which all are standardised; "target_mean" and "target_std". The model
    gives targets in the units of the table.
    """

    kind = "table"
    samples = "rows"
    asks = "row"
    defaults: ClassVar[Mapping[str, Any]] = {
        "model": "mlp", "epochs": 100, "batch_size": 32, "optimizer": "adamw", "learning_rate": 3e-3, "warmup": 0.0,
        "weight_decay": 0.01, "patience": 20,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """80 % of the rows for training, 10 % for validation, 10 % for testing, drawn at random."""
        table = _read(settings, settings.data)
        if len(table) < 20:
            raise DataError(f"{settings.data} has {len(table)} rows; to divide them at least 20 are needed.")
        assert table.target is not None
        labels = table.target if table.classes is not None else np.zeros(len(table), np.int64)
        rows = stratified_split(labels, (0.8, 0.1, 0.1), settings.seed)
        features, target = table.features[rows[0]].astype(float), table.target[rows[0]].astype(float)
        facts = {
            "names": table.names, "categories": table.categories, "classes": table.classes,
            "mean": features.mean(0).tolist(), "std": _spread(features).tolist(),
            "target_mean": float(target.mean()), "target_std": float(_spread(target)),
            "target_values": len(np.unique(table.target)),
        }  # fmt: skip
        scaled = _standardised(table.features, facts)
        parts = [TensorDataset(from_numpy(scaled[r]), from_numpy(table.target[r])) for r in rows]
        return facts, Parts(*parts)

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return self.facts["classes"] is not None

    def build_model(self) -> Module:
        """The network between two scalings; a perceptron of two hidden layers with 64 units unless told otherwise."""
        entry = find(str(self.settings.model))
        if entry.task == "regression" and self.classifies:
            raise ValueError(f"{entry.name} gives numbers, and {self.settings.target} has classes; see --regress.")
        if entry.name == "logistic_regression" and not self.classifies:
            raise ValueError(f"{entry.name} gives classes, and {self.settings.target} is a number; see --classify.")
        options = dict(self.settings.model_options)
        dropout = options.pop("dropout", 0.0)
        if entry.name == "mlp":
            options.setdefault("hidden", [64, 64])
        outputs = len(self.facts["classes"]) if self.classifies else 1
        network = create(entry.name, **{**entry.options_for((len(self.facts["names"]),), outputs), **options})
        return TableModel(self.facts, network, dropout)

    def build_loss(self) -> Callable[[Any, Any], Any]:
        """Cross-entropy, or the squared error in units of the target's variance."""
        if self.classifies:
            return nn.CrossEntropyLoss(label_smoothing=self.settings.label_smoothing)
        return StandardisedError(self.facts["target_std"])

    def metrics(self) -> list[Any]:
        """Accuracy; or R² and the mean absolute error, in the target's units."""
        return ["accuracy"] if self.classifies else ["r2", "mae"]

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Confusions and figures for each class; or predictions against the truth."""
        if self.classifies:
            results = classify(model, batches, self.facts["classes"])
            return {
                "confusion": (results.confusion, self.facts["classes"]),
                "tables": {"Classes": results.per_class, "Worst rows": self._rows(results.worst)},
            }
        pairs = []
        with evaluation_mode(model), no_grad():
            for inputs, targets in batches:
                pairs.append((model(inputs).read(), targets.read()))
        predicted, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
        worst = np.argsort(-np.abs(predicted - truth))[:12]
        rows = [
            {"truth": float(truth[i]), "predicted": float(predicted[i]), "error": float(predicted[i] - truth[i])}
            for i in worst
        ]
        return {"points": (truth, predicted), "tables": {"Worst rows": rows}}

    def _rows(self, samples: Sequence[Any]) -> list[dict[str, Any]]:
        """Samples as rows: what it was, what was said, and the first features."""
        return [
            {"truth": s.truth, "said": s.said, "probability": s.share}
            | {name: float(value) for name, value in list(zip(self.facts["names"], s.content, strict=True))[:6]}
            for s in samples
        ]

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, len(self.facts["names"]))

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """A prediction for each row of each table."""
        rows = []
        with evaluation_mode(model), no_grad():
            for file in inputs:
                table = _read(self.settings, file, self._like)
                said = self.answers(model, list(_standardised(table.features, self.facts)))
                rows += [{"file": file, "row": number, **row} for number, row in enumerate(said, 1)]
        return rows

    @property
    def _like(self) -> Table:
        """A table without rows that says which columns and categories there are."""
        names = self.facts["names"]
        return Table(np.empty((0, len(names)), np.float32), names, None, None, self.facts["categories"])

    def columns(self) -> dict[str, list[str] | None]:
        """The columns that a row has, each with its categories, or None where it has numbers."""
        columns: dict[str, list[str] | None] = {}
        for name in self.facts["names"]:
            column = next((c for c in self.facts["categories"] if name.startswith(f"{c}=")), None)
            columns[column or name] = None if column is None else list(self.facts["categories"][column])
        return columns

    def sample_from(self, given: Any, place: str) -> np.ndarray:
        """Values by column as the network wants them, read as the row of a table is."""
        if not isinstance(given, Mapping):
            raise DataError(f"{place} is values by column, such as {{{', '.join(self.columns())}}}.")
        columns, known = list(self.columns()), ", ".join(self.columns())
        unknown = [str(name) for name in given if name not in columns and name != self.settings.target]
        if unknown:
            raise DataError(f"{place} has {unknown[0]!r:.60}, which the model does not know; it knows {known}.")
        absent = [name for name in columns if given.get(name) in (None, "")]
        if absent:
            raise DataError(f"{place} has no value for {absent[0]!r}; the model needs {known}.")
        text = io.StringIO()
        rows = [columns, [self._written(given[name]) for name in columns]]
        csv.writer(text, lineterminator="\n").writerows(rows)
        table = table_of(text.getvalue(), place, Options(like=self._like), decimal=self.settings.decimal)
        scaled: np.ndarray = _standardised(table.features, self.facts)[0]
        return scaled

    def _written(self, value: Any) -> str:
        """A value as it would stand in a table."""
        if isinstance(value, float):
            return repr(value).replace(".", self.settings.decimal)
        return str(value)

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The target: a number, or a class with its probability."""
        outputs = model(from_numpy(np.stack(samples)))
        target = str(self.settings.target)
        if not self.classifies:
            return [{target: float(value)} for value in outputs.numpy()]
        shares = outputs.softmax(1).numpy()
        return [{target: self.facts["classes"][row.argmax()], "probability": float(row.max())} for row in shares]


class TableModel(nn.Module):
    """Standardised features (N, F) to scores (N, classes), or to numbers (N,) in the target's units.

    The target's mean and standard deviation are buffers, so they are in the weights' file.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, facts: dict[str, Any], network: Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.classes = None if facts["classes"] is None else len(facts["classes"])
        for name in ("target_mean", "target_std"):
            self.register_buffer(name, tensor(facts[name], dtype="float32"))
        self.dropout = nn.Dropout(dropout)
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        outputs = self.network(self.dropout(features))
        return outputs if self.classes else outputs.squeeze(1) * self.target_std + self.target_mean


class StandardisedError(nn.Module):
    """The mean of ((prediction − target) / σ)², σ being the target's standard deviation; 1 for who says the mean."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """See the class; both (N,)."""
        return ((predictions - targets) / self.std).square().mean()


def _standardised(features: np.ndarray, facts: dict[str, Any]) -> np.ndarray:
    """By the training rows' mean and standard deviation."""
    return ((features - np.asarray(facts["mean"])) / np.asarray(facts["std"])).astype(np.float32)


def _spread(values: np.ndarray) -> Any:
    """The standard deviation; 1 where nothing varies."""
    std = values.std(0)
    return np.where(std > 1e-12 * np.abs(values).max(0, initial=0), std, 1.0)


def _read(settings: Settings, file: str, like: Table | None = None) -> Table:
    """A table: to learn from, or, with `like`, to predict, where the target may be there or not."""
    reader = read_parquet if Path(file).name.endswith(".parquet") else read_csv
    ignore, target = list(settings.ignore), settings.target
    names = column_names(file)
    if target is None:
        raise DataError(f"which column of {file} is to be predicted? Give --target; there are {', '.join(names[:20])}.")
    if like is not None:
        ignore, target = [name for name in [*ignore, target] if name in names], None
    options: dict[str, Any] = {
        "ignore": ignore, "missing": settings.missing, "like": like,
        "as_categories": [name for name in settings.as_categories if name in names and name not in ignore],
    }  # fmt: skip
    if reader is read_csv:
        options["decimal"] = settings.decimal
    if target is not None:
        options |= {"target": target, "target_classes": settings.classify}
    table = reader(file, **options)
    if like is None and table.classes is not None and len(table.classes) > len(table) // 4:
        raise DataError(
            f"{file}: the target {target!r} has {len(table.classes):,} different values in {len(table):,} rows: as "
            "classes they are too many. If they are numbers, look for a text among them."
        )
    return table
