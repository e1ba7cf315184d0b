"""Which boxes and lines each group shows when it is open.

A group shows its own operations and its subgroups as boxes. A line from an operation in one group to one in another is
cut at the borders between them: in the smallest group that holds both it joins two boxes; in each group on the way it
runs to or from a *port* on the border. So every group can be laid out alone, and opening one never moves what is
inside of another. Where many values go from one box to another (all that a backward pass needs of the forward pass),
they share one line and one port.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from chainrule.explain.nesting import chains_of
from chainrule.explain.page.layout import Layout, arrange

#: Sizes of boxes.
OPERATION_HEIGHT, LEAF_HEIGHT, GROUP_HEIGHT = 40, 28, 56
#: Width of a character of a label, and what a box has besides.
LETTER, SIDES = 8.0, 26
#: More values than this from one box to another share a line.
FEW = 4

Data = dict[str, Any]
#: What a box is: ("node" | "value" | "group", its place in the data), or ("in" | "out", the number of a port).
Box = tuple[str, int]
#: For the place of each group those that it lies in, from the whole inwards, itself at the end.
Chains = dict[int, tuple[int, ...]]
ROOT = -1


class Line(NamedTuple):
    """A line between two boxes, given by their places: the values that go along it, and the port where it ends."""

    start: int
    end: int
    port: int
    values: list[int]


class Group(NamedTuple):
    """What an open group shows: boxes in the order of the computation, lines between them, and where all that is."""

    boxes: list[Box]
    sizes: list[tuple[float, float]]
    lines: list[Line]
    layout: Layout


class _Contents:
    """What is collected for one group before it is laid out: boxes with the time they come at, and lines."""

    def __init__(self) -> None:
        self.time: dict[Box, float] = {}
        self.lines: dict[tuple[Box, Box, int], dict[int, None]] = {}

    def add(self, box: Box, time: float) -> None:
        self.time[box] = min(time, self.time.get(box, time))

    def join(self, start: Box, end: Box, port: int, value: int) -> None:
        self.lines.setdefault((start, end, port), {})[value] = None


def lay_out_groups(data: Data) -> dict[int, Group]:
    """Every group of an explanation's data laid out, by its place among the groups; `ROOT` is the whole."""
    known: dict[Any, Layout] = {}
    titles = titles_of(data["groups"])
    return {place: _lay_out(data, titles, content, known) for place, content in collect(data).items()}


def _lay_out(data: Data, titles: Sequence[str], content: _Contents, known: dict[Any, Layout]) -> Group:
    """One group laid out, or placed as one that is drawn alike: the blocks of a network are."""
    boxes = sorted(content.time, key=content.time.__getitem__)
    place = {box: i for i, box in enumerate(boxes)}
    lines = [Line(place[u], place[v], port, list(values)) for (u, v, port), values in content.lines.items()]
    first = [i for i, (kind, _) in enumerate(boxes) if kind == "in"]
    last = [i for i, (kind, _) in enumerate(boxes) if kind == "out"]
    sizes = [size_of(data, titles, box) for box in boxes]
    drawing = tuple(sizes), tuple((line.start, line.end) for line in lines), tuple(first), tuple(last)
    if drawing not in known:
        known[drawing] = arrange(*drawing)
    return Group(boxes, sizes, lines, known[drawing])


def size_of(data: Data, titles: Sequence[str], box: Box) -> tuple[float, float]:
    """Width and height of a box that is not open."""
    kind, place = box
    if kind in ("in", "out"):
        return 0, 6
    if kind == "group":
        group = data["groups"][place]
        name, what = titles[place], group.get("class") or ""
        return max(96, round(LETTER * max(len(name), len(what)) + SIDES + 18)), GROUP_HEIGHT
    if kind == "value":
        return max(40, round(LETTER * len(label_of(data["values"][place])) + SIDES - 6)), LEAF_HEIGHT
    return max(72, round(LETTER * len(data["nodes"][place]["operation"]) + SIDES)), OPERATION_HEIGHT


def titles_of(groups: Sequence[Data]) -> list[str]:
    """Each group's name, as it is called within the group around it, with how many equal ones it stands for."""
    names = {group["id"]: str(group["name"]) for group in groups}
    short = [str(group["name"]).removeprefix(f"{names.get(group.get('parent'))}.") for group in groups]
    counts = [group.get("count") or 1 for group in groups]
    return [f"{name} ×{count}" if count > 1 else name for name, count in zip(short, counts, strict=True)]


