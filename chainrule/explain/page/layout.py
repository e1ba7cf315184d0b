"""Where the boxes of one graph stand: in layers from left to right, with few crossings and straight lines.

The layered drawing of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system structures",
1981), in four steps:

1. *Layers.* Everything stands right of what it uses: the longest path from the beginning. What uses nothing (a weight)
   stands just before its first use.
2. *Long lines* get an invisible box in every layer that they cross, so that they have a way between the others.
3. *Order.* Each box goes to the mean place of its neighbours (the barycentre), layer by layer, to and fro; the order
   with the fewest crossings is kept.
4. *Places.* Each layer is moved to where its neighbours are as nearly as order and distance allow: that is isotonic
   regression, which pooling adjacent violators solves exactly.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: Space between layers, and between neighbours within one.
BETWEEN_LAYERS, BETWEEN_BOXES = 72.0, 18.0
#: Lines over more layers than this are not led between the boxes: they would cost a box for each layer, and many of
#: them (a constant that everything uses) hide what they join. The page shows their ends, and the whole when asked.
LONG = 10
#: With more lines than this the order is swept a few times only, and crossings are not counted.
MANY = 3000


class Layout(NamedTuple):
    """Where everything stands.

    Attributes:
        places: for each box the left and the upper end.
        bends: for each line the points between its two ends, from left to right; None for one that is too long.
        width, height: of all.
    """

    places: list[tuple[float, float]]
    bends: list[list[tuple[float, float]] | None]
    width: float
    height: float


@dataclass
class _Drawing:
    """Boxes, visible ones first, with their neighbours to the left and to the right."""

    widths: list[float]
    heights: list[float]
    layer: list[int]
    left: list[list[int]] = field(default_factory=list)
    right: list[list[int]] = field(default_factory=list)
    layers: list[list[int]] = field(default_factory=list)
    visible: int = 0

    def connect(self, u: int, v: int) -> None:
        self.right[u].append(v)
        self.left[v].append(u)

    def add_bend(self, layer: int) -> int:
        for numbers in (self.widths, self.heights):
            numbers.append(0.0)
        self.layer.append(layer)
        self.left.append([])
        self.right.append([])
        return len(self.layer) - 1


def arrange(
    sizes: Sequence[tuple[float, float]],
    lines: Sequence[tuple[int, int]],
    first: Sequence[int] = (),
    last: Sequence[int] = (),
    long: int = LONG,
) -> Layout:
    """Lay out boxes that are joined by lines.

    Args:
        sizes: width and height of each box. Their order is that of the computation: a line from a later to an earlier
            box goes back and does not decide where they stand.
        lines: pairs of places in `sizes`, from and to.
        first, last: boxes that stand before, or behind, all others.
        long: lines over more layers than this are not led between the boxes.

    >>> arrange([(40, 20), (40, 20), (40, 20)], [(0, 1), (0, 2)]).places
    [(0.0, 19.0), (112.0, 0.0), (112.0, 38.0)]
    """
    layer = _layers(len(sizes), lines, set(first), set(last))
    drawing = _Drawing([w for w, _ in sizes], [h for _, h in sizes], layer, visible=len(sizes))
    drawing.left, drawing.right = [[] for _ in sizes], [[] for _ in sizes]
    chains = _lead_lines(drawing, lines, long)
    drawing.layers = [[] for _ in range(max(drawing.layer, default=-1) + 1)]
    for box, place in enumerate(drawing.layer):
        drawing.layers[place].append(box)
    _order(drawing)
    x, y = _columns(drawing), _rows(drawing)
    top = min((y[i] - h / 2 for i, h in enumerate(drawing.heights)), default=0.0)
    places = [(x[i][0] + (x[i][1] - w) / 2, y[i] - h / 2 - top) for i, (w, h) in enumerate(sizes)]
    bends = [
        None if chain is None else [p for box in chain for p in _through(x[box], y[box] - top)] for chain in chains
    ]
    width = max((left + extent for left, extent in x), default=0.0)
    height = max((y[i] + h / 2 - top for i, h in enumerate(drawing.heights)), default=0.0)
    return Layout(places, bends, width, height)


def _through(column: tuple[float, float], y: float) -> list[tuple[float, float]]:
    """A line passes a layer level, from its left to its right end."""
    left, width = column
    return [(left, y), (left + width, y)] if width else [(left, y)]


# ------------------------------------------------------------------------------------------------- 1: layers


def _layers(count: int, lines: Sequence[tuple[int, int]], first: set[int], last: set[int]) -> list[int]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for u, v in lines:
        if u < v:
            before[v].append(u)
            after[u].append(v)
    start = 1 if first else 0
    layer = [0] * count
    for v in range(count):
        if v not in first:
            layer[v] = max((layer[u] + 1 for u in before[v]), default=start)
    for v in reversed(range(count)):
        if not before[v] and after[v] and v not in first:
            layer[v] = max(start, min(layer[w] for w in after[v]) - 1)
    end = max((layer[v] for v in range(count) if v not in last), default=-1) + 1
    for v in last:
        layer[v] = end
    return layer


# --------------------------------------------------------------------------------------------- 2: long lines


def _lead_lines(drawing: _Drawing, lines: Sequence[tuple[int, int]], long: int) -> list[list[int] | None]:
    """Connect the boxes, over invisible ones where a line crosses layers. For each line the boxes in between."""
    chains: list[list[int] | None] = []
    known: dict[tuple[int, int], list[int]] = {}
    for u, v in lines:
        span = drawing.layer[v] - drawing.layer[u]
        if u >= v or span < 1:
            chains.append([])
            continue
        if span > long:
            chains.append(None)
            continue
        if (u, v) not in known:
            chain = [drawing.add_bend(drawing.layer[u] + i) for i in range(1, span)]
            for a, b in zip([u, *chain], [*chain, v], strict=True):
                drawing.connect(a, b)
            known[u, v] = chain
        chains.append(known[u, v])
    return chains


# -------------------------------------------------------------------------------------------------- 3: order


def _order(drawing: _Drawing) -> None:
    lines = sum(map(len, drawing.right))
    place = [0.0] * len(drawing.layer)
    for boxes in drawing.layers:
        for i, box in enumerate(boxes):
            place[box] = i
    best, fewest = [list(boxes) for boxes in drawing.layers], _crossings(drawing) if lines <= MANY else -1
    for sweep in range(12 if lines <= MANY else 4):
        if fewest == 0:
            break
        forwards = sweep % 2 == 0
        neighbours = drawing.left if forwards else drawing.right
        for boxes in drawing.layers if forwards else reversed(drawing.layers):
            for box in boxes:
                if near := neighbours[box]:
                    place[box] = sum([place[n] for n in near]) / len(near)
            boxes.sort(key=place.__getitem__)
            for i, box in enumerate(boxes):
                place[box] = i
        crossings = _crossings(drawing) if lines <= MANY else -1
        if crossings <= fewest:
            best, fewest = [list(boxes) for boxes in drawing.layers], crossings
    drawing.layers = best


def _crossings(drawing: _Drawing) -> int:
    """How many pairs of lines between neighbouring layers cross."""
    total = 0
    for boxes, following in zip(drawing.layers, drawing.layers[1:], strict=False):
        place = {box: i for i, box in enumerate(following)}
        ends: list[int] = []
        for box in boxes:
            mine = [place[n] for n in drawing.right[box]]
            total += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return total


# ------------------------------------------------------------------------------------------------- 4: places


def _columns(drawing: _Drawing) -> list[tuple[float, float]]:
    """For each box where its layer begins and how wide that is."""
    columns, x = [(0.0, 0.0)] * len(drawing.layer), 0.0
    for boxes in drawing.layers:
        width = max((drawing.widths[box] for box in boxes), default=0.0)
        for box in boxes:
            columns[box] = (x, width)
        x += width + BETWEEN_LAYERS
    return columns


def _rows(drawing: _Drawing) -> list[float]:
    """The height of each box's middle."""
    y = [0.0] * len(drawing.layer)
    gaps = [_gaps(drawing, boxes) for boxes in drawing.layers]
    for boxes, between in zip(drawing.layers, gaps, strict=True):
        for box, place in zip(boxes, spaced([0.0] * len(boxes), [1.0] * len(boxes), between), strict=True):
            y[box] = place
    sweeps = 8 if len(y) <= MANY else 4
    # How much a line wants to be straight: most where it runs between invisible boxes.
    pulls, visible = (1.0, 2.0, 8.0), drawing.visible
    for sweep in range(sweeps + 1):
        forwards = sweep % 2 == 0
        # The last sweep looks both ways.
        sides = [drawing.left, drawing.right] if sweep == sweeps else [drawing.left if forwards else drawing.right]
        steps = list(zip(drawing.layers, gaps, strict=True))
        for boxes, between in steps if forwards else reversed(steps):
            wanted, weights = [], []
            for box in boxes:
                weight = moment = 0.0
                for side in sides:
                    for n in side[box]:
                        pull = pulls[(box >= visible) + (n >= visible)]
                        weight += pull
                        moment += pull * y[n]
                wanted.append(moment / weight if weight else y[box])
                weights.append(weight or 0.1)
            for box, place in zip(boxes, spaced(wanted, weights, between), strict=True):
                y[box] = place
    return y


def _gaps(drawing: _Drawing, boxes: Sequence[int]) -> list[float]:
    """The least distances between the middles of neighbours."""
    heights = drawing.heights
    return [(heights[a] + heights[b]) / 2 + BETWEEN_BOXES for a, b in itertools.pairwise(boxes)]


def spaced(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones (least squares) that keep the order and the least distances.

    >>> spaced([0, 0, 9], [1, 1, 1], [4, 4])
    [-2.0, 2.0, 9.0]
    """
    # With the distances subtracted the places only have to rise: neighbours that do not are pooled at their mean.
    pools: list[list[float]] = []  # mean, weight, how many
    shift, shifts = 0.0, []
    for i, (place, weight) in enumerate(zip(wanted, weights, strict=True)):
        shift += gaps[i - 1] if i else 0.0
        shifts.append(shift)
        pools.append([place - shift, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, heavy, count = pools.pop()
            other = pools[-1]
            pools[-1] = [
                (other[0] * other[1] + mean * heavy) / (other[1] + heavy), other[1] + heavy, other[2] + count
            ]  # fmt: skip
    flat = [mean for mean, _, count in pools for _ in range(int(count))]
    return [place + shift for place, shift in zip(flat, shifts, strict=True)]
