"""Worked examples on convolution, pooling and kernels, from all of the notes (T, E, I, H), by the functions made for them."""

from __future__ import annotations

import math

import pytest

import chainrule
from chainrule import nn
from chainrule.models.cost import traced
from chainrule.nn import kernels

F = nn.functional
float64 = chainrule.float64


def test_t_1_1_sizes_by_the_formula() -> None:
    """T 1.1: a 5×5 filter on 32×32, "valid" and "same"; ten filters of three channels have 750 weights."""
    assert nn.output_size((32, 32), 5) == (28, 28) and nn.output_size((32, 32), 5, padding=2) == (32, 32)
    assert nn.output_size(32, 1) == 32, "1×1 keeps the size"
    assert 10 * 5 * 5 * 3 == nn.Conv2d(3, 10, 5, bias=False).weight.numel() == 750


def test_t_1_2_the_banded_matrix() -> None:
    """T 1.2: W·x̄ = x̄ ∗ w, for x of four entries with a zero at either end; 12 of 24 entries are zeros."""
    w, x = chainrule.tensor([2.0, 3.0, 5.0]), chainrule.tensor([7.0, 11.0, 13.0, 17.0])
    W = nn.convolution_matrix(w.reshape(1, 1, 3), 6)
    assert W.tolist() == [[2, 3, 5, 0, 0, 0], [0, 2, 3, 5, 0, 0], [0, 0, 2, 3, 5, 0], [0, 0, 0, 2, 3, 5]]
    assert (W == 0).sum().item() == 12 and W.numel() == 24
    printed = [0 + 7 * 3 + 11 * 5, 7 * 2 + 11 * 3 + 13 * 5, 11 * 2 + 13 * 3 + 17 * 5, 13 * 2 + 17 * 3 + 0]
    assert (W @ chainrule.nn.functional.pad(x, (1, 1))).tolist() == printed
    inner = nn.convolution_matrix(w.reshape(1, 1, 3), 4, padding=1)
    assert chainrule.equal(inner, W[:, 1:5]) and (inner @ x).tolist() == printed, (
        "the columns of the padding say nothing"
    )


def test_t_1_3_transposed_convolution_is_the_transposed_matrix() -> None:
    """T 1.3: [[0, 1], [2, 3]] with itself, as Mᵀ·x of the convolution from 3×3 to 2×2."""
    x = chainrule.tensor([[0.0, 1.0], [2.0, 3.0]])
    M = nn.convolution_matrix(x.reshape(1, 1, 2, 2), 3)
    assert (M.T @ x.reshape(-1)).reshape(3, 3).tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]


def test_e_4_2_2_gauss_sobel_and_the_flip() -> None:
    """E 4.2.2: the printed matrices. The definition flips: S_x gives +8 per unit slope, unflipped −8 (ERRATA)."""
    S_x, S_y = kernels.sobel("x").matrices[0], kernels.sobel("y").matrices[0]
    assert S_x.tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and chainrule.equal(S_y, S_x.T)
    assert (kernels.gaussian_blur().matrices[0] * 16).tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    A = chainrule.arange(3.0).expand(3, 3)  # rises by 1 to the right
    by_4_2_1 = sum(A[2 - i, 2 - j].item() * S_x[i, j].item() for i in range(3) for j in range(3))
    convolved = kernels.convolve(A.reshape(1, 1, 3, 3), S_x.float().reshape(1, 1, 3, 3)).item()
    correlated = F.conv2d(A.reshape(1, 1, 3, 3), S_x.float().reshape(1, 1, 3, 3)).item()
    assert (by_4_2_1, convolved, correlated) == (8, 8, -8)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_e_4_2_6_the_field_of_a_stack(kernel: int) -> None:
    """E 4.2.6: after L layers of K×K the receptive field is 1 + L(K − 1)."""
    fields = nn.receptive_field([(kernel, 1)] * 6)
    assert [field.size for field in fields] == [1 + L * (kernel - 1) for L in range(1, 7)]


def test_e_4_3_pooling_by_its_definitions() -> None:
    """E 4.3: max and average of a K×K matrix, and one number for each when K = S."""
    m = chainrule.randn(1, 1, 6, 6, dtype=float64)
    blocks = m.reshape(3, 2, 3, 2).permute(0, 2, 1, 3).reshape(3, 3, 4)
    assert chainrule.equal(F.max_pool2d(m, 2)[0, 0], blocks.amax(-1))
    assert chainrule.allclose(F.avg_pool2d(m, 2)[0, 0], blocks.mean(-1))


