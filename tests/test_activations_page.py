"""docs/activations.md lists every activation, and its numbers are those of the functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainrule import nn
from docs.make import activations


def test_every_activation_is_on_the_page() -> None:
    files = ("chainrule.nn.activation", "chainrule.nn.piecewise", "chainrule.nn.smooth_activation")
    ours = {n for n in nn.__all__ if getattr(getattr(nn, n), "__module__", "") in files and n[0].isupper()}
    listed = {row.source.split("(")[0] for row in activations.ACTIVATIONS} | set(activations.OTHERS)
    assert ours <= listed


def test_the_page_is_up_to_date() -> None:
    written = Path(activations.DOCS) / "activations.md"
    assert written.read_text(encoding="utf-8") == activations.page(), "make it again: python -m docs.make.activations"


def test_saturation_is_where_the_closed_forms_say() -> None:
    """σ′ = 0.05 at ln((1 − 2s + √(1 − 4s))/2s), s = 0.05; tanh′ = 0.05 where tanh = √0.95."""
    ((_, low), (high, _)) = activations.flat_ranges("Sigmoid()")
    assert high == pytest.approx(2.887, abs=0.02) and low == pytest.approx(-2.887, abs=0.02)
    ((_, low), (high, _)) = activations.flat_ranges("Tanh()")
    assert high == pytest.approx(2.178, abs=0.02) and low == pytest.approx(-2.178, abs=0.02)
    assert activations.flat_ranges("LeakyReLU(0.1)") == [] and activations.words("ReLU()").startswith("x < ")
