"""The variance report, and what it shows: variance through depth under each initialisation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.explain import variance_report
from docs.make import variance as page


def test_rows_say_what_the_layers_did() -> None:
    """Against the same numbers by hand: a network of two layers, and a loss."""
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = chainrule.randn(8, 6, dtype=chainrule.float64)
    report = variance_report(model, x, lambda y: (y**2).mean())
    first, last = model[0], model[2]
    z = x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    h = np.tanh(z)
    y = h @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    back = 2 * y / y.size
    gradients = [back @ last.weight.detach().numpy() * (1 - h**2), back @ last.weight.detach().numpy(), back]
    for row, path, layer, activation, gradient in zip(
        report, "012", ("Linear", "Tanh", "Linear"), (z, h, y), gradients, strict=True
    ):
        assert (row.path, row.layer, row.shape) == (path, layer, activation.shape)
        assert row.mean == pytest.approx(activation.mean()) and row.variance == pytest.approx(activation.var())
        assert row.second_moment == pytest.approx((activation**2).mean())
        assert row.gradient_variance == pytest.approx(gradient.var())
    assert len(report) == 3 and [row.path for row in report.of("Linear")] == ["0", "2"]


def test_nothing_in_the_model_changes() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 2))
    x = chainrule.randn(4, 2, 6, 6)
    model[4].weight.grad = chainrule.ones(2, 48)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with chainrule.no_grad():
        assert len(variance_report(model, x)) == 5
    assert all(chainrule.equal(p, before[name]) for name, p in model.named_parameters())
    assert model[0].weight.grad is None and (model[4].weight.grad == 1).all() and not x.requires_grad
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


class Odd(nn.Module):
    """A layer used twice, one with two results, one that changes its input in place, one that is cut off, an index."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4, bias=False)
        self.pair = Pair()
        self.cut = nn.Identity()
        self.argmax = Largest()

    def forward(self, x: Any, scale: float) -> Any:
        h = self.shared(x)
        h += 1000.0
        h = self.shared(h) * scale
        a, b = self.pair(h)
        self.cut(b.detach())
        self.argmax(a)
        return {"sum": a + b}


class Pair(nn.Module):
    def forward(self, x: Any) -> Any:
        return 1 * x, 3 * x


class Largest(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.argmax(-1)


def test_odd_models() -> None:
    model, x = Odd(), chainrule.randn(50, 4)
    nn.init.eye_(model.shared.weight)
    report = variance_report(model, (x, 2.0))
    assert [row.path for row in report] == ["shared", "shared", "pair", "cut"]
    first, second, pair, cut = report
    assert abs(first.mean) < 1 and second.mean == pytest.approx(1000, abs=1), "seen before it was written to"
    assert second.variance == pytest.approx(x.var(correction=0).item(), rel=1e-3)
    assert pair.variance == pytest.approx(4 * second.variance, rel=1e-3) and math.isnan(cut.gradient_variance)
    assert first.gradient_variance == pytest.approx(second.gradient_variance)
    assert second.gradient_variance == pytest.approx((2 * 4) ** 2, rel=0.2), "noise of variance 1 times ∂(a + b)/∂h"
    assert pair.gradient_variance == pytest.approx(1, rel=0.2)


def test_single_layers_and_models_without_numbers() -> None:
    (row,) = variance_report(nn.Linear(3, 2), chainrule.ones(5, 3))
    assert row.path == "" and row.layer == "Linear"
    with pytest.raises(chainrule.ChainruleError, match="no layer of Largest gave floating-point numbers"):
        variance_report(Largest(), chainrule.ones(2, 2))


def test_the_report_prints_and_draws(tmp_path: Path) -> None:
    report = variance_report(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), chainrule.ones(5, 3))
    text = str(report)
    assert "Variance through depth" in text and "Linear" in text and "5×2" in text and "gradient variance" in text
    assert len([line for line in text.splitlines() if "Linear" in line or "ReLU" in line]) == 2
    report.draw(tmp_path / "variance.png")
    assert (tmp_path / "variance.png").read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------ the experiment of the page


