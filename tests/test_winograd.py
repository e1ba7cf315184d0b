"""Convolutions by Winograd's algorithm: right at every size, as exact as the plain sum, and only where they are faster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from tests.shorter_vectors import HIDDEN, run_without

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    threads = chainrule.get_num_threads()
    yield
    chainrule.set_num_threads(threads)
    chainrule.use_exact_arithmetic(False)


def images(*shape: int, seed: int = 0) -> Any:
    """What a layer sees: not negative, half of it 0."""
    return np.maximum(np.random.default_rng(seed).standard_normal(shape), 0).astype(np.float32)


def weights(outside: int, inside: int, seed: int = 1) -> Any:
    values = np.random.default_rng(seed).standard_normal((outside, inside, 3, 3))
    return (values * np.sqrt(2 / (9 * inside))).astype(np.float32)


def correlated(x: Any, w: Any, low: Any, high: Any) -> Any:
    """Σ of windows times the kernel, in float64; `low` and `high` zeros around the image."""
    pads = [(0, 0), (0, 0), *zip(low, high, strict=True)]
    windows = sliding_window_view(np.pad(x.astype(np.float64), pads), (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w.astype(np.float64), optimize=True)


def expected(x: Any, w: Any, g: Any, padding: tuple[int, int]) -> list[Any]:
    """A convolution's result, and the gradients of Σ g · result, by the definition."""
    turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    around = tuple(2 - p for p in padding)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in padding)])
    windows = sliding_window_view(padded, g.shape[2:], axis=(2, 3))
    to_weight = np.einsum("ncijhw,nohw->ocij", windows, g.astype(np.float64), optimize=True)
    return [correlated(x, w, padding, padding), correlated(g, turned, around, around), to_weight]


def step(x: Any, w: Any, g: Any, padding: Any) -> list[Any]:
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    y = F.conv2d(x, w, padding=padding)
    return [y.detach(), *chainrule.autograd.grad(y, [x, w], g)]


def computed(x: Any, w: Any, g: Any, padding: Any, **settings: Any) -> tuple[list[Any], int]:
    """The same by a compiled function, and how many of its kernels are Winograd's."""
    compiled = chainrule.compile(lambda *tensors: step(*tensors, padding), **settings)
    results = compiled(*map(chainrule.tensor, (x, w, g)))
    return [r.numpy() for r in results], compiled.explain().count("winograd")


def case(n: int, c: int, k: int, h: int, w: int, padding: tuple[int, int]) -> tuple[Any, Any, Any]:
    out = tuple(size + 2 * p - 2 for size, p in zip((h, w), padding, strict=True))
    g = np.random.default_rng(2).standard_normal((n, k, *out)).astype(np.float32)
    return images(n, c, h, w), weights(k, c), g


def assert_near(have: Any, want: Any, tolerance: float = 2e-6) -> None:
    np.testing.assert_allclose(have, want, rtol=0, atol=tolerance * np.abs(want).max())


