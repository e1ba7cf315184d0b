"""Handmade kernels against SciPy and closed forms; convolution as a matrix; receptive fields and output sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

import chainrule
from chainrule import nn
from chainrule.nn import kernels

F = nn.functional
float64 = chainrule.float64


def image(*shape: int) -> Any:
    return chainrule.randn(*shape, dtype=float64, generator=chainrule.Generator(3))


LAYERS = [
    kernels.identity, kernels.laplacian, lambda **o: kernels.laplacian(4, **o), kernels.sobel, lambda **o: kernels.sobel("y", **o),
    kernels.prewitt, kernels.difference, lambda **o: kernels.difference("y", 1, "central", **o), lambda **o: kernels.difference("x", 2, **o),
    kernels.box_blur, kernels.gaussian_blur, lambda **o: kernels.gaussian_blur(5, 1.3, **o), kernels.sharpen,
]  # fmt: skip


@pytest.mark.parametrize("make", LAYERS)
def test_layers_correlate_and_flipped_ones_convolve(make: Any) -> None:
    """E 4.2.2 against the libraries: with the same matrix, SciPy's `correlate` and its `convolve`."""
    x = image(1, 1, 7, 9)
    plain, flipped = make(dtype=float64), make(dtype=float64, flip=True)
    matrix = plain.matrices[0].numpy()
    np.testing.assert_allclose(
        plain(x)[0, 0].numpy(), ndimage.correlate(x[0, 0].numpy(), matrix, mode="constant"), atol=1e-12
    )
    np.testing.assert_allclose(
        flipped(x)[0, 0].numpy(), ndimage.convolve(x[0, 0].numpy(), matrix, mode="constant"), atol=1e-12
    )
    again = kernels.convolve(x, plain.weight, padding=matrix.shape[0] // 2)
    assert chainrule.allclose(again, flipped(x), atol=1e-12)
    replicated = make(dtype=float64, padding_mode="replicate")(x)[0, 0].numpy()
    np.testing.assert_allclose(replicated, ndimage.correlate(x[0, 0].numpy(), matrix, mode="nearest"), atol=1e-12)


def test_known_operators() -> None:
    x = image(1, 1, 8, 8)
    a = x[0, 0].numpy()
    for axis, direction in ((1, "x"), (0, "y")):
        for name in ("sobel", "prewitt"):
            layer = getattr(kernels, name)(direction, flip=True, dtype=float64, padding_mode="replicate")
            np.testing.assert_allclose(
                layer(x)[0, 0].numpy(), getattr(ndimage, name)(a, axis, mode="nearest"), atol=1e-12
            )
    four = kernels.laplacian(4, dtype=float64, padding_mode="replicate")(x)[0, 0].numpy()
    np.testing.assert_allclose(four, -ndimage.laplace(a, mode="nearest"), atol=1e-12)
    window = signal.windows.gaussian(7, 1.7)
    window = np.outer(window, window)
    np.testing.assert_allclose(kernels.gaussian_blur(7, 1.7).matrices[0].numpy(), window / window.sum(), rtol=1e-12)


def test_slopes_constants_and_parabolas() -> None:
    """∂ of x is 1 (times 8 and 6, minus as they stand), of a constant 0; the second difference of x² is 2."""
    right = chainrule.arange(6.0, dtype=float64).expand(1, 1, 6, 6)
    options = {"padding": 0, "dtype": float64}
    for image, direction in ((right, "x"), (right.mT, "y")):
        other = "y" if direction == "x" else "x"
        for make, value in ((kernels.sobel, -8.0), (kernels.prewitt, -6.0), (kernels.difference, 1.0)):
            assert (make(direction, **options)(image) == value).all() and (make(other, **options)(image) == 0).all()
            assert (make(direction, flip=True, **options)(image) == -value).all()
        for scheme in ("forward", "backward", "central"):
            assert (kernels.difference(direction, 1, scheme, **options)(image) == 1).all()
        assert (kernels.difference(direction, 2, **options)(image**2) == 2).all()
        assert (kernels.difference(direction, 2, **options)(image) == 0).all()
        for n in (4, 8):
            assert (kernels.laplacian(n, **options)(image) == 0).all()
    assert chainrule.allclose(
        kernels.laplacian(4, **options)(right**2 + right.mT**2), chainrule.full((4, 4), -4.0, dtype=float64)
    )
    ones = chainrule.ones(1, 1, 7, 7, dtype=float64)
    for blur in (kernels.box_blur, kernels.gaussian_blur, kernels.sharpen, kernels.identity):
        assert chainrule.allclose(blur(**options)(ones), ones[..., 1:-1, 1:-1])
    variance = sum(w * (i - 2) ** 2 for i, w in enumerate(kernels.gaussian_blur(5).matrices[0].sum(0).tolist()))
    assert variance == pytest.approx(1.0), "binomial weights of size n have variance (n − 1)/4"


def test_channels_stay_apart_and_kernels_form_banks() -> None:
    x = image(2, 3, 6, 6)
    edges, slopes = (
        kernels.laplacian(channels=3, dtype=float64),
        kernels.bank(kernels.sobel("x"), kernels.sobel("y"), channels=3, dtype=float64),
    )
    single = kernels.laplacian(dtype=float64)
    for c in range(3):
        assert chainrule.allclose(edges(x)[:, c : c + 1], single(x[:, c : c + 1]))
        for k, direction in enumerate("xy"):
            expected = kernels.sobel(direction, dtype=float64)(x[:, c : c + 1])
            assert chainrule.allclose(slopes(x)[:, 2 * c + k : 2 * c + k + 1], expected)
    mixed = kernels.bank(kernels.sobel(flip=True), kernels.gaussian_blur(5))
    assert mixed.weight.shape == (2, 1, 5, 5) and mixed.weight[0, 0, 2].tolist() == [0, -2, 0, 2, 0]
    assert repr(kernels.sobel("x", flip=True)) == (
        "HandmadeConv2d(sobel x, flipped, 1, 1, kernel_size=(3, 3), stride=(1, 1), padding=same, bias=False)"
    )


def test_fixed_or_trainable_or_first_weights() -> None:
    fixed, trained = kernels.sobel(), kernels.sobel(trainable=True)
    assert list(fixed.state_dict()) == ["weight"] and not fixed.weight.requires_grad
    trained(chainrule.rand(1, 1, 4, 4)).sum().backward()
    assert trained.weight.grad is not None
    conv = nn.Conv2d(3, 4, 3)
    rest = conv.weight[2:].detach().clone()
    kernels.initialize_(conv, kernels.sobel("x"), kernels.gaussian_blur())
    assert chainrule.equal(conv.weight[2:], rest) and conv.weight.requires_grad and conv.bias[:2].tolist() == [0, 0]
    grey = chainrule.rand(1, 1, 5, 5)
    assert chainrule.allclose(conv(grey.expand(1, 3, 5, 5))[:, :1], kernels.sobel(padding=0)(grey), atol=1e-6)
    for wrong, kind, says in [
        (lambda: kernels.initialize_(nn.Conv2d(1, 1, 3), kernels.sobel("x"), kernels.sobel("y")), chainrule.ShapeError, "2 kernels"),
        (lambda: kernels.initialize_(nn.Conv2d(1, 1, 5), kernels.sobel("x")), chainrule.ShapeError, r"\(3, 3\)"),
        (lambda: kernels.sobel("z"), ValueError, "'z'"), (lambda: kernels.laplacian(6), ValueError, "4 or 8"),
        (lambda: kernels.gaussian_blur(4), chainrule.ShapeError, "odd"), (lambda: kernels.gaussian_blur(3, 0), ValueError, "above 0"),
        (lambda: kernels.difference(order=3), ValueError, "got 3"), (lambda: kernels.difference(scheme="upwind"), ValueError, "upwind"),
        (lambda: kernels.difference(order=2, scheme="upwind"), ValueError, "upwind"), (lambda: kernels.box_blur(0), chainrule.ShapeError, "at least 1"),
        (lambda: kernels.HandmadeConv2d([], "none"), chainrule.ShapeError, "at least one"),
        (lambda: kernels.convolve(chainrule.ones(3), chainrule.ones(3)), chainrule.ShapeError, "3 to 5"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=says):
            wrong()


@given(st.integers(1, 3), st.integers(0, 99))
def test_convolve_is_the_mathematical_one(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, w = random.standard_normal(random.integers(3, 7, n)), random.standard_normal(random.integers(1, 4, n))
    y = kernels.convolve(chainrule.tensor(x)[None, None], chainrule.tensor(w)[None, None])
    np.testing.assert_allclose(y[0, 0].numpy(), signal.convolve(x, w, mode="valid", method="direct"), atol=1e-12)


# --------------------------------------------------------------------------------------- convolution as a matrix


@st.composite
def convolutions(draw: Any) -> dict[str, Any]:
    n = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    return {
        "n": n, "size": each(1, 5), "kernel": each(1, 3), "stride": each(1, 3), "padding": each(0, 2), "dilation": each(1, 2),
        "groups": draw(st.integers(1, 2)), "seed": draw(st.integers(0, 99)),
    }  # fmt: skip


@settings(max_examples=150)
@given(convolutions())
def test_convolution_is_a_matrix_and_its_transpose_the_transposed(case: dict[str, Any]) -> None:
    reach = zip(case["size"], case["kernel"], case["padding"], case["dilation"])
    assume(all(n + 2 * p >= d * (k - 1) + 1 for n, k, p, d in reach))
    generator = chainrule.Generator(case["seed"])
    groups, n = case["groups"], case["n"]
    x = chainrule.randn(2, 2 * groups, *case["size"], dtype=float64, generator=generator)
    w = chainrule.randn(groups * 2, 2, *case["kernel"], dtype=float64, generator=generator)
    slide = (case["stride"], case["padding"], case["dilation"], groups)
    M = nn.convolution_matrix(w, case["size"], *slide)
    y = getattr(F, f"conv{n}d")(x, w, None, *slide)
    assert chainrule.allclose(x.flatten(1) @ M.T, y.flatten(1), atol=1e-10)
    left = [
        n - ((o - 1) * s + d * (k - 1) + 1 - 2 * p)
        for n, o, s, k, d, p in zip(
            case["size"], y.shape[2:], case["stride"], case["kernel"], case["dilation"], case["padding"]
        )
    ]
    back = getattr(F, f"conv_transpose{n}d")(
        y, w, None, case["stride"], case["padding"], left, groups, case["dilation"]
    )
    assert chainrule.allclose(y.flatten(1) @ M, back.flatten(1), atol=1e-10)
    sparse = nn.convolution_matrix(w, case["size"], *slide, sparse=True)
    np.testing.assert_array_equal(sparse.toarray(), M.numpy())


def test_the_matrix_is_differentiable_in_the_weight() -> None:
    w = image(2, 1, 2, 2).requires_grad_()
    assert chainrule.autograd.gradcheck(lambda w: nn.convolution_matrix(w, (3, 4), padding=1), (w,))


def test_the_matrix_of_an_image_layer_is_sparse() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1)
    M = nn.convolution_matrix(layer.weight, (32, 32), padding=1, sparse=True)
    assert M.shape == (8 * 32 * 32, 3 * 32 * 32)
    # 9 weights per pixel and pair of channels, but 3 columns or rows less at each of the 4 borders, counted once.
    assert M.nnz == 8 * 3 * (3 * 32 - 2) ** 2
    for wrong in (
        lambda: nn.convolution_matrix(layer.weight, 2),
        lambda: nn.convolution_matrix(chainrule.ones(3, 3), 2),
    ):
        with pytest.raises(chainrule.ShapeError, match=r"\d"):
            wrong()
    with pytest.raises(chainrule.ShapeError, match="groups=3"):
        nn.convolution_matrix(layer.weight, 32, groups=3)


# --------------------------------------------------------------------------- receptive fields and output sizes


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3), st.booleans())
def test_output_sizes_are_what_layers_give(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool
) -> None:
    x = chainrule.zeros(1, 1, size)
    try:
        wanted = F.max_pool1d(x, kernel, stride, min(padding, kernel // 2), dilation, ceil).shape[-1]
    except chainrule.ShapeError:
        wanted = None
    try:
        found = nn.output_size(size, kernel, stride, min(padding, kernel // 2), dilation, ceil)
    except chainrule.ShapeError:
        found = None
    assert found == wanted


def test_output_sizes_by_dimension_and_name() -> None:
    assert nn.output_size((7, 9), (3, 2), padding="valid") == (5, 8) and nn.output_size(7, 3, padding="same") == 7
    with pytest.raises(chainrule.ShapeError, match="window of 9"):
        nn.output_size(5, 9)
    with pytest.raises(chainrule.ShapeError, match="one number or 2"):
        nn.output_size((5, 5), (1, 2, 3))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=4))
def test_receptive_fields_are_what_gradients_reach(layers: list[tuple[int, int, int]]) -> None:
    """The entries between the first and the last that the gradient of one output reaches; the next output is a jump on."""
    assume(math.prod(s for _, s, _ in layers) <= 12)
    x = chainrule.zeros(1, 1, 120, requires_grad=True)
    y: Any = x
    for (kernel, stride, dilation), field in zip(layers, nn.receptive_field(layers)):
        y = F.conv1d(y, chainrule.ones(1, 1, kernel), stride=stride, dilation=dilation)
        spans = []
        for entry in (0, 1):
            (g,) = chainrule.autograd.grad(y[0, 0, entry], x, retain_graph=True)
            places = np.flatnonzero(g.numpy())
            spans.append((places[0], places[-1] + 1))
        assert spans[0] == (0, field.size) and spans[1][0] == field.jump


def test_receptive_fields_of_modules() -> None:
    model = chainrule.models.LeNet5()
    sizes = [field.size for field in nn.receptive_field(model)]
    assert sizes == [5, 5, 6, 14, 14, 16] + [math.inf] * 6
    stack = nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Sequential(nn.Conv2d(8, 8, 3, dilation=2), nn.GlobalAvgPool2d()),
    )
    assert nn.receptive_field(stack) == [(7, 2), (7, 2), (11, 4), (27, 4), (math.inf, 4)]
    assert nn.receptive_field([nn.LPPool1d(2, 3), (2, 2)]) == [(3, 3), (6, 6)]
    for layer in (
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(1, 1, 2),
        nn.MaxUnpool2d(2),
        nn.AdaptiveAvgPool2d(7),
        nn.Conv2d(1, 1, (1, 3)),
    ):
        with pytest.raises(chainrule.ShapeError, match=r"\(kernel, stride\) pairs"):
            nn.receptive_field([layer])


# ------------------------------------------------------------------------------------------ tokens and the builder


def test_tokens_are_pixels_row_by_row() -> None:
    x = chainrule.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    tokens = nn.Tokens()(x)
    assert tokens.shape == (2, 20, 3) and chainrule.equal(tokens, x.permute(0, 2, 3, 1).reshape(2, 20, 3))
    assert chainrule.equal(tokens[1, 7], x[1, :, 1, 2])
    with pytest.raises(chainrule.ShapeError, match=r"got \(2, 3\)"):
        nn.Tokens()(chainrule.ones(2, 3))


def test_the_builder_counts_as_by_hand() -> None:
    def count(**settings: Any) -> int:
        return sum(p.numel() for p in chainrule.models.ConvNet(**settings).parameters())

    lenet = {"channels": [6, 16], "hidden": [120, 84], "kernel_size": 5, "padding": 0}
    assert count(**lenet) == 61_706, "LeNet-5"
    assert count(channels=[16, 32], hidden=[128]) == (9 + 1) * 16 + (9 * 16 + 1) * 32 + (32 * 64 + 1) * 128 + 129 * 10
    assert count(channels=[], hidden=[], in_channels=3, image_size=8, num_classes=1) == 193, (
        "logistic regression, I II.7"
    )
    assert count(channels=[4], hidden=[], pooling="none", image_size=6) == 40 + (4 * 36 + 1) * 10


def test_the_builder_builds_what_it_says() -> None:
    for pooling, activation, channels, hidden in [
        ("max", "relu", [4, 8, 8], [16]),
        ("avg", "tanh", [4], []),
        ("none", "sigmoid", [], [5, 5]),
    ]:
        model = chainrule.models.ConvNet(7, 3, 16, channels, hidden, pooling=pooling, activation=activation)
        assert model(chainrule.rand(2, 3, 16, 16)).shape == (2, 7)
        names = [type(layer).__name__ for layer in model.features]
        per_block = ["Conv2d", {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}[activation]]
        assert names == (per_block + {"max": ["MaxPool2d"], "avg": ["AvgPool2d"], "none": []}[pooling]) * len(channels)
        assert [type(layer).__name__ for layer in model.classifier] == ["Flatten"] + ["Linear", per_block[1]] * len(
            hidden
        ) + ["Linear"]
    with pytest.raises(chainrule.ShapeError, match="1×1 is left before number 4"):
        chainrule.models.ConvNet(image_size=8, channels=[4] * 5)
    with pytest.raises(ValueError, match="'gelu'"):
        chainrule.models.ConvNet(activation="gelu")
    assert isinstance(chainrule.models.create("convnet", num_classes=3), chainrule.models.ConvNet)
