"""Resizing, reading at grids, adaptive and fractional pooling: generated sizes, closed forms, what tables cannot say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.nn.resizing.axis_map import AxisMap, map_axis
from chainrule.nn.resizing.resampling import cubic, resizing

F = nn.functional
float64 = chainrule.float64


def outcome(framework: Any, arrays: list[np.ndarray], function: Any) -> list[np.ndarray] | Exception:
    """The result and the gradients, or the error."""
    leaves = [framework.tensor(a, requires_grad=True) for a in arrays]
    try:
        y = function(framework.nn.functional, *leaves)
    except Exception as error:
        return error
    upstream = framework.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))
    (y * upstream).sum().backward()
    return [y.detach().numpy(), *(np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in leaves)]


def assert_equal_outcomes(arrays: list[np.ndarray], function: Any, *, gradients: bool = True) -> None:
    import torch

    ours, theirs = (outcome(framework, arrays, function) for framework in (chainrule, torch))
    if isinstance(theirs, Exception):
        assert isinstance(ours, (chainrule.ChainruleError, ValueError)), (ours, theirs)
        return
    assert not isinstance(ours, Exception), ours
    for a, b in list(zip(ours, theirs, strict=True))[: None if gradients else 1]:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


MODES = [
    ("nearest", 1), ("nearest", 2), ("nearest", 3), ("nearest-exact", 1), ("nearest-exact", 2), ("area", 1), ("area", 2), ("area", 3),
    ("linear", 1), ("bilinear", 2), ("bicubic", 2), ("trilinear", 3),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("mode", "n"), MODES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_resizing_is_pytorch_s(mode: str, n: int) -> None:
    pytest.importorskip("torch")

    @settings(max_examples=60)
    @given(st.data())
    def check(data: Any) -> None:
        size = data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
        if data.draw(st.booleans()):
            wanted: dict[str, Any] = {"size": data.draw(st.lists(st.integers(1, 12), min_size=n, max_size=n))}
        else:
            # Quarters: no rounding decides which pixel a place belongs to.
            factors = data.draw(st.lists(st.integers(1, 14), min_size=n, max_size=n))
            wanted = {"scale_factor": [factor / 4 for factor in factors]}
            wanted["recompute_scale_factor"] = data.draw(st.sampled_from([None, False, True]))
        if mode in ("linear", "bilinear", "bicubic", "trilinear"):
            wanted["align_corners"] = data.draw(st.booleans())
        if "scale_factor" in wanted and any(int(a * f) < 1 for a, f in zip(size, wanted["scale_factor"])):
            return  # PyTorch lets some modes make nothing of something
        # In these, PyTorch's gradient is that of another function than it computes where a factor leaves the size, or doubles it.
        beside = (1, 2) if mode == "nearest" else (1,)
        same = any(int(a * f) in [a * k for k in beside] for a, f in zip(size, wanted.get("scale_factor", [])))
        x = np.random.default_rng(sum(size)).standard_normal((2, 3, *size))
        assert_equal_outcomes([x], lambda f, x: f.interpolate(x, mode=mode, **wanted), gradients=not same)

    check()


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_resizing_with_wide_windows_is_pytorch_s(mode: str) -> None:
    pytest.importorskip("torch")

    @settings(max_examples=60)
    @given(st.lists(st.integers(2, 12), min_size=4, max_size=4), st.booleans())
    def check(sizes: list[int], corners: bool) -> None:
        # Widths of 2 and more: with an output of width 1 PyTorch repeats the first row in all others.
        x = np.random.default_rng(sum(sizes)).standard_normal((2, 1, *sizes[:2]))
        options = {} if mode == "lanczos" else {"align_corners": corners}
        assert_equal_outcomes([x], lambda f, x: f.interpolate(x, sizes[2:], mode=mode, antialias=True, **options))

    check()


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["nearest", "nearest-exact", "linear", "cubic"]),
    st.booleans(),
)
def test_rows_of_a_resizing_have_sum_one(size: int, out: int, kind: str, wide: bool) -> None:
    """So a constant stays what it is; and the rows, made dense, do what the taps do, and backwards their transpose."""
    wide = wide and not kind.startswith("nearest")
    matrix = resizing(size, out, None, kind, False, wide)
    dense = np.zeros((out, size))
    for i, row in enumerate(matrix.rows):
        for j, weight in row.items():
            dense[i, j] = weight
    np.testing.assert_allclose(dense.sum(1), 1)
    x = chainrule.randn(2, size, 3, dtype=float64).requires_grad_()
    y = map_axis(x, 1, matrix)
    np.testing.assert_allclose(y.detach().numpy(), np.einsum("os,nsc->noc", dense, x.detach().numpy()), atol=1e-12)
    g = chainrule.randn(2, out, 3, dtype=float64)
    y.backward(g)
    np.testing.assert_allclose(x.grad.numpy(), np.einsum("os,noc->nsc", dense, g.numpy()), atol=1e-12)


def test_a_row_without_entries_gives_zero() -> None:
    matrix = AxisMap([{}, {1: 2.0}, {0: 1.0, 1: 1.0, 2: 1.0}], 3)
    assert map_axis(chainrule.tensor([1.0, 2.0, 3.0]), 0, matrix).tolist() == [0, 4, 6]
    assert AxisMap([{0: 1.0}, {1: 1.0}], 2).is_identity and not matrix.is_identity


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_stays_where_it_is_read(bad: float) -> None:
    x = chainrule.zeros(1, 1, 6, 6)
    x[0, 0, 0, 0] = bad
    for y in (
        F.interpolate(x, scale_factor=2, mode="bilinear"), F.interpolate(x, size=4, mode="bicubic", antialias=True),
        F.adaptive_avg_pool2d(x, 4), F.adaptive_avg_pool2d(x, 3), F.interpolate(x, size=9),
    ):  # fmt: skip
        assert not y[0, 0, 0, 0].isfinite() and y[0, 0, 3:].isfinite().all() and y[0, 0, :, 3:].isfinite().all()
    # Four weights of 1/4 and 2/4 on infinity, none of 0: an infinity stays one.
    assert F.adaptive_avg_pool2d(x, 4)[0, 0, 0, 0].isnan().item() is (bad != bad)


def test_the_same_size_is_a_tensor_of_its_own() -> None:
    x = chainrule.ones(1, 1, 3, 3)
    for y in (F.interpolate(x, size=3), F.interpolate(x, size=3, mode="bilinear"), F.adaptive_avg_pool2d(x, 3)):
        y.add_(1)
    assert x.sum().item() == 9


def test_lines_stay_lines_and_parabolas_parabolas() -> None:
    """Linear resizing is exact on straight lines, Keys' kernel with a = −½ on parabolas, away from the border."""
    x = chainrule.arange(20.0, dtype=float64)
    at = chainrule.arange(40.0, dtype=float64) / 2 - 0.25
    y = F.interpolate((3 * x + 1).reshape(1, 1, -1), scale_factor=2, mode="linear").reshape(-1)
    assert chainrule.allclose(y[1:-1], (3 * at + 1)[1:-1])
    parabola = np.array([sum(cubic(p - i, -0.5) * i * i for i in range(-5, 30)) for p in at.tolist()])
    np.testing.assert_allclose(parabola, at.numpy() ** 2, atol=1e-9)


