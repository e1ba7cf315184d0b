"""What a loop multiplies by each time round, or many parts do, laid out before where the processor has registers for that.

What must hold does not depend on the processor: every product of a loop has float32's own error, whatever its numbers
are, and what changes within the loop is never laid out before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native.emitting.tile import multiplies_by_amx

#: Rows, depth, columns: whole registers, pieces and panels; odd ones of each; too few rows.
SIZES = [
    (32, 256, 256),
    (16, 128, 128),
    (33, 300, 271),
    (17, 131, 150),
    (70, 1031, 130),
    (48, 1024, 192),
    (5, 256, 256),
]
#: Steps enough that they are not written out one by one.
STEPS = 300


def products(w: Any, xs: Any) -> Any:
    """xs[t] @ w for each t, within a loop that carries the number of the step."""
    return chainrule.scan(lambda t, x: (t + 1, x @ w), chainrule.zeros(()), xs)[1]


def few(rows: int, depth: int, seed: int = 0) -> np.ndarray:
    """Factors for all steps, most of them the same ones."""
    random = np.random.default_rng(seed)
    return random.standard_normal((3, rows, depth)).astype(np.float32)[np.arange(STEPS) % 3]


def check(have: np.ndarray, xs: np.ndarray, w: np.ndarray) -> None:
    """|error| ≤ (depth + 1)·2⁻²⁴·Σ|x·w|: a rounding for each sum and one more."""
    a, b = xs[:3].astype(np.float64), w.astype(np.float64)
    bound = (w.shape[0] + 1) * 2.0**-24 * (np.abs(a) @ np.abs(b))
    assert (np.abs(have[:3] - a @ b) <= bound).all()
    for t in range(3, STEPS):
        np.testing.assert_array_equal(have[t], have[t % 3])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_error_is_that_of_float32(size: tuple[int, int, int]) -> None:
    rows, depth, columns = size
    random = np.random.default_rng(rows)
    w = (random.standard_normal((depth, columns)) * 10.0 ** random.uniform(-6, 6, (depth, columns))).astype(np.float32)
    xs = few(rows, depth)
    compiled = chainrule.compile(products, debug=True)
    check(compiled(chainrule.tensor(w), chainrule.tensor(xs)).numpy(), xs, w)
    assert ("laid out" in compiled.explain()) == (multiplies_by_amx() and rows >= 16)
    exact = chainrule.compile(products, exact=True)
    check(exact(chainrule.tensor(w), chainrule.tensor(xs)).numpy(), xs, w)
    assert "laid out" not in exact.explain()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("number", "beside"), [(np.inf, 1.0), (np.nan, 0.0), (3e38, 3e38), (1e-30, 1e-30), (1e-42, 1e38), (1e38, 1e-42)]
)
def test_numbers_that_cannot_be_taken_apart(number: float, beside: float, turned: bool) -> None:
    """In what is laid out, and in what comes later: some steps have such numbers, and some do not."""
    xs, w = few(32, 256), few(256, 192, 1)[0]
    w[7, 64] = number
    xs[1::3, 4, 7] = beside
    given = chainrule.tensor(np.ascontiguousarray(w.T)) if turned else chainrule.tensor(w)
    have = chainrule.compile(lambda w, xs: products(w.mT if turned else w, xs))(given, chainrule.tensor(xs)).numpy()
    with np.errstate(all="ignore"):
        a, b = xs[:3].astype(np.float64), w.astype(np.float64)
        want, size = (a @ b).astype(np.float32), np.abs(a) @ np.abs(b)
    for t in range(STEPS):
        np.testing.assert_array_equal(np.isfinite(have[t]), np.isfinite(want[t % 3]))
        np.testing.assert_array_equal(np.isnan(have[t]), np.isnan(want[t % 3]))
        rest = np.isfinite(want[t % 3])
        bound = 257 * 2.0**-23 * size[t % 3][rest] + 2.0**-149
        assert (np.abs(have[t][rest] - want[t % 3][rest]) <= bound).all()


def test_what_the_loop_itself_changes_is_not_laid_out() -> None:
    """Factors that are carried, or another one each time, have the values of their own step."""
    random = np.random.default_rng(2)
    x, w = random.standard_normal((32, 128)).astype(np.float32), random.standard_normal((128, 128)).astype(np.float32)
    others = few(128, 128, 3)

    def carried(x: Any, w: Any) -> Any:
        return chainrule.scan(lambda w, _: (-w, x @ w), w, chainrule.zeros(STEPS))[1]

    def others_each_time(x: Any, ws: Any) -> Any:
        return chainrule.scan(lambda t, w: (t + 1, x @ w), chainrule.zeros(()), ws)[1]

    compiled = chainrule.compile(carried)
    have = compiled(chainrule.tensor(x), chainrule.tensor(w)).numpy()
    assert "laid out" not in compiled.explain()
    want = x.astype(np.float64) @ w
    np.testing.assert_allclose(have[::2], np.broadcast_to(want, have[::2].shape), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(have[1::2], -have[::2])
    compiled = chainrule.compile(others_each_time)
    have = compiled(chainrule.tensor(x), chainrule.tensor(others)).numpy()
    assert "laid out" not in compiled.explain()
    np.testing.assert_allclose(have, x.astype(np.float64) @ others, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize(
    ("x", "w", "turned"),
    [
        ((32, 128), (128, 128), False),
        ((16, 1024), (1024, 128), False), ((32, 8192), (8192, 128), False),  # cut along the sum
        ((2048, 96), (2048, 128), True), ((160, 17), (160, 136), True),
        ((2, 32, 128), (2, 128, 128), False), ((3, 32, 128), (128, 160), False),  # one matrix each, and one for all
    ],
    ids=str,
)  # fmt: skip
def test_every_form_and_type(x: tuple[int, ...], w: tuple[int, ...], turned: bool, dtype: str) -> None:
    """Whole numbers, so that in float64 even the lower halves of their words are ordinary numbers: 0."""
    random = np.random.default_rng(6)
    xs = random.integers(-8, 9, (3, *x)).astype(np.float64)[np.arange(STEPS) % 3]
    ws = random.integers(-8, 9, w).astype(np.float64)

    def step(w: Any, xs: Any) -> Any:
        return chainrule.scan(lambda t, x: (t + 1, (x.mT if turned else x) @ w), chainrule.zeros(()), xs)[1]

    kind = getattr(chainrule, dtype)
    have = chainrule.compile(step)(chainrule.tensor(ws).to(kind), chainrule.tensor(xs).to(kind)).double().numpy()
    want = (xs[:3].swapaxes(-1, -2) if turned else xs[:3]) @ ws
    rounding = {"float32": 0.0, "float64": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    for t in range(STEPS):
        assert (np.abs(have[t] - want[t % 3]) <= rounding * np.abs(want[t % 3])).all()


def test_convolutions_in_groups() -> None:
    random = np.random.default_rng(7)
    xs, w = random.integers(-8, 9, (3, 4, 64, 6, 6)), random.integers(-8, 9, (256, 32, 2, 2))
    xs = xs[np.arange(STEPS) % 3]

    def step(w: Any, xs: Any) -> Any:
        return chainrule.scan(lambda t, x: (t + 1, nn.functional.conv2d(x, w, groups=2)), chainrule.zeros(()), xs)[1]

    have = chainrule.compile(step)(chainrule.tensor(w).float(), chainrule.tensor(xs).float()).numpy()
    for t in range(3):
        want = nn.functional.conv2d(chainrule.tensor(xs[t]).double(), chainrule.tensor(w).double(), groups=2).numpy()
        np.testing.assert_array_equal(have[t::3], np.broadcast_to(want, have[t::3].shape))


def test_one_matrix_of_several_products_is_laid_out_once() -> None:
    xs, w = few(32, 128), few(128, 128, 1)[0]

    def step(w: Any, xs: Any) -> Any:
        return chainrule.scan(lambda t, x: (t + 1, (x @ w) - ((x * x) @ w)), chainrule.zeros(()), xs)[1]

    compiled = chainrule.compile(step)
    have = compiled(chainrule.tensor(w), chainrule.tensor(xs)).numpy()
    a, b = xs[:3].astype(np.float64), w.astype(np.float64)
    np.testing.assert_allclose(have[:3], a @ b - (a * a) @ b, rtol=1e-4, atol=1e-3)
    assert compiled.explain().count("laid out") == (1 if multiplies_by_amx() else 0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("dtype", [chainrule.float32, chainrule.bfloat16])
def test_recurrent_layers_and_their_gradients(kind: Any, dtype: Any) -> None:
    """Two layers, both ways, against float64; the same bits on any number of threads."""
    chainrule.manual_seed(4)
    layer, x = kind(40, 136, num_layers=2, bidirectional=True), chainrule.randn(70, 33, 40)

    def gradients(x: Any) -> Any:
        with chainrule.autocast("cpu", dtype=chainrule.bfloat16, enabled=dtype == chainrule.bfloat16):
            y = layer(x)[0]
        return [y, *chainrule.autograd.grad((y.to(x.dtype) ** 2).mean(), list(layer.parameters()))]

    before, results = chainrule.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            chainrule.set_num_threads(threads)
            results.append([g.detach().double().numpy() for g in chainrule.compile(gradients)(x)])
    finally:
        chainrule.set_num_threads(before)
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
    bound, dtype = (0.1 if dtype == chainrule.bfloat16 else 1e-4), chainrule.float64  # it is computed so now
    layer.double()
    for have, want in zip(results[0], gradients(x.double()), strict=True):
        want = want.detach().numpy()
        assert np.abs(have - want).max() <= bound * np.abs(want).max()


# ------------------------------------------------------------------------------------- without a loop


def laid_out(compiled: Any) -> int:
    """How many matrices a compiled function lays out."""
    return int(compiled.explain().count("laid out"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_many_parts_multiply_by_is_laid_out_once(dtype: str) -> None:
    """Two products by the same matrix share what is laid out; a step that changes the matrix changes it afterwards."""
    random = np.random.default_rng(7)
    kind = getattr(chainrule, dtype)
    x, y = (chainrule.tensor(random.integers(-4, 5, (1024, 256)).astype(np.float32)).to(kind) for _ in range(2))
    w = nn.Parameter(chainrule.tensor(random.integers(-4, 5, (256, 192)).astype(np.float32)).to(kind))

    @chainrule.compile
    def step(x: Any, y: Any) -> Any:
        with chainrule.no_grad():
            found = (x @ w).float(), (y @ w).float()
            w.mul_(-1)
            return (*found, (x @ w).float())

    for _ in range(3):
        before = w.detach().double().numpy()
        first, second, third = (z.double().numpy() for z in step(x, y))
        rounding = 0.0 if dtype == "float32" else 2.0**-8
        for have, want in ((first, x.double().numpy() @ before), (second, y.double().numpy() @ before)):
            assert (np.abs(have - want) <= rounding * np.abs(want)).all()
        np.testing.assert_array_equal(third, -first)
    assert laid_out(step) == (2 if multiplies_by_amx() else 0)


def test_a_very_large_matrix_is_not_laid_out() -> None:
    """A head over a large vocabulary keeps its memory: what is laid out of float32 takes 1.5 times as much again."""
    x, w = chainrule.ones(256, 512), chainrule.ones(512, 16384)
    for multiply in (lambda x, w: x @ w, lambda x, w: w.mT @ x.mT):
        compiled = chainrule.compile(multiply)
        assert (compiled(x, w) == 512).all()
        assert compiled.program.executable.arena_bytes < w.numel() * 4


@pytest.mark.parametrize("number", [np.inf, np.nan, 3e38, 1e-30, 1e-42])
def test_numbers_that_cannot_be_taken_apart_in_many_parts(number: float) -> None:
    """Beside them and among them, as in one pass over float64."""
    random = np.random.default_rng(8)
    x, w = (random.standard_normal(shape).astype(np.float32) for shape in ((1024, 256), (256, 192)))
    w[7, 64], x[5, 7], x[900, 9] = number, 1.0, number
    have = chainrule.compile(lambda x, w: x @ w)(chainrule.tensor(x), chainrule.tensor(w)).numpy()
    with np.errstate(all="ignore"):
        a, b = x.astype(np.float64), w.astype(np.float64)
        want, size = (a @ b).astype(np.float32), np.abs(a) @ np.abs(b)
    np.testing.assert_array_equal(np.isfinite(have), np.isfinite(want))
    np.testing.assert_array_equal(np.isnan(have), np.isnan(want))
    rest = np.isfinite(want)
    assert (np.abs(have[rest] - want[rest]) <= 257 * 2.0**-23 * size[rest] + 2.0**-149).all()


@pytest.mark.parametrize("shape", [(2, 3, 96, 160, 40), (4, 64, 30, 128, 1), (1, 129, 33, 131, 3)], ids=str)
def test_convolutions_in_bfloat16_share_their_weight(shape: tuple[int, ...]) -> None:
    """Whole numbers, so every sum is exact and only the result is rounded: forward and both gradients."""
    images, channels, size, out, kernel = shape
    kernel = min(kernel, 3)
    random = np.random.default_rng(9)
    x = chainrule.tensor(random.integers(-2, 3, (images, channels, size, size)).astype(np.float32)).bfloat16()
    w = chainrule.tensor(random.integers(-2, 3, (out, channels, kernel, kernel)).astype(np.float32)).bfloat16()

    def convolved(x: Any, w: Any) -> Any:
        return nn.functional.conv2d(x, w, padding=kernel // 2)

    have = chainrule.compile(convolved)(x, w).double()
    want = convolved(x.double(), w.double())
    assert ((have - want).abs() <= 2.0**-8 * want.abs()).all()


@pytest.mark.parametrize(
    ("image", "out", "kernel", "stride"),
    [
        ((2, 32, 28, 28), 64, 3, 1), ((3, 64, 5, 14), 96, 3, 1), ((1, 32, 15, 30), 33, 3, 1), ((2, 96, 16, 16), 8, 1, 1),
        ((2, 32, 56, 48), 48, 3, 2), ((3, 32, 13, 12), 16, 5, 1), ((1, 1024, 3, 24), 40, 3, 1), ((2, 64, 6, 26), 24, 1, 1),
    ],
    ids=str,
)  # fmt: skip
def test_convolutions_whose_pixels_are_read_where_they_lie(
    image: tuple[int, ...], out: int, kernel: int, stride: int
) -> None:
    """Rows of pixels cut evenly, an odd number of them, kernels of several sizes: whole numbers, so sums are exact.

    What lies behind the last pixel is not multiplied: there is a NaN.
    """
    random = np.random.default_rng(11)
    x = chainrule.tensor(random.integers(-2, 3, (image[0] + 1, *image[1:])).astype(np.float32)).bfloat16()
    x[-1] = float("nan")
    w = chainrule.tensor(random.integers(-2, 3, (out, image[1], kernel, kernel)).astype(np.float32)).bfloat16()

    def convolved(x: Any, w: Any) -> Any:
        x = x * 2  # so that it lies as the program likes
        return nn.functional.conv2d(x[:-1], w, padding=kernel // 2, stride=stride), x

    have = chainrule.compile(convolved)(x, w)[0].double()
    want = convolved(x.double(), w.double())[0]
    assert ((have - want).abs() <= 2.0**-8 * want.abs()).all()


@pytest.mark.parametrize(("rows", "depth", "columns"), [(2048, 128, 64), (130, 96, 48), (36, 1024, 200), (91, 64, 40)])
def test_rows_of_a_matrix_that_are_read_where_they_lie(rows: int, depth: int, columns: int) -> None:
    """With gradients: rows that fill registers evenly, and rows that do not."""
    random = np.random.default_rng(12)
    x, w = (
        chainrule.tensor(random.integers(-2, 3, shape).astype(np.float32)).bfloat16()
        for shape in ((rows, depth), (depth, columns))
    )

    def products(x: Any, w: Any) -> Any:
        y = (x * 1) @ w
        return y, (y * 1) @ w.mT

    have, back = (z.double() for z in chainrule.compile(products)(x, w))
    want = x.double() @ w.double()
    assert ((have - want).abs() <= 2.0**-8 * want.abs()).all()
    size = want.abs() @ w.double().mT.abs()
    assert ((back - want @ w.double().mT).abs() <= 2.0**-6 * size).all()
