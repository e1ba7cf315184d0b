"""docs/activations.md lists every activation, and its numbers are those of the functions."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import optimize, stats

from chainrule import nn
from docs.make import activations


def test_every_activation_is_on_the_page() -> None:
    kinds = ("classic", "piecewise", "smooth", "maxout")
    files = [f"chainrule.nn.activations.{kind}" for kind in kinds]
    ours = {n for n in nn.__all__ if getattr(getattr(nn, n), "__module__", "") in files and n[0].isupper()}
    listed = {row.source.split("(")[0] for row in activations.ACTIVATIONS} | set(activations.OTHERS)
    assert {"ReLU", "ELU", "LeakyReLU", "Maxout"} <= ours <= listed


def test_the_page_is_up_to_date() -> None:
    written = Path(activations.DOCS) / "activations.md"
    assert written.read_text(encoding="utf-8") == activations.page(), "make it again: python -m docs.make.activations"


def test_saturation_is_where_the_closed_forms_say() -> None:
    """σ′ = 0.05 at ln((1 − 2s + √(1 − 4s))/2s), s = 0.05; tanh′ = 0.05 where tanh = √0.95."""
    ((_, low), (high, _)) = activations.flat_ranges("Sigmoid()")
    assert high == pytest.approx(2.887, abs=0.02) and low == pytest.approx(-2.887, abs=0.02)
    ((_, low), (high, _)) = activations.flat_ranges("Tanh()")
    assert high == pytest.approx(2.178, abs=0.02) and low == pytest.approx(-2.178, abs=0.02)
    assert activations.words("Sigmoid()") == "x < −2.9, x > 2.9"
    assert activations.words("CELU(2.0)") == "x < −6" and activations.words("ReLU6()") == "x < 0, x > 6"
    assert activations.flat_ranges("LeakyReLU(0.1)") == [] and activations.words("ReLU()").startswith("x < ")


def test_the_dip_of_gelu_is_flat_too() -> None:
    """(x·Φ(x))′ = Φ(x) + x·φ(x), which passes through 0 near −0.75."""

    def slope(x: float) -> float:
        return float(stats.norm.cdf(x) + x * stats.norm.pdf(x))

    (_, edge), (low, high) = activations.flat_ranges("GELU()")
    assert edge == pytest.approx(optimize.brentq(lambda x: slope(x) + 0.05, -4, -1.6), abs=2e-3)
    assert low == pytest.approx(optimize.brentq(lambda x: slope(x) + 0.05, -1.2, -0.7), abs=2e-3)
    assert high == pytest.approx(optimize.brentq(lambda x: slope(x) - 0.05, -0.8, -0.5), abs=2e-3)