def test_antialiasing_keeps_what_thin_lines_weigh() -> None:
    x = chainrule.zeros(1, 1, 64, 64)
    x[..., 31] = 1.0
    plain, wide = (F.interpolate(x, size=8, mode="bilinear", antialias=a) for a in (False, True))
    assert abs(wide.mean().item() - x.mean().item()) < 1e-6
    assert plain.sum().item() in (0, 4), "only two columns of eight count: the line is lost, or half of it stays"


def test_a_factor_is_taken_at_its_word_but_in_images_that_stay_or_double() -> None:
    """⌊o/factor⌋ is the entry read, and the gradient goes to it; images of the same or twice the size read ⌊o·size/out⌋."""
    for factor, taken, exact in ((1.05, [0, 0, 1, 2, 3], range(5)), (2.1, [0, 0, 0, 1, 1, 2, 2, 3, 3, 4], None)):
        x = chainrule.rand(1, 1, 5, requires_grad=True, dtype=float64)
        assert chainrule.equal(F.interpolate(x, scale_factor=factor), x[..., taken])
        volume = F.interpolate(x[:, :, None, None], scale_factor=(1, 1, factor))
        assert chainrule.equal(volume[:, :, 0, 0], x[..., taken])
        image = F.interpolate(x[:, :, None], scale_factor=(1, factor))[:, :, 0]
        assert chainrule.equal(image, x[..., list(exact or np.repeat(range(5), 2))])
        assert chainrule.autograd.gradcheck(lambda x, factor=factor: F.interpolate(x, scale_factor=factor), (x,))


# ------------------------------------------------------------------------------------------------ adaptive pooling


def windows_of(size: int, out: int) -> list[slice]:
    return [slice(int(np.floor(i * size / out)), int(np.ceil((i + 1) * size / out))) for i in range(out)]


