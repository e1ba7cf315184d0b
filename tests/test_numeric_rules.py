"""Numeric rules that are promised: accuracy of sums and functions, ties, NaN, and what halves compute in."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import chainrule
from chainrule.primitives.error_function import erf


def test_erf_in_float64() -> None:
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.0, -0.0, 1e-300, np.inf, -np.inf]])
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=1e-15, atol=0)
    assert math.isnan(erf(np.array([np.nan]))[0])


@pytest.mark.parametrize("shape", [(1_000_000, 2), (1_000_000, 1, 2), (1000, 1000, 2)])
def test_a_million_rows_are_added_to_one_part_in_a_million(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random(shape, dtype=np.float32) + 1
    axes = tuple(range(len(shape) - 1))
    exact = x.astype(np.float64).sum(axes)
    for array in (x, x[::-1], np.asfortranarray(x)):
        ours = chainrule.tensor(array).sum(axes)
        np.testing.assert_allclose(np.asarray(ours), exact, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_add_up_in_float32(dtype: str) -> None:
    ones = chainrule.ones(5000, dtype=dtype)
    assert ones.sum().item() == pytest.approx(5000, rel=2**-8), "in halves the sum would stop at 2048 or 256"
    numpy_type = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float16
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((20, 20)).astype(numpy_type) for _ in range(2))
    exact = (a.astype(np.float32) @ b.astype(np.float32)).astype(numpy_type)
    ours = chainrule.tensor(a) @ chainrule.tensor(b)
    assert ours.dtype.name == dtype
    np.testing.assert_array_equal(ours.numpy().astype(np.float32), exact.astype(np.float32))


def test_max_pool_takes_the_first_of_equals_and_gives_it_all() -> None:
    x = chainrule.tensor([[[[1.0, 1.0], [1.0, 1.0]]]], requires_grad=True)
    values, indices = chainrule.nn.functional.max_pool2d(x, 2, return_indices=True)
    values.sum().backward()
    assert indices.item() == 0 and x.grad.tolist() == [[[[1, 0], [0, 0]]]]


def test_ties_share_in_maximum_and_amax() -> None:
    x = chainrule.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]
    a, b = chainrule.tensor([2.0], requires_grad=True), chainrule.tensor([2.0], requires_grad=True)
    chainrule.maximum(a, b).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (0.5, 0.5)


def test_products_with_zeros_have_right_gradients() -> None:
    for numbers, expected in [((2, 0, 5), (0, 10, 0)), ((2, 0, 0), (0, 0, 0)), ((2, 3, 5), (15, 10, 6))]:
        x = chainrule.tensor([float(n) for n in numbers], requires_grad=True)
        x.prod().backward()
        assert tuple(x.grad.tolist()) == expected


def test_sort_is_stable_and_puts_nan_last() -> None:
    x = chainrule.tensor([2.0, float("nan"), 1.0, 2.0, 1.0])
    assert x.sort().indices.tolist() == [2, 4, 0, 3, 1]
    assert x.sort(descending=True).indices.tolist() == [1, 0, 3, 2, 4]


def test_infinities_and_nan_are_results_and_no_warnings() -> None:
    with np.errstate(all="raise"):
        assert (chainrule.tensor([1e38]) * 1e38).item() == math.inf
        assert chainrule.tensor([0.0]).log().item() == -math.inf
        assert (chainrule.tensor([0.0]) / 0).isnan().item()


def test_det_has_a_gradient_where_the_matrix_is_singular() -> None:
    A = chainrule.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=chainrule.float64, requires_grad=True)
    chainrule.linalg.det(A).backward()
    np.testing.assert_allclose(np.asarray(A.grad), [[4, -2], [-2, 1]], atol=1e-12)


def test_a_singular_matrix_is_named() -> None:
    matrices = chainrule.stack([chainrule.eye(2), chainrule.ones(2, 2)])
    with pytest.raises(chainrule.linalg.LinAlgError, match=r"singular \(matrix \[1\] of the batch\)"):
        chainrule.linalg.solve(matrices, chainrule.ones(2, 2, 1))
    with pytest.raises(RuntimeError, match="not positive definite"):
        chainrule.linalg.cholesky(-chainrule.eye(2))
