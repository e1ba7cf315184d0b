"""Products of float32 so large that a processor with a unit for bfloat16 takes them apart for it.

What must hold does not depend on the processor: the error is float32's own, also beside numbers that cannot be taken
apart, and nothing but the factors has a say in a single bit.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.primitives.value import Value

F = nn.functional
#: Rows, depth, columns: whole tiles and pieces; odd ones of each.
SIZES = [(128, 192, 256), (128, 384, 320), (333, 195, 271), (130, 1301, 330), (97, 600, 257), (1027, 333, 261),
         (512, 128, 128), (290, 145, 131), (128, 2048, 160), (170, 2304, 129), (101, 4100, 135)]  # fmt: skip


def times(x: Any, y: Any) -> Any:
    return x @ y


def turned_times(x: Any, y: Any) -> Any:
    return x.mT @ y


def check(have: Any, x: Any, y: Any, depth: int) -> None:
    """|error| ≤ (depth + 1)·2⁻²⁴·Σ|x·y|: a rounding for each sum and one more."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    assert (np.abs(have.numpy() - x @ y) <= (depth + 1) * 2.0**-24 * (np.abs(x) @ np.abs(y))).all()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_error_is_that_of_float32(size: tuple[int, int, int]) -> None:
    m, k, n = size
    random = np.random.default_rng(m)
    # Sizes over twelve orders of magnitude, so that what is left out of a large one would hide a small one.
    x, y = (random.standard_normal(s) * 10.0 ** random.uniform(-6, 6, s) for s in ((m, k), (k, n)))
    x, y = x.astype(np.float32), y.astype(np.float32)
    a, b = chainrule.tensor(x), chainrule.tensor(y)
    check(chainrule.compile(times, debug=True)(a, b), x, y, k)
    check(chainrule.compile(turned_times, debug=True)(chainrule.tensor(x.T.copy()), b), x, y, k)


def test_the_error_is_no_larger_than_the_plain_sums() -> None:
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((512, 512)).astype(np.float32) for _ in range(2))
    exact = x.astype(np.float64) @ y.astype(np.float64)
    for f in (times, turned_times):
        a = chainrule.tensor(x.T.copy() if f is turned_times else x)
        fast, plain = (chainrule.compile(f, exact=e)(a, chainrule.tensor(y)).numpy() - exact for e in (False, True))
        assert np.sqrt((fast**2).mean()) <= 1.5 * np.sqrt((plain**2).mean())
        assert abs(fast.mean()) <= 4 * fast.std() / 512  # and it leans to no side


