"""Numeric rules that are promised: accuracy of sums and functions, ties, NaN, and what halves compute in."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import chainrule
from chainrule.functions.creation import make
from chainrule.primitives import registry
from chainrule.primitives.error_function import erf
from chainrule.primitives.reduction import blocked_sum

NAN, INFINITY = math.nan, math.inf
HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]


# -------------------------------------------------------------------------------------- functions and sums


def test_erf_in_float64() -> None:
    edges = [
        0.0,
        -0.0,
        1e-300,
        5e-324,
        0.46875,
        np.nextafter(0.46875, 1),
        4.0,
        np.nextafter(4.0, 5),
        INFINITY,
        -INFINITY,
    ]
    x = np.concatenate([np.linspace(-7, 7, 4001), np.geomspace(1e-20, 10, 500), edges])
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=1e-15, atol=0)
    np.testing.assert_allclose(erf(x), scipy.special.erf(x), rtol=1e-15, atol=0)
    assert math.isnan(erf(np.array([NAN]))[0])
    assert math.copysign(1, erf(np.array([-0.0]))[0]) == -1


def test_erf_in_float32() -> None:
    """Within two units in the last place, and so is a compiled function, which uses the same polynomials."""
    kind = np.finfo(np.float32)
    edges = [
        0.0,
        kind.smallest_subnormal,
        kind.tiny,
        1.125,
        np.nextafter(np.float32(1.125), 2),
        3.92,
        4.0,
        kind.max,
        math.inf,
    ]
    size = np.concatenate([np.geomspace(1e-38, 6, 40_000), np.linspace(0.4, 4.1, 100_001), edges]).astype(np.float32)
    x = np.concatenate([-size, size])
    eager, exact = chainrule.tensor(x).erf().numpy(), scipy.special.erf(x.astype(np.float64))
    assert (np.abs(eager - exact) <= 2 * np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)).all()
    assert np.array_equal(np.signbit(eager), np.signbit(x))
    compiled = chainrule.compile(lambda t: t.erf())(chainrule.tensor(x)).numpy()
    assert (np.abs(eager - compiled) <= 2 * np.spacing(np.abs(eager))).all()
    assert math.isnan(erf(np.array([NAN], np.float32))[0])


@pytest.mark.parametrize("constant", [False, True], ids=["random", "constant"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1_000_000, 2), (0,)), ((1_000_000, 1, 2), (0, 1)), ((1000, 1000, 2), (0, 1)), ((2, 500_000, 2), (1,)),
        ((2, 500_000, 2), (0, 1)), ((2, 1_000_000), (1,)), ((1_000_003,), (0,)), ((100, 100, 100, 2), (0, 1, 2)),
        ((100, 2, 10_000), (0, 2)), ((1_000_000, 2), (0, 1)), ((1000, 3, 1000), (0, 1, 2)),
    ],
)  # fmt: skip
def test_a_million_rows_are_added_to_one_part_in_a_million(
    shape: tuple[int, ...], axes: tuple[int, ...], constant: bool
) -> None:
    # All equal is the worst case: every rounding error has the same sign.
    x = np.full(shape, 0.1, np.float32) if constant else np.random.default_rng(0).random(shape, dtype=np.float32)
    backwards = (slice(None, None, -1),) * len(shape)
    gaps = np.empty((*shape[:-1], shape[-1] + 1), np.float32)[..., :-1]
    gaps[...] = x
    exact = x.astype(np.float64).sum(axes)
    for array in (
        x,
        x[backwards].copy()[backwards],
        np.asfortranarray(x),
        gaps,
    ):  # primitives are given arrays as they lie
        np.testing.assert_allclose(blocked_sum(array, axes), exact, rtol=1e-6)
        np.testing.assert_allclose(registry["Sum"].apply(make(array), axes=axes).array, exact, rtol=1e-6)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_sums_over_what_was_expanded_are_as_exact(axes: tuple[int, ...]) -> None:
    x = chainrule.tensor([0.1]).expand(1_000_000, 3) if axes == (0,) else chainrule.tensor([[0.1]]).expand(3, 1_000_000)
    exact = np.asarray(x).astype(np.float64).sum(axes)
    np.testing.assert_allclose(registry["Sum"].apply(x, axes=axes).array, exact, rtol=1e-6)


def test_running_sums_do_not_drift() -> None:
    x = np.random.default_rng(0).random(1_000_000, dtype=np.float32)
    exact = x.astype(np.float64).cumsum()
    np.testing.assert_allclose(registry["CumulativeSum"].apply(make(x), axis=0).array, exact, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- halves


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_halves_add_up_in_float32(dtype: np.dtype[Any]) -> None:
    # Added up in halves, ones stop counting at 2048 (float16) or 256 (bfloat16).
    tenths = np.full(100_000, 0.1, dtype)
    exact = float(tenths.astype(np.float64).sum())
    rounded = {"rel": float(ml_dtypes.finfo(dtype).eps) / 2}
    places, ones = make(np.zeros(5000, np.int64)), np.ones((1, 1, 5000), dtype)
    window: dict[str, Any] = {"kernel": (5000,), "stride": (1,), "dilation": (1,)}
    sums = {
        "Sum": (registry["Sum"].apply(make(tenths), axes=(0,)), exact),
        "CumulativeSum": (registry["CumulativeSum"].apply(make(tenths), axis=0)[-1], exact),
        "MatMul": (registry["MatMul"].apply(make(tenths[None]), make(np.ones((100_000, 1), dtype))), exact),
        "IndexAdd": (registry["IndexAdd"].apply(
            make(np.zeros(1, dtype)), make(ones[0, 0]), places, key=(chainrule.primitives.indexing.ARRAY,)), 5000),
        "WindowSum": (registry["WindowSum"].apply(make(ones), **window), 5000),
    }  # fmt: skip
    for name, (ours, expected) in sums.items():
        assert ours.array.dtype == dtype
        assert float(ours.array.item()) == pytest.approx(expected, **rounded), name


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_products_of_halves_are_those_of_float32_rounded_once(dtype: np.dtype[Any]) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape).astype(dtype) for shape in [(20, 300), (300, 10)])
    ours = chainrule.tensor(a) @ chainrule.tensor(b)
    exact = (a.astype(np.float32) @ b.astype(np.float32)).astype(dtype)
    assert ours.array.dtype == dtype
    np.testing.assert_array_equal(ours.array.astype(np.float32), exact.astype(np.float32))
    x, w = (random.standard_normal(shape).astype(dtype) for shape in [(2, 3, 9), (4, 3, 3)])
    settings: dict[str, Any] = {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1}
    convolution = registry["Convolution"]
    ours = convolution.apply(make(x), make(w), **settings)
    exact = convolution.evaluate(x.astype(np.float32), w.astype(np.float32), **settings).astype(dtype)
    np.testing.assert_array_equal(ours.array.astype(np.float32), exact.astype(np.float32))


# ------------------------------------------------------------------------------------------------- ties, NaN


def pooled(x: Any, *kernel: int) -> Any:
    settings = {"kernel": kernel, "stride": (1,) * len(kernel), "dilation": (1,) * len(kernel)}
    return registry["MaxPool"].apply(x, **settings)


def test_max_pool_takes_the_first_of_equals_and_gives_it_all() -> None:
    x = chainrule.tensor([[[[1.0, 1.0], [1.0, 1.0]]]], requires_grad=True)
    values, indices = pooled(x, 2, 2)
    values.sum().backward()
    assert indices.item() == 0 and x.grad.tolist() == [[[[1, 0], [0, 0]]]]
    lowest = chainrule.tensor([[[-INFINITY, -INFINITY, 1.0]]])
    assert pooled(lowest, 2)[1].tolist() == [[[0, 2]]]


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_max_pool_lets_nan_win(dtype: np.dtype[Any]) -> None:
    x = make(np.array([[[1, NAN, 3, NAN, 0, 0, 5]]], dtype), requires_grad=True)
    values, indices = pooled(x, 3)
    assert np.isnan(values.array).tolist() == [[[True, True, True, True, False]]]
    assert indices.tolist() == [[[1, 3, 3, 3, 6]]], "of several NaN the last, as in PyTorch"
    values[..., -2:].sum().backward()
    assert x.grad.tolist() == [[[0, 0, 0, 1, 0, 0, 1]]]


@pytest.mark.parametrize("name", ["Maximum", "Minimum"])
def test_at_a_tie_each_gets_half_and_beside_a_nan_each_gets_all(name: str) -> None:
    x = chainrule.tensor([2.0, NAN, 1.0, 3.0, INFINITY], requires_grad=True)
    y = chainrule.tensor([2.0, 1.0, NAN, 4.0, INFINITY], requires_grad=True)
    z = registry[name].apply(x, y)
    z.backward(chainrule.ones(5))
    assert z.isnan().tolist() == [False, True, True, False, False]
    first, second = ([0.5, 1, 1, 0, 0.5], [0.5, 1, 1, 1, 0.5]) if name == "Maximum" else (
        [0.5, 1, 1, 1, 0.5], [0.5, 1, 1, 0, 0.5])  # fmt: skip
    assert (x.grad.tolist(), y.grad.tolist()) == (first, second)


def test_equal_largest_entries_share_in_amax() -> None:
    x = chainrule.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    registry["Amax"].apply(x, axes=(1,)).sum().backward()
    np.testing.assert_allclose(x.grad.array, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    x.grad = None
    registry["Amax"].apply(x, axes=(0, 1)).backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5], [0, 0, 0]]
    assert registry["Amax"].apply(chainrule.tensor([1.0, NAN, 3.0]), axes=(0,)).isnan().item()


def test_products_with_zeros_have_right_gradients() -> None:
    for numbers, expected in [((2, 0, 5), (0, 10, 0)), ((2, 0, 0), (0, 0, 0)), ((2, 3, 5), (15, 10, 6)), ((0,), (1,))]:
        x = chainrule.tensor([float(n) for n in numbers], requires_grad=True)
        registry["Product"].apply(x, axes=(0,)).backward()
        assert tuple(x.grad.tolist()) == expected
    x = chainrule.tensor([[2.0, 0.0], [0.0, 3.0], [5.0, 7.0]], dtype=chainrule.float64, requires_grad=True)
    assert chainrule.autograd.gradcheck(lambda x: registry["Product"].apply(x, axes=(0,)), x)
    assert chainrule.autograd.gradgradcheck(lambda x: registry["Product"].apply(x, axes=(0,)), x)


@pytest.mark.parametrize("dtype", [np.dtype(np.float64), np.dtype(np.float32), *HALVES], ids=str)
def test_sort_is_stable_and_nan_is_larger_than_all(dtype: np.dtype[Any]) -> None:
    x = make(np.array([2, NAN, 1, 2, -INFINITY, 1, NAN, INFINITY, 0.0, -0.0], dtype))
    rising = [4, 8, 9, 2, 5, 0, 3, 7, 1, 6]
    falling = [1, 6, 7, 0, 3, 2, 5, 8, 9, 4]
    assert registry["Sort"].apply(x, axis=0, descending=False)[1].tolist() == rising
    assert registry["Sort"].apply(x, axis=0, descending=True)[1].tolist() == falling
    assert registry["Argmax"].apply(x, axis=0).item() == 1


def test_sort_of_unsigned_numbers_and_booleans_falls_stably() -> None:
    for array, order in [
        (np.array([1, 255, 0, 255], np.uint8), [1, 3, 0, 2]),
        (np.array([False, True, True]), [1, 2, 0]),
    ]:
        assert registry["Sort"].apply(make(array), axis=0, descending=True)[1].tolist() == order


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_infinities_and_nan_are_results_and_no_warnings(dtype: np.dtype[Any]) -> None:
    largest = float(ml_dtypes.finfo(dtype).max)
    with np.errstate(all="raise"):
        x = make(np.full(3, largest, dtype))
        assert (x * x).tolist() == [INFINITY] * 3
        assert registry["Sum"].apply(x, axes=(0,)).item() == INFINITY
        assert registry["Product"].apply(x, axes=(0,)).item() == INFINITY
        assert registry["MatMul"].apply(x.reshape(1, 3), x.reshape(3, 1)).item() == INFINITY
        zero = make(np.zeros(1, dtype))
        assert zero.log().item() == -INFINITY and (zero / zero).isnan().item()
        assert (
            registry["Cast"].apply(chainrule.tensor([1e300], dtype=chainrule.float64), dtype=dtype).item() == INFINITY
        )


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_the_gradient_of_a_cast_has_the_type_that_was_cast(dtype: np.dtype[Any]) -> None:
    for source, target in [(np.dtype(np.float64), dtype), (dtype, np.dtype(np.float64))]:
        x = make(np.array([0.5, -2.0], source), requires_grad=True)
        y = registry["Cast"].apply(x, dtype=target)
        y.backward(make(np.array([1.5, 3.0], target)))
        assert y.array.dtype == target and x.grad.array.dtype == source
        assert x.grad.tolist() == [1.5, 3.0]


def test_padding_that_cuts_more_than_there_is_leaves_the_constant() -> None:
    x = chainrule.arange(5.0)
    for before, after, expected in [(3, -7, [9]), (-6, 2, [9]), (-5, 1, [9]), (-2, -1, [2, 3])]:
        z = registry["Pad"].apply(x, before=(before,), after=(after,), constant=9)
        assert z.tolist() == expected


# -------------------------------------------------------------------------------------------- linear algebra


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


def test_a_sum_of_one_entry_is_the_entry() -> None:
    """Also a zero below 0: what a bias gets from a batch of one is what came in, eager and compiled."""
    x = chainrule.tensor([[-0.0, 0.0, -2.0]])
    for run in (lambda x: x.sum(0), chainrule.compile(lambda x: x.sum(0))):
        assert np.signbit(run(x).numpy()).tolist() == [True, False, True]