def ends(activation: str, rule: str) -> tuple[float, float, float, float]:
    """Second moment after the first and the last layer; gradient variance there."""
    report = page.report(activation, rule)
    assert len(report) == page.DEPTH == 30
    first, last = report.rows[0], report.rows[-1]
    return first.second_moment, last.second_moment, last.gradient_variance, first.gradient_variance


#: How far the logarithm of a variance may drift in 30 layers of 256 units by the luck of the draw: each layer's has a
#: deviation of √(5/256) about its factor, so √(29·5/256) = 0.75 after all of them, and four times that is out of reach.
LUCK = 3.0


def test_kaiming_keeps_the_variance_through_thirty_relu_layers() -> None:
    for row in page.report("ReLU", "Kaiming"):
        assert abs(math.log(row.second_moment)) < LUCK and abs(math.log(row.gradient_variance)) < LUCK


@pytest.mark.parametrize(
    ("activation", "rule", "factor"),
    [
        ("ReLU", "Xavier", 1 / 2),
        ("ReLU", "too small: σ = 0.01", 256 * 0.01**2 / 2),
        ("ReLU", "too large: σ = 0.2", 256 * 0.2**2 / 2),
        ("ReLU", "PyTorch's default", 1 / 6),
        ("Tanh", "too small: σ = 0.01", 256 * 0.01**2),
        ("Tanh", "PyTorch's default", 1 / 3),
    ],
)
def test_a_wrong_variance_multiplies_up(activation: str, rule: str, factor: float) -> None:
    """D·Var(W), halved by ReLU, in each of 29 layers: 29 factors, each with a chance of a few percent."""
    first, last, last_gradient, first_gradient = ends(activation, rule)
    # Where tanh is not yet linear, in the first layers, it takes away something more: a factor of e².
    slack = LUCK + (2 if activation == "Tanh" else 0)
    assert abs(math.log(last / first) - 29 * math.log(factor)) < slack
    assert abs(math.log(first_gradient / last_gradient) - 29 * math.log(factor)) < slack


def test_too_small_vanishes_and_too_large_explodes_or_saturates() -> None:
    assert all(end < 1e-10 for end in ends("ReLU", "too small: σ = 0.01")[1::2])
    assert all(end > 1e18 for end in ends("ReLU", "too large: σ = 0.2")[1::2])
    _, last, _, gradient = ends("Tanh", "too large: σ = 0.2")
    assert 0.5 < last < 1 and gradient > 1e7, "the activations look healthy, only the gradients tell"
    _, last, _, gradient = ends("Tanh", "Xavier")
    assert 0.005 < last < 0.1 and 0.005 < gradient < 1


@pytest.mark.parametrize("fan_in", [100, 400])
def test_the_two_rules_called_xavier_s(fan_in: int) -> None:
    """T 2: 1/n_in keeps the variance forward; 2/(n_in + n_out) misses it by 2·n_in/(n_in + n_out)."""
    chainrule.manual_seed(3)
    for fill, factor in ((nn.init.lecun_normal_, 1.0), (nn.init.xavier_normal_, 2 * fan_in / (fan_in + 200))):
        layer = nn.Linear(fan_in, 200, bias=False)
        fill(layer.weight)
        (row,) = variance_report(layer, chainrule.randn(1000, fan_in))
        assert row.variance == pytest.approx(factor, rel=0.06)


def test_the_page_shows_the_numbers_that_come_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before, page.FIGURES = page.FIGURES, tmp_path
    try:
        page.main()
    finally:
        page.FIGURES = before
    assert (tmp_path / "variance.png").read_bytes().startswith(b"\x89PNG")
    text = (Path(page.__file__).parents[1] / "initialisation.md").read_text(encoding="utf-8")
    rows = capsys.readouterr().out.strip().splitlines()[2:]
    assert len(rows) == 10
    for row in rows:
        name = row.rsplit("|", 3)[0] + "|"
        shown = next(line for line in text.splitlines() if line.startswith(name))
        # Other BLAS libraries add up in another order: the last of two digits may differ, and more after 30 layers.
        for ours, theirs in zip(numbers(row), numbers(shown), strict=True):
            assert ours == pytest.approx(theirs, rel=0.2)


def numbers(row: str) -> list[float]:
    return [float(x) for cell in row.split("|")[3:5] for x in cell.split("→")]
