"""Layers' functions at the top level against PyTorch: its operators there have an order and defaults of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from peer_comparison import Given, check, entries, lines

import chainrule

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")


def given(*shapes: tuple[int, ...]) -> list[list[Given]]:
    return [[Given(entries(s, d, n)) for s, n in zip(shapes, "xyz", strict=False)] for d in ("float64", "float32")]


# sequences of 4 channels, weights for them, a number for each channel
OF_SEQUENCES = """
lib.conv1d(x, y)
lib.conv1d(x, y, z[:3], 2, 1, 1)
lib.conv1d(x, y[:2, :2], bias=z[:2], groups=2, padding='same')
lib.conv1d(input=x, weight=y, stride=2)
lib.conv_transpose1d(x, y.permute(1, 0, 2))
lib.conv_transpose1d(x, y.permute(1, 0, 2), z[:3], 2, 1, 1)
lib.conv2d(x.unsqueeze(2), y.unsqueeze(2), padding=(0, 1))
lib.conv_transpose2d(x.unsqueeze(2), y.permute(1, 0, 2).unsqueeze(2))
lib.conv3d(x[:, :, None, None], y[:, :, None, None])
lib.conv_transpose3d(x[:, :, None, None], y.permute(1, 0, 2)[:, :, None, None])
lib.avg_pool1d(x, 2)
lib.avg_pool1d(x, 3, 1, 1, False, False)
lib.adaptive_avg_pool1d(x, 3)
lib.adaptive_max_pool1d(x, 3)[0]
lib.adaptive_max_pool1d(x, 3)[1]
lib.max_pool1d(x, 2)
lib.max_pool1d(x, 3, 2, 1, 1, True)
lib.max_pool1d_with_indices(x, 2, 2)[1]
lib.max_pool2d(x, 2)
lib.max_pool3d(x.unsqueeze(0), (1, 2, 2))
lib.batch_norm(x, z, z * 2, None, None, True, 0.1, 1e-5, False)
lib.batch_norm(x, z, None, z.detach(), z.detach() ** 2 + 1, False, 0.1, 1e-5, True)
lib.batch_norm(x, weight=None, bias=z, running_mean=z.detach(), running_var=z.detach() ** 2, training=False, momentum=0.1, eps=1e-3, cudnn_enabled=False)
(m := z.detach().clone(), v := z.detach() ** 2, lib.batch_norm(x, z, z, m, v, True, 0.3, 1e-5, False), m, v)[2]
(m := z.detach().clone(), v := z.detach() ** 2, lib.batch_norm(x, z, z, m, v, True, 0.3, 1e-5, False), m, v)[3:]
lib.instance_norm(x, z, z * 2, None, None, True, 0.1, 1e-5, False)
lib.instance_norm(x, None, z, z.detach(), z.detach() ** 2 + 1, False, 0.1, 1e-5, False)
lib.layer_norm(x, (6,))
lib.layer_norm(x, [4, 6], eps=1e-3)
lib.layer_norm(x.mT, (4,), z, z, 1e-5, False)
lib.group_norm(x, 2)
lib.group_norm(x, 2, z, z * 2, 1e-3, False)
lib.rms_norm(x.mT, (4,), z)
lib.prelu(x, z)
lib.channel_shuffle(x.unsqueeze(2), 2)
lib.pixel_shuffle(x.unsqueeze(2), 2)
lib.pixel_unshuffle(x.unsqueeze(2)[..., :4].reshape(2, 4, 2, 2), 2)
lib.dropout(x, 0.5, False)
lib.dropout(x, 0.0, True)
lib.dropout(x, p=1.0, train=True)
lib.alpha_dropout(x, 0.5, False)
lib.feature_alpha_dropout(x, 0.5, False)
lib.dropout(x)
lib.dropout_(x.detach().clone(), 1.0, True)
lib.alpha_dropout_(x.detach().clone(), 0.0, True)
lib.feature_alpha_dropout_(x.detach().clone(), 0.0, True)
lib.hardshrink(x)
lib.hardshrink(x, 0.1)
lib.celu(x, 2.0)
lib.celu_(x.detach().clone())
lib.selu(x)
lib.selu_(x.detach().clone())
lib.rrelu(x)
lib.rrelu(x, 0.2, 0.4, False)
lib.threshold(x, 0.1, 2)
lib.threshold_(x.detach().clone(), 0.1, 2)
lib.embedding(y, lib.tensor([[0, 2], [2, 2]]))
lib.embedding(y[0], lib.tensor([0, 2, 2]), 2)
lib.embedding(weight=y, indices=lib.tensor([1]), padding_idx=-1)
lib.split_with_sizes(x, [1, 3], 1)
lib.split_with_sizes(x, split_sizes=[2, 4], dim=2)
lib.i0_(x.detach().clone())
lib.mvlgamma(x.abs() + 2, 3)
"""


@pytest.mark.parametrize("text", lines(OF_SEQUENCES))
def test_of_sequences(text: str) -> None:
    check(text, given((2, 4, 6), (3, 4, 3), (4,)))


# two tables of rows and a number for each row
OF_ROWS = """
lib.bilinear(x, y, lib.ones(2, 4, 4, dtype=x.dtype))
lib.cosine_similarity(x, y)
lib.cosine_similarity(x, y, 0, 1e-3)
lib.pairwise_distance(x, y)
lib.pairwise_distance(x, y, 1.0, 1e-6, True)
lib.pdist(x)
lib.pdist(x, 1)
lib.binary_cross_entropy_with_logits(x, y.detach() > 0)
lib.binary_cross_entropy_with_logits(x, (y.detach() > 0).to(x.dtype))
lib.binary_cross_entropy_with_logits(x, (y.detach() > 0).to(x.dtype), None, z.detach()[:, None].abs(), 2)
lib.binary_cross_entropy_with_logits(x, (y.detach() > 0).to(x.dtype), weight=z.detach()[:, None].abs(), reduction=0)
lib.cosine_embedding_loss(x, y, z.detach().sign())
lib.cosine_embedding_loss(x, y, z.detach().sign(), 0.2, 2)
lib.margin_ranking_loss(x, y, x.detach().sign(), 0.5, 0)
lib.hinge_embedding_loss(x, y.detach().sign())
lib.hinge_embedding_loss(x, y.detach().sign(), 0.5, reduction=2)
lib.triplet_margin_loss(x, y, x * y)
lib.triplet_margin_loss(x, y, x * y, 0.5, 1.0, 1e-6, True, 0)
lib.kl_div(x, y.softmax(1))
lib.kl_div(x, y, 2, log_target=True)
lib.kl_div(x, y.softmax(1), reduction=0)
lib.poisson_nll_loss(x, y.detach().abs(), True, False, 1e-8, 1)
lib.poisson_nll_loss(x.abs(), y.detach().abs() * 3, False, True, 1e-8, 2)
lib.ctc_loss(lib.stack([x, y]).log_softmax(2), lib.tensor([[1], [2], [3]]), [2, 2, 2], [1, 1, 1])
lib.ctc_loss(lib.stack([x, y]).log_softmax(2), lib.tensor([[1], [2], [3]]), lib.tensor([2, 2, 2]), lib.tensor([1, 1, 0]), 0, 2, True)
lib.pow(self=2, exponent=x)
lib.float_power(self=2, exponent=x)
lib.remainder(self=2, other=x)
lib.xlogy(self=2, other=x.abs())
"""


@pytest.mark.parametrize("text", lines(OF_ROWS))
def test_of_rows(text: str) -> None:
    check(text, given((3, 4), (3, 4), (3,)))


def test_a_word_for_a_reduction_is_refused_at_the_top_level() -> None:
    with pytest.raises(ValueError, match=r"a number, 0 \(none\), 1 \(mean\) or 2 \(sum\), got 'sum'"):
        chainrule.kl_div(chainrule.zeros(2), chainrule.ones(2), "sum")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16"])
def test_the_neighbouring_number_is_the_same_bits(name: str) -> None:
    edges = [0.0, -0.0, 1.0, -1.0, 3.14, float("inf"), -float("inf"), float("nan"), 1e-40, 65504.0]
    pairs = [(a, b) for a in edges for b in edges]
    results = []
    for lib in (torch, chainrule):
        x, y = (lib.tensor([pair[i] for pair in pairs], dtype=getattr(lib, name)) for i in (0, 1))
        for found in (lib.nextafter(x, y), x.nextafter(y), x.clone().nextafter_(y)):
            assert not found.requires_grad
            results.append(found.double().numpy())
    for mine, theirs in zip(results[3:], results[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(np.signbit(mine), np.signbit(theirs))


def test_parts_are_pytorch_s() -> None:
    numbers = [0.0, -0.0, 1.0, 12.0, -7.0, math.inf, -math.inf, math.nan, 1e-40, 3e38, 0.3]
    for name in ("float64", "float32", "float16", "bfloat16"):
        (m, e), (n, f) = (lib.frexp(lib.tensor(numbers, dtype=getattr(lib, name))) for lib in (chainrule, torch))
        np.testing.assert_array_equal(m.double().numpy(), n.double().numpy())
        np.testing.assert_array_equal(e.numpy(), f.numpy())
        assert str(m.dtype) == f"chainrule.{name}" and str(e.dtype) == "chainrule.int32"


def test_a_power_of_two_is_exact() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=3000) * 2.0 ** random.integers(-1070, 1000, 3000)
    n = random.integers(-2200, 2200, 3000) // np.where(np.arange(3000) < 2000, 40, 1)
    with np.errstate(over="ignore"):
        wanted = np.ldexp(x, n)
    inputs = chainrule.tensor(x, dtype=chainrule.float64), chainrule.tensor(n)
    for function in (chainrule.ldexp, chainrule.compile(chainrule.ldexp)):
        np.testing.assert_array_equal(function(*inputs).numpy(), wanted)


def test_the_slopes_are_powers_of_two() -> None:
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    (chainrule.ldexp(x, chainrule.tensor([3, -2])) ** 2).sum().backward()
    assert x.grad.tolist() == [2 * 8 * 8, 2 * 0.5 * 0.25]
    (slope,) = chainrule.autograd.grad(chainrule.frexp(x).mantissa.sum(), x)
    assert slope.tolist() == [0.5, 0.25]


def test_neighbours_of_whole_numbers_are_refused() -> None:
    with pytest.raises(chainrule.DTypeError, match=r"nextafter works on floating-point numbers, got .*int64"):
        chainrule.nextafter(chainrule.tensor([1]), 2)


def test_a_compiled_step_finds_neighbours() -> None:
    x = chainrule.tensor([1.0, 2.0])
    step = chainrule.compile(lambda x: chainrule.nextafter(x, 0.0) * 2)
    for _ in range(3):
        np.testing.assert_array_equal(step(x).numpy(), 2 * np.nextafter(x.numpy(), np.float32(0)))