@given(st.lists(st.integers(1, 20), min_size=4, max_size=4))
def test_adaptive_pooling_by_its_definition(sizes: list[int]) -> None:
    size, out = sizes[:2], sizes[2:]
    x = np.random.default_rng(sum(sizes)).integers(0, 5, (2, 2, *size)).astype("float64")
    means, maxima = np.zeros((2, 2, *out)), np.zeros((2, 2, *out))
    for i, rows in enumerate(windows_of(size[0], out[0])):
        for j, columns in enumerate(windows_of(size[1], out[1])):
            means[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
            maxima[:, :, i, j] = x[:, :, rows, columns].max((2, 3))
    np.testing.assert_allclose(F.adaptive_avg_pool2d(chainrule.tensor(x), out).numpy(), means, atol=1e-12)
    values, places = F.adaptive_max_pool2d(chainrule.tensor(x), out, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), maxima)
    found = np.take_along_axis(x.reshape(2, 2, -1), places.numpy().reshape(2, 2, -1), 2)
    np.testing.assert_array_equal(found.reshape(maxima.shape), maxima)


@pytest.mark.peer
@settings(max_examples=100)
@given(st.lists(st.integers(1, 9), min_size=6, max_size=6), st.integers(1, 3))
def test_adaptive_pooling_is_pytorch_s(sizes: list[int], n: int) -> None:
    """Also among equals, of which the first counts: with few different numbers there are many."""
    pytest.importorskip("torch")
    x = np.random.default_rng(sum(sizes)).integers(0, 4, (2, 2, *sizes[:n])).astype("float64")
    for kind in ("avg", "max"):
        assert_equal_outcomes([x], lambda f, x, kind=kind: getattr(f, f"adaptive_{kind}_pool{n}d")(x, sizes[n : 2 * n]))
    places = lambda f, x: getattr(f, f"adaptive_max_pool{n}d")(x, sizes[n : 2 * n], return_indices=True)[1] * x.sum()  # noqa: E731
    assert_equal_outcomes([x], places)


def test_global_pooling_has_its_names() -> None:
    x = chainrule.rand(2, 3, 4, 5)
    assert chainrule.allclose(nn.GlobalAvgPool2d()(x)[..., 0, 0], x.mean((2, 3)))
    assert chainrule.equal(nn.GlobalMaxPool2d()(x)[..., 0, 0], x.amax((2, 3)))
    for n, shape in ((1, (2, 3, 4)), (3, (2, 3, 4, 2, 3))):
        for kind, reduce in (("Avg", "mean"), ("Max", "amax")):
            y = getattr(nn, f"Global{kind}Pool{n}d")()(chainrule.ones(shape))
            assert y.shape == (2, 3, *[1] * n) and chainrule.equal(
                y, getattr(chainrule.ones(y.shape), reduce)((2,), keepdim=True)
            )


@pytest.mark.parametrize("output_size", [(1, 1), (7, 3), (6, 6)])
def test_adaptive_pooling_inside_of_a_loop(output_size: tuple[int, int]) -> None:
    """Traced code gives what eager code gives."""
    x = chainrule.rand(3, 1, 2, 6, 6)
    for function in (
        F.adaptive_avg_pool2d,
        F.adaptive_max_pool2d,
        lambda x, size: F.interpolate(x, size, mode="bilinear"),
    ):
        _, traced = chainrule.scan(lambda c, x, f=function: (c, f(x, output_size)), chainrule.zeros(()), x)
        assert chainrule.equal(traced, chainrule.stack([function(part, output_size) for part in x]))


# ----------------------------------------------------------------------------------- powers, places and chance


def test_power_pooling_lies_between_sum_and_maximum() -> None:
    x = chainrule.rand(1, 2, 4, 6, dtype=float64)
    assert chainrule.allclose(F.lp_pool2d(x, 1, 2), 4 * F.avg_pool2d(x, 2))
    assert chainrule.allclose(F.lp_pool2d(x, 200, 2), F.lp_pool2d(x, float("inf"), 2), rtol=1e-2)
    zeros = chainrule.zeros(1, 1, 4, requires_grad=True)
    F.lp_pool1d(zeros, 2, 2).sum().backward()
    assert zeros.grad.tolist() == [[[0, 0, 0, 0]]], "the root's infinite slope at 0 makes no NaN"
    assert F.lp_pool1d(-chainrule.ones(1, 1, 2), 1, 2).item() == -2


def test_unpooling_undoes_pooling_at_the_maxima() -> None:
    x = chainrule.rand(2, 3, 5, 7)
    y, places = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, places, 2, output_size=(5, 7))
    assert (
        back.shape == x.shape
        and chainrule.equal(back[back != 0], x[back != 0])
        and (back != 0).sum().item() == y.numel()
    )
    assert chainrule.equal(F.max_pool2d(back, 2), y)