@pytest.mark.parametrize(
    "layer",
    [
        "Upsample(scale_factor=2)",
        "Upsample(scale_factor=2, mode='bilinear')",
        "Upsample(scale_factor=2, mode='bicubic')",
    ],
)
def test_i_iii_2_upsampling_is_linear_and_has_no_parameters(layer: str) -> None:
    """I III.2.e: a linear layer without parameters, unlike the transposed convolution (III.2.f)."""
    f = eval(f"nn.{layer}", {"nn": nn})
    x, y = (chainrule.randn(1, 2, 4, 5, dtype=float64) for _ in range(2))
    assert chainrule.allclose(f(2 * x - 3 * y), 2 * f(x) - 3 * f(y), atol=1e-12)
    assert not list(f.parameters()) and len(list(nn.ConvTranspose2d(2, 2, 2, 2).parameters())) == 2


@pytest.mark.parametrize(
    ("layers", "fields"),
    [
        ([(3, 1), (3, 1), (3, 1)], [3, 5, 7]), ([(3, 1), (2, 2), (1, 1), (4, 2)], [3, 4, 4, 10]),
        ([(5, 1), (2, 2), (5, 1), (2, 2)], [5, 6, 14, 16]),
    ],
)  # fmt: skip
def test_i_iii_3_receptive_fields_by_the_formula(layers: list[tuple[int, int]], fields: list[int]) -> None:
    """I III.3, V.11: r = r + (k − 1)·∏s; the first fully connected layer sees all."""
    assert [field.size for field in nn.receptive_field(layers)] == fields
    assert nn.receptive_field([*layers, nn.Flatten(), nn.Linear(400, 120)])[-1].size == math.inf


