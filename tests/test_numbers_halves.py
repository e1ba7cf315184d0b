"""Means, variances, losses and pools of halves: added up and divided in float32, eagerly and compiled.

A float16 ends at 65504, so a sum or a count beyond that is infinite although the mean is an ordinary number. The right
values are the same formula in float64 of the same halves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule

F = chainrule.nn.functional
LARGE = np.full((4, 4), 6e4)
MANY = np.ones(70_000)
SPREAD = np.array([1.0, -1.0] * 8).reshape(4, 4) * 240
LABELS = chainrule.zeros(70_000, dtype=chainrule.int64)

#: Each of a half, with the number that it must be.
CASES: dict[str, tuple[np.ndarray[Any, Any], Callable[[Any], Any], float]] = {
    "mean": (LARGE, lambda x: x.mean(), 6e4),
    "mean of rows": (LARGE, lambda x: x.mean(1)[0], 6e4),
    "mean of many": (MANY, lambda x: x.mean(), 1.0),
    "nanmean of many": (MANY, lambda x: x.nanmean(), 1.0),
    "variance": (SPREAD, lambda x: x.var(correction=0), 57600.0),
    "deviation": (SPREAD * 200, lambda x: x.std(correction=0), 48000.0),
    "variance and mean": (MANY, lambda x: chainrule.var_mean(x)[1], 1.0),
    "average pool": (LARGE, lambda x: F.avg_pool1d(x.reshape(1, 1, 16), 4)[0, 0, 0], 6e4),
    "average pool, part of a window": (
        LARGE,
        lambda x: F.avg_pool2d(x.reshape(1, 1, 4, 4), 3, 2, ceil_mode=True)[0, 0, 1, 1],
        6e4,
    ),
    "global pool": (LARGE, lambda x: F.adaptive_avg_pool2d(x.reshape(1, 1, 4, 4), 1).sum(), 6e4),
    "uneven pool": (LARGE, lambda x: F.adaptive_avg_pool2d(x.reshape(1, 1, 4, 4), 3)[0, 0, 1, 1], 6e4),
    "power pool": (LARGE / 100, lambda x: F.lp_pool1d(x.reshape(1, 1, 16), 2, 4)[0, 0, 0], 1200.0),
    "squared error": (MANY, lambda x: F.mse_loss(x, x * 0), 1.0),
    "absolute error": (LARGE, lambda x: F.l1_loss(x, x * 0), 6e4),
    "weighted error": (MANY, lambda x: F.mse_loss(x, x * 0, weight=x), 1.0),
    "Huber": (LARGE, lambda x: F.huber_loss(x, x * 0, delta=0.5), 3e4),
    "hinge": (MANY, lambda x: F.hinge_loss(x * 0, x), 1.0),
    "negative log-likelihood": (MANY, lambda x: F.nll_loss(-x.unsqueeze(1), LABELS), 1.0),
    "cross-entropy with weights": (
        MANY,
        lambda x: F.cross_entropy(x.unsqueeze(1).expand(-1, 2), LABELS, weight=x[:2]),
        np.log(2),
    ),
    "cross-entropy of probabilities": (
        MANY,
        lambda x: F.cross_entropy(x.unsqueeze(1).expand(-1, 2), x.unsqueeze(1).expand(-1, 2) / 2),
        np.log(2),
    ),
    "divergence": (MANY, lambda x: F.kl_div(x * 0 - 1, x, reduction="batchmean"), 1.0),
    "softmax of many": (MANY, lambda x: x.softmax(0).sum(), 1.0),
    "log-softmax of many": (MANY, lambda x: x.log_softmax(0)[0], -np.log(70_000)),
    "logsumexp of many": (MANY, lambda x: x.logsumexp(0), 1 + np.log(70_000)),
}


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_of_float16(name: str, how: str) -> None:
    array, function, wanted = CASES[name]
    compute = chainrule.compile(function) if how == "compiled" else function
    found = compute(chainrule.tensor(array, dtype=chainrule.float16))
    assert found.dtype is chainrule.float16
    tolerance = (
        5e-2 if "softmax of many" in name else 2e-3
    )  # the weights 1/70,000 are coarse: below the smallest normal
    assert found.item() == pytest.approx(wanted, rel=tolerance)


def test_gradient_of_a_mean_of_many_halves() -> None:
    x = chainrule.ones(70_000, dtype=chainrule.float16, requires_grad=True)
    F.mse_loss(x, chainrule.zeros(70_000, dtype=chainrule.float16)).backward()
    assert x.grad is not None and x.grad[0].item() == pytest.approx(2 / 70_000, rel=2e-2)


def test_variance_of_bfloat16_is_that_of_its_numbers() -> None:
    random = np.random.default_rng(3)
    x = (random.normal(size=200) + 30).astype(ml_dtypes.bfloat16)
    wanted = x.astype(np.float64).var(ddof=1)
    found = chainrule.tensor(x.astype(np.float32)).to(chainrule.bfloat16).var()
    assert found.item() == pytest.approx(wanted, rel=2**-8)


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("value", [0.1, 1000.1, 1e4 / 3, 1e7 / 3, 3e9, 1e19])
@pytest.mark.parametrize("count", [3, 7, 54, 1000])
def test_equal_numbers_have_no_variance(value: float, count: int, how: str) -> None:
    """A rounded sum over the number need not be the number itself; what is left is no deviation."""

    def statistics(x: Any) -> tuple[Any, ...]:
        columns = x.T.reshape(count, 2)
        return x.var(1), x.std(1), F.layer_norm(x, (count,)), F.batch_norm(columns, None, None, training=True)

    compute = chainrule.compile(statistics) if how == "compiled" else statistics
    for found in compute(chainrule.full((2, count), value)):
        assert found.abs().max().item() == 0


@pytest.mark.parametrize("size", [1e15, 1e20, 1e27, 1e30, 1e36])
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_normalised_images_of_any_size_are_no_nan(size: float, how: str) -> None:
    """The variance overflows from about 1e19 on: then the result is 0, as in PyTorch."""
    x = chainrule.tensor((np.random.default_rng(0).standard_normal((8, 6, 5, 5)) * size).astype(np.float32))

    def normalised(x: Any) -> list[Any]:
        return [F.batch_norm(x, None, None, training=True), F.group_norm(x, 3), F.instance_norm(x)]

    plain = normalised(chainrule.tensor(x.numpy() / np.float32(size)))
    for have, want in zip((chainrule.compile(normalised) if how == "compiled" else normalised)(x), plain, strict=True):
        np.testing.assert_allclose(have.numpy(), want.numpy() if size < 1e19 else 0.0, atol=1e-4)


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e15, 1e20, 1e30])
def test_layer_norm_of_any_size(size: float, how: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 8)) * size
    x = x.astype(np.float32).astype(np.float64)
    wanted = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    weight = chainrule.ones(8, requires_grad=True)

    def step(x: Any) -> Any:
        y = F.layer_norm(x, (8,), weight)
        (gradient,) = chainrule.autograd.grad(y.sum(), weight)
        return y, gradient

    y, gradient = (chainrule.compile(step) if how == "compiled" else step)(chainrule.tensor(x, dtype=chainrule.float32))
    np.testing.assert_allclose(np.asarray(y.detach()), wanted, atol=1e-5)
    np.testing.assert_allclose(np.asarray(gradient), wanted.sum(0), atol=2e-5)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_norms_whose_squares_leave_the_range(how: str) -> None:
    def norms(x: Any) -> Any:
        return chainrule.stack([x.norm(), chainrule.linalg.vector_norm(x), chainrule.hypot(x[0], x[1])])

    compute = chainrule.compile(norms) if how == "compiled" else norms
    for size in (1e-30, 1e-20, 1.0, 1e30):
        x = chainrule.tensor([3.0, 4.0]) * size
        np.testing.assert_allclose(np.asarray(compute(x)) / size, 5.0, rtol=1e-5)
