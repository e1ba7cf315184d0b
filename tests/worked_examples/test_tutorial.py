"""Worked examples of the tutorial sheet (T)."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import functional
from chainrule.explain import variance_report

F = nn.functional


def test_t_1_1_sizes_and_weights() -> None:
    """T 1.1: a 32×32×3 image and 5×5×3 filters."""
    image = chainrule.zeros(1, 3, 32, 32)
    assert nn.Conv2d(3, 1, 5)(image).shape == (1, 1, 28, 28)
    assert nn.Conv2d(3, 1, 5, padding=2)(image).shape == (1, 1, 32, 32)
    ten = nn.Conv2d(3, 10, 5, padding=2)
    assert ten(image).shape == (1, 10, 32, 32) and ten.weight.numel() == 750
    assert nn.Conv2d(3, 7, 1)(image).shape[2:] == (32, 32)


def test_t_1_2_convolution_is_a_banded_matrix() -> None:
    """T 1.2: x of four entries padded by 1, w of three: the 4×6 matrix, half of it zeros."""
    w = chainrule.tensor([1.0, 2.0, 3.0])
    matrix = functional.jacobian(
        lambda x: F.conv1d(x.reshape(1, 1, -1), w.reshape(1, 1, -1)).reshape(-1), chainrule.randn(6)
    )
    expected = [[1, 2, 3, 0, 0, 0], [0, 1, 2, 3, 0, 0], [0, 0, 1, 2, 3, 0], [0, 0, 0, 1, 2, 3]]
    assert matrix.tolist() == expected and (matrix == 0).sum().item() == 12


def test_t_1_3_transposed_convolution() -> None:
    """T 1.3: [[0, 1], [2, 3]] with itself."""
    x = chainrule.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert F.conv_transpose2d(x, x)[0, 0].tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]


def test_t_2_tanh_and_the_variance_through_a_layer() -> None:
    """T 2: tanh x = 2σ(2x) − 1; under W ~ N(0, 1/D) the pre-activation keeps the variance of its input."""
    x = chainrule.linspace(-5, 5, 101, dtype="float64")
    assert chainrule.allclose(x.tanh(), 2 * (2 * x).sigmoid() - 1, atol=1e-14)
    layer = nn.Linear(1000, 1000, bias=False)
    nn.init.xavier_normal_(layer.weight)  # 2/(n_in + n_out) is 1/D here
    a = chainrule.randn(1000, 1000) * 0.3
    assert layer(a).var().item() / a.var().item() == pytest.approx(1, abs=0.01)  # four times √(6/D²)


def tanh_layers_keep(variance: float, layers: int) -> float:
    """The share of the variance after so many wide tanh layers under W ~ N(0, 1/D): q ← E[tanh²(√q·u)], u normal."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    q = variance
    for _ in range(layers):
        q = float((np.tanh(np.sqrt(q) * points) ** 2 * weights).sum() / weights.sum())
    return q / variance


@pytest.mark.parametrize(("std", "kept"), [(0.05, 0.94), (1.0, 0.05)])
def test_t_2_ten_tanh_layers(std: float, kept: float) -> None:
    """T 2: from inputs of standard deviation 0.05 they keep about 94% of the variance, from 1 they keep 5%."""
    model = nn.Sequential(*[part for _ in range(10) for part in (nn.Linear(1000, 1000, bias=False), nn.Tanh())])
    for layer in model[::2]:
        nn.init.xavier_normal_(layer.weight)
    report = variance_report(model, chainrule.randn(200, 1000) * std)
    exact = tanh_layers_keep(std**2, 10)
    assert exact == pytest.approx(kept, abs=0.015)
    # Each layer adds 2/D to the relative variance of one input's mean square; 200 inputs share it nearly evenly.
    assert report.rows[-1].variance / std**2 == pytest.approx(exact, rel=5 * (10 * 2 / 1000 / 200) ** 0.5)


def test_t_3_relu_forward_and_backward() -> None:
    """T 3: the 4×4 matrices."""
    x = chainrule.tensor(
        [[1.5, 2.2, 1.3, 6.7], [4.3, -0.3, -0.2, 4.9], [-4.5, 1.4, 5.5, 1.8], [0.1, -0.5, -0.1, 2.2]],
        requires_grad=True,
    )
    upstream = [[4.5, 1.2, 2.3, 1.3], [-1.3, -6.3, 4.1, -2.9], [-0.5, 1.2, 3.5, 1.2], [-6.1, 0.5, -4.1, -3.2]]
    y = nn.ReLU()(x)
    np.testing.assert_allclose(
        y.detach().numpy(), [[1.5, 2.2, 1.3, 6.7], [4.3, 0, 0, 4.9], [0, 1.4, 5.5, 1.8], [0.1, 0, 0, 2.2]]
    )
    y.backward(chainrule.tensor(upstream))
    expected = [[4.5, 1.2, 2.3, 1.3], [-1.3, 0, 0, -2.9], [0, 1.2, 3.5, 1.2], [-6.1, 0, 0, -3.2]]
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_t_4_7_reparametrisation() -> None:
    """T 4.7: ∇_θ E[x²], x ~ N(θ, 1), is E[2(θ + ε)] = 2θ."""
    chainrule.manual_seed(0)
    theta = chainrule.tensor(1.5, dtype="float64", requires_grad=True)
    ((theta + chainrule.randn(200_000, dtype="float64")) ** 2).mean().backward()
    assert abs(theta.grad.item() - 3) < 4 * 2 / 200_000**0.5