@pytest.mark.parametrize("f", [times, turned_times])
@pytest.mark.parametrize(
    ("number", "beside"),
    [
        (np.inf, 1.0), (-np.inf, 0.0), (np.nan, 1.0), (3e38, 1.0), (3e38, 1e-30), (2.0**100, 2.0**-100),
        (1e-30, 1e30), (1e-36, 1e35), (1e-42, 1e38), (0.0, np.inf), (2.0**-100, 1.0), (2.0**60, 2.0**60),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_taken_apart(f: Any, number: float, beside: float) -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal((256, 400)).astype(np.float32), random.standard_normal((400, 260)).astype(np.float32)
    for i, j in ((7, 3), (200, 250), (255, 399)):
        x[i, j], y[j, 64] = number, beside
        x[i, :5], y[:5, 64] = 0.0, 0.0
    a = chainrule.tensor(x.T.copy() if f is turned_times else x)
    have = chainrule.compile(f)(a, chainrule.tensor(y)).numpy()
    with np.errstate(all="ignore"):
        want = (x.astype(np.float64) @ y.astype(np.float64)).astype(np.float32)
        size = np.abs(x.astype(np.float64)) @ np.abs(y.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(have), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(have), np.isposinf(want))
    np.testing.assert_array_equal(np.isneginf(have), np.isneginf(want))
    rest = np.isfinite(want)
    assert (np.abs(have[rest] - want[rest]) <= 401 * 2.0**-23 * size[rest]).all()


def test_what_stands_beside_the_factors_has_no_say() -> None:
    """Not in a bit: not behind a row or a column, nor behind the last ones."""
    results = []
    for beside in (0.0, np.nan, 1e-40, 7.0):
        random = np.random.default_rng(2)
        x, y = (chainrule.tensor(np.full((300, 300), beside, np.float32)) for _ in range(2))
        x[:250, :261] = chainrule.tensor(random.standard_normal((250, 261)).astype(np.float32))
        y[:270, :281] = chainrule.tensor(random.standard_normal((270, 281)).astype(np.float32))

        def multiply(x: Any, y: Any) -> list[Any]:
            return [x[:250, :261].mT @ y[:250, :281], x[:250, :261] @ y[:261, :281], y[:249, :281].mT @ x[:249, :261]]

        results.append([z.numpy() for z in chainrule.compile(multiply)(x, y)])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_same_bits_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    x = chainrule.tensor(random.standard_normal((8, 64, 20, 20)).astype(np.float32)).requires_grad_()
    layer = nn.Conv2d(64, 256, 3, stride=2)

    def step(x: Any) -> Any:  # and a long sum of few rows and columns, which is cut
        longest = turned_times(x.reshape(-1, 100), x.reshape(-1, 100).abs())
        longer = turned_times(x.reshape(-1, 128), x.reshape(-1, 128).abs())
        return [*chainrule.autograd.grad((layer(x) ** 2).sum(), [x, layer.weight]), longest, longer]

    before = chainrule.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            chainrule.set_num_threads(threads)
            results.append([g.detach().numpy() for g in chainrule.compile(step)(x)])
    finally:
        chainrule.set_num_threads(before)
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_convolutions_in_groups_and_their_gradients() -> None:
    random = np.random.default_rng(4)
    shapes = [((4, 192, 14, 13), (256, 192, 3, 3), {"stride": 2, "padding": 1}),
              ((4, 520, 9, 9), (520, 260, 1, 1), {"groups": 2}), ((3, 170, 12, 12), (265, 170, 5, 5), {})]  # fmt: skip
    for image, weight, settings in shapes:
        x, w = (random.standard_normal(s) for s in (image, weight))

        def gradients(x: Any, w: Any, settings: Any = settings) -> list[Any]:
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
            y = F.conv2d(x, w, **settings)
            return [y, *chainrule.autograd.grad((y**2).sum(), [x, w])]

        exact = gradients(chainrule.tensor(x), chainrule.tensor(w))
        for have, want in zip(
            chainrule.compile(gradients)(chainrule.tensor(x).float(), chainrule.tensor(w).float()), exact, strict=True
        ):
            want = want.detach().numpy()
            np.testing.assert_allclose(have.detach().numpy(), want, rtol=2e-5, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize("exponent", [-50, -58, -63, -70])
@pytest.mark.parametrize("f", [times, turned_times])
def test_small_products_of_numbers_that_are_not_small(f: Any, exponent: int) -> None:
    """One row and one column whose products are far below all others, and far above the least float32."""
    random = np.random.default_rng(5)
    x, y = random.standard_normal((256, 512)).astype(np.float32), random.standard_normal((512, 256)).astype(np.float32)
    x[7] *= np.float32(2.0**exponent)
    y[:, 9] *= np.float32(2.0**exponent)
    have = chainrule.compile(f)(chainrule.tensor(x.T.copy() if f is turned_times else x), chainrule.tensor(y)).numpy()
    x, y = x.astype(np.float64), y.astype(np.float64)
    assert (np.abs(have - x @ y) <= 513 * (2.0**-24 * (np.abs(x) @ np.abs(y)) + 2.0**-149)).all()


@pytest.mark.parametrize("exponent", [-100, -120, -134, -138])
@pytest.mark.parametrize("f", [times, turned_times])
def test_factors_all_of_which_are_tiny(f: Any, exponent: int) -> None:
    """The least numbers of float32 and those around them have fewer bits than others."""
    random = np.random.default_rng(8)
    x, y = random.standard_normal((128, 256)) * 2.0**exponent, random.standard_normal((256, 256)) * 2.0**40
    x, y = x.astype(np.float32), y.astype(np.float32)
    x[3] = 0.0
    x[3, 5] = 2.0**-149
    check(
        chainrule.compile(f)(chainrule.tensor(x.T.copy() if f is turned_times else x), chainrule.tensor(y)), x, y, 256
    )


@pytest.mark.parametrize("columns", [1, 15, 16, 17])
@pytest.mark.parametrize("depth", [257, 333, 416])
def test_rows_of_bfloat16_that_end_within_a_register(depth: int, columns: int) -> None:
    random = np.random.default_rng(6)
    pairs = [
        tuple(
            chainrule.tensor(random.standard_normal((depth, n)).astype(np.float32)).bfloat16() for n in (rows, columns)
        )
        for rows in (17, 33, 34)
    ]
    compiled = chainrule.compile(lambda pairs: [x.mT @ y for x, y in pairs])
    for have, (x, y) in zip(compiled(pairs), pairs, strict=True):
        a, b = x.double().numpy().T, y.double().numpy()
        bound = 2.0**-8 * np.abs(a @ b) + (depth + 1) * 2.0**-23 * (np.abs(a) @ np.abs(b))
        assert (np.abs(have.double().numpy() - a @ b) <= bound).all()


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected in another way")
@pytest.mark.parametrize(("rows", "k", "columns"), [(100, 128, 385), (100, 256, 193), (97, 600, 577), (200, 300, 129)])
def test_nothing_is_read_from_a_page_that_is_not_there(rows: int, k: int, columns: int) -> None:
    """Factors that end close to the end of what may be read, however wide the vectors are."""
    random = np.random.default_rng(7)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    x = random.standard_normal((rows, k)).astype(np.float32)
    for room in (0, 60, 124, 128, 192, 252, 256):
        size = -(-(4 * k * columns + room) // mmap.PAGESIZE) * mmap.PAGESIZE
        pages = mmap.mmap(-1, size + mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        assert protect(ctypes.c_void_p(start + size), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        y = np.frombuffer(pages, np.float32, k * columns, size - room - 4 * k * columns).reshape(k, columns)
        y[...] = random.standard_normal((k, columns))
        b = chainrule.tensor(y)
        b.set_value(Value(y))  # not a copy
        for exact in (False, True):
            check(chainrule.compile(times, exact=exact)(chainrule.tensor(x), b), x, y, k)
        assert protect(ctypes.c_void_p(start + size), ctypes.c_size_t(mmap.PAGESIZE), 3) == 0


def test_exact_arithmetic_does_not_depend_on_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does the order of its sums: a long sum is cut for the unit's sake only where the unit is used."""
    x, y = chainrule.ones(4096, 160), chainrule.ones(4096, 128)
    exact = chainrule.compile(turned_times, exact=True)
    np.testing.assert_array_equal(exact(x, y).numpy(), np.full((160, 128), 4096, np.float32))
    assert "sums" not in exact.explain()
