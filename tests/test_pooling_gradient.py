"""Max pooling and its gradient against the definition, window by window: ties, NaN, −∞, edges that no window reaches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native import builder
from chainrule.backends.native.run.machine import vector_bits
from chainrule.compiler.single import in_numpy
from chainrule.nn import functional as F

#: (shape of the image, settings): windows side by side, apart, overlapping; few channels and many; one to three dimensions.
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8, 8), {"kernel_size": 2}),
    ((2, 20, 9, 7), {"kernel_size": 2}),
    ((1, 3, 9, 37), {"kernel_size": 3}),
    ((1, 20, 9, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 3, 6, 37), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 5, 37), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 2, 9, 40), {"kernel_size": 2, "stride": 4}),
    ((1, 3, 7, 20), {"kernel_size": 5, "stride": 1, "padding": 2}),
    ((2, 3, 41), {"kernel_size": 4}),
    ((2, 3, 41), {"kernel_size": 2, "stride": 2, "dilation": 3}),
    ((1, 2, 5, 4, 19), {"kernel_size": (1, 2, 2), "ceil_mode": True}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
]


def pool_and_gradient(x: Any, g: Any, settings: dict[str, Any]) -> list[Any]:
    """The largest entries, where they stand, and what comes back to x."""
    pool = [F.max_pool1d, F.max_pool2d, F.max_pool3d][x.ndim - 3]
    values, indices = pool(x, **settings, return_indices=True)
    return [values, indices, chainrule.autograd.grad(values, x, g)[0]]


def by_definition(x: np.ndarray, g: np.ndarray, settings: dict[str, Any]) -> list[np.ndarray]:
    """Every window for itself, in Python; g is added where the largest entry stands, window after window."""
    n = x.ndim - 2

    def each(name: str, default: Any) -> tuple[int, ...]:
        value = settings.get(name, default)
        return (value,) * n if isinstance(value, int) else tuple(value)

    kernel, padding, dilation = each("kernel_size", None), each("padding", 0), each("dilation", 1)
    stride, size = each("stride", kernel), x.shape[2:]
    values, indices, back = np.empty(g.shape, x.dtype), np.empty(g.shape, np.int64), np.zeros_like(x)
    for window in np.ndindex(*g.shape):
        best: Any = None
        for k in np.ndindex(*kernel):
            at = [p * s - b + i * d for p, s, b, i, d in zip(window[2:], stride, padding, k, dilation, strict=True)]
            if not all(0 <= i < extent for i, extent in zip(at, size, strict=True)):
                continue
            entry = x[(*window[:2], *at)]
            if best is None or entry > best[0] or np.isnan(entry):
                best = entry, at
        values[window], indices[window] = best[0], np.ravel_multi_index(best[1], size)
        back[(*window[:2], *best[1])] += g[window]
    return [values, indices, back]


def images(shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    """One without anything special; one with equal entries, NaN, infinities and −0."""
    random = np.random.default_rng(len(shape))
    plain = random.standard_normal(shape).astype(dtype)
    special = np.round(plain)
    for number, share in ((np.nan, 0.1), (-np.inf, 0.4), (np.inf, 0.05), (-0.0, 0.2)):
        special[random.random(shape) < share] = number
    return [plain, special]


def assert_same_bits(have: Any, want: np.ndarray) -> None:
    """Equal numbers, NaN where NaN is, and no 0 for a −0; of the larger of 0 and −0 the sign is open."""
    have = have.detach().numpy()
    assert have.dtype == want.dtype
    np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize(("shape", "settings"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_pooling_is_its_definition(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    random = np.random.default_rng(7)
    compiled = chainrule.compile(lambda x, g: pool_and_gradient(x, g, settings))
    for array in images(shape, "float32"):
        x = chainrule.tensor(array, requires_grad=True)
        out = [F.max_pool1d, F.max_pool2d, F.max_pool3d][x.ndim - 3](x, **settings).shape
        g = random.standard_normal(tuple(out)).astype("float32")
        g[random.random(g.shape) < 0.2] = -0.0
        want = by_definition(array, g, settings)
        with in_numpy():
            eager = pool_and_gradient(x, chainrule.tensor(g), settings)
        for results in (eager, compiled(x, chainrule.tensor(g))):
            for have, expected in zip(results, want, strict=True):
                assert_same_bits(have, expected)
            signs = np.signbit(results[2].detach().numpy()) == np.signbit(want[2])
            assert (signs | np.isnan(want[2])).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64"])
def test_other_types(dtype: str) -> None:
    from chainrule.primitives import registry

    random = np.random.default_rng(0)
    settings: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "dilation": (1, 1)}
    x = chainrule.tensor(random.integers(-9, 9, (2, 13, 9, 35))).to(getattr(chainrule, dtype))
    g = chainrule.tensor(random.integers(-9, 9, (2, 13, 4, 17))).to(x.dtype)

    def gradient(x: Any, g: Any) -> list[Any]:
        values, indices = registry["MaxPool"].apply(x, **settings)
        return [values, indices, registry["MaxPoolGradient"].apply(g, indices, size=(9, 35), **settings)]

    with in_numpy():
        want = gradient(x, g)
    for have, expected in zip(chainrule.compile(gradient)(x, g), want, strict=True):
        assert have.dtype == expected.dtype and have.tolist() == expected.tolist()


def test_the_image_of_one_number_has_places_too() -> None:
    """Of equal entries the first: where each window begins, though nothing of the image varies."""
    compiled = chainrule.compile(lambda: F.max_pool2d(chainrule.zeros(1, 1, 8, 8), 4, return_indices=True)[1])
    assert compiled().tolist() == [[[[0, 4], [32, 36]]]]


@pytest.mark.parametrize(
    "settings", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 5, "stride": 1}]
)
def test_second_derivatives(settings: dict[str, Any]) -> None:
    """Σ g²·w, with g the gradient of Σ max³/3: by hand, window by window, where no two entries are equal."""
    array = np.random.default_rng(3).permutation(2 * 7 * 7).reshape(1, 2, 7, 7).astype(np.float64) / 50
    w = chainrule.tensor(np.random.default_rng(4).standard_normal(array.shape))

    def second(x: Any) -> Any:
        values = F.max_pool2d(x, **settings)
        (first,) = chainrule.autograd.grad((values**3).sum() / 3, x, create_graph=True)
        return chainrule.autograd.grad((first**2 * w).sum(), x)[0]

    x = chainrule.tensor(array, requires_grad=True)
    kernel, stride = settings["kernel_size"], settings.get("stride", settings["kernel_size"])
    count = np.zeros(array.shape)  # how many windows each entry is the largest of
    for n, c, i, j in itertools.product(range(1), range(2), *[range((7 - kernel) // stride + 1)] * 2):
        part = array[n, c, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        a, b = np.unravel_index(part.argmax(), part.shape)
        count[n, c, i * stride + a, j * stride + b] += 1
    # first = count·x², so the derivative of Σ w·count²·x⁴ is 4·w·count²·x³.
    expected = 4 * w.numpy() * count**2 * array**3
    for function in (second, chainrule.compile(second)):
        np.testing.assert_allclose(function(x).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_windows_side_by_side_scatter_nothing() -> None:
    """Pooling's gradient is one kernel together with ReLU's and the sum of a bias; nothing is filled with zeros before."""

    @chainrule.compile
    def gradients(x: Any, bias: Any, g: Any) -> Any:
        y = F.max_pool2d((x + bias).relu(), 2)
        return chainrule.autograd.grad(y, [x, bias], g)

    x, bias = chainrule.randn(4, 16, 9, 8, requires_grad=True), chainrule.zeros(16, 1, 1, requires_grad=True)
    gradients(x, bias, chainrule.randn(4, 16, 4, 4))
    lines = gradients.explain().splitlines()
    assert sum("[4×16×9×8]" in line for line in lines) == 2, lines  # the sum and its ReLU; both gradients


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x = chainrule.randn(8, 16, 40, 40, requires_grad=True)
    g = chainrule.randn(8, 16, 20, 20)
    compiled = chainrule.compile(lambda x, g: pool_and_gradient(x, g, {"kernel_size": 3, "stride": 2, "padding": 1}))
    before, found = chainrule.get_num_threads(), []
    try:
        for threads in (1, 2):
            chainrule.set_num_threads(threads)
            found.append([t.detach().numpy().tobytes() for t in compiled(x, g)])
    finally:
        chainrule.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("channels", [6, 32])
def test_dropout_between_pooling_and_rows(channels: int) -> None:
    """What is drawn row by row meets images whose channels are closest together: the same entries fall as in eager code."""
    rows = chainrule.nn.Linear(channels * 81, 5)
    x = chainrule.randn(16, channels, 18, 19, requires_grad=True)

    def gradients(x: Any) -> list[Any]:
        y = F.dropout(F.max_pool2d(F.conv2d(x, chainrule.ones(channels, channels, 1, 1)).relu(), 2), 0.25)
        z = rows(y.flatten(1))
        return [y, *chainrule.autograd.grad((z * z).sum(), [x, rows.weight])]

    compiled = chainrule.compile(gradients)
    for _ in range(2):
        chainrule.manual_seed(5)
        want = gradients(x)
        chainrule.manual_seed(5)
        have = compiled(x)
        assert ((have[0] == 0) == (want[0] == 0)).all()
        for a, b in zip(have, want, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("bits", [128, 256])
def test_narrower_vectors_give_the_same_bits(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "vector_bits", lambda: min(bits, vector_bits()))
    for shape, settings in (CASES[0], CASES[4], CASES[5], CASES[6]):
        array = images(shape, "float32")[1]
        x = chainrule.tensor(array, requires_grad=True)
        out = F.max_pool2d(x, **settings).shape
        g = np.random.default_rng(1).standard_normal(tuple(out)).astype("float32")
        results = chainrule.compile(lambda x, g, s=settings: pool_and_gradient(x, g, s))(x, chainrule.tensor(g))
        for have, expected in zip(results, by_definition(array, g, settings), strict=True):
            assert_same_bits(have, expected)
    chainrule.manual_seed(1)
    want = chainrule.rand(7, 37)
    chainrule.manual_seed(1)
    assert chainrule.compile(lambda: chainrule.rand(7, 37))().tolist() == want.tolist()
