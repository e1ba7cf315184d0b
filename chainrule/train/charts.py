"""Charts of a report as SVG: curves over epochs or batches, points, and how often one class was taken for another.

They take the colours of the page that they stand in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

STYLE = """
.chart { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; fill: var(--ink); }
.chart .axis { stroke: var(--line); fill: none; } .chart .dots { stroke-linecap: round; stroke-width: 5; }
.chart .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.chart .first { stroke: var(--mark); } .chart .second { stroke: #d9731a; stroke-dasharray: 5 3; }
.chart .cell { fill: var(--mark); } .chart .over { fill: #fff; }
"""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 500, 340, 78, 12, 24, 44
#: A curve of more points keeps the lowest and the highest of each of so many parts.
PARTS = 400
#: From so many classes on the counts are not written.
MANY = 20


class Curve(NamedTuple):
    """Numbers to be drawn, points without a line if `dots`; without a label they are not in the legend."""

    xs: Sequence[float]
    ys: Sequence[float]
    label: str = ""
    dots: bool = False


class Axis:
    """From numbers to places between two ends, and where a number is written.

    Numbers that are not finite, or not positive on a logarithmic axis, have no place.
    """

    def __init__(
        self, numbers: Iterable[float], start: float, end: float, *, logarithmic: bool = False, whole: bool = False
    ) -> None:
        self.logarithmic, self._start, self._end = logarithmic, start, end
        shown = [self._scaled(x) for x in numbers if self.has(x)] or [0.0, 1.0]
        low, high = min(shown), max(shown)
        margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
        self.low, self.high = low - margin, high + margin
        self.ticks = self._powers() if logarithmic else _steps(self.low, self.high, whole)

    def has(self, number: float) -> bool:
        """Whether a number has a place."""
        return 1e-290 < number < 1e290 if self.logarithmic else abs(number) < 1e300

    def place(self, number: float) -> float:
        """Where a number stands."""
        share = (self._scaled(number) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def _scaled(self, number: float) -> float:
        return math.log10(number) if self.logarithmic else float(number)

    def _powers(self) -> list[tuple[float, str]]:
        """Powers of ten; if there are few, twice and five times as much too."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        for factors in ((1,), (1, 2, 5)):
            ticks = [m * 10.0**e for e in powers for m in factors if self.low <= math.log10(m * 10.0**e) <= self.high]
            if len(ticks) > 2:
                break
        return [(x, f"{x:.4g}") for x in ticks[:: -(-len(ticks) // 8) or 1]]


def _steps(low: float, high: float, whole: bool) -> list[tuple[float, str]]:
    """At most six multiples of 1, 2 or 5 times a power of ten, with as many digits as tell them apart."""
    wanted = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)
    step = max(step, 1.0) if whole else step
    ticks = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    largest = max(abs(low), abs(high))
    if 1e-3 <= largest < 1e6:
        return [(x, f"{x:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}") for x in ticks]
    return [(x, f"{x:.{min(15, math.ceil(math.log10(largest / step)) + 1)}g}") for x in ticks]


def chart(curves: Sequence[Curve], x: str, y: str, *, whole: bool = False, logarithmic: bool = False) -> str:
    """One curve or two over one axis, the second one dashed.

    `whole`: there is nothing between the whole numbers of the x axis; `logarithmic`: the y axis is.

    >>> drawing = chart([Curve([1, 2], [0.5, 0.25], "train")], "epoch", "loss", whole=True)
    >>> drawing.startswith("<svg") and ">loss</text>" in drawing
    True
    """
    across = Axis((n for curve in curves for n in curve.xs), LEFT, WIDTH - RIGHT, whole=whole)
    up = Axis((n for curve in curves for n in curve.ys), HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    parts = [f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(y)} by {escape(x)}</title>']
    for number, text in across.ticks:
        at = across.place(number)
        parts.append(f'<path class="axis" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{text}</text>')
    for number, text in up.ticks:
        at = up.place(number)
        parts.append(f'<path class="axis" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(_names_of_axes(x, y, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM, HEIGHT - 8))
    named = list(zip(("first", "second")[: len(curves)], curves, strict=True))
    for name, curve in named:
        parts += _drawn(curve, across, up, name)
    labelled = [(name, curve.label) for name, curve in named if curve.label]
    for number, (name, label) in enumerate(reversed(labelled)):
        at = WIDTH - 100 - 110 * number
        parts.append(f'<path class="line {name}" d="M{at} 12h24"/><text x="{at + 28}" y="16">{escape(label)}</text>')
    return "".join([*parts, "</svg>"])


def _drawn(curve: Curve, across: Axis, up: Axis, name: str) -> list[str]:
    """The line, broken where there is no number, and a dot for each point if they are few."""
    runs: list[list[str]] = [[]]
    for number, value in _thinned(curve):
        if across.has(number) and up.has(value):
            runs[-1].append(f"{across.place(number):.1f} {up.place(value):.1f}")
        elif runs[-1]:
            runs.append([])
    points = [point for run in runs for point in run]
    parts = []
    if not curve.dots:
        parts.append(f'<path class="line {name}" d="{"".join("M" + "L".join(run) for run in runs if run)}"/>')
    if curve.dots or len(points) <= 60:
        parts.append(
            f'<path class="dots {name}" style="stroke-dasharray:none" d="{"".join(f"M{p}h0" for p in points)}"/>'
        )
    return parts


def _thinned(curve: Curve) -> list[tuple[float, float]]:
    """Of many points of a line the lowest and the highest of each part and one that is no number, in their order."""
    points = [(float(x), float(y)) for x, y in zip(curve.xs, curve.ys, strict=True)]
    if curve.dots or len(points) <= 2 * PARTS:
        return points
    values = np.array([y for _, y in points])
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(points)), PARTS):
        finite = part[np.isfinite(values[part])]
        kept.update(int(i) for i in part[~np.isfinite(values[part])][:1])
        if len(finite):
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    return [points[i] for i in sorted(kept)]


def _names_of_axes(x: str, y: str, left: float, right: float, top: float, bottom: float, low: float) -> str:
    middle = (top + bottom) / 2
    return (
        f'<text x="{(left + right) / 2:.1f}" y="{low:.1f}" text-anchor="middle">{escape(x)}</text>'
        f'<text transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    )


def confusion(counts: Any, names: Sequence[str]) -> str:
    """Counts (classes, classes) as squares: rows are the truth, the colour is the share of the row."""
    counts = np.asarray(counts, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few, longest = len(names) <= MANY, max(map(len, names), default=0)
    cell = 26.0 if few else max(3.0, 500 / len(names))
    left, below = 32 + 7 * min(longest, 24), 32 + (7 * min(longest, 24) if longest > 2 else 12)
    side = cell * len(names)
    across, down = left + side + 8, 8 + side + below
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {across:.0f} {down:.0f}"><title>Confusion</title>'
        f'<rect class="axis" x="{left}" y="8" width="{side:.1f}" height="{side:.1f}"/>'
    ]
    for i, j in zip(*np.nonzero(counts), strict=True):
        x, y, share = left + cell * j, 8 + cell * i, shares[i, j]
        place = f'x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}"'
        parts.append(f'<rect class="cell" {place} fill-opacity="{share:.3f}"/>')
        if few:
            kind = ' class="over"' if share > 0.6 else ""
            middle = f'x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}" text-anchor="middle"'
            parts.append(f"<text{kind} {middle}>{counts[i, j]:.0f}</text>")
    for i in range(0, len(names), max(1, math.ceil(12 / cell))):
        at, name = cell * (i + 0.5), escape(names[i][:24])
        parts.append(f'<text x="{left - 5}" y="{8 + at + 4:.1f}" text-anchor="end">{name}</text>')
        place = f'x="{left + at:.1f}" y="{8 + side + 14:.1f}" text-anchor="middle"'
        if longest > 2:
            place = f'transform="translate({left + at + 4:.1f} {8 + side + 6:.1f}) rotate(-90)" text-anchor="end"'
        parts.append(f"<text {place}>{name}</text>")
    parts.append(_names_of_axes("predicted", "true", left, left + side, 8, 8 + side, 8 + side + below - 6))
    return "".join([*parts, "</svg>"])
