"""Compiled is eager for every data type: all primitives, all reductions, and casts.

Two samples of each primitive, and half of the shapes and dimensions, are tried with every type; with CHAINRULE_NIGHTLY set
all of them are. `test_compiler_registry.py` has all samples in float64 and float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.functions.creation import make
from chainrule.primitives.primitive import registry
from tests.samples import ALL_TYPES, FLOATS, SAMPLES
from tests.test_registry import SUPPORTED, UP_TO_SIGN, as_list, numpy_type, with_type

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
#: float64 and float32, with gradients, are compared by `test_compiler_registry.py`.
OTHERS = [(name, dtype) for name, dtype in SUPPORTED if dtype not in FLOATS[:2] and name not in UP_TO_SIGN]


def agree(eager: list[Any], compiled: list[Any]) -> None:
    assert [(x.dtype, x.shape) for x in compiled] == [(x.dtype, x.shape) for x in eager]
    for want, have in zip(eager, compiled, strict=True):
        a, b = have.numpy(), want.numpy()
        if a.dtype.kind in "fV":
            half = a.dtype.itemsize == 2
            a, b = a.astype(np.float64), b.astype(np.float64)
            np.testing.assert_allclose(a, b, rtol=1e-2 if half else 1e-5, atol=1e-6, equal_nan=True)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "dtype"), OTHERS)
def test_every_primitive_with_every_data_type(name: str, dtype: str) -> None:
    samples = SAMPLES[name] if NIGHTLY else SAMPLES[name][:2]
    cases = [with_type(name, sample, numpy_type(dtype)) for sample in samples]
    tensors = [make(np.array(x)) for inputs, _ in cases for x in inputs]

    def everything(*given: Any) -> list[Any]:
        remaining = iter(given)
        results: list[Any] = []
        for inputs, settings in cases:
            results += as_list(registry[name].apply(*[next(remaining) for _ in inputs], **settings))
        return results

    agree(everything(*tensors), chainrule.compile(everything)(*tensors))


REDUCTIONS: dict[str, Callable[[Any, int], Any]] = {
    "sum": lambda x, d: [x.sum(d), x.sum()],
    "prod": lambda x, d: [x.prod(d), x.prod()],
    "argmax": lambda x, d: [x.argmax(d), x.argmax(), x.argmax(d, keepdim=True)],
    "argmin": lambda x, d: [x.argmin(d), x.argmin()],
    "max": lambda x, d: [*x.max(d), x.max()],
    "min": lambda x, d: [*x.min(d), x.min()],
    "amax": lambda x, d: [x.amax(d), x.amin(d), x.amax((0, 1))],
    "any": lambda x, d: [x.any(d), x.all(d), x.any(), x.all()],
    "cumulative": lambda x, d: [x.cumsum(d), x.cumprod(d), *x.cummax(d), *x.cummin(d)],
    "order": lambda x, d: [*x.sort(d), x.argsort(d), *x.topk(2, d), *x.median(d), *x.mode(d), *x.kthvalue(2, d)],
    "counts": lambda x, d: [chainrule.count_nonzero(x, d)],
}


@pytest.mark.parametrize("dtype", ALL_TYPES)
@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_every_reduction_with_every_data_type(name: str, dtype: str) -> None:
    random = np.random.default_rng(5)
    for place, shape in enumerate(((3, 4), (2, 33))):
        numbers = random.integers(-3, 4, shape)
        array = numbers > 0 if dtype == "bool" else (numbers % 7 * 40 if dtype == "uint8" else numbers)
        x = make(np.asarray(array).astype(numpy_type(dtype)))
        for dim in (0, 1) if NIGHTLY else (place,):

            def function(x: Any, dim: int = dim) -> Any:
                return REDUCTIONS[name](x, dim)

            agree(function(x), list(chainrule.compile(function)(x)))


def test_places_of_booleans() -> None:
    """True is more than false; the first of equals counts."""
    x = chainrule.tensor([[False, True, True], [True, True, False], [False, False, False], [True, True, True]])
    for function in (lambda x: (x.argmax(1), x.argmin(1), x.max(1).values),):
        for form in (function, chainrule.compile(function)):
            largest, smallest, values = form(x)
            assert largest.tolist() == [1, 0, 0, 0]
            assert smallest.tolist() == [0, 2, 0, 0]
            assert values.tolist() == [True, True, False, True]


NAN, INF = float("nan"), float("inf")
#: A number, and what it is as int8, uint8, int16, int32 and int64. Small types have the last bits of the int64.
CASTS = [
    (300.0, 44, 44, 300, 300, 300), (-300.0, -44, 212, -300, -300, -300), (-1.5, -1, 255, -1, -1, -1),
    (70000.0, 112, 112, 4464, 70000, 70000), (-70000.0, -112, 144, -4464, -70000, -70000),
    (2.0**31, 0, 0, 0, -(2**31), 2**31), (-(2.0**31), 0, 0, 0, -(2**31), -(2**31)),
    (2.0**40 + 2.0**20, 0, 0, 0, -(2**31), 2**40 + 2**20), (2.0**63, 0, 0, 0, -(2**31), -(2**63)),
    (1e30, 0, 0, 0, -(2**31), -(2**63)), (-1e30, 0, 0, 0, -(2**31), -(2**63)),
    (NAN, 0, 0, 0, -(2**31), -(2**63)), (INF, 0, 0, 0, -(2**31), -(2**63)), (-INF, 0, 0, 0, -(2**31), -(2**63)),
    (127.9, 127, 127, 127, 127, 127), (-128.9, -128, 128, -128, -128, -128), (255.9, -1, 255, 255, 255, 255),
]  # fmt: skip


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_floats_that_do_not_fit_an_integer_type(source: str) -> None:
    types = [getattr(chainrule, name) for name in ("int8", "uint8", "int16", "int32", "int64")]
    x = chainrule.tensor([row[0] for row in CASTS] * 3, dtype=getattr(chainrule, source))

    def casts(x: Any) -> list[Any]:
        return [x.to(dtype) for dtype in types]

    for function in (casts, chainrule.compile(casts)):
        for i, found in enumerate(function(x)):
            assert found.tolist() == [row[1 + i] for row in CASTS] * 3
    for row in CASTS:  # one by one: a constant in a program, a tensor of one entry
        single = chainrule.tensor(row[0], dtype=getattr(chainrule, source))
        assert [y.item() for y in casts(single)] == list(row[1:])
        constant = chainrule.compile(lambda row=row: casts(chainrule.tensor(row[0], dtype=getattr(chainrule, source))))
        assert [y.item() for y in constant()] == list(row[1:])


@pytest.mark.parametrize("source", ["float16", "bfloat16"])
def test_halves_that_do_not_fit_an_integer_type(source: str) -> None:
    x = chainrule.tensor([300.0, -300.0, NAN, INF, -INF, -1.5], dtype=getattr(chainrule, source))
    small, large = (lambda x: x.to(chainrule.int8)), (lambda x: x.to(chainrule.int64))
    for form in (lambda f: f, chainrule.compile):
        assert form(small)(x).tolist() == [44, -44, 0, 0, 0, -1]
        assert form(large)(x).tolist() == [300, -300, -(2**63), -(2**63), -(2**63), -1]


@pytest.mark.peer
def test_casts_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    values = [row[0] for row in CASTS if abs(row[0]) < 2**31 or not abs(row[0]) < 2**63]
    for source in ("float32", "float64"):
        theirs = torch.tensor(values, dtype=getattr(torch, source))
        ours = chainrule.tensor(values, dtype=getattr(chainrule, source))
        for target in ("int8", "uint8", "int16", "int32", "int64"):
            assert ours.to(getattr(chainrule, target)).tolist() == theirs.to(getattr(torch, target)).tolist()


def test_the_last_of_several_nans_is_the_largest_of_a_pooling_window() -> None:
    x = chainrule.tensor([[[NAN, 1.0, NAN, 2.0], [3.0, NAN, NAN, 5.0], [1.0, 1.0, 0.0, 1.0]]])

    def pool(x: Any) -> Any:
        return chainrule.nn.functional.max_pool1d(x, 2, return_indices=True)[1]

    for function in (pool, chainrule.compile(pool)):
        assert function(x).tolist() == [[[0, 2], [1, 2], [0, 3]]]
    wide = chainrule.full((1, 1, 40), NAN)

    def last(x: Any) -> Any:
        return chainrule.nn.functional.max_pool1d(x, 40, return_indices=True)[1]

    assert last(wide).item() == chainrule.compile(last)(wide).item() == 39


def test_arithmetic_of_booleans() -> None:
    x, y = chainrule.tensor([True, False, True, False]), chainrule.tensor([True, True, True, True])

    def function(x: Any, y: Any) -> Any:
        return x // y, x % y, x**y

    for form in (function, chainrule.compile(function)):
        quotient, rest, power = form(x, y)
        assert quotient.tolist() == x.tolist() == power.tolist()
        assert rest.tolist() == [False] * 4
