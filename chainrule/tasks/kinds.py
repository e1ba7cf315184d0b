"""Which task a run has: by the network's entry in the registry and by what the data are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainrule.errors import DataError
from chainrule.models.registry import find
from chainrule.tasks.generation import GenerationTask
from chainrule.tasks.images import ImageTask
from chainrule.tasks.keypoints import KeypointTask
from chainrule.tasks.labelled_texts import LabelledTextTask
from chainrule.tasks.reconstruction import ReconstructionTask
from chainrule.tasks.segmentation import PixelRegressionTask, SegmentationTask
from chainrule.tasks.settings import Settings
from chainrule.tasks.tables import TableTask
from chainrule.tasks.task import Parts, Task
from chainrule.tasks.text import TextTask
from chainrule.tasks.translation import DATES, TranslationTask

#: What a run is, by the task and the data that an entry of the registry declares.
_TASKS: dict[tuple[str, str], type[Task]] = {
    ("classification", "images"): ImageTask,
    ("classification", "table"): TableTask,
    ("language modelling", "text"): TextTask,
    ("regression", "table"): TableTask,
    ("segmentation", "masks"): SegmentationTask,
    ("regression of pixels", "targets"): PixelRegressionTask,
    ("keypoints", "points"): KeypointTask,
    ("reconstruction", "images"): ReconstructionTask,
    ("text classification", "labelled texts"): LabelledTextTask,
    ("translation", "pairs"): TranslationTask,
    ("generation", "images"): GenerationTask,
}
#: What data of a form may be, of that which an entry of the registry learns from.
_HOLDS = {
    "images": ("images", "masks", "targets", "points"),
    "table": ("table", "points", "labelled texts", "pairs"),
    "text": ("text", "pairs"),
    "pairs": ("pairs",),
}
_SAID = {"images": "images", "table": "a table", "text": "a text", "pairs": "pairs of texts"}
#: The task where no network is named.
_USUAL: dict[str, type[Task]] = {"images": ImageTask, "table": TableTask, "text": TextTask, "pairs": TranslationTask}


def load_task(settings: Settings) -> tuple[Task, Parts]:
    """The task that the settings stand for, and the data, divided.

    Raises ValueError for a network that is not there or does not learn from such data, DataError if the data cannot be
    read.

    >>> task, parts = load_task(Settings(data="digits"))
    >>> task.kind, len(parts.train), task.settings.model
    ('images', 1258, 'lenet5')
    """
    kind = _task_for(settings)
    facts, parts = kind.load(settings)
    return kind(settings, facts), parts


def restore_task(kind: str, settings: Settings, facts: dict[str, Any]) -> Task:
    """A task without its data, from what a run's folder holds."""
    return {task.kind: task for task in _TASKS.values()}[kind](settings, facts)


def _task_for(settings: Settings) -> type[Task]:
    if settings.model is None:
        return _USUAL[_kind_of(settings.data)]
    entry = find(settings.model)
    if not any((entry.task, data) in _TASKS for data in entry.data):
        raise ValueError(
            f"no command trains {entry.name} for {entry.task} yet; train.Trainer does, with data of yours."
        )
    form = _kind_of(settings.data)
    fitting = [data for data in entry.data if data in _HOLDS[form] and (entry.task, data) in _TASKS]
    if not fitting:
        raise ValueError(f"{entry.name} learns from {' or '.join(entry.data)}, and {settings.data!r} is {_SAID[form]}.")
    return _TASKS[entry.task, fitting[0]]


def _kind_of(data: str) -> str:
    from chainrule.data import names

    if data == DATES:
        return "pairs"
    if data in names():
        return "text" if data == "shakespeare" else "images"
    path = Path(data)
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if path.is_dir():
        return "images"
    if not path.exists() and "." not in path.name and len(path.parts) == 1:
        return "images"  # a data set's name, misspelled: `data.load` says which there are
    if not path.exists():
        raise DataError(f"there is no file {data}; known data sets are {', '.join(names())}.")
    if ending in ("csv", "parquet"):
        return "table"
    if ending in ("txt", "md", "text"):
        return "text"
    if ending == "tsv":
        return "pairs"
    raise DataError(
        f"{data}: data are a table (.csv, .parquet), a text (.txt), pairs of texts (.tsv), a folder of images, or "
        f"one of {', '.join(names())}, {DATES}."
    )
