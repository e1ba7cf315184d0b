"""Columns of numbers and of categories become one array of features and a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.data.readers.numbers import read_column
from chainrule.data.readers.source import too_large
from chainrule.errors import DataError

if TYPE_CHECKING:
    from chainrule.data.dataset import TensorDataset

Column = np.ndarray | list[str | None]
"""Numbers with NaN, or texts with None, where a value is missing."""


@dataclass(frozen=True)
class Options:
    """How columns become features: the keyword arguments of `read_csv`, `read_parquet` and `from_frame`.

    Args:
        target: the column that is to be predicted; None for a table without one.
        target_classes: True if the target's values are classes, also where they are numbers; by default it is a number
            where every value is one.
        categorical: what becomes of a column of texts: "one-hot", one feature of 0 and 1 for each of its values, or
            "codes", one feature with the place of the value among all, sorted.
        missing: what to do about a missing value: "error" names its place, "drop" leaves out its row, "mean" takes the
            column's mean (only for numbers; over all rows, so split first if the split must not see it).
        ignore: columns to leave out.
        as_categories: columns whose values are categories, also where some or all look like numbers.
        like: an earlier table (the training set), whose columns, categories and classes are to be used again.
    """

    target: str | None = None
    target_classes: bool | None = None
    categorical: Literal["one-hot", "codes"] = "one-hot"
    missing: Literal["error", "drop", "mean"] = "error"
    ignore: Sequence[str] = ()
    as_categories: Sequence[str] = ()
    like: Table | None = None

    def read_texts(
        self, names: Sequence[str], columns: Sequence[Any], where: Callable[[int], str], decimal: str, delimiter: str
    ) -> list[Column]:
        """The columns, those of texts that are numbers as numbers; see `numbers.read_column`."""
        known = self.like.categories if self.like is not None else {}

        def read(name: str, column: Any) -> Column:
            is_target = name == self.target
            as_texts = name in known or name in self.as_categories or (is_target and bool(self.target_classes))
            if not isinstance(column, list) or as_texts or name in self.ignore:
                return column
            return read_column(column, name, where, decimal, delimiter, is_target)

        return [read(name, column) for name, column in zip(names, columns)]

    def __post_init__(self) -> None:
        if self.categorical not in ("one-hot", "codes"):
            raise ValueError(f"categorical is 'one-hot' or 'codes', got {self.categorical!r}.")
        if self.missing not in ("error", "drop", "mean"):
            raise ValueError(f"missing is 'error', 'drop' or 'mean', got {self.missing!r}.")


@dataclass(frozen=True)
class Table:
    """A table as arrays.

    Attributes:
        features: (N, F), float32.
        names: the F features' names; `colour=red` is the one-hot feature of column `colour` and value `red`.
        target: (N,): float32 where it is a number, int64 where it is a class; None without a target.
        classes: the names of the target's classes; None where it is a number.
        categories: for each column of texts its values, in order.
    """

    features: np.ndarray
    names: list[str]
    target: np.ndarray | None = None
    classes: list[str] | None = None
    categories: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def columns(self) -> list[str]:
        """The columns that the features come from: `colour=red` and `colour=blue` are one, `colour`."""
        of_texts = {f"{name}={value}": name for name, values in self.categories.items() for value in values}
        return list(dict.fromkeys(of_texts.get(name, name) for name in self.names))

    def dataset(self) -> TensorDataset:
        """The features, and the target if there is one, as a data set of tensors."""
        from chainrule.data.dataset import TensorDataset
        from chainrule.functions.creation import from_numpy

        arrays = [self.features] if self.target is None else [self.features, self.target]
        return TensorDataset(*(from_numpy(array) for array in arrays))


def assemble(
    place: str, names: list[str], columns: list[Column], where: Callable[[int], str], options: Options, max_bytes: int
) -> Table:
    """Features and target from columns: what all readers of tables do in the end."""
    if len(set(names)) != len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"{place}: two columns are called {twice!r}.")
    for name in [*options.ignore, *options.as_categories, *([] if options.target is None else [options.target])]:
        if name not in names:
            raise DataError(f"{place} has no column {name!r}; it has {', '.join(map(repr, names[:20]))}.")
    kept = {name: column for name, column in zip(names, columns) if name not in options.ignore}
    if options.like is not None:
        kept = _as_before(place, kept, options)
    kept, origin = _without_missing(place, kept, where, options)

    def origin_of(row: int) -> str:
        return where(int(origin[row]))

    target, classes = (
        _target(kept.pop(options.target), origin_of, options) if options.target is not None else (None, None)
    )
    categories = {
        name: _values(name, column, origin_of, options) for name, column in kept.items() if isinstance(column, list)
    }
    widths = [len(categories[name]) if name in categories and options.categorical == "one-hot" else 1 for name in kept]
    if 4 * sum(widths) * len(origin) > max_bytes:
        widest = max(zip(widths, kept))
        raise too_large(
            place,
            max_bytes,
            f": {len(origin):,} rows of {sum(widths):,} features ({widest[0]:,} of column {widest[1]!r})",
        )
    features = np.zeros((len(origin), sum(widths)), np.float32)
    feature_names: list[str] = []
    for name, column in kept.items():
        start = len(feature_names)
        if not isinstance(column, list):
            features[:, start] = _finite(name, column, origin_of)
            feature_names.append(name)
            continue
        codes = _codes(name, column, categories[name], origin_of)
        if options.categorical == "codes":
            features[:, start] = codes
            feature_names.append(name)
        else:
            features[np.arange(len(origin)), start + codes] = 1
            feature_names += [f"{name}={value}" for value in categories[name]]
    if options.like is not None and feature_names != options.like.names:  # codes where there was one-hot, say
        other = [name for name in {**dict.fromkeys(options.like.names), **dict.fromkeys(feature_names)}
                 if (name in options.like.names) != (name in feature_names)]  # fmt: skip
        raise DataError(f"{place} has not the features of the earlier table: {', '.join(map(repr, other[:5]))}.")
    return Table(features, feature_names, target, classes, categories)


def _as_before(place: str, columns: dict[str, Column], options: Options) -> dict[str, Column]:
    """The columns in the order of the earlier table, which must have the same ones."""
    assert options.like is not None
    before = options.like.columns()
    absent = [name for name in before if name not in columns]
    if absent:
        raise DataError(
            f"{place} has no column {', '.join(map(repr, absent[:5]))}, which the earlier table has; it has "
            f"{', '.join(map(repr, list(columns)[:20]))}."
        )
    surplus = [name for name in columns if name not in before and name != options.target]
    if surplus:
        raise DataError(
            f"{place} has a column {', '.join(map(repr, surplus[:5]))}, which the earlier table has not; leave it out. "
            f"The earlier one has {', '.join(map(repr, before[:20]))}."
        )
    target = [] if options.target is None else [options.target]
    return {name: columns[name] for name in [*before, *target]}


def _without_missing(
    place: str, columns: dict[str, Column], where: Callable[[int], str], options: Options
) -> tuple[dict[str, Column], np.ndarray]:
    """The columns with no value missing, and which rows of the file their rows are."""
    absent = {
        name: np.array([value is None for value in column]) if isinstance(column, list) else np.isnan(column)
        for name, column in columns.items()
    }
    rows = len(next(iter(absent.values()))) if absent else 0
    present = np.ones(rows, bool)
    for name, gone in absent.items():
        if not gone.any():
            continue
        column = columns[name]
        if options.missing == "drop":
            present &= ~gone
        elif options.missing == "mean" and not isinstance(column, list) and name != options.target and not gone.all():
            columns = {**columns, name: np.where(gone, column[~gone].mean(), column)}
        else:
            raise DataError(
                f"{where(int(gone.argmax()))}, column {name!r}: the value is missing ({int(gone.sum()):,} here). "
                "missing='drop' leaves out such rows; missing='mean' takes the column's mean, of numbers. On the "
                "command line that is said in training: chainrule train --missing drop, or mean."
            )
    if not present.any():
        raise DataError(f"{place}: {'no rows are left' if rows else 'no columns are left'}.")
    origin = np.flatnonzero(present)
    if len(origin) < rows:
        columns = {
            name: [column[row] for row in origin] if isinstance(column, list) else column[origin]
            for name, column in columns.items()
        }
    return columns, origin


def _finite(name: str, column: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = column.astype(np.float32)
    bad = ~np.isfinite(single)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{where(row)}, column {name!r}: {column[row]} is no finite float32 number.")
    return single


def _values(name: str, column: list[str | None], where: Callable[[int], str], options: Options) -> list[str]:
    if options.like is not None and name in options.like.categories:
        return options.like.categories[name]
    if options.like is not None and name in options.like.names:
        raise DataError(f"{where(0)}, column {name!r}: {column[0]!r} is a text, not a number.")
    return sorted({value for value in column if value is not None})


def _codes(name: str, column: list[str | None], values: list[str], where: Callable[[int], str]) -> np.ndarray:
    places: dict[str | None, int] = {value: place for place, value in enumerate(values)}
    for row, value in enumerate(column):
        if value not in places:
            raise DataError(f"{where(row)}, column {name!r}: {value!r} is not among the known values.")
    return np.array([places[value] for value in column], np.int64)


def _target(column: Column, where: Callable[[int], str], options: Options) -> tuple[np.ndarray, list[str] | None]:
    """The target as numbers, or as classes with their names."""
    name = str(options.target)
    like = options.like.classes if options.like is not None else None
    as_classes = options.target_classes if options.target_classes is not None else like is not None
    if not isinstance(column, list):
        if not as_classes:
            return _finite(name, column, where), None
        _finite(name, column, where)
        numbers = np.unique(column)
        texts: list[str | None] = [f"{value:.15g}" for value in column]
        classes = like or [f"{value:.15g}" for value in numbers]
        return _codes(name, texts, classes, where), classes
    if options.target_classes is False:
        row = next(row for row, value in enumerate(column) if not _is_number(value))
        raise DataError(f"{where(row)}, column {name!r}: {column[row]!r} is no number.")
    classes = like or sorted({value for value in column if value is not None})
    return _codes(name, column, classes, where), classes


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and "_" not in text and float(text) == float(text)
    except ValueError:
        return False
