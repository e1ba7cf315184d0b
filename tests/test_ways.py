"""The ways to a gradient: closed forms, the orders of difference quotients, SymPy's formulas and their growth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.explain import symbolic_growth, ways_to_a_gradient
from chainrule.explain.symbols import SymbolicError, as_formula

sympy = pytest.importorskip("sympy")
PLACE = [0.4, -1.1, 0.9]
W = chainrule.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], dtype=chainrule.float64)

#: Functions with their gradients by hand.
CASES: dict[str, tuple[Any, Any]] = {
    "f = (x + y)z": (lambda t: (t[0] + t[1]) * t[2], lambda x, y, z: [z, z, x + y]),
    "exponentials": (
        lambda t: (t[0] * t[1]).exp() + t[2].sin() * t[0],
        lambda x, y, z: [y * math.exp(x * y) + math.sin(z), x * math.exp(x * y), x * math.cos(z)],
    ),
    "a norm": (lambda t: (t**2).sum().sqrt(), lambda *t: [x / math.hypot(*t) for x in t]),
    "branches": (lambda t: t.relu().sum() + t[1].abs(), lambda x, y, z: [1.0, -1.0, 1.0]),
    "quotients": (lambda t: t[0] / (1 + t[1] ** 2) - t[2].log(), lambda x, y, z: [1 / (1 + y * y), -2 * x * y / (1 + y * y) ** 2, -1 / z]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_all_ways_lead_to_the_same_gradient(case: str) -> None:
    function, by_hand = CASES[case]
    wanted = by_hand(*PLACE)
    found = ways_to_a_gradient(function, PLACE, lambda x: by_hand(*x.tolist()))
    assert [way.name for way in found.ways] == [
        "automatic",
        "by hand",
        "forward differences",
        "central differences",
        "symbolic",
    ]
    for way, tolerance in zip(found.ways, (1e-13, 1e-13, 1e-6, 1e-8, 1e-13), strict=True):
        assert way.gradient == pytest.approx(wanted, rel=tolerance, abs=tolerance), way.name
        assert way.error <= tolerance
    assert (found.of("forward differences").evaluations, found.of("central differences").evaluations) == (4, 6)


@pytest.mark.parametrize("function", [lambda t: (W @ t).tanh().sum(), lambda t: t.softmax(0)[1], lambda t: t.sigmoid().mean(),
                                      lambda t: chainrule.cat([t, 2 * t]).sum() * t.max()])  # fmt: skip
def test_blocks_products_and_weights_have_formulas(function: Any) -> None:
    assert ways_to_a_gradient(function, PLACE).of("symbolic").error < 1e-12


def test_formulas_are_sympy_s() -> None:
    x, y = sympy.symbols("x y")
    assert as_formula(lambda t: t[0] * t[1] + t[1].cos(), [x, y]).item() == x * y + sympy.cos(y)
    found = ways_to_a_gradient(lambda t: t[0] ** 2 * t[1], [1.0, 2.0])
    assert sympy.sympify(found.derivatives[0]).equals(2 * sympy.Symbol("x0") * sympy.Symbol("x1"))
    with pytest.raises(SymbolicError, match="CumulativeSum has no formula"):
        ways_to_a_gradient(lambda t: t.cumsum(0).sum(), PLACE)
    assert len(ways_to_a_gradient(lambda t: t.cumsum(0).sum(), PLACE, symbolic=False).ways) == 3


def test_differences_have_their_orders_and_their_rounding() -> None:
    """The error of a forward quotient falls as h, of a central one as h², until rounding makes it grow as 1/h."""
    found = ways_to_a_gradient(lambda t: t[0].exp(), [1.0], symbolic=False, steps=[1e-1, 1e-2, 1e-3, 1e-12])
    forward, central = (np.log10(found.errors[name]) for name in ("forward", "central"))
    np.testing.assert_allclose(np.diff(forward[:3]), -1, atol=0.05)
    np.testing.assert_allclose(np.diff(central[:3]), -2, atol=0.05)
    assert forward[3] > -6 and central[3] > -6
    assert 10 ** forward[0] == pytest.approx(math.expm1(0.1) / 0.1 - 1, rel=1e-6)


def test_formulas_grow_exponentially_and_computations_do_not() -> None:
    rows = symbolic_growth(lambda x: 4 * x * (1 - x), depth=6)
    assert [row.depth for row in rows] == [1, 2, 3, 4, 5, 6]
    ratios = np.divide([row.derivative for row in rows[2:]], [row.derivative for row in rows[1:-1]])
    assert (ratios > 2).all()
    steps = np.diff([row.automatic for row in rows])
    assert len(set(steps.tolist())) == 1 and rows[-1].automatic * 20 < rows[-1].derivative


def test_it_is_shown_and_refuses_what_is_no_gradient(tmp_path: Path) -> None:
    found = ways_to_a_gradient(lambda t: t.sin().sum(), PLACE)
    assert "central differences" in str(found) and "symbolic" in found._repr_html_()
    found.draw(tmp_path / "ways.png")
    assert (tmp_path / "ways.png").stat().st_size > 5000
    for function, place in ((lambda t: t * 2, PLACE), (lambda t: t.sum(), [[1.0]])):
        with pytest.raises(chainrule.ShapeError, match="to one number"):
            ways_to_a_gradient(function, place)


def test_a_zero_gradient_has_absolute_errors() -> None:
    found = ways_to_a_gradient(lambda x: (x * x).sum(), [0.0, 0.0], symbolic=False, steps=(1e-3,))
    assert found.of("forward differences").error == pytest.approx(1e-3)  # (h² − 0)/h, where the slope is 0
    assert found.of("central differences").error == 0


def test_a_number_is_a_place_too() -> None:
    found = ways_to_a_gradient(lambda x: x.sin() * x, 0.5, lambda x: np.cos(0.5) * x.item() + np.sin(0.5))
    assert found.of("automatic").gradient == pytest.approx([0.5 * np.cos(0.5) + np.sin(0.5)])
    assert all(way.error < 1e-6 for way in found.ways) and len(found.ways) == 5
