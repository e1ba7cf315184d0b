"""Normalisation and dropout beyond the tables: robustness, statistics' shapes, distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule import nn
from chainrule.nn import functional
from chainrule.nn.normalisation.functions import standardise

float64 = chainrule.float64
NORMS = ["BatchNorm1d(4)", "LayerNorm(5)", "InstanceNorm1d(4, affine=True)", "GroupNorm(2, 4)", "RMSNorm(5)"]


def build(source: str) -> Any:
    return eval(f"nn.{source}", {"nn": nn})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 7.0, -1000.0])
@pytest.mark.parametrize("source", NORMS)
def test_zero_variance_gives_zeros_and_finite_gradients(source: str, value: float, dtype: str) -> None:
    layer = build(source).to(dtype)
    x = chainrule.full((3, 4, 5), value, dtype=dtype).requires_grad_()
    y = layer(x)
    (y * chainrule.randn(3, 4, 5).to(dtype)).sum().backward()
    assert x.grad.isfinite().all() and all(p.grad.isfinite().all() for p in layer.parameters())
    if not source.startswith("RMS"):
        assert y.abs().max().item() == 0
    elif value:
        assert (y / np.sign(value) - 1).abs().max().item() < 2e-3


@pytest.mark.parametrize("source", NORMS[:4])
def test_a_large_mean_does_no_harm(source: str) -> None:
    """In float32 a mean of 10⁴ leaves the spread three digits; Σx² − (Σx)²/n would leave none."""
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    far = (x + 1e4).astype("float32")
    found = build(source)(chainrule.tensor(far)).detach().numpy()
    exact = build(source).double()(chainrule.tensor(far.astype("float64"))).detach().numpy()
    np.testing.assert_allclose(found, exact, atol=5e-3)
    assert np.abs(found).max() > 0.5


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 2), (2,)])
@pytest.mark.parametrize(
    ("weight", "bias"),
    [(None, None), ((3, 4, 5), (3, 4, 5)), ((1, 4, 1), (1, 4, 1)), ((1, 1, 5), None), (None, (4, 5))],
)
def test_the_hand_derived_gradient_is_that_of_the_parts(axes: Any, weight: Any, bias: Any) -> None:
    random = np.random.default_rng(0)
    if bias is not None and len(bias) == 2:
        bias = (1, *bias)
    givens = [None if shape is None else chainrule.tensor(random.standard_normal(shape), requires_grad=True)
              for shape in ((3, 4, 5), weight, bias)]  # fmt: skip
    wanted = [t for t in givens if t is not None]
    upstream = [chainrule.tensor(random.standard_normal(s)) for s in ((3, 4, 5),)]
    found = []
    for compute in (standardise, standardise.parts):
        y, centred, mean, variance = compute(*givens, axes, 0.1)
        total = (y * upstream[0]).sum() + (variance * mean).sum() + (centred**3).sum()
        found.append(chainrule.autograd.grad(total, wanted))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-11, atol=1e-12)


def test_running_statistics_are_the_average_of_all_batches_without_momentum() -> None:
    layer, random = nn.BatchNorm1d(2, momentum=None, dtype=float64), np.random.default_rng(0)
    batches = [random.standard_normal((n, 2)) * 3 + 1 for n in (4, 4, 4)]
    for batch in batches:
        layer(chainrule.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0))
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean([b.var(0, ddof=1) for b in batches], 0))
    assert layer.num_batches_tracked.item() == 3
    cells = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    layer.reset_running_stats()
    assert [t.tolist() for t in cells] == [[0, 0], [1, 1], 0], "the buffers are the same cells"


def test_evaluation_does_not_depend_on_the_batch() -> None:
    layer = nn.BatchNorm2d(3)
    for _ in range(3):
        layer(chainrule.randn(4, 3, 5, 5) * 2 + 1)
    layer.eval()
    x = chainrule.randn(4, 3, 5, 5)
    before = layer.running_mean.tolist()
    np.testing.assert_allclose(layer(x)[:1].detach().numpy(), layer(x[:1]).detach().numpy(), rtol=1e-6)
    assert layer.running_mean.tolist() == before


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d"])
def test_dropout_keeps_the_mean_and_drops_its_share(name: str) -> None:
    shape = {
        "dropout": (200, 500),
        "dropout1d": (200, 500, 3),
        "dropout2d": (200, 500, 2, 2),
        "dropout3d": (200, 500, 1, 2, 2),
    }[name]
    y = getattr(functional, name)(chainrule.ones(*shape, dtype=float64), 0.3).numpy()
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    channels = y.reshape(200, 500, -1)
    assert (channels == channels[..., :1]).all(), "a channel is dropped whole or not at all"
    dropped = int((channels[..., 0] == 0).sum())
    assert stats.binomtest(dropped, 100_000, 0.3).pvalue > 1e-3
    assert abs(y.mean() - 1) < 0.01
    # Independent: the share of rows in which neighbours are both dropped is p².
    both = int(((channels[:, :-1, 0] == 0) & (channels[:, 1:, 0] == 0)).sum())
    assert abs(both / (200 * 499) - 0.09) < 0.005


def test_classic_dropout_scales_in_evaluation() -> None:
    layer, x = nn.ClassicDropout(0.25), chainrule.randn(100_000, dtype=float64) + 3
    y = layer(x)
    kept = y != 0
    assert chainrule.equal(y[kept], x[kept]) and stats.binomtest(int(kept.sum()), 100_000, 0.75).pvalue > 1e-3
    np.testing.assert_allclose(layer.eval()(x).numpy(), 0.75 * x.numpy())
    assert abs(y.mean().item() - layer(x).mean().item()) < 0.02, "the same in expectation"
    assert repr(layer) == "ClassicDropout(p=0.25)"


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    x = chainrule.randn(400_000, dtype=float64)
    y = nn.AlphaDropout(p)(x)
    assert abs(y.mean().item()) < 0.02 and abs(y.var().item() - 1) < 0.03
    limit = y.numpy().round(9)
    _values, counts = np.unique(limit, return_counts=True)
    assert stats.binomtest(int(counts.max()), 400_000, p).pvalue > 1e-3, "one value for all that is dropped"
    whole = nn.FeatureAlphaDropout(p)(chainrule.randn(300, 400, 3, dtype=float64)).numpy()
    switched = whole == whole[..., :1]
    assert (switched.all(2) | ~switched[..., 1:].any(2)).all()


@pytest.mark.peer
@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout", "Dropout", "Dropout2d"])
def test_random_layers_have_pytorch_s_distribution(name: str) -> None:
    """The same input through both: the values that occur and how often, which is all there is to such a layer."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x = np.repeat(np.linspace(-2, 2, 4), 10_000).reshape(4, 10_000, 1, 1).astype("float64")
    found = [np.asarray(getattr(f.nn, name)(0.3)(f.tensor(x))).ravel() for f in (chainrule, torch)]
    values = [np.unique(a.round(9)) for a in found]
    np.testing.assert_allclose(*values, rtol=1e-8, atol=1e-9)
    assert stats.ks_2samp(*found).pvalue > 1e-3


def test_dropped_entries_get_no_gradient_and_p_1_gives_zeros() -> None:
    for name in ("Dropout", "Dropout1d", "AlphaDropout"):
        x = chainrule.randn(4, 50, 2, requires_grad=True)
        y = getattr(nn, name)(0.5)(x)
        y.sum().backward()
        slopes = np.unique(x.grad.numpy().round(6))
        assert slopes[0] == 0 and len(slopes) == 2
        assert not getattr(nn, name)(1.0)(x).any()
        z = chainrule.ones(3, 4)
        assert getattr(nn, name)(1.0, inplace=True)(z) is z and not z.any()
