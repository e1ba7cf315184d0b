"""Products and convolutions read halves as they lie in memory and add up in float32, in every way they are done."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native import builder
from chainrule.backends.native.emitting.tile import multiplies_by_amx, multiplies_pairs
from chainrule.backends.native.language.halves import can_convert
from chainrule.backends.native.run.machine import vector_bits

F = nn.functional
HALVES = [name for name in ("float16", "bfloat16") if can_convert(name)]
#: Half a step from one number to the next, relative to it.
ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
#: (vectors in bits, whether bfloat16 is multiplied in pairs, and by AMX).
WAYS = [(bits, False, False) for bits in sorted({128, vector_bits()})]
WAYS += [(512, True, False)] * (multiplies_pairs() and vector_bits() == 512)
WAYS += [(512, True, True)] * (multiplies_pairs() and multiplies_by_amx() and vector_bits() == 512)
#: Rows, depth, columns: one of each, odd ones, more than a tile, a vector, a block.
SIZES = [(1, 1, 1), (5, 7, 3), (14, 641, 64), (33, 65, 40), (130, 1300, 70), (3, 1027, 33)]
#: Image, weight, settings.
CONVOLUTIONS: list[Any] = [
    ((2, 16, 9, 9), (24, 16, 3, 3), {"padding": 1}),
    ((2, 3, 9, 9), (24, 3, 5, 5), {"padding": 2, "stride": 2}),
    ((2, 30, 8, 7), (18, 15, 3, 3), {"groups": 2, "padding": 1}),
    ((3, 17, 7, 7), (13, 17, 1, 1), {}),
    ((2, 4, 9, 9), (5, 4, 3, 3), {}),
    ((2, 16, 9, 9), (16, 1, 3, 3), {"groups": 16}),
]


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}{'-pairs' * way[1]}{'-amx' * way[2]}")
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of this width, bfloat16 by AMX, in pairs or widened."""
    bits, pairs, amx = request.param
    monkeypatch.setattr(builder, "vector_bits", lambda: bits)
    monkeypatch.setattr(builder, "multiplies_pairs", lambda: pairs)
    monkeypatch.setattr(builder, "multiplies_by_amx", lambda: amx)


def given(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return chainrule.tensor(random.standard_normal(shape)).to(getattr(chainrule, dtype))


def numbers(x: Any) -> Any:
    return x.double().numpy()


def check(ours: Any, exact: Any, absolute: Any, depth: int, dtype: str) -> None:
    """The result rounded once, and of each of `depth` float32 additions half a step of the sum of all sizes."""
    assert ours.dtype is getattr(chainrule, dtype)
    bound = ROUNDING[dtype] * np.abs(exact) + (depth + 1) * 2.0**-23 * absolute + 2.0**-25
    assert (np.abs(numbers(ours) - exact) <= bound).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_products(dtype: str, way: None) -> None:
    random = np.random.default_rng(0)
    layouts = list(itertools.product((False, True), repeat=2))
    cases = [(size, turned) for size in SIZES for turned in layouts]
    pairs = [
        (given(random, (k, m) if a else (m, k), dtype), given(random, (n, k) if b else (k, n), dtype))
        for (m, k, n), (a, b) in cases
    ]

    def multiply(pairs: Any) -> list[Any]:
        turned = [turned for _, turned in cases]
        return [(x.mT if a else x) @ (y.mT if b else y) for (x, y), (a, b) in zip(pairs, turned, strict=True)]

    compiled = chainrule.compile(multiply, debug=True)
    for have, (x, y), ((_, k, _), (a, b)) in zip(compiled(pairs), pairs, cases, strict=True):
        p, q = (numbers(x).T if a else numbers(x)), (numbers(y).T if b else numbers(y))
        check(have, p @ q, np.abs(p) @ np.abs(q), k, dtype)
    assert "in NumPy" not in compiled.explain()


@pytest.mark.parametrize("dtype", HALVES)
def test_convolutions_and_their_gradients(dtype: str, way: None) -> None:
    random = np.random.default_rng(0)
    cases = [(given(random, x, dtype), given(random, w, dtype), p) for x, w, p in CONVOLUTIONS]
    upstream = [given(random, tuple(F.conv2d(x, w, **p).shape), dtype) for x, w, p in cases]

    def everything(convert: Any) -> list[Any]:
        results = []
        for (x, w, p), g in zip(cases, upstream, strict=True):
            a, b = (convert(t.detach()).requires_grad_() for t in (x, w))
            y = F.conv2d(a, b, **p)
            y.backward(convert(g))
            results += [y.detach(), a.grad, b.grad]
        return results

    def with_sizes(x: Any) -> Any:
        return x.double().abs()

    exact, sizes = everything(lambda x: x.double()), everything(with_sizes)
    compiled = chainrule.compile(lambda: everything(lambda x: x), debug=True)
    for have, want, size in zip(compiled(), exact, sizes, strict=True):
        check(have, numbers(want), numbers(size), 500, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_no_copy_in_float32(dtype: str) -> None:
    """Neither factor is widened in memory, however it lies: the working memory is less than one of float32 would take.

    (What is laid out for AMX takes what a factor takes.)
    """
    random = np.random.default_rng(0)
    x, y = (given(random, (512, 512), dtype) for _ in range(2))
    for f in (lambda x, y: x @ y, lambda x, y: x.mT @ y):
        multiply = chainrule.compile(f)
        multiply(x, y)
        assert multiply.program.executable.arena_bytes < 3 * x.numel()


def test_garbage_beside_the_last_pair_is_not_multiplied(way: None) -> None:
    """An odd number of products: what stands behind the last may be anything, NaN too."""
    whole = chainrule.full((64, 65), float("nan")).bfloat16()
    x = chainrule.ones(64, 64).bfloat16()
    multiply = chainrule.compile(lambda whole, x: [whole[:63, :20].mT @ x[:63], x[:20, :63] @ whole[:63, :20]])
    whole[:63, :20] = 1.0
    x[63] = float("nan")
    for result in multiply(whole, x):
        np.testing.assert_array_equal(numbers(result), 63.0)