SIZES = [
    (2, 32, 32, 16, 16, (1, 1)),
    (3, 33, 47, 15, 14, (0, 0)),
    (3, 33, 47, 16, 14, (0, 0)),
    (2, 130, 40, 10, 12, (2, 2)),
    (5, 70, 75, 16, 18, (1, 0)),
    (2, 130, 40, 9, 11, (2, 2)),
    (12, 24, 16, 13, 12, (1, 0)),
    (1, 16, 70, 6, 301, (0, 2)),
    (40, 64, 100, 4, 4, (1, 1)),
    (70, 96, 33, 7, 7, (1, 1)),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_and_gradients_are_the_definitions(sizes: Any) -> None:
    x, w, g = case(*sizes)
    results, kernels = computed(x, w, g, sizes[-1], debug=True)
    whole = all(n % 2 == 0 for n in g.shape[2:]) and min(sizes[1:3]) > 24
    assert kernels == 2 + whole, "the result, the image's gradient, and the weight's if no tile reaches over the edge"
    for have, want in zip(results, expected(x, w, g, sizes[-1]), strict=True):
        assert_near(have, want)


@pytest.mark.parametrize("number", range(200 if NIGHTLY else 6))
def test_random_sizes(number: int) -> None:
    """With it, without it, and by the definition."""
    random = np.random.default_rng(number)
    padding = tuple(int(p) for p in random.integers(0, 3, 2))
    n, h, w = random.integers(1, 9), *random.integers(3, 24, 2)
    x, weight, g = case(int(n), *(int(c) for c in random.integers(16, 140, 2)), int(h), int(w), padding)  # type: ignore[arg-type]
    for exact in (False, True):
        results, kernels = computed(x, weight, g, padding, exact=exact, debug=True)
        assert kernels == 0 or not exact
        for have, want in zip(results, expected(x, weight, g, padding), strict=True):
            assert_near(have, want, 4e-6)


@pytest.mark.parametrize("channels, size", [(64, 32), (128, 16), (256, 8), (512, 4)], ids=str)
def test_the_error_is_at_most_three_times_the_plain_sums(channels: int, size: int) -> None:
    """The layers of ResNet-18, against float64: the largest error and the root of the mean square."""
    x, w, g = case(16 if size == 4 else 2, channels, channels, size, size, (1, 1))
    fast, kernels = computed(x, w, g, 1)
    plain, none = computed(x, w, g, 1, exact=True)
    assert (kernels, none) == (3, 0)
    for have, other, want in zip(fast, plain, expected(x, w, g, (1, 1)), strict=True):
        for size_of in (lambda e: np.abs(e).max(), lambda e: np.sqrt((e**2).mean())):
            assert size_of(have - want) <= 3 * size_of(other - want)


@pytest.mark.peer
def test_it_is_pytorchs_convolution() -> None:
    torch = pytest.importorskip("torch")
    x, w, g = case(4, 48, 64, 17, 12, (1, 1))
    results, kernels = computed(x, w, g, "same")
    a, b = (torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (x, w))
    y = torch.nn.functional.conv2d(a, b, padding="same")
    y.backward(torch.tensor(g))
    assert kernels == 2
    for have, want in zip(results, (y, a.grad, b.grad), strict=True):
        assert_near(have, want.detach().numpy())


def test_whole_numbers_stay_exact() -> None:
    """The kernel's new form has quarters, which float32 holds: nothing is rounded, so the result is the same."""
    random = np.random.default_rng(0)
    x, w = (random.integers(-9, 10, shape).astype(np.float32) for shape in ((4, 64, 12, 12), (64, 64, 3, 3)))
    g = np.ones((4, 64, 12, 12), np.float32)
    fast, kernels = computed(x, w, g, 1)
    assert kernels == 3
    for have, want in zip(fast, computed(x, w, g, 1, exact=True)[0], strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize(
    "change", ["stride", "dilation", "groups", "kernel", "float64", "bfloat16", "few", "few out", "small"]
)
def test_other_convolutions_are_the_plain_sum(change: str) -> None:
    settings: dict[str, Any] = {"padding": 1}
    if change in ("stride", "dilation", "groups"):
        settings[change] = 2
    x, w = chainrule.randn(4, 32, 16, 16), chainrule.randn(32, 16 if change == "groups" else 32, 3, 3)
    x, w = {
        "kernel": (x, chainrule.randn(32, 32, 5, 5)), "float64": (x.double(), w.double()), "few": (x[:, :12], w[:, :12]),
        "bfloat16": (x.bfloat16(), w.bfloat16()), "few out": (x, w[:12]), "small": (x[:1, :, :4, :4], w),
    }.get(change, (x, w))  # fmt: skip
    compiled = chainrule.compile(lambda x, w: F.conv2d(x, w, **settings))
    compiled(x, w)
    assert "winograd" not in compiled.explain()


def test_exact_arithmetic_switches_it_off() -> None:
    x, w = chainrule.tensor(images(4, 32, 16, 16)), chainrule.tensor(weights(32, 32))
    compiled = chainrule.compile(lambda x, w: F.conv2d(x, w, padding=1))
    plain = chainrule.compile(lambda x, w: F.conv2d(x, w, padding=1), exact=True)
    fast, want = compiled(x, w), plain(x, w)
    assert "winograd" in compiled.explain() and "winograd" not in plain.explain()
    eager = F.conv2d(x, w, padding=1)
    assert np.array_equal(eager.numpy(), fast.numpy()), "a large operation of eager code is such a program too"
    chainrule.use_exact_arithmetic(True)
    for have in (compiled(x, w), F.conv2d(x, w, padding=1)):
        assert np.array_equal(have.numpy(), want.numpy()) and not np.array_equal(have.numpy(), fast.numpy())


def test_bits_do_not_depend_on_threads() -> None:
    x, w, g = case(6, 72, 80, 16, 18, (1, 1))
    found = []
    for threads in (1, 2, 3):
        chainrule.set_num_threads(threads)
        found.append(computed(x, w, g, 1)[0])
    for other in found[1:]:
        for have, want in zip(other, found[0], strict=True):
            assert np.array_equal(have.view(np.int32), want.view(np.int32))


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 3e38], ids=str)
@pytest.mark.parametrize("which", ["image", "upstream"])
def test_what_is_not_finite_is_where_the_plain_weight_gradient_has_it(number: float, which: str) -> None:
    """Infinities of both signs would become NaN on the way, and what is nearly too large infinite."""
    x, w, g = case(9, 70, 75, 16, 18, (1, 1))
    g = np.abs(g) + 0.1
    x += 0.1
    changed = (x, 3) if which == "image" else (g, 5)
    changed[0][4, changed[1], 0, 6] = number
    if number == 3e38:
        (g if which == "image" else x)[...] *= 1e-3
    fast, kernels = computed(x, w, g, 1)
    assert kernels == 3
    have, want = fast[2], computed(x, w, g, 1, exact=True)[0][2]
    assert np.array_equal(np.isnan(have), np.isnan(want)) and np.array_equal(np.isinf(have), np.isinf(want))
    assert np.isfinite(want).sum() < want.size or number == 3e38
    np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-3 * np.abs(want[np.isfinite(want)]).max())


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 3e38], ids=str)
def test_what_is_not_finite_stays_where_the_kernel_reaches(number: float) -> None:
    """It would spread over a tile of 2×2; what is nearly too large would become infinite on the way."""
    x, w, _ = case(3, 40, 48, 12, 13, (1, 1))
    x[1, 3, 5, 6], w = number, np.abs(w) / 40
    fast, plain = (
        chainrule.compile(lambda x, w: F.conv2d(x, w, padding=1), exact=exact)(chainrule.tensor(x), chainrule.tensor(w))
        for exact in (False, True)
    )
    assert np.array_equal(np.isfinite(fast.numpy()), np.isfinite(plain.numpy()))
    assert np.isfinite(fast.numpy()).sum() == fast.numel() - (0 if number == 3e38 else 9 * 48)
    np.testing.assert_allclose(fast.numpy(), plain.numpy(), rtol=1e-4, atol=1e-5)