def test_i_iii_4_handcrafted_kernels() -> None:
    """I III.4: the five that exams ask for."""
    printed = {
        kernels.laplacian(): [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
        kernels.sobel("x"): [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
        kernels.sobel("y"): [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        kernels.sharpen(): [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    }
    for layer, matrix in printed.items():
        assert layer.weight[0, 0].tolist() == matrix
    assert chainrule.allclose(kernels.box_blur().weight, chainrule.full((1, 1, 3, 3), 1 / 9))
    assert chainrule.equal(kernels.sharpen().weight, kernels.identity().weight + kernels.laplacian(4).weight)


def test_i_iii_5_smaller_feature_maps() -> None:
    """I III.5, 4 and 5: pooling leaves the parameters of later convolutions and makes fully connected layers smaller."""
    counts = []
    for pooling in ("none", "max"):
        model = chainrule.models.ConvNet(image_size=16, channels=[4, 8], hidden=[10], pooling=pooling)
        counts.append([sum(p.numel() for p in part.parameters()) for part in (model.features, model.classifier)])
    (convolutions, full), (same, fewer) = counts
    assert convolutions == same and full - fewer == 10 * 8 * (16**2 - 4**2)


def test_i_iii_5_pooling_that_keeps_the_size() -> None:
    """I III.5, 8: kernel 3, stride 1, padding 1."""
    assert nn.output_size((8, 8), 3, 1, 1) == (8, 8) and F.avg_pool2d(chainrule.ones(1, 1, 8, 8), 3, 1, 1).shape[
        2:
    ] == (8, 8)


def test_i_iii_5_a_handmade_kernel_as_first_weights() -> None:
    """I III.5, 12: first weights, then trained: a fitted layer leaves the kernel it began with."""
    chainrule.manual_seed(0)
    conv = kernels.initialize_(nn.Conv2d(1, 1, 3, padding=1), kernels.gaussian_blur())
    x = chainrule.rand(4, 1, 8, 8)
    target = kernels.sharpen()(x)
    losses = []
    optimizer = chainrule.optim.SGD(conv.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = F.mse_loss(conv(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0] and not chainrule.allclose(
        conv.weight, kernels.gaussian_blur().weight, atol=0.05
    )


def test_i_iii_5_pixels_as_tokens() -> None:
    """I III.5, 13: (B, C, H, W) → (B, H, W, C) → (B, H·W, C)."""
    x = chainrule.rand(2, 5, 3, 4)
    assert chainrule.equal(nn.Tokens()(x), x.permute(0, 2, 3, 1).reshape(2, 12, 5))


@pytest.mark.parametrize("size", [224, 240])
def test_i_v_alexnet_s_feature_map(size: int) -> None:
    """I V: 6×6×256 = 9216 from 224×224, and from 240×240 too; 37,752,832 of 61,100,840 parameters come next."""
    with nn.init.skip_filling():  # its numbers do not matter, and they are many
        model = chainrule.models.create("alexnet")
    assert traced(model.features, (1, 3, size, size))[1] == (1, 256, 6, 6)
    first = model.classifier[1]
    counts = [sum(p.numel() for p in part.parameters()) for part in (first, model)]
    assert (first.in_features, *counts) == (9216, 37_752_832, 61_100_840)


def test_h_1_the_filter_of_both_differences() -> None:
    """H 1: w ∈ ℝ²ˣ³ˣ³, Y₁ = X[i+1, j] − X[i, j] and Y₂ = X[i, j+1] − X[i, j], zeros outside."""
    layer = kernels.bank(kernels.difference("y"), kernels.difference("x"))
    assert layer.weight[:, 0].tolist() == [[[0, 0, 0], [0, -1, 0], [0, 1, 0]], [[0, 0, 0], [0, -1, 1], [0, 0, 0]]]
    X = chainrule.rand(1, 1, 4, 5)
    Y = layer(X)[0]
    assert chainrule.allclose(Y[0, :-1], X[0, 0, 1:] - X[0, 0, :-1]) and chainrule.allclose(Y[0, -1], -X[0, 0, -1])
    assert chainrule.allclose(Y[1, :, :-1], X[0, 0, :, 1:] - X[0, 0, :, :-1]) and chainrule.allclose(
        Y[1, :, -1], -X[0, 0, :, -1]
    )


def test_h_2_average_pooling_as_a_layer() -> None:
    """H 2: weight (C, 1, k, k) of 1/k², groups C, stride k."""
    x, layer = chainrule.rand(2, 3, 8, 12, dtype=float64), kernels.average_pooling(4, channels=3, dtype=float64)
    assert layer.weight.shape == (3, 1, 4, 4) and (layer.groups, layer.stride) == (3, (4, 4))
    assert chainrule.allclose(layer(x), F.avg_pool2d(x, 4))


def test_h_3_grey_as_a_layer() -> None:
    """H 3: w = (0.299, 0.587, 0.114) ∈ ℝ³ˣ¹ˣ¹."""
    x = chainrule.rand(1, 3, 4, 5)
    expected = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    assert chainrule.allclose(kernels.grey()(x)[:, 0], expected) and kernels.grey().weight.shape == (1, 3, 1, 1)


NONDECREASING = [
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "sigmoid", "tanh", "logsigmoid", "softplus", "softsign", "hardtanh",
    "hardsigmoid", "hardshrink", "softshrink", "tanhshrink",
]  # fmt: skip
#: Each falls before it rises, with a minimum below 0.
FALLING = ["gelu", "silu", "mish", "hardswish"]


@pytest.mark.parametrize("name", [name for name in NONDECREASING + FALLING if hasattr(F, name)])
def test_h_4_max_pooling_and_the_activations_there_are(name: str) -> None:
    """H 4: σ(ρ(X)) = ρ(σ(X)) for every nondecreasing σ; those with a dip are counter-examples."""
    x = chainrule.linspace(-4, 1, 64, dtype=float64)[chainrule.randperm(64, generator=chainrule.Generator(2))].reshape(
        1, 1, 8, 8
    )
    f = getattr(F, name)
    assert chainrule.allclose(f(F.max_pool2d(x, 2)), F.max_pool2d(f(x), 2), atol=1e-12) is (name in NONDECREASING)


def test_h_4_a_counter_example_by_hand() -> None:
    """H 4: σ(x) = x² on (−2, 1): σ(max) = 1, max σ = 4."""
    x = chainrule.tensor([[[-2.0, 1.0]]])
    assert F.max_pool1d(x, 2).square().item() == 1 and F.max_pool1d(x.square(), 2).item() == 4
