"""All that can be chosen about a run, with checks: from flags, from a TOML file, or from an earlier run."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from chainrule.errors import DataError

OPTIMIZERS = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "nadam": "NAdam",
}
SCHEDULES = ("cosine", "constant", "onecycle")
MISSING = ("error", "drop", "mean")


@dataclasses.dataclass(frozen=True)
class Settings:
    """One run's settings. What is None becomes the default of the kind of data, see `Task.defaults`.

    Args:
        data: the name of a known data set, or a path: a table (.csv, .parquet), a text (.txt), a folder of images with
            one folder for each class.
        data_root: the folder with the files of known data sets; else `CHAINRULE_DATA`, else the cache.
        model: the name of an architecture.
        model_options: options of its constructor, such as {"width": 16}.
        size: the side that images are resized to.
        length: how many characters of a text are seen at once.
        target: the column of a table that is to be predicted.
        classify: whether the target's values are classes, also where they are numbers.
        ignore: columns to leave out.
        as_categories: columns whose values are categories, also where they look like numbers.
        decimal: what stands before the fraction of a number in a CSV file, "." or ",".
        missing: "error" names a missing value's place, "drop" leaves out its row, "mean" fills in the column's mean.
        epochs: passes over the training data.
        batch_size: samples in each step.
        accumulate: take a step after so many batches, with the mean of their gradients.
        optimizer: "adam", "adamw", "sgd", "rmsprop", "adagrad" or "nadam".
        learning_rate: the largest step size.
        schedule: "cosine" falls to 0 along half a cosine, "onecycle" rises first and then falls, "constant" stays.
        warmup: the share of all steps in which the rate rises from 0 (cosine and constant).
        momentum: for sgd.
        weight_decay: strength of the L2 penalty; decoupled for adamw.
        clip_norm: the gradients' norm is at most so much.
        label_smoothing: how much of each label is spread over all classes.
        shift: move each training image by up to so many pixels, anew in each epoch.
        flip: turn half of the training images left to right.
        patience: end after so many epochs without a better validation loss.
        seed: the same seed gives the same run.
        compile: make native programs of the steps.

    Raises ValueError for a setting out of range.

    >>> Settings(data="mnist", batch_size=64).learning_rate is None
    True
    """

    data: str = "digits"
    data_root: str | None = None
    model: str | None = None
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    size: int | None = None
    length: int | None = None
    target: str | None = None
    classify: bool | None = None
    ignore: tuple[str, ...] = ()
    as_categories: tuple[str, ...] = ()
    decimal: str = "."
    missing: str = "error"
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    optimizer: str | None = None
    learning_rate: float | None = None
    schedule: str = "cosine"
    warmup: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    shift: int | None = None
    flip: bool | None = None
    patience: int | None = None
    seed: int = 0
    compile: bool = True

    def __post_init__(self) -> None:
        for name, (holds, expected) in _RULES.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not _quietly(holds, value):
                raise ValueError(f"{name}: expected {expected}, got {value!r}.")

    def with_defaults(self, defaults: Mapping[str, Any]) -> Settings:
        """What is None filled in."""
        return dataclasses.replace(self, **{k: v for k, v in defaults.items() if getattr(self, k) is None})

    def changed(self, **changes: Any) -> Settings:
        """With other values; a name that is no setting is an option of the model's constructor.

        >>> Settings(data="digits", model="convnet").changed(epochs=2, width=8).model_options
        {'width': 8}
        """
        known = {name: value for name, value in changes.items() if name in _NAMES}
        options = {name: value for name, value in changes.items() if name not in _NAMES}
        return dataclasses.replace(self, **known, model_options={**self.model_options, **options})

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], place: str) -> Self:
        """From a file's content. Raises ValueError for a name that is unknown and for a value of a wrong type."""
        if not isinstance(values, Mapping):
            raise ValueError(f"{place}: expected settings by name, got {values!r:.60}.")
        found = {name.replace("-", "_"): value for name, value in values.items()}
        for name in found:
            if name not in _NAMES:
                close = difflib.get_close_matches(name, _NAMES, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise ValueError(f"{place}: there is no setting {name!r}.{hint}")
        for name in ("ignore", "as_categories"):
            if isinstance(found.get(name), list):
                found[name] = tuple(found[name])
        try:
            return cls(**found)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None


def read_settings(path: str | Path) -> Settings:
    r"""Settings from a TOML file, or from the config.json of a run's folder. Raises DataError if it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.toml"
    >>> _ = path.write_text('data = "mnist"\nbatch-size = 64\n')
    >>> read_settings(path).batch_size
    64
    """
    path = Path(path)
    if path.is_dir():
        path = path / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)["settings"] if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} holds no settings: {error}.") from error
    return Settings.from_mapping(content, str(path))


def _whole(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float = math.inf, above: bool = False) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (value > low if above else value >= low)
        and value <= high
        and value != math.inf
    )


def _quietly(holds: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(holds(value))
    except TypeError:
        return False


def _one_of(*options: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in options, " or ".join((", ".join(options[:-1]), options[-1]))


def _yes_or_no(value: Any) -> bool:
    return isinstance(value, bool)


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": (lambda value: isinstance(value, str) and value != "", "the name of a data set, or a path"),
    "data_root": (lambda value: isinstance(value, str), "a folder"),
    "model": (lambda value: isinstance(value, str), "the name of a model"),
    "model_options": (lambda value: isinstance(value, dict), "a table of options"),
    "size": (_whole(1), "a number of pixels, at least 1"),
    "length": (_whole(1), "a number of characters, at least 1"),
    "target": (lambda value: isinstance(value, str), "the name of a column"),
    "classify": (_yes_or_no, "true or false"),
    "ignore": (_names, "names of columns"),
    "as_categories": (_names, "names of columns"),
    "decimal": _one_of(".", ","),
    "missing": _one_of(*MISSING),
    "epochs": (_whole(1), "at least 1"),
    "batch_size": (_whole(1), "at least 1"),
    "accumulate": (_whole(1), "at least 1"),
    "optimizer": _one_of(*OPTIMIZERS),
    "learning_rate": (_number(0, above=True), "a finite number above 0"),
    "schedule": _one_of(*SCHEDULES),
    "warmup": (_number(0, 1), "a share from 0 to 1"),
    "momentum": (_number(0, 0.9999), "a number from 0 to 0.9999"),
    "weight_decay": (_number(0), "a finite number, at least 0"),
    "clip_norm": (_number(0, above=True), "a finite number above 0"),
    "label_smoothing": (_number(0, 0.9999), "a share from 0 to 0.9999"),
    "shift": (_whole(0), "a number of pixels, at least 0"),
    "flip": (_yes_or_no, "true or false"),
    "patience": (_whole(1), "a number of epochs, at least 1"),
    "seed": (_whole(0), "a whole number, at least 0"),
    "compile": (_yes_or_no, "true or false"),
}  # fmt: skip
_NAMES = {field.name for field in dataclasses.fields(Settings)}
#: What the kind of data decides where it is not said.
_OPTIONAL = {field.name for field in dataclasses.fields(Settings) if field.default is None}
