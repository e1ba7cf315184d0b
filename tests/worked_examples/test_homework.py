"""Worked examples of the homework (H)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.autograd import functional
from chainrule.models.lenet5 import C3_TABLE, PartialConv2d
from examples import four_nine
from tests.parameter_counts import count
from tests.real_data import real_data

F = nn.functional
float64 = chainrule.float64


def test_h_1_finite_differences_as_a_convolution() -> None:
    """H 1: Y₁ = X[i+1, j] − X[i, j] and Y₂ = X[i, j+1] − X[i, j] by 3×3 filters with zero padding."""
    w = chainrule.tensor([[[0.0, 0, 0], [0, -1, 0], [0, 1, 0]], [[0, 0, 0], [0, -1, 1], [0, 0, 0]]]).unsqueeze(1)
    X = chainrule.randn(5, 7)
    below = chainrule.cat([X[1:], chainrule.zeros(1, 7)])
    right = chainrule.cat([X[:, 1:], chainrule.zeros(5, 1)], 1)
    assert chainrule.allclose(F.conv2d(X.reshape(1, 1, 5, 7), w, padding=1)[0], chainrule.stack([below - X, right - X]))


def test_h_2_average_pooling_is_a_depthwise_convolution() -> None:
    """H 2: weight (C, 1, k, k) of 1/k², groups C, stride k."""
    x = chainrule.randn(2, 3, 6, 6)
    weight = chainrule.full((3, 1, 2, 2), 0.25)
    assert chainrule.allclose(F.conv2d(x, weight, stride=2, groups=3), F.avg_pool2d(x, 2), atol=1e-6)


def test_h_3_grey_is_a_1x1_convolution() -> None:
    """H 3: 0.299 R + 0.587 G + 0.114 B."""
    image = chainrule.rand(1, 3, 4, 5)
    parts = chainrule.tensor([0.299, 0.587, 0.114])
    grey = 0.299 * image[0, 0] + 0.587 * image[0, 1] + 0.114 * image[0, 2]
    assert chainrule.allclose(F.conv2d(image, parts.reshape(1, 3, 1, 1))[0, 0], grey, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "commutes"),
    [
        ("relu", True),
        ("tanh", True),
        ("sigmoid", True),
        ("exp", True),
        ("sign", True),
        ("square", False),
        ("neg", False),
    ],
)
def test_h_4_max_pooling_commutes_with_what_does_not_decrease(activation: str, commutes: bool) -> None:
    """H 4: σ(ρ(X)) = ρ(σ(X)) for nondecreasing σ; the square and the negative are counter-examples."""
    x = chainrule.randn(2, 3, 8, 8, generator=chainrule.Generator(1))

    def f(x: Any) -> Any:
        return getattr(chainrule, activation)(x)

    assert chainrule.equal(F.max_pool2d(f(x), 2), f(F.max_pool2d(x, 2))) is commutes


def test_h_5_the_squared_loss_on_signs() -> None:
    """H 5: the sum of squares on labels ±1 is 2σ(−yz)²."""
    z = chainrule.linspace(-3, 3, 13, dtype=float64)
    s, t = z.sigmoid(), (-z).sigmoid()
    for y in (-1, 1):
        loss = 0.5 * (1 - y) * ((1 - t) ** 2 + s**2) + 0.5 * (1 + y) * (t**2 + (1 - s) ** 2)
        assert chainrule.allclose(loss, 2 * (-y * z).sigmoid() ** 2, rtol=1e-12)


def test_h_6_the_jacobians_of_an_mlp() -> None:
    """H 6: the formulas for ∂y_L/∂b_ℓ and ∂y_L/∂A_ℓ; the one with σ′ holds for ℓ ≤ L − 1."""
    sizes = [3, 5, 4, 1]
    A = [chainrule.randn(n, m, dtype=float64).requires_grad_() for m, n in itertools.pairwise(sizes)]
    b = [chainrule.randn(n, dtype=float64).requires_grad_() for n in sizes[1:]]
    y = [chainrule.randn(3, dtype=float64)]
    z = []
    for i, (weight, bias) in enumerate(zip(A, b, strict=True)):
        z.append(weight @ y[-1] + bias)
        y.append(z[-1].tanh() if i < 2 else z[-1])
    y[-1].sum().backward()
    np.testing.assert_allclose(b[2].grad.numpy(), [1])
    np.testing.assert_allclose(A[2].grad.numpy(), y[2].detach().numpy()[None])
    row = A[2].detach().numpy()  # ∂y_L/∂y_{L−1}
    for layer in (1, 0):
        slope = 1 - np.tanh(z[layer].detach().numpy()) ** 2
        np.testing.assert_allclose(b[layer].grad.numpy(), (row * slope)[0], rtol=1e-10)
        expected = np.diag(slope) @ row.T @ y[layer].detach().numpy()[None]
        np.testing.assert_allclose(A[layer].grad.numpy(), expected, rtol=1e-10)
        row = row @ np.diag(slope) @ A[layer].detach().numpy()
    inner = functional.jacobian(lambda x: (A[0].detach() @ x + b[0].detach()).tanh(), y[0])
    slope = 1 - y[1].detach() ** 2
    assert chainrule.allclose(inner, chainrule.diag(slope) @ A[0].detach(), rtol=1e-10)


def test_h_7_lenet_s_partial_table() -> None:
    """H 7: the original C3 has 1,516 parameters instead of 2,416, so the network 60,806 instead of 61,706."""
    modern, original = models.create("lenet5"), models.create("lenet5_c3")
    assert (count(modern.features[3]), count(original.features[3])) == (2_416, 1_516)
    assert (count(modern), count(original)) == (61_706, 60_806)
    assert count(original.features[3]) == 6 * (25 * 3 + 1) + 9 * (25 * 4 + 1) + 25 * 6 + 1, "by hand"


def test_h_7_the_partial_table_is_the_full_one_with_zeros() -> None:
    """H 7: connections that are left out are weights of zero, and get no gradient."""
    partial, full = PartialConv2d(6, C3_TABLE, 5).double(), nn.Conv2d(6, 16, 5, dtype=float64)
    nn.init.zeros_(full.weight)
    full.bias.data.copy_(partial.bias.detach())
    kernels = iter(partial.weight.detach())
    for i, read in enumerate(C3_TABLE):
        for channel in read:
            full.weight.data[i, channel] = next(kernels)
    x = chainrule.randn(2, 6, 14, 14, dtype=float64)
    assert chainrule.allclose(partial(x), full(x), rtol=1e-10, atol=1e-12)
    assert sum(len(read) for read in C3_TABLE) == 60 and (full.weight == 0).sum().item() == 900
    columns = ["".join("X" if channel in read else "." for read in C3_TABLE) for channel in range(6)]
    assert columns == ["X...XXX..XXXX.XX", "XX...XXX..XXXX.X", "XXX...XXX..X.XXX", ".XXX..XXXX..X.XX", "..XXX..XXXX.XX.X", "...XXX..XXXX.XXX"]  # fmt: skip


def test_h_5_fours_against_nines_of_mnist() -> None:
    """H 5: of the test images logistic regression reads 96.4% (KL) and 97.2% (squares) near the optimum of its loss.

    After 20 epochs of SGD, stopped before, KL reads more, and the two are within half a point.
    """
    folder = real_data("mnist") / "mnist"
    (x, t), (u, s) = (four_nine.fours_and_nines(folder, part) for part in ("train", "t10k"))
    assert (len(x), len(u)) == (11_791, 1_991)

    def read(model: nn.Module) -> float:
        return ((model(u).squeeze(1) > 0) == (s == 1)).double().mean().item()

    near = [read(four_nine.near_the_optimum(kind, x, t)) for kind in ("KL", "squares")]
    assert near == [pytest.approx(0.964, abs=0.0025), pytest.approx(0.972, abs=0.0025)]  # five images
    early = [read(four_nine.after_epochs(kind, x, t)) for kind in ("KL", "squares")]
    assert abs(early[0] - early[1]) < 0.005 and near[0] < early[0] < 0.98 and early[1] > 0.965
