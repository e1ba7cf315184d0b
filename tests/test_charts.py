"""Charts of a report: every number stands where its axes say, and what cannot be drawn breaks the line."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

from chainrule.train.charts import PARTS, Axis, Curve, chart, confusion


def read(drawing: str) -> Any:
    return ElementTree.fromstring(drawing)


def lines(drawing: str) -> list[list[list[tuple[float, float]]]]:
    """Of each curve's line the points of its unbroken parts."""
    found = []
    for path in read(drawing).iter("path"):
        if path.get("class", "").startswith("line") and "h" not in path.get("d", ""):
            parts = [part for part in path.get("d", "").split("M") if part]
            found.append([[tuple(map(float, point.split())) for point in part.split("L")] for part in parts])
    return found  # type: ignore[return-value]


def scale(drawing: str, across: bool) -> Any:
    """From places to numbers, as somebody reads them off the labels of an axis: a straight line through all ticks."""
    places, numbers = [], []
    for text in read(drawing).iter("text"):
        if (
            text.get("x")
            and re.fullmatch(r"-?\d[\d.e+-]*", text.text or "")
            and (text.get("text-anchor") == "middle") == across
        ):
            places.append(float(text.get("x")) if across else float(text.get("y")) - 4)
            numbers.append(float(text.text))
    return places, numbers


@pytest.mark.parametrize(
    "ys", [[0.5, 0.25, 0.125], [-3.0, 5.0, 1e-9], [2.30001, 2.30004, 2.30002], [1e6, 3e6, 2e6], [7.0, 7.0, 7.0], [0.0, 0.0, 0.0]]
)  # fmt: skip
def test_points_stand_where_the_axes_say(ys: list[float]) -> None:
    drawing = chart([Curve([1, 2, 3], ys, "train")], "epoch", "loss", whole=True)
    ((points,),) = lines(drawing)
    for across, wanted in ((True, [1.0, 2.0, 3.0]), (False, ys)):
        places, numbers = scale(drawing, across)
        assert len(numbers) >= 2 and len(set(numbers)) == len(numbers), "labels that tell the ticks apart"
        slope, start = np.polyfit(places, numbers, 1)
        read_off = [slope * point[0 if across else 1] + start for point in points]
        pixel = abs(slope) * 0.06  # places are written to a tenth
        rounding = 1e-4 * max(abs(x) for x in numbers)
        np.testing.assert_allclose(read_off, wanted, rtol=0, atol=pixel + (0 if across else rounding) + 1e-12)


def test_a_logarithmic_axis_is_even_in_powers() -> None:
    axis = Axis([1e-4, 1.0, 0.0, -1.0, math.nan], 100.0, 0.0, logarithmic=True)
    steps = np.diff([axis.place(10.0**e) for e in range(-4, 1)])
    np.testing.assert_allclose(steps, steps[0])
    assert [text for _, text in axis.ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert not axis.has(0.0) and not axis.has(math.inf) and axis.has(1e-9)
    assert len(Axis([0.5, 3.0], 100.0, 0.0, logarithmic=True).ticks) > 2


def test_what_is_no_number_breaks_the_line() -> None:
    drawing = chart([Curve(range(6), [1.0, 2.0, math.nan, 3.0, math.inf, 4.0])], "batch", "loss")
    assert [len(part) for part in lines(drawing)[0]] == [2, 1, 1]
    for nothing in ([], [math.nan]):
        read(chart([Curve(range(len(nothing)), nothing)], "batch", "loss"))


def test_long_curves_keep_their_peaks() -> None:
    ys = np.sin(np.arange(50_000) / 3000)
    ys[31_234], ys[31_300] = 9.0, math.nan
    drawing = chart([Curve(range(50_000), ys)], "batch", "norm")
    (parts,) = lines(drawing)
    points = [point for part in parts for point in part]
    assert len(points) <= 2 * PARTS and min(y for _, y in points) < min(y for x, y in points if y > 100) - 50


def test_there_is_a_legend_for_what_has_a_name() -> None:
    texts = [
        text.text for text in read(chart([Curve([1], [2], "a < b"), Curve([1], [2])], "epoch", "loss")).iter("text")
    ]
    assert "a < b" in texts


def test_confusion_shows_counts_in_rows_of_the_truth() -> None:
    cells = read(confusion([[8, 2, 0], [0, 10, 0], [5, 0, 15]], ["ant", "bee", "cat"])).findall("rect[@class='cell']")
    places = {(float(c.get("x")), float(c.get("y"))): float(c.get("fill-opacity")) for c in cells}
    xs, ys = (sorted({place[i] for place in places}) for i in (0, 1))
    assert {(ys.index(y), xs.index(x)): share for (x, y), share in places.items()} == {
        (0, 0): 0.8, (0, 1): 0.2, (1, 1): 1.0, (2, 0): 0.25, (2, 2): 0.75,
    }  # fmt: skip
    many = read(confusion(np.eye(100), [str(i) for i in range(100)]))
    assert len(many.findall("rect[@class='cell']")) == 100 and len(list(many.iter("text"))) < 100


def test_one_batch_of_many_that_is_no_number_breaks_the_line_and_extremes_are_left_out() -> None:
    many = [1.0 + i % 7 for i in range(2000)]
    many[1001] = float("nan")
    drawn, whole = chart([Curve(range(2000), many)], "x", "y"), chart([Curve(range(2000), [2.0, 3.0] * 1000)], "x", "y")
    lines = [text.count("<polyline") + text.count("M") for text in (drawn, whole)]
    assert lines[0] == lines[1] + 1
    for numbers in ([1e298, 1.0, 2.0], [1e-315, 1.0, 3.0]):
        assert "<svg" in chart([Curve([0, 1, 2], numbers)], "x", "y", logarithmic=True)
