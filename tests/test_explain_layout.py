"""Where boxes stand: nothing overlaps, lines run to the right, crossings are few; and what each group shows."""

from __future__ import annotations

import random
import xml.dom.minidom
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from chainrule.explain.page.groups import FEW, ROOT, Box, Group, Line, lay_out_groups
from chainrule.explain.page.layout import LONG, Layout, arrange, spaced
from chainrule.explain.page.mathematics import FormulaError, to_mathml
from chainrule.primitives import attention, bessel, control, gamma, linear_algebra, low_bits, registry, whole_numbers
from chainrule.primitives import random as draws

assert attention and bessel and control and gamma and linear_algebra and low_bits and draws and whole_numbers, (
    "registered when loaded"
)


def random_graph(boxes: int, lines: int, seed: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    chance = random.Random(seed)
    sizes = [(chance.randint(20, 120), chance.randint(16, 60)) for _ in range(boxes)]
    joined = [(chance.randrange(boxes), chance.randrange(boxes)) for _ in range(lines)]
    return sizes, [(u, v) for u, v in joined if u != v]


def overlap(sizes: Any, layout: Layout) -> list[tuple[int, int]]:
    wrong = []
    for i, j in combinations(range(len(sizes)), 2):
        (ax, ay), (bx, by), (aw, ah), (bw, bh) = layout.places[i], layout.places[j], sizes[i], sizes[j]
        if ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah:
            wrong.append((i, j))
    return wrong


@pytest.mark.parametrize("seed", range(12))
def test_boxes_do_not_overlap_and_lines_run_to_the_right(seed: int) -> None:
    sizes, lines = random_graph(5 + 6 * seed, 3 + 9 * seed, seed)
    layout = arrange(sizes, lines)
    assert not overlap(sizes, layout)
    for (u, v), bends in zip(lines, layout.bends, strict=True):
        if u < v:  # later uses stand to the right of what they use, and so does every point in between
            xs = [layout.places[u][0] + sizes[u][0], *[x for x, _ in bends or []], layout.places[v][0]]
            assert xs == sorted(xs)
    inside = [
        (x + w <= layout.width + 1e-6, y + h <= layout.height + 1e-6)
        for (x, y), (w, h) in zip(layout.places, sizes, strict=True)
    ]
    assert all(a and b for a, b in inside) and all(x >= 0 and y >= -1e-6 for x, y in layout.places)


def test_a_chain_is_a_straight_line() -> None:
    layout = arrange([(50, 20)] * 9, [(i, i + 1) for i in range(8)])
    assert len({y for _, y in layout.places}) == 1


def crossings(lines: list[tuple[int, int]], layout: Layout) -> int:
    """Pairs of lines between the same two layers that cross, from the places alone."""
    ends = [(layout.places[u], layout.places[v]) for u, v in lines]
    return sum(
        (a[1] - c[1]) * (b[1] - d[1]) < 0 and a[0] == c[0] and b[0] == d[0] for (a, b), (c, d) in combinations(ends, 2)
    )


def test_a_tree_is_drawn_without_crossings() -> None:
    # Its boxes come in an order that mixes the branches: leaf k hangs on inner box k mod 7.
    leaves = [(1 + k % 7, 8 + k) for k in range(21)]
    lines = [(0, 1 + k) for k in range(7)] + leaves
    layout = arrange([(30, 20)] * 29, lines)
    assert crossings(lines, layout) == 0


def test_weights_stand_just_before_their_use_and_ports_at_the_borders() -> None:
    #  0 → 1 → 2 → 3, and a weight 4' that only 3 uses: numbered before it.
    layout = arrange([(40, 20)] * 6, [(0, 1), (1, 2), (2, 4), (3, 4), (4, 5)], first=[0], last=[5])
    x = [place[0] for place in layout.places]
    assert x[3] == x[2] and x[0] == min(x) and x[5] == max(x)


def test_a_long_line_bends_only_up_to_a_limit() -> None:
    boxes = LONG + 3
    chain = [(i, i + 1) for i in range(boxes - 1)]
    layout = arrange([(40, 20)] * boxes, [*chain, (0, LONG), (0, boxes - 1)])
    assert layout.bends[-2] and layout.bends[-1] is None


@pytest.mark.parametrize("seed", range(5))
def test_places_are_the_nearest_that_keep_order_and_distance(seed: int) -> None:
    chance = np.random.default_rng(seed)
    wanted, weights, gaps = chance.normal(0, 20, 30), chance.uniform(0.1, 3, 30), chance.uniform(1, 9, 29)
    shift = np.concatenate([[0], np.cumsum(gaps)])
    expected = isotonic_regression(wanted - shift, weights=weights).x + shift
    np.testing.assert_allclose(spaced(wanted, weights, gaps), expected, rtol=1e-9, atol=1e-9)


# -------------------------------------------------------------------------------------------------- groups


def value(place: int, kind: str = "result", name: str | None = None) -> dict[str, Any]:
    return {"id": f"v{place}", "kind": kind, "name": name, "shape": [], "type": "float32"}


def node(place: int, inputs: list[int], output: int, group: str | None) -> dict[str, Any]:
    return {
        "id": f"n{place}", "operation": "Multiply", "inputs": [f"v{i}" for i in inputs], "outputs": [f"v{output}"], "group": group,
    }  # fmt: skip


def nested() -> dict[str, Any]:
    """x → (w·x → (·)) → ·, the last operation outside, and the inner group within the outer one."""
    return {
        "values": [value(0, "input", "x"), value(1, "parameter", "w"), value(2), value(3), value(4)],
        "nodes": [node(0, [0, 1], 2, "g0"), node(1, [2, 2], 3, "g1"), node(2, [3, 0], 4, None)],
        "groups": [
            {"id": "g0", "kind": "module", "name": "outer", "class": "Block", "parent": None, "count": 1},
            {"id": "g1", "kind": "module", "name": "outer.inner", "class": "Part", "parent": "g0", "count": 1},
        ],
    }


def test_lines_are_cut_at_the_borders_of_groups() -> None:
    groups = lay_out_groups(nested())
    shown = {place: set(group.boxes) for place, group in groups.items()}
    assert shown[ROOT] == {("value", 0), ("group", 0), ("node", 2)}
    into = line_of(groups[ROOT], ("value", 0), ("group", 0))
    out = line_of(groups[ROOT], ("group", 0), ("node", 2))
    within = line_of(groups[0], ("node", 0), ("group", 1))
    assert (into.values, out.values, within.values) == ([0], [3], [2])
    assert shown[0] == {("in", into.port), ("value", 1), ("node", 0), ("group", 1), ("out", out.port)}
    assert shown[1] == {("in", within.port), ("node", 1), ("out", out.port)}
    assert line_of(groups[0], ("in", into.port), ("node", 0)).values == [0]
    assert line_of(groups[0], ("group", 1), ("out", out.port)).values == [3]
    assert line_of(groups[1], ("in", within.port), ("node", 1)).values == [2]
    assert line_of(groups[1], ("node", 1), ("out", out.port)).values == [3]
    assert line_of(groups[ROOT], ("value", 0), ("node", 2)).values == [0]
    assert [len(groups[place].lines) for place in (ROOT, 0, 1)] == [3, 4, 2]


def test_a_constant_stands_in_each_group_that_uses_it() -> None:
    data = {
        "groups": [{"id": name, "kind": "module", "name": name, "parent": None} for name in ("a", "b")],
        "values": [
            value(0, "input", "x"),
            value(1, "constant"),
            *[value(i) for i in (2, 3, 4)],
            value(5, "parameter", "w"),
        ],
        "nodes": [node(0, [0, 1], 2, "a"), node(1, [2, 1], 3, "b"), node(2, [3, 5], 4, "a"), node(3, [4, 5], 4, "b")],
    }
    groups = lay_out_groups(data)
    for group in (0, 1):
        inside = groups[group]
        assert ("value", 1) in inside.boxes, "the constant, in both"
        line_of(inside, ("value", 1), ("node", group))
        assert not any(1 in line.values and inside.boxes[line.start][0] == "in" for line in inside.lines)
    assert not any(1 in line.values for line in groups[ROOT].lines), "no line of it runs from group to group"
    assert ("value", 5) in groups[0].boxes and ("value", 5) not in groups[1].boxes, "a weight is one"


def line_of(group: Group, start: Box, end: Box) -> Line:
    """The only line between two boxes."""
    (found,) = [line for line in group.lines if group.boxes[line.start] == start and group.boxes[line.end] == end]
    return found


def test_many_values_between_two_groups_share_a_port() -> None:
    count = FEW + 1
    groups = [
        {"id": name, "kind": "module", "name": name, "class": "", "parent": None, "count": 1} for name in ("g0", "g1")
    ]
    first = [node(i, [0], i + 1, "g0") for i in range(count)]
    second = [node(count + i, [i + 1], count + i + 1, "g1") for i in range(count)]
    values = [value(i, "result" if i else "input") for i in range(2 * count + 1)]
    found = lay_out_groups({"values": values, "nodes": [*first, *second], "groups": groups})
    (shared,) = [line for line in found[ROOT].lines if found[ROOT].boxes[line.start] == ("group", 0)]
    assert sorted(shared.values) == list(range(1, count + 1))
    assert [box for box in found[0].boxes if box[0] == "out"] == [("out", shared.port)]
    assert [box for box in found[1].boxes if box[0] == "in"] == [("in", shared.port)]
    fewer = lay_out_groups({"values": values, "nodes": [*first[:FEW], *second[:FEW]], "groups": groups})
    assert len([box for box in fewer[0].boxes if box[0] == "out"]) == FEW


# ------------------------------------------------------------------------------------------------ formulas


@pytest.mark.parametrize("name", sorted(registry))
def test_every_formula_can_be_drawn(name: str) -> None:
    primitive = registry[name]
    arguments = (*primitive.arguments, *([primitive.variadic] if primitive.variadic else []))
    tree = xml.dom.minidom.parseString(to_mathml(primitive.latex, arguments))
    marked = {element.getAttribute("data-of") for element in tree.getElementsByTagName("mi")} - {""}
    assert all(int(place) < len(arguments) for place in marked)
    assert "\\" not in tree.documentElement.toxml(), "a command was left as it is"


def test_formulas_say_which_letters_are_arguments() -> None:
    assert to_mathml("x - y", ("x", "y")) == '<math><mi data-of="0">x</mi><mo>−</mo><mi data-of="1">y</mi></math>'
    assert to_mathml("X Y", ("x", "y")) == '<math><mi data-of="0">X</mi><mi data-of="1">Y</mi></math>'
    assert to_mathml(r"\sum_{j} x_j") == (
        "<math><munder><mo>∑</mo><mrow><mi>j</mi></mrow></munder><msub><mi>x</mi><mi>j</mi></msub></math>"
    )


def test_unknown_commands_are_refused() -> None:
    with pytest.raises(FormulaError, match=r"\\unknown"):
        to_mathml(r"\unknown x")
    with pytest.raises(FormulaError, match="end"):
        to_mathml("x^{2")
