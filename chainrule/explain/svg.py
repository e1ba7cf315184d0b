"""An explanation as a drawing: left to right, forward values above each line and gradients below it.

A box is what something is made by: an input, a weight, an operation, or a whole module or block where there would be
too many boxes. Behind each box run the lines of its results, and on them stand the numbers; this piece belongs to the
box, so that no number can lie on another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.explain.formulas import plain_formula
from chainrule.explain.nesting import chains_of
from chainrule.explain.page.layout import arrange
from chainrule.explain.text import called, short

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

#: More operations than this are drawn as whole modules and blocks.
MOST_BOXES = 24
LETTER, LINE, MARGIN = 6.9, 40, 16
_SIGNS = {
    "Add": "+", "Subtract": "−", "Multiply": "×", "Divide": "÷", "Negate": "× −1", "Exp": "exp", "Log": "ln",
    "MatMul": "matrix ×", "Maximum": "max", "Minimum": "min", "Power": "xʸ", "Sqrt": "√", "Sum": "Σ", "Permute": "ᵀ",
    "Tanh": "tanh",
}  # fmt: skip

#: Operations whose inputs may change places.
_EVEN = ("+", "×", "max", "min")

_STYLE = """
.explained { font: 12px system-ui, sans-serif; --ink: #1f2328; --box: #f6f8fa; --edge: #6e7781; --forward: #116329;
  --back: #b3261e; --unit: #eef4ff; --ground: #ffffff; }
@media (prefers-color-scheme: dark) { .explained { --ink: #e6edf3; --box: #22272e; --edge: #8b949e; --forward: #7ee787;
  --back: #ff9d94; --unit: #1c2a41; --ground: #14171b; } }
.explained text { fill: var(--ink); }
.explained rect { fill: var(--box); stroke: var(--edge); }
.explained .whole rect { fill: var(--unit); }
.explained .given rect { stroke-dasharray: 3 2; }
.explained .failed rect { stroke: var(--back); stroke-width: 2.5; }
.explained [data-marked] rect { stroke: var(--back); stroke-width: 2; }
.explained :target rect { stroke-width: 4; }
.explained path { fill: none; stroke: var(--edge); }
.explained > .ground { fill: var(--ground); stroke: none; }
.explained marker path { fill: var(--edge); stroke: none; }
.explained .forward { fill: var(--forward); }
.explained .back { fill: var(--back); }
"""


class Box(NamedTuple):
    """What is drawn as one.

    Attributes:
        label: what stands in it.
        kind: "operation", "given", "whole" (a module or block) or "failed".
        results: for each line that leaves it the value's id.
        inputs: the ids of the values that come in, in order.
        about: what a pointer that rests on it is told.
        mark: the path of a module that is to be found, else "".
        alarm: what went wrong here: the first NaN was made; else "".
    """

    label: str
    kind: str
    results: list[str]
    inputs: list[str]
    about: str = ""
    mark: str = ""
    alarm: str = ""


def svg_of(explanation: Explanation, fold: bool | str | None = None, marked: Collection[str] = ()) -> str:
    """The drawing; see `Explanation.svg`."""
    if fold not in (None, True, False, "kernels"):
        raise ValueError(f'fold is True, False, None or "kernels", got {fold!r}.')
    data = explanation.data()
    if fold == "kernels":
        explanation.measured('svg(fold="kernels")')
        data = _by_kernels(data)
    marked = [marked] if isinstance(marked, str) else marked
    values = {value["id"]: value for value in data["values"]}
    boxes = _boxes(data, values, fold, _modules_at(data, marked))
    return _Drawing(boxes, values, data).text()


# ----------------------------------------------------------------------------------------- what is drawn


def _by_kernels(data: dict[str, Any]) -> dict[str, Any]:
    """The data with kernels for groups: what was fused is one box."""
    groups = [
        {
            **{"id": kernel["id"], "kind": "kernel", "parent": None, "count": 1, "class": ""},
            "name": f"{_operations(data, kernel['id'])}  {kernel['microseconds']:.0f} µs, {kernel['share']:.0%}",
        }
        for kernel in data["kernels"]
    ]
    return {**data, "groups": groups, "nodes": [{**node, "group": node["kernel"]} for node in data["nodes"]]}


def _operations(data: dict[str, Any], kernel: str) -> str:
    """The names of a kernel's operations, four at most."""
    names = [node["operation"] for node in data["nodes"] if node["kernel"] == kernel]
    return " · ".join(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"])


def _modules_at(data: dict[str, Any], paths: Collection[str]) -> dict[str, str]:
    """For each of these paths, of modules or of their parameters, the first group that is the module: ids to names."""
    first: dict[str, str] = {}
    for group in data["groups"]:
        if group["kind"] == "module":
            first.setdefault(group["name"], group["id"])
    found = (next((p for p in (path, path.rpartition(".")[0]) if p in first), None) for path in paths)
    return {first[path]: path for path in found if path}


def _boxes(data: dict[str, Any], values: dict[str, Any], fold: bool | str | None, marked: dict[str, str]) -> list[Box]:
    """The boxes in the order of the computation, groups closed until there are few enough."""
    chains = chains_of(data["groups"])
    deepest = max((len(chains[node["group"]]) for node in data["nodes"]), default=0)
    if fold == "kernels":
        return _closed(data, values, chains, 0, marked)
    if fold is False:
        return _closed(data, values, chains, deepest, marked)
    if fold is True:
        return _closed(data, values, chains, -1, marked)
    boxes: list[Box] = []
    for depth in range(deepest, -1, -1):
        boxes = _closed(data, values, chains, depth, marked)
        if sum(box.kind != "given" for box in boxes) <= MOST_BOXES:
            break
    return boxes


def _closed(
    data: dict[str, Any],
    values: dict[str, Any],
    chains: dict[str | None, tuple[str, ...]],
    depth: int,
    marked: dict[str, str],
) -> list[Box]:
    """Groups below `depth` are one box each; with −1 only blocks that have a gradient of their own are.

    A group with a marked one in it stays open, so that this is seen.
    """
    groups = {group["id"]: group for group in data["groups"]}
    around = {outer for group in marked for outer in chains[group][:-1]}
    wrong = data["first_nan"]
    units: dict[Any, list[dict[str, Any]]] = {}
    for node in data["nodes"]:
        chain = chains[node["group"]]
        if depth < 0:
            closed = (group for group in chain if "contributions" in groups[group])
        else:
            closed = (group for group in chain[depth:] if group not in around)
        units.setdefault(next(closed, None) or node["id"], []).append(node)
    inside = {value: unit for unit, nodes in units.items() for node in nodes for value in node["outputs"]}
    used: dict[str, set[Any]] = {}
    for unit, nodes in units.items():
        for node in nodes:
            for value in node["inputs"]:
                used.setdefault(value, set()).add(unit)
    boxes = []
    for unit, nodes in units.items():
        group = groups.get(unit)
        shown = [x for node in nodes for x in node["inputs"] if inside.get(x) != unit]
        if group is not None:
            shown = [x for x in dict.fromkeys(shown) if values[x]["kind"] in ("input", "result")]
        made = [x for node in nodes for x in node["outputs"]]
        leaving = [x for x in made if used.get(x, set()) - {unit} or x in data["outputs"]]
        box = _box(group, nodes[0], leaving if group or leaving else made, shown, len(nodes))
        alarm = wrong["message"] if wrong and any(node["id"] == wrong["node"] for node in nodes) else ""
        boxes.append(box._replace(mark=marked.get(unit, ""), alarm=alarm))
    wanted = {x for box in boxes for x in box.inputs}
    given = [Box(called(v), "given", [x], []) for x, v in values.items() if x in wanted and x not in inside]
    return [*given, *boxes]


def _box(group: Any, node: dict[str, Any], results: list[str], inputs: list[str], count: int) -> Box:
    if group is not None:
        times = f" ×{group['count']}" if group["count"] > 1 else ""
        kind = "" if group["class"] in ("", group["name"]) else f" {group['class']}"
        return Box(f"{group['name']}{kind}{times}", "whole", results, inputs, f"{count} operations")
    about = plain_formula(node["substituted"] or node["formula"])
    if node["failed"]:
        return Box(f"✗ {node['operation']}", "failed", [], inputs, node["failed"]["message"])
    return Box(_SIGNS.get(node["operation"], node["operation"]), "operation", results, inputs, about)


# ----------------------------------------------------------------------------------------- how it is drawn


class _Drawing:
    def __init__(self, boxes: Sequence[Box], values: dict[str, Any], data: dict[str, Any]) -> None:
        self.boxes, self.values, self.data = boxes, values, data
        self.makers = {value: (i, j) for i, box in enumerate(boxes) for j, value in enumerate(box.results)}
        self.inner = [max(34.0, len(box.label) * LETTER + 18) for box in boxes]
        self.outer = [max([28.0, *[self._label_width(x) for x in box.results]]) for box in boxes]
        self.heights = [float(max(LINE, LINE * len(box.results), 14 * len(box.inputs) + 8)) for box in boxes]
        self.lines = [
            (self.makers[x][0], i, x, k)
            for i, box in enumerate(boxes)
            for k, x in enumerate(box.inputs)
            if x in self.makers
        ]
        sizes = [
            (inner + (outer if box.results else 0), height)
            for box, inner, outer, height in zip(boxes, self.inner, self.outer, self.heights, strict=True)
        ]
        self.layout = arrange(sizes, [(u, v) for u, v, _, _ in self.lines], long=len(boxes))
        self.entries = [self._entries(i, box) for i, box in enumerate(boxes)]

    def _entries(self, i: int, box: Box) -> list[int]:
        """Where each input comes in, from above: where order means nothing, in that of the lines."""
        if box.label not in _EVEN and box.kind != "whole":
            return list(range(len(box.inputs)))
        heights = {k: self._height_before(number) for number, (_, v, _, k) in enumerate(self.lines) if v == i}
        order = sorted(range(len(box.inputs)), key=lambda k: heights.get(k, 0.0))
        return [order.index(k) for k in range(len(box.inputs))]

    def _height_before(self, number: int) -> float:
        """How high a line is in front of its last piece."""
        start, _, value, _ = self.lines[number]
        bends = self.layout.bends[number]
        results = self.boxes[start].results
        return float(bends[-1][1]) if bends else self._height_of(start, results.index(value), len(results))

    def _texts(self, name: str) -> tuple[str, str]:
        """What stands above and below a line."""
        value = self.values[name]
        gradient = value["gradient"]
        if value["kind"] == "constant" and value["name"] is None and called(value) != "constant":
            return "", ""  # a number that a formula brings: the box says it already
        return short(value), short(gradient, value["shape"]) if gradient else ""

    def _label_width(self, name: str) -> float:
        return max(map(len, self._texts(name))) * LETTER + 14

    def text(self) -> str:
        width, height = self.layout.width + 2 * MARGIN, self.layout.height + 2 * MARGIN
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="explained" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="{-MARGIN} {-MARGIN} {width:.0f} {height:.0f}">',
            f"<title>{escape(str(self.data['title']))}</title><style>{_STYLE}</style>",
            # A page may be light where the system is dark: what is to be read stands on a ground of its own.
            f'<path class="ground" d="M{-MARGIN} {-MARGIN}h{width:.0f}v{height:.0f}h{-width:.0f}z"/>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z"/></marker></defs>',
        ]
        parts += [self._line(number, *line) for number, line in enumerate(self.lines)]
        parts += [self._drawn(i, box) for i, box in enumerate(self.boxes)]
        return "\n".join([*parts, "</svg>"])

    def _height_of(self, box: int, place: int, count: int) -> float:
        """The height of the line number `place` of `count` at a box."""
        return float(self.layout.places[box][1]) + self.heights[box] * (place + 0.5) / count

    def _line(self, number: int, start: int, end: int, value: str, place: int) -> str:
        source, target = self.boxes[start], self.boxes[end]
        x, _ = self.layout.places[start]
        y = self._height_of(start, source.results.index(value), len(source.results))
        points = [(x + self.inner[start] + self.outer[start], y), *(self.layout.bends[number] or [])]
        points.append((self.layout.places[end][0], self._height_of(end, self.entries[end][place], len(target.inputs))))
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            middle = (x0 + x1) / 2
            path += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        return f'<path d="{path}" marker-end="url(#tip)"/>'

    def _drawn(self, i: int, box: Box) -> str:
        x, y = self.layout.places[i]
        height = min(28.0 if len(box.inputs) < 3 else 14.0 * len(box.inputs), self.heights[i])
        height = self.heights[i] - 10 if len(box.results) > 1 else height
        middle = y + self.heights[i] / 2
        rounded = 14 if box.kind == "operation" else 4
        told = "\n".join(filter(None, (box.alarm, box.about)))
        about = f"<title>{escape(told)}</title>" if told else ""
        kind = f"{box.kind} failed" if box.alarm else box.kind
        mark = f' id="node-{escape(box.mark)}" data-marked=""' if box.mark else ""
        parts = [
            f'<g class="{kind}"{mark}>{about}'
            f'<rect x="{x:.1f}" y="{middle - height / 2:.1f}" width="{self.inner[i]:.1f}" '
            f'height="{height:.1f}" rx="{rounded}"/><text x="{x + self.inner[i] / 2:.1f}" y="{middle + 4:.1f}" '
            f'text-anchor="middle">{escape(box.label)}</text>'
        ]
        for place, value in enumerate(box.results):
            at, left = self._height_of(i, place, len(box.results)), x + self.inner[i]
            above, below = self._texts(value)
            tip = ' marker-end="url(#tip)"' if value in self.data["outputs"] else ""
            parts.append(f'<path d="M{left:.1f} {at:.1f}h{self.outer[i]:.1f}"{tip}/>')
            for kind, height, words in (("forward", at - 5, above), ("back", at + 14, below)):
                if words:
                    parts.append(f'<text class="{kind}" x="{left + 6:.1f}" y="{height:.1f}">{escape(words)}</text>')
        return "".join([*parts, "</g>"])
