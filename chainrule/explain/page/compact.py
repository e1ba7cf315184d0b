"""An explanation's data as the page embeds it: places in lists instead of names, and where everything stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainrule.explain.page.groups import Data, lay_out_groups
from chainrule.explain.page.mathematics import to_mathml
from chainrule.primitives.primitive import registry

_KINDS = ("node", "value", "group", "in", "out")
#: What the page makes itself.
_LEFT_OUT = ("substituted", "arguments", "path")
#: The parts of data that stay exactly as they are: numbers, and what is nothing but small whole numbers.
_EXACT = ("numbers", "statistics", "settings", "local", "shape", "boxes", "lines", "inputs", "outputs", "histogram")


def compact(data: Data) -> Data:
    """The data with references as places in the lists, without what is empty, and with the layout of every group."""
    values, groups = _places(data["values"]), _places(data["groups"])
    kernels = _places(data.get("kernels") or [])
    backward = data.get("backward") or {"values": [], "nodes": []}
    values.update({value["id"]: len(data["values"]) + i for i, value in enumerate(backward["values"])})
    gradients = {value["id"]: value["gradient"] for value in data["values"] if value.get("gradient")}
    formulas, files = _Table(), _Table()

    def node(given: Data) -> Data:
        line = given.get("line")
        return {
            **given,
            "formula": formulas.place(_formula(given)),
            "inputs": [values[x] for x in given["inputs"]],
            "outputs": [values[x] for x in given["outputs"]],
            "group": groups.get(given.get("group"), -1),
            "line": line and [files.place(line[0]), line[1]],
            "kernel": kernels.get(given.get("kernel")),
            **dict.fromkeys(_LEFT_OUT),
            "contributions": [
                c
                and _with_place(
                    _without_known(c, gradients.get(to), gradients.get(next(iter(given["outputs"]), None))), values
                )
                for c, to in zip(given.get("contributions") or [], given["inputs"], strict=False)
            ],
        }

    result = {
        "title": data["title"],
        "framework": data["framework"],
        "values": [_value(value, values) for value in data["values"]],
        "nodes": [node(given) for given in data["nodes"]],
        "groups": [_group(group, groups, values) for group in data["groups"]],
        "kernels": data.get("kernels"),
        "first_nan": _first_nan(data, groups),
        "outputs": [values[x] for x in data.get("outputs") or []],
        "backward": {"values": backward["values"], "nodes": [node(given) for given in backward["nodes"]]},
        "layouts": {str(place): _layout(group) for place, group in lay_out_groups(data).items()},
    }
    result = {**result, "formulas": formulas.entries, "files": [_from_here(file) for file in files.entries]}
    return {name: _tidy(part) for name, part in result.items()}


def _from_here(file: str) -> str:
    """The name of a file as seen from the folder that one is in, where it lies below."""
    path = Path(file)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else file


def _places(entries: list[Data]) -> dict[Any, int]:
    return {entry["id"]: i for i, entry in enumerate(entries)}


class _Table:
    """Entries that come again and again, each kept once."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._known: dict[str, int] = {}

    def place(self, entry: str) -> int:
        if entry not in self._known:
            self._known[entry] = len(self.entries)
            self.entries.append(entry)
        return self._known[entry]


def _formula(node: Data) -> str:
    formula = node.get("formula") or ""
    if formula.startswith("<math"):
        return formula
    primitive = registry.get(node["operation"])
    arguments = (*primitive.arguments, primitive.variadic) if primitive else ()
    return to_mathml(formula, tuple(name for name in arguments if name))


def _first_nan(data: Data, groups: dict[Any, int]) -> Data | None:
    """What made the first NaN, by its place."""
    found = data.get("first_nan")
    if found is None:
        return None
    nodes = _places(data["nodes"])
    return {**found, "node": nodes[found["node"]], "group": groups.get(found.get("group"))}


def _group(group: Data, groups: dict[Any, int], values: dict[Any, int]) -> Data:
    ends = {name: [values[x] for x in group.get(name) or []] for name in ("inputs", "outputs")}
    return {**group, **ends, "parent": groups.get(group.get("parent"), -1)}


def _value(value: Data, values: dict[Any, int]) -> Data:
    gradient = value.get("gradient")
    return {**value, "gradient": gradient and _with_place(gradient, values)}


def _without_known(contribution: Data, arrived: Data | None, upstream: Data | None) -> Data:
    """A contribution without what values say already: all that arrived at its input, or at its operation's result."""
    said = {"downstream": arrived, "upstream": upstream}
    same = [name for name, known in said.items() if known and _says(contribution.get(name)) == _says(known)]
    return {**contribution, **dict.fromkeys(same)}


def _says(numbers: Data | None) -> Any:
    return numbers and (numbers.get("numbers"), numbers.get("statistics"))


def _with_place(gradient: Data, values: dict[Any, int]) -> Data:
    """A gradient, or one contribution to it, with the place of the value of the backward graph that it is."""
    return {**gradient, "value": values[gradient["value"]]} if gradient.get("value") else gradient


def _layout(group: Any) -> Data:
    sizes = group.layout
    boxes = [
        [_KINDS.index(kind), place, round(x), round(y), *group.sizes[i]]
        for i, ((kind, place), (x, y)) in enumerate(zip(group.boxes, sizes.places, strict=True))
    ]
    lines = [
        [*line, *([None] if bends is None else [round(number) for point in bends for number in point])]
        for line, bends in zip(group.lines, sizes.bends, strict=True)
    ]
    return {"boxes": boxes, "lines": lines, "width": round(sizes.width), "height": round(sizes.height)}


def _tidy(part: Any) -> Any:
    """Without entries that say nothing, and with six digits where numbers only describe others."""
    if isinstance(part, dict):
        return {
            name: entry if name in _EXACT else _tidy(entry)
            for name, entry in part.items()
            if entry is not None and (entry or name in _EXACT or not isinstance(entry, list | dict))
        }
    if isinstance(part, list | tuple):
        return [_tidy(entry) for entry in part]
    return float(f"{part:.6g}") if isinstance(part, float) else part
