"""Which kind of data a name or a path stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainrule.errors import DataError
from chainrule.tasks.images import ImageTask
from chainrule.tasks.settings import Settings
from chainrule.tasks.tables import TableTask
from chainrule.tasks.task import Parts, Task
from chainrule.tasks.text import TextTask

_KINDS: dict[str, type[Task]] = {kind.kind: kind for kind in (ImageTask, TableTask, TextTask)}


def load_task(settings: Settings) -> tuple[Task, Parts]:
    """The task that the settings' data stand for, and the data, divided. Raises DataError if they cannot be read.

    >>> task, parts = load_task(Settings(data="digits"))
    >>> task.kind, len(parts.train), task.settings.model
    ('images', 1258, 'lenet5')
    """
    kind = _KINDS[_kind_of(settings.data)]
    facts, parts = kind.load(settings)
    return kind(settings, facts), parts


def restore_task(kind: str, settings: Settings, facts: dict[str, Any]) -> Task:
    """A task without its data, from what a run's folder holds."""
    return _KINDS[kind](settings, facts)


def _kind_of(data: str) -> str:
    from chainrule.data import names

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
    raise DataError(
        f"{data}: data are a table (.csv, .parquet), a text (.txt), a folder of images, or one of {', '.join(names())}."
    )
