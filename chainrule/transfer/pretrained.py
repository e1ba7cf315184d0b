"""Loading weights that were learned for something else: what fits is taken, and the rest is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chainrule.errors import CheckpointError
from chainrule.nn.module import Module
from chainrule.nn.uninitialized import is_uninitialized
from chainrule.tensor import Tensor

#: Old prefixes with what takes their place, or a function from an old name to the new one (None: leave it out).
Rename = Mapping[str, str] | Callable[[str], str | None]

#: Under which names training programs keep a model's weights in a checkpoint.
_USUAL_NAMES = ("state_dict", "model_state_dict", "model", "weights", "net")


class LoadReport(NamedTuple):
    """What became of each name.

    Attributes:
        loaded: names whose values are now the given ones.
        missing: names of the model that were not given; they keep their values.
        unexpected: given names that the model does not have.
        mismatched: names in both with other shapes, which keep their values: (name, given shape, own shape).
    """

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)} of {len(self.loaded) + len(self.missing) + len(self.mismatched)}"]
        lines += [f"other shape: {name}, given {given}, the model's {own}" for name, given, own in self.mismatched]
        lines += [f"missing: {', '.join(self.missing)}"] if self.missing else []
        lines += [f"unexpected: {', '.join(self.unexpected)}"] if self.unexpected else []
        return "\n".join(lines)


def load_pretrained(
    model: Module,
    weights: str | os.PathLike[str] | Mapping[str, Any],
    rename: Rename | None = None,
    skip_mismatched: bool = True,
) -> LoadReport:
    """Give a model the weights of a file or a dictionary wherever name and shape fit, and report on all names.

    Args:
        model: where the weights go.
        weights: a path (anything that `chainrule.load` reads) or a dictionary. A checkpoint that keeps the weights
            under `state_dict`, `model` or the like is opened.
        rename: `{"module.": ""}` replaces beginnings of names, the first that fits; a function gets each name and
            answers the new one, or None to leave it out.
        skip_mismatched: whether tensors of another shape, such as a head for other classes, are left out and told in
            the report; otherwise they are an error.

    Raises CheckpointError if nothing fits at all, or the file is damaged; the model is unchanged then.

    >>> from chainrule import nn
    >>> old, new = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 10)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> print(load_pretrained(new, old.state_dict()))
    loaded 2 of 4
    other shape: 1.weight, given (10, 3), the model's (4, 3)
    other shape: 1.bias, given (10,), the model's (4,)
    """
    given = _renamed(tensors_in(weights), rename)
    own = model.state_dict()
    fitting = {name: given[name] for name in own if name in given and _fits(given[name], own[name])}
    report = LoadReport(
        list(fitting),
        [name for name in own if name not in given],
        [name for name in given if name not in own],
        [(name, _shape(given[name]), _shape(own[name])) for name in own if name in given and name not in fitting],
    )
    if not fitting:
        raise CheckpointError(
            f"none of these weights fits {type(model).__name__}: it has {_first(own)}, given are {_first(given)}. If "
            "only the names differ, say so with `rename`."
        )
    if report.mismatched and not skip_mismatched:
        raise CheckpointError(f"these weights do not fit {type(model).__name__}: {report}.")
    model.load_state_dict(fitting, strict=False)
    return report


def tensors_in(weights: Any) -> dict[str, Any]:
    """The weights by name: from a dictionary or a file, and out of the checkpoint around them, if there is one.

    Raises CheckpointError for what holds no weights.

    >>> tensors_in({"epoch": 3, "state_dict": {"weight": 1.0}})
    {'weight': 1.0}
    """
    from chainrule.serialization import load

    found = weights if isinstance(weights, Mapping) else load(weights)
    for name in _USUAL_NAMES:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise CheckpointError(f"weights are a dictionary from names to tensors, got {type(found).__name__}.")
    return dict(found)


def _renamed(given: dict[str, Any], rename: Rename | None) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for old, value in given.items():
        new = _new_name(old, rename)
        if new in renamed:
            raise ValueError(f"rename gives the name {new!r} twice, the second time for {old!r}.")
        if new is not None:
            renamed[new] = value
    return renamed


def _new_name(name: str, rename: Rename | None) -> str | None:
    if callable(rename):
        return rename(name)
    for old, new in (rename or {}).items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _fits(given: Any, own: Any) -> bool:
    if isinstance(own, Tensor):
        return is_uninitialized(own) or _shape(given) == tuple(own.shape)
    return not hasattr(given, "shape")  # the extra state of a module


def _shape(thing: Any) -> tuple[int, ...]:
    return tuple(getattr(thing, "shape", ()))


def _first(names: Mapping[str, Any]) -> str:
    shown = list(names)[:3]
    return ", ".join(map(str, shown)) + (", …" if len(names) > len(shown) else "") if shown else "nothing"
