"""Normal equations in batches: least squares and ridge on everything at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models
from chainrule.errors import ChainruleError, CheckpointError, ShapeError

SIZES = (1, 0, 30, 64, 205)


def problem(targets: int | None, mean: float = 5.0, dtype: Any = chainrule.float64) -> tuple[Any, Any]:
    X = chainrule.randn(300, 7, dtype=dtype) @ chainrule.randn(7, 7, dtype=dtype) + mean
    Y = X @ chainrule.randn(7, targets or 1, dtype=dtype) + 3 + 0.2 * chainrule.randn(300, targets or 1, dtype=dtype)
    return X, Y if targets else Y.squeeze(1)


def batches(X: Any, Y: Any) -> Iterator[tuple[Any, Any]]:
    start = 0
    for size in SIZES:
        yield X[start : start + size], Y[start : start + size]
        start += size


def same(a: Any, b: Any, rtol: float = 1e-8) -> None:
    np.testing.assert_allclose(a.weight.detach().numpy(), b.weight.detach().numpy(), rtol=rtol, atol=rtol)
    assert (a.bias is None) == (b.bias is None) and a.weight.dtype is b.weight.dtype
    if a.bias is not None:
        np.testing.assert_allclose(a.bias.detach().numpy(), b.bias.detach().numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("targets", [None, 1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_equal_to_all_at_once(targets: int | None, bias: bool) -> None:
    X, Y = problem(targets)
    same(models.streamed_least_squares(batches(X, Y), bias), models.least_squares(X, Y, bias))
    same(models.streamed_least_squares(batches(X, Y), bias, 2.0), models.ridge(X, Y, 2.0, bias))


def test_far_from_zero() -> None:
    """Inputs of mean 1e5 and spread 1: from Σxxᵀ without the means, 1e10 of 1e16 digits would be left for the spread."""
    X, Y = problem(1, mean=1e5)
    same(models.streamed_least_squares(batches(X, Y)), models.least_squares(X, Y), rtol=1e-5)


def test_inputs_that_depend_on_each_other() -> None:
    """The smallest of all solutions, as the pseudo-inverse gives it; also with more inputs than samples."""
    X, Y = problem(2)
    X = chainrule.cat([X, X[:, :2], chainrule.ones(300, 1, dtype=X.dtype)], 1)
    same(models.streamed_least_squares(batches(X, Y)), models.least_squares(X, Y), rtol=1e-6)
    few = models.NormalEquations()
    few.update(X[:4], Y[:4])
    same(few.solve(), models.least_squares(X[:4], Y[:4]), rtol=1e-6)


def test_merged_and_resumed() -> None:
    X, Y = problem(2, dtype=chainrule.float32)
    whole, first, second = models.NormalEquations(), models.NormalEquations(), models.NormalEquations()
    whole.update(X, Y)
    for i, (x, y) in enumerate(batches(X, Y)):
        (first if i < 3 else second).update(x, y)
    file = io.BytesIO()
    np.savez(file, **first.state())
    file.seek(0)
    resumed = models.NormalEquations()
    resumed.load_state(np.load(file))
    resumed.merge(second).merge(models.NormalEquations())
    first.merge(second)
    assert whole.count == first.count == resumed.count == 300
    for metric in (first, resumed):
        np.testing.assert_allclose(metric.xx, whole.xx, rtol=1e-12, atol=1e-9)
        same(metric.solve(), whole.solve(), rtol=1e-6)


def test_misuse() -> None:
    equations = models.NormalEquations()
    with pytest.raises(ChainruleError, match="no samples"):
        equations.solve()
    with pytest.raises(ShapeError, match=r"got \(3, 2\) and \(2, 1\)"):
        equations.update(chainrule.zeros(3, 2), chainrule.zeros(2, 1))
    equations.update(chainrule.zeros(3, 2), chainrule.zeros(3, 1))
    with pytest.raises(ShapeError, match="were 2 and 1, now they are 4 and 1"):
        equations.update(chainrule.zeros(3, 4), chainrule.zeros(3))
    with pytest.raises(ValueError, match="not negative"):
        equations.solve(strength=-1.0)
    with pytest.raises(CheckpointError, match="has no xy"):
        equations.load_state({k: v for k, v in equations.state().items() if k != "xy"})