def test_fractional_windows_lie_at_random_places() -> None:
    """Windows of one entry show where they begin; u is uniform, so the frequencies are those of the formula."""
    chainrule.manual_seed(0)
    x = chainrule.arange(7.0).expand(1, 4000, 1, 7)
    starts = F.fractional_max_pool2d(x, 1, (1, 4))[0, :, 0].numpy()
    assert (starts[:, 0] == 0).all() and (starts[:, -1] == 6).all(), "the first and the last window are at the ends"
    assert set(np.unique(np.diff(starts, axis=1))) == {2}, "a whole step of 2: nothing is left to chance"
    starts = F.fractional_max_pool2d(x, 1, (1, 5))[0, :, 0].numpy()
    assert set(np.unique(np.diff(starts, axis=1))) == {1, 2}
    # α = 1.5: the second window begins at ⌊1.5 + 1.5u⌋ − ⌊1.5u⌋, which is 1 for u in [0, 1/3) and 2 for [1/3, 2/3).
    u = np.linspace(0, 1, 30001)[:-1]
    expected = (np.floor(1.5 + 1.5 * u) - np.floor(1.5 * u) == 1).mean()
    assert abs((starts[:, 1] == 1).mean() - expected) < 4 * 0.5 / 4000**0.5
    assert len(np.unique(starts, axis=0)) > 1, "each channel has a sample of its own"
    layer = nn.FractionalMaxPool2d(2, output_ratio=0.6).eval()
    chainrule.manual_seed(1)
    first = layer(chainrule.rand(1, 1, 9, 9, generator=chainrule.Generator(0)))
    chainrule.manual_seed(1)
    assert chainrule.equal(first, layer(chainrule.rand(1, 1, 9, 9, generator=chainrule.Generator(0))))


# --------------------------------------------------------------------------------------------------------- grids


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grids_are_read_as_pytorch_reads_them(mode: str, padding: str) -> None:
    """Places in steps of ½ among others: the middle and the border of pixels, where rules differ most easily."""
    pytest.importorskip("torch")

    @settings(max_examples=40)
    @given(st.lists(st.integers(1, 5), min_size=6, max_size=6), st.integers(2, 3), st.booleans(), st.booleans())
    def check(sizes: list[int], n: int, corners: bool, halves: bool) -> None:
        n = 2 if mode == "bicubic" else n
        random = np.random.default_rng(sum(sizes))
        grid = random.uniform(-1.8, 1.8, (2, *sizes[n : 2 * n], n))
        grid = np.round(grid * 2) / 2 if halves else grid
        x = random.standard_normal((2, 3, *sizes[:n]))
        assert_equal_outcomes([x, grid], lambda f, x, g: f.grid_sample(x, g, mode, padding, corners))

    check()


@pytest.mark.parametrize("corners", [False, True])
def test_the_identity_reads_the_image_and_a_shift_its_neighbours(corners: bool) -> None:
    x = chainrule.rand(1, 2, 4, 5, dtype=float64)
    identity = chainrule.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=float64)
    for mode in ("bilinear", "nearest", "bicubic"):
        y = F.grid_sample(x, F.affine_grid(identity, x.shape, corners), mode, align_corners=corners)
        assert chainrule.allclose(y, x, atol=1e-12)
    step = 2 / (4 if corners else 5)
    shift = chainrule.tensor([[[1.0, 0, step], [0, 1, 0]]], dtype=float64)
    y = F.grid_sample(x, F.affine_grid(shift, x.shape, corners), "bilinear", align_corners=corners)
    assert chainrule.allclose(y[..., :-1], x[..., 1:], atol=1e-12) and chainrule.allclose(
        y[..., -1], x[..., 0] * 0, atol=1e-12
    )


def test_places_that_are_no_numbers() -> None:
    x = chainrule.ones(1, 1, 2, 2)
    grid = chainrule.tensor([[[[float("nan"), 0.0], [0.0, 0.0]]]])
    for padding in ("zeros", "border", "reflection"):
        y = F.grid_sample(x, grid, "bilinear", padding, False).reshape(-1)
        assert y[0].isnan() and y[1].item() == 1
    assert F.grid_sample(x, grid, "nearest", align_corners=False).reshape(-1).tolist() == [0, 1]


def test_a_grid_inside_of_a_loop() -> None:
    x, grid = chainrule.rand(1, 2, 4, 4), chainrule.rand(3, 1, 2, 2, 2) * 2 - 1
    _, traced = chainrule.scan(lambda c, g: (c, F.grid_sample(x, g, align_corners=False)), chainrule.zeros(()), grid)
    assert chainrule.equal(traced, chainrule.stack([F.grid_sample(x, g, align_corners=False) for g in grid]))