def label_of(value: Data) -> str:
    """What stands in the box of a value that no operation made: its name's last parts, or its number."""
    if value.get("name"):
        return ".".join(str(value["name"]).split(".")[-2:])
    numbers = value.get("numbers")
    if numbers is not None and not isinstance(numbers, list):
        return f"{numbers:.6g}" if isinstance(numbers, float) else str(numbers)
    return str(value["kind"])


def collect(data: Data) -> dict[int, _Contents]:
    """The boxes and lines of every group."""
    group_at = {group["id"]: i for i, group in enumerate(data["groups"])}
    value_at = {value["id"]: i for i, value in enumerate(data["values"])}
    chains = {
        group_at.get(name, ROOT): (ROOT, *map(group_at.__getitem__, chain))
        for name, chain in chains_of(data["groups"]).items()
    }
    contents: dict[int, _Contents] = {place: _Contents() for place in (ROOT, *range(len(data["groups"])))}
    maker: dict[int, Box] = {}
    home: dict[Box, int] = {}
    for time, node in enumerate(data["nodes"]):
        home["node", time] = group_at.get(node.get("group"), ROOT)
        for output in node["outputs"]:
            maker[value_at[output]] = ("node", time)
    times: dict[Box, float] = {box: box[1] for box in home}
    for time, node in enumerate(data["nodes"]):
        for value in (value_at[x] for x in node["inputs"]):
            if value not in maker and data["values"][value]["kind"] == "constant":
                contents[home["node", time]].add(("value", value), time - 0.5)
            elif value not in maker:  # a leaf: a weight stands where it is used first, an input before all
                box = maker[value] = ("value", value)
                is_input = data["values"][value]["kind"] == "input"
                times[box] = -1.0 if is_input else time - 0.5
                home[box] = ROOT if is_input else home["node", time]
    for box, place in home.items():
        _place(contents, chains, place, box, times[box])
    ways = []
    for time, node in enumerate(data["nodes"]):
        for value in dict.fromkeys(value_at[x] for x in node["inputs"]):
            source = maker.get(value, ("value", value))
            # A constant stands in each group that uses it.
            from_where = home.get(source, home["node", time])
            ways.append(_Way(chains, from_where, source, home["node", time], ("node", time), value))
    for way, port in zip(ways, _ports(ways), strict=True):
        way.draw(contents, port)
    return contents


def _place(contents: dict[int, _Contents], chains: Chains, group: int, box: Box, time: float) -> None:
    """Put a box into its group, and the groups around it into theirs."""
    chain = chains[group]
    contents[group].add(box, time)
    for outer, inner in itertools.pairwise(chain):
        contents[outer].add(("group", inner), time)


class _Way:
    """The way of a value from what made it to one operation that uses it, cut at the borders of groups.

    Attributes:
        common: the smallest group that holds both.
        start, end: the boxes on either side, from the one that `common` shows inwards.
    """

    def __init__(self, chains: Chains, home: int, source: Box, goal: int, target: Box, value: int) -> None:
        self.value = value
        out, into = chains[home], chains[goal]
        shared = 0
        while shared < min(len(out), len(into)) and out[shared] == into[shared]:
            shared += 1
        self.common, self.left, self.entered = out[shared - 1], out[shared:], into[shared:]
        self.start, self.end = [*_groups(self.left), source], [*_groups(self.entered), target]

    def draw(self, contents: dict[int, _Contents], port: int) -> None:
        """Add the parts of the line to the groups that they are in."""
        contents[self.common].join(self.start[0], self.end[0], port, self.value)
        for group, box in zip(self.left, self.start[1:], strict=True):
            contents[group].add(("out", port), float("inf"))
            contents[group].join(box, ("out", port), port, self.value)
        for group, box in zip(self.entered, self.end[1:], strict=True):
            contents[group].add(("in", port), float("-inf"))
            contents[group].join(("in", port), box, port, self.value)


def _ports(ways: Sequence[_Way]) -> list[int]:
    """A number for each way: few values between two boxes have one each, many have one together."""
    between: dict[tuple[int, Box, Box], set[int]] = {}
    for way in ways:
        between.setdefault((way.common, way.start[0], way.end[0]), set()).add(way.value)
    numbers: dict[Any, int] = {}
    found = []
    for way in ways:
        ends = way.common, way.start[0], way.end[0]
        key = (*ends, way.value) if len(between[ends]) <= FEW else ends
        found.append(numbers.setdefault(key, len(numbers)))
    return found


def _groups(places: Iterable[int]) -> list[Box]:
    return [("group", place) for place in places]