def test_what_follows_joins_it_and_layers_train() -> None:
    """Bias, normalisation, activation, a shortcut; convolutions that share their image; two steps of training."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(24, 40, 3, padding=1), nn.Conv2d(40, 24, 3, padding=1, bias=False)
            self.other = nn.Conv2d(24, 24, 3, padding=1, padding_mode="circular")
            self.back = nn.ConvTranspose2d(24, 32, 3, padding=1)
            self.norm = nn.BatchNorm2d(24)

        def forward(self, x: Any) -> Any:
            y = self.norm(self.second(self.first(x).relu())) + x
            return self.back((y + self.other(x)).relu())

    outcomes = []
    for exact in (False, True):
        chainrule.manual_seed(0)
        model = Block()
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
        x, y = chainrule.randn(6, 24, 15, 12), chainrule.randn(6, 32, 15, 12)

        def train(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        compiled = chainrule.compile(train, exact=exact, debug=True)
        outcomes.append([float(compiled(x, y)) for _ in range(2)])
        assert compiled.explain().count("winograd") == (0 if exact else 6)  # 15 rows: not the weights' gradients
    np.testing.assert_allclose(outcomes[0], outcomes[1], rtol=2e-5)


def test_images_that_lie_otherwise() -> None:
    """Parts of images, turned ones, and one that is the same for all samples."""
    x, w = chainrule.tensor(images(6, 40, 20, 18)), chainrule.tensor(weights(32, 40))
    for view in (
        lambda t: t[1:5, :, 2:, ::2], lambda t: t.flip(2), lambda t: t.transpose(2, 3), lambda t: t[:1].expand(6, -1, -1, -1),
        lambda t: t[:, :1].expand(-1, 40, -1, -1), lambda t: F.pad(t, (1, 2, 0, 3)), lambda t: t.flip(1) * 2,
    ):  # fmt: skip
        compiled = chainrule.compile(lambda x, w, view=view: F.conv2d(view(x), w, padding=1), debug=True)
        have = compiled(x, w).numpy()
        assert "winograd" in compiled.explain()
        assert_near(have, correlated(view(x).numpy(), w.numpy(), (1, 1), (1, 1)))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_shorter_vectors(hidden: str) -> None:
    """The code that processors without AVX-512, or without AVX2, run."""
    source = """
from tests import test_winograd as t
for sizes in t.SIZES[1:4]:
    t.test_values_and_gradients_are_the_definitions(sizes)
"""
    run_without(hidden, source)
