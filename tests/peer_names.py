"""Every public name of PyTorch, its tensors, `nn`, `optim` and `utils.data`, with what becomes of it: docs/pytorch.md.

`python -m tests.peer_names` writes it (PyTorch must be installed); `tests/test_peer_names.py` fails while a name has no status or the page is old.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import chainrule
from chainrule.absent_names import names, reason
from tests.peer_tables import tables

#: The parts of PyTorch whose names must all have a status; "" is the top level.
AREAS = (
    "", "Tensor", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.parametrize", "nn.utils.parametrizations",
    "optim", "optim.lr_scheduler", "optim.swa_utils", "utils.data", "distributions",
)  # fmt: skip

#: Where PyTorch's modules have no list of their public names: what is imported there from elsewhere.
_IMPORTED = ("typing", "collections", "functools", "itertools", "math", "warnings", "copy", "builtins", "enum")


class Row(NamedTuple):
    """One name and its status."""

    name: str
    status: str


def peer_names(area: str) -> list[str]:
    """What PyTorch offers in one of its parts, without what it only imports for itself."""
    if area == "Tensor":
        return sorted(name for name in dir(importlib.import_module("torch").Tensor) if not name.startswith("_"))
    module = importlib.import_module(f"torch.{area}".rstrip("."))
    if area == "":
        return _top_level(module)
    listed = getattr(module, "__all__", None) if area != "nn" else None
    if listed is None:
        listed = [name for name in dir(module) if not name.startswith("_")]
    found = []
    for name in listed:
        thing = getattr(module, name)
        own = getattr(thing, "__module__", None) or ""
        if not callable(thing) or own.split(".")[0] in _IMPORTED or name.startswith("_") or name == "Tensor":
            continue
        if inspect.isclass(thing) and area in ("nn.functional", "nn.init"):
            continue
        if name in ("LRScheduler", "Module", "Optimizer") and not own.startswith(f"torch.{area}"):
            continue
        found.append(name)
    return sorted(found)


def _top_level(torch: Any) -> list[str]:
    """What PyTorch lists, its parts, and what belongs to it though no list has it (`channels_last`).

    Parts are found as files: which of them are loaded depends on what else has run.
    """
    found = set(torch.__all__) | {part.name for part in pkgutil.iter_modules(torch.__path__)}
    for name in dir(torch):
        thing = getattr(torch, name)
        own = getattr(thing, "__module__", None) or type(thing).__module__
        if type(thing) is not ModuleType and own.split(".")[0] == "torch":
            found.add(name)
    return sorted(name for name in found if not name.startswith("_"))


#: chainrule's modules at the top, loaded or not.
_PARTS = {part.name for part in pkgutil.iter_modules(chainrule.__path__, "chainrule.")}


def ours(name: str) -> Any:
    """The thing of that name in chainrule, or None."""
    if name in ("newaxis", "Tensor.newaxis"):
        return chainrule.Size  # there, and None
    if f"chainrule.{name}" in _PARTS:
        return importlib.import_module(f"chainrule.{name}")
    thing: Any = chainrule
    for part in name.lstrip(".").split("."):
        thing = getattr(thing, part, None)
    return thing


#: The tests whose tables are lines of Python, run in both frameworks.
_EXPRESSIONS = (
    "functions", "more_functions", "top_level", "dtypes", "shapes", "indexing", "views", "view_programs", "copies",
)  # fmt: skip


def compared() -> dict[str, str]:
    """For each name what compares it with PyTorch."""
    found = tables()
    modules = Counter(f"nn.{case.source.split('(')[0]}" for case in found.modules)
    functions = Counter(f"nn.functional.{case.source.split('(')[0]}" for case in found.functions)
    counted = {name: f"compared in {count} case{'s' * (count > 1)}" for name, count in (modules + functions).items()}
    elsewhere = {name: "compared in " + re.sub(r"^(\S+)", r"`\1`", place) for name, place in found.tested.items()}
    return {**_compared_in_expressions(), **counted, **elsewhere, **_compared_distributions()}


def _compared_distributions() -> dict[str, str]:
    """The distributions and transforms that stand in a line which both frameworks evaluate."""
    places = {
        "distribution_cases.py": "test_distributions.py",
        "test_distribution_transforms.py": "test_distribution_transforms.py",
    }
    return {
        f"distributions.{name}": f"compared in `tests/{test}`"
        for file, test in places.items()
        for name in re.findall(r"\bd\.([A-Z]\w*)", (Path(__file__).parent / file).read_text(encoding="utf-8"))
    }


def _compared_in_expressions() -> dict[str, str]:
    """The functions and methods that stand in an expression of some table of expressions, by any of their names."""
    found: dict[int, str] = {}
    here = Path(__file__).parent
    for file in sorted(here / f"test_peer_{kind}.py" for kind in _EXPRESSIONS):
        text = file.read_text(encoding="utf-8")
        used = [getattr(chainrule, name, None) for name in re.findall(r"\blib\.([a-zA-Z_]\w*)", text)]
        used += [getattr(chainrule.Tensor, name, None) for name in re.findall(r"(?<=[xyz)\]])\.([a-zA-Z_]\w*)", text)]
        found.update({id(thing): f"compared in `tests/{file.name}`" for thing in used if thing is not None})
    places = [(chainrule, f"{name}", name) for name in dir(chainrule)]
    places += [(chainrule.Tensor, f"Tensor.{name}", name) for name in dir(chainrule.Tensor)]
    return {full: found[id(getattr(owner, name))] for owner, full, name in places if id(getattr(owner, name)) in found}


#: Where "it is there" is status enough: flags, constants and classes stand beside the functions.
MIXED = ("", "Tensor", "utils.data", "distributions")


def rows(area: str) -> list[Row]:
    """The names of a part of PyTorch with their status; "" where there is none yet."""
    known = compared()
    result = []
    for name in peer_names(area):
        full = f"{area}.{name}".lstrip(".")
        why = reason(area, name) if ours(full) is None else ""
        if ours(full) is not None:
            result.append(Row(name, known.get(full, "there" if area in MIXED else "")))
        else:
            result.append(Row(name, f"left out: {why}" if why else ""))
    return result


def own_names(area: str) -> Iterator[Row]:
    """What chainrule adds to a part: its name and the first line of its docstring."""
    if area in ("", "Tensor"):
        return
    peer = importlib.import_module(f"torch.{area}")
    parts = {found.name for found in pkgutil.iter_modules(getattr(peer, "__path__", []))}  # imported or not yet
    theirs = {*dir(peer), *parts}
    module = importlib.import_module(f"chainrule.{area}")
    for name in sorted(getattr(module, "__all__", [])):
        thing = getattr(module, name)
        if name not in theirs:
            first = (inspect.getdoc(thing) or "").split("\n")[0]
            yield Row(name, first.split(" The rule is")[0].split(" Source:")[0])


def _tabulated(found: list[Row]) -> list[str]:
    return ["| name | status |", "| --- | --- |", *[f"| `{row.name}` | {row.status} |" for row in found], ""]


def _grouped(found: list[Row]) -> list[str]:
    """The names by their status, what is there first: the lists are long."""
    there = _groups(row for row in found if not row.status.startswith("left out"))
    absent = _groups(row for row in found if row.status.startswith("left out"))
    parts = [f"**{status[0].upper()}{status[1:]}**\n\n{who}\n" for status, who in sorted(there.items())]
    parts += ["**Left out**\n", "| names | why, or what to use |", "| --- | --- |"]
    parts += [f"| {who} | {status.removeprefix('left out: ')} |" for status, who in absent.items()]
    return [*parts, ""]


def _groups(found: Iterable[Row]) -> dict[str, str]:
    """The names with one status together. One that says where to find the same name (`use nn.relu`) is one for all such."""
    groups: dict[str, list[Row]] = {}
    listed = {name.rpartition(".")[2] for name in names()}
    for row in found:
        same = r"\." + row.name.removesuffix("_copy").rstrip("_") + r"_?(?![\w.])"
        kind = row.status if row.name in listed else re.sub(same, ".NAME", row.status)
        groups.setdefault(kind, []).append(row)
    return {
        rows[0].status + (", and so on" if ".NAME" in kind and len(rows) > 1 else ""): ", ".join(
            f"`{row.name}`" for row in rows
        )
        for kind, rows in groups.items()
    }


_KINDS = {"compared": "compared", "there": "there", "left": "left out"}


def page() -> str:
    """The page, in Markdown. Raises ValueError while some name has no status."""
    unknown = [f"{area}.{row.name}" for area in AREAS for row in rows(area) if not row.status]
    if unknown:
        raise ValueError(f"names without a status: {', '.join(unknown)}")
    parts = [
        "# What PyTorch has, and where it stands here\n",
        "Made by `python -m tests.peer_names` from PyTorch 2.13's own lists of names and from the tables of the tests",
        "(`tests/peer_tables`). “Compared” means: the same text runs in both frameworks, and arguments, defaults,",
        "outputs, gradients, state, training and evaluation are the same, in float32 and float64. “There” means that the",
        "name exists and other tests use it. What is left out says why, or what to write instead; so does the",
        "AttributeError when such a name is used.\n",
    ]
    for area in AREAS:
        found = rows(area)
        counts = Counter(row.status.split()[0] for row in found)
        summary = ", ".join(f"{counts[word]} {text}" for word, text in _KINDS.items() if counts[word])
        parts += [f"## {'torch.' * (area != '') + (area or 'torch')}\n", f"{len(found)} names: {summary}.\n"]
        parts += _grouped(found) if area in MIXED else _tabulated(found)
        mine = list(own_names(area))
        if mine:
            parts += [f"Only here, in `chainrule.{area}`:\n", "| name | what it is |", "| --- | --- |"]
            parts += [*[f"| `{row.name}` | {row.status.replace('|', chr(92) + '|')} |" for row in mine], ""]
    return "\n".join(parts)


if __name__ == "__main__":
    with open("docs/pytorch.md", "w", encoding="utf-8") as file:
        file.write(page())
