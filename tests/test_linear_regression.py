"""Least squares, ridge, lasso and elastic net: against scikit-learn, the formulas, and the conditions of a minimum."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model

import chainrule
from chainrule import models, nn, optim
from chainrule.models.linear_regression import soft_threshold

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


def problem(samples: int = 60, inputs: int = 8, targets: int | None = 2, noise: float = 0.3) -> tuple[Any, Any]:
    """Inputs that depend on each other, far from zero, and targets of which some weights are zero."""
    random = np.random.default_rng(1)
    X = random.standard_normal((samples, inputs)) @ random.standard_normal((inputs, inputs)) + 5
    W = random.standard_normal((inputs, targets or 1)) * (random.random((inputs, targets or 1)) < 0.5)
    Y = X @ W + 3 + noise * random.standard_normal((samples, targets or 1))
    return X, Y if targets else Y[:, 0]


def numbers(model: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    weight = model.weight.detach().numpy()
    return weight, np.zeros(len(weight)) if model.bias is None else model.bias.detach().numpy()


def objective(X: np.ndarray, Y: np.ndarray, model: nn.Linear, strength: float, ratio: float) -> float:
    W, b = numbers(model)
    Y = Y.reshape(len(X), -1)
    squares = ((X @ W.T + b - Y) ** 2).sum() / 2 / len(X)
    return float(squares + strength * (ratio * np.abs(W).sum() + (1 - ratio) / 2 * (W**2).sum()))


@pytest.mark.parametrize("targets", [None, 1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_closed_forms_are_scikit_learn_s(targets: int | None, bias: bool) -> None:
    X, Y = problem(targets=targets)
    pairs: list[tuple[nn.Linear, Any]] = [
        (models.least_squares(*map(chainrule.tensor, (X, Y)), bias), linear_model.LinearRegression(fit_intercept=bias))
    ]
    for strength in (1e-3, 1.0, 100.0):
        ours = models.ridge(chainrule.tensor(X), chainrule.tensor(Y), strength, bias)
        pairs.append((ours, linear_model.Ridge(alpha=strength, fit_intercept=bias)))
    for ours, theirs in pairs:
        theirs.fit(X, Y)
        W, b = numbers(ours)
        np.testing.assert_allclose(W, theirs.coef_.reshape(W.shape), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(b, np.broadcast_to(theirs.intercept_, b.shape), rtol=1e-7, atol=1e-9)
        assert isinstance(ours, nn.Linear) and ours.weight.requires_grad and (ours.bias is None) is not bias
        predicted = ours(chainrule.tensor(X)).detach().numpy()
        np.testing.assert_allclose(predicted, theirs.predict(X).reshape(predicted.shape), rtol=1e-8)


def test_the_formulas_of_the_notes() -> None:
    """(XᵀX)⁻¹XᵀY and (XᵀX + λI)⁻¹XᵀY, without a bias."""
    X, Y = problem()
    x, y = chainrule.tensor(X), chainrule.tensor(Y)
    plain = np.linalg.inv(X.T @ X) @ X.T @ Y
    np.testing.assert_allclose(models.least_squares(x, y, bias=False).weight.detach().numpy().T, plain, rtol=1e-7)
    shrunk = np.linalg.inv(X.T @ X + 2.5 * np.eye(8)) @ X.T @ Y
    np.testing.assert_allclose(models.ridge(x, y, 2.5, bias=False).weight.detach().numpy().T, shrunk, rtol=1e-7)
    tiny = models.ridge(x, y, 1e-9)
    assert chainrule.allclose(tiny.weight, models.least_squares(x, y).weight, rtol=1e-5)


def test_ridge_shrinks_each_singular_direction_by_its_factor() -> None:
    X, Y = problem(noise=0.0)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    _, s, vh = np.linalg.svd(X, full_matrices=False)
    full = numbers(models.least_squares(chainrule.tensor(X), chainrule.tensor(Y)))[0] @ vh.T
    shrunk = numbers(models.ridge(chainrule.tensor(X), chainrule.tensor(Y), 7.0))[0] @ vh.T
    np.testing.assert_allclose(shrunk, full * s**2 / (s**2 + 7), rtol=1e-8, atol=1e-10)


def test_least_squares_with_inputs_that_depend_on_each_other_is_the_smallest() -> None:
    X, Y = problem(inputs=4)
    X = np.concatenate([X, X[:, :1] + X[:, 1:2]], 1)
    ours = models.least_squares(chainrule.tensor(X), chainrule.tensor(Y))
    np.testing.assert_allclose(numbers(ours)[0], linear_model.LinearRegression().fit(X, Y).coef_, rtol=1e-8, atol=1e-10)


def test_gradient_descent_comes_to_the_closed_form() -> None:
    """The same minimum by training nn.Linear: ½·MSE with weight decay λ/N on the weights is ridge with λ."""
    chainrule.manual_seed(0)
    x = chainrule.randn(40, 3, dtype=chainrule.float64)
    y = x @ chainrule.tensor([[1.0], [-2.0], [0.5]], dtype=chainrule.float64) + 1
    model = nn.Linear(3, 1, dtype=chainrule.float64)
    optimizer = optim.SGD(nn.penalty.decay_groups(model, 4.0 / 40), lr=0.3)
    for _ in range(500):
        optimizer.zero_grad()
        (nn.functional.mse_loss(model(x), y) / 2).backward()
        optimizer.step()
    exact = models.ridge(x, y, 4.0)
    assert chainrule.allclose(model.weight, exact.weight, rtol=1e-8)
    assert chainrule.allclose(model.bias, exact.bias, rtol=1e-8)


PENALTIES = [(0.05, 1.0), (1.0, 1.0), (0.3, 0.5), (0.3, 0.0), (1e3, 1.0)]
#: By day each penalty, and one both with a bias and without.
FEW = [(0.05, 1.0, True), (1.0, 1.0, False), (0.3, 0.5, True), (0.3, 0.5, False), (0.3, 0.0, True), (1e3, 1.0, False)]


@pytest.mark.parametrize("method", ["coordinate", "proximal"])
@pytest.mark.parametrize(
    ("strength", "ratio", "bias"),
    [(*penalty, bias) for penalty in PENALTIES for bias in (True, False)] if NIGHTLY else FEW,
)
def test_sparse_regression_is_scikit_learn_s(method: str, strength: float, ratio: float, bias: bool) -> None:
    X, Y = problem()
    settings: dict[str, Any] = {"bias": bias, "method": method, "max_iter": 50_000, "tol": 1e-10}
    x, y = chainrule.tensor(X), chainrule.tensor(Y)
    if ratio == 1.0:
        ours = models.lasso(x, y, strength, **settings)
    else:
        ours = models.elastic_net(x, y, strength, ratio, **settings)
    if ratio == 0.0:  # scikit-learn has no coordinate descent for it: it is ridge with another factor
        theirs = linear_model.Ridge(alpha=strength * len(X), fit_intercept=bias).fit(X, Y)
    else:
        theirs = linear_model.ElasticNet(
            alpha=strength, l1_ratio=ratio, fit_intercept=bias, tol=1e-13, max_iter=1_000_000
        ).fit(X, Y)
    W, b = numbers(ours)
    np.testing.assert_allclose(W, theirs.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(b, np.broadcast_to(theirs.intercept_, b.shape), rtol=1e-5, atol=1e-5)
    assert ((W == 0) == (theirs.coef_ == 0)).all(), "the same weights are exactly zero"


@pytest.mark.parametrize("method", ["coordinate", "proximal"])
def test_the_conditions_of_a_minimum(method: str) -> None:
    """Where w ≠ 0 the gradient of the squares is −λ·sign(w); where w = 0 it is at most λ in size."""
    X, Y = problem(targets=1)
    model = models.lasso(chainrule.tensor(X), chainrule.tensor(Y), 0.4, method=method, max_iter=50_000, tol=1e-12)
    W, b = numbers(model)
    gradient = ((X @ W.T + b - Y).T @ X / len(X))[0]
    W = W[0]
    assert (W != 0).any() and (W == 0).any()
    np.testing.assert_allclose(gradient[W != 0], -0.4 * np.sign(W[W != 0]), rtol=1e-6)
    assert (np.abs(gradient[W == 0]) <= 0.4).all()
    best = objective(X, Y, model, 0.4, 1.0)
    for _ in range(20):
        moved = nn.Linear(8, 1, dtype=chainrule.float64)
        with chainrule.no_grad():
            moved.weight.copy_(model.weight + chainrule.randn(1, 8, dtype=chainrule.float64) * 1e-3)
            moved.bias.copy_(model.bias)
        assert objective(X, Y, moved, 0.4, 1.0) > best


def test_with_orthonormal_inputs_the_lasso_is_the_soft_threshold() -> None:
    Q, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((50, 4)))
    X, w = Q * math.sqrt(50), np.array([2.0, -0.3, 0.0, -1.0])
    model = models.lasso(chainrule.tensor(X), chainrule.tensor(X @ w), 0.5, bias=False, tol=1e-12)
    expected = soft_threshold(chainrule.tensor(w), 0.5).numpy()
    np.testing.assert_allclose(expected, [1.5, 0, 0, -0.5])
    np.testing.assert_allclose(numbers(model)[0][0], expected, atol=1e-12)


def test_float32_constant_inputs_and_too_few_rounds() -> None:
    X, Y = problem(targets=1)
    X[:, 3] = 7.0  # an input that never changes belongs to the bias
    exact = models.lasso(chainrule.tensor(X), chainrule.tensor(Y), 0.1, max_iter=20_000)
    for method in ("coordinate", "proximal"):
        x, y = chainrule.tensor(X).float(), chainrule.tensor(Y).float()
        model = models.lasso(x, y, 0.1, method=method, max_iter=20_000)
        assert model.weight.dtype is chainrule.float32 and model.weight[0, 3].item() == 0
        np.testing.assert_allclose(numbers(model)[0], numbers(exact)[0], atol=2e-3)
        with pytest.warns(UserWarning, match="2 rounds were not enough"):
            models.lasso(x, y, 0.1, method=method, max_iter=2)
    for method in ("coordinate", "proximal"):
        nothing = models.lasso(chainrule.ones(5, 2), chainrule.arange(5).float(), 0.1, method=method)
        assert nothing.weight.tolist() == [[0.0, 0.0]] and nothing.bias.item() == 2


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("ridge(ones(3, 2), ones(3), 0.0)", ValueError, "above 0, got 0.0; without one see least_squares"),
        ("lasso(ones(3, 2), ones(3), -1.0)", ValueError, "got -1.0"),
        ("elastic_net(ones(3, 2), ones(3), 1.0, 1.5)", ValueError, "1.5"),
        ("lasso(ones(3, 2), ones(3), 1.0, method='newton')", ValueError, "'coordinate' or 'proximal', got 'newton'"),
        ("least_squares(ones(3), ones(3))", chainrule.ShapeError, r"got \(3,\) and \(3,\)"),
        ("least_squares(ones(3, 2), ones(4))", chainrule.ShapeError, r"got \(3, 2\) and \(4,\)"),
        ("least_squares(ones(0, 2), ones(0))", chainrule.ShapeError, "N at least 1"),
    ],
)
def test_what_is_refused(source: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        eval(f"models.{source}", {"models": models, "ones": chainrule.ones})
