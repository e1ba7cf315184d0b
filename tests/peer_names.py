"""Every public name of PyTorch's `nn` and `optim`, with what becomes of it here: the page docs/pytorch.md.

`python -m tests.peer_names` writes it (PyTorch must be installed); `tests/test_peer_names.py` fails while a name has no status or the page is old.
"""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import chainrule
from tests.left_out import LEFT_OUT
from tests.peer_tables import tables

#: The parts of PyTorch whose names must all have a status.
AREAS = (
    "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.parametrize", "nn.utils.parametrizations",
    "optim", "optim.lr_scheduler", "optim.swa_utils",
)  # fmt: skip

#: Where PyTorch's modules have no list of their public names: what is imported there from elsewhere.
_IMPORTED = ("typing", "collections", "functools", "itertools", "math", "warnings", "copy", "builtins", "enum")


class Row(NamedTuple):
    """One name and its status."""

    name: str
    status: str


def peer_names(area: str) -> list[str]:
    """What PyTorch offers in one of its parts, without what it only imports for itself."""
    module = importlib.import_module(f"torch.{area}")
    names = getattr(module, "__all__", None) if area != "nn" else None
    if names is None:
        names = [name for name in dir(module) if not name.startswith("_")]
    found = []
    for name in names:
        thing = getattr(module, name)
        own = getattr(thing, "__module__", None) or ""
        if not callable(thing) or own.split(".")[0] in _IMPORTED or name == "Tensor":
            continue
        if inspect.isclass(thing) and area in ("nn.functional", "nn.init"):
            continue
        if name in ("LRScheduler", "Module", "Optimizer") and not own.startswith(f"torch.{area}"):
            continue
        found.append(name)
    return sorted(found)


def ours(name: str) -> Any:
    """The thing of that name in chainrule, or None."""
    thing: Any = chainrule
    for part in name.split("."):
        thing = getattr(thing, part, None)
    return thing


def compared() -> dict[str, str]:
    """For each name what compares it with PyTorch."""
    found = tables()
    modules = Counter(f"nn.{case.source.split('(')[0]}" for case in found.modules)
    functions = Counter(f"nn.functional.{case.source.split('(')[0]}" for case in found.functions)
    counted = {name: f"compared in {count} case{'s' * (count > 1)}" for name, count in (modules + functions).items()}
    return {**counted, **{name: f"compared in `{place}`" for name, place in found.tested.items()}}


def rows(area: str) -> list[Row]:
    """The names of a part of PyTorch with their status; "" where there is none yet."""
    known = compared()
    result = []
    for name in peer_names(area):
        full = f"{area}.{name}"
        if full in LEFT_OUT and ours(full) is None:
            result.append(Row(name, f"left out: {LEFT_OUT[full]}"))
        elif ours(full) is None:
            result.append(Row(name, ""))
        else:
            result.append(Row(name, known.get(full, "")))
    return result


def own_names(area: str) -> Iterator[Row]:
    """What chainrule adds to a part: its name and the first line of its docstring."""
    theirs = set(dir(importlib.import_module(f"torch.{area}")))
    module = importlib.import_module(f"chainrule.{area}")
    for name in sorted(getattr(module, "__all__", [])):
        thing = getattr(module, name)
        if name not in theirs:
            yield Row(name, (inspect.getdoc(thing) or "").split("\n")[0])


def page() -> str:
    """The page, in Markdown."""
    parts = [
        "# What PyTorch has, and where it stands here\n",
        "Made by `python -m tests.peer_names` from PyTorch 2.13's own lists of names and from the tables of the tests",
        "(`tests/peer_tables`). “Compared” means: the same text runs in both frameworks, and arguments, defaults,",
        "outputs, gradients, state, training and evaluation are the same, in float32 and float64.\n",
    ]
    for area in AREAS:
        found = rows(area)
        compared_here = sum(row.status.startswith("compared") for row in found)
        parts += [f"## torch.{area}\n", f"{compared_here} of {len(found)} names compared.\n"]
        parts += ["| name | status |", "| --- | --- |", *[f"| `{row.name}` | {row.status} |" for row in found], ""]
        mine = list(own_names(area))
        if mine:
            parts += [f"Only here, in `chainrule.{area}`:\n", "| name | what it is |", "| --- | --- |"]
            parts += [*[f"| `{row.name}` | {row.status.replace('|', chr(92) + '|')} |" for row in mine], ""]
    return "\n".join(parts)


if __name__ == "__main__":
    with open("docs/pytorch.md", "w", encoding="utf-8") as file:
        file.write(page())
