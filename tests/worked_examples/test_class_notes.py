"""Worked examples of the class notes (E): automatic differentiation, tensors, losses, convolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.autograd import functional

float64 = chainrule.float64


def test_e_2_4_backpropagation_through_a_product_of_a_sum() -> None:
    """E 2.4: f = (x + y)·z at (−2, 5, −4)."""
    x, y, z = (chainrule.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    q = x + y
    q.retain_grad()
    f = q * z
    f.backward()
    assert (f.item(), x.grad.item(), y.grad.item(), z.grad.item(), q.grad.item()) == (-12, -4, -4, 3, -4)


def test_e_2_4_5_a_sigmoid_neuron_decomposed_and_as_a_block() -> None:
    """E 2.4.5: 1/(1 + e^−(w₀x₀ + w₁x₁ + w₂)), by parts and with the gradient σ(1 − σ) written by hand."""

    def parts(z: Any) -> Any:
        return 1 / (1 + (-z).exp())

    gradients = []
    for sigmoid in (parts, chainrule.sigmoid):
        w = chainrule.tensor([2.0, -3.0, -3.0], dtype=float64, requires_grad=True)
        x = chainrule.tensor([-1.0, -2.0], dtype=float64, requires_grad=True)
        sigmoid(w[0] * x[0] + w[1] * x[1] + w[2]).backward()
        gradients.append(w.grad.tolist() + x.grad.tolist())
    s = 1 / (1 + math.exp(-1))  # the neuron sees 2·(−1) + 3·2 − 3 = 1
    slope = s * (1 - s)
    by_hand = [-slope, -2 * slope, slope, 2 * slope, -3 * slope]
    np.testing.assert_allclose(gradients, [by_hand, by_hand], rtol=1e-12)


def test_e_2_5_2_the_jacobian_of_a_linear_map_is_its_matrix() -> None:
    """E 2.5.2: J of Wx is W."""
    W = chainrule.randn(3, 5)
    assert chainrule.equal(functional.jacobian(lambda x: W @ x, chainrule.randn(5)), W)


@given(st.integers(0, 10**6))
def test_e_2_5_3_the_chain_rule_of_jacobians(seed: int) -> None:
    """E 2.5.3: J of f∘g at a is J_f(g(a))·J_g(a)."""
    random = chainrule.Generator(seed)
    V, W, a = (chainrule.randn(*s, dtype=float64, generator=random) for s in [(2, 3), (3, 4), (4,)])

    def f(y: Any) -> Any:
        return (V @ y).tanh()

    def g(x: Any) -> Any:
        return (W @ x).sin()

    composed = functional.jacobian(lambda x: f(g(x)), a)
    assert chainrule.allclose(composed, functional.jacobian(f, g(a)) @ functional.jacobian(g, a), rtol=1e-10)


def test_e_3_1_shapes() -> None:
    """E 3.1: view with −1, flattening, unsqueeze."""
    x = chainrule.tensor([[1, 0, 2], [3, 2, 2]])
    assert x.view(1, 3, -1).shape == (1, 3, 2) and x.view(-1).shape == (6,) and x.unsqueeze(0).shape == (1, 2, 3)


def test_e_3_2_cross_entropy_is_nll_of_log_softmax_and_mse_a_likelihood() -> None:
    """E 3.2: cross-entropy = NLL∘LogSoftmax; MSE = 2σ²·(Gaussian negative log-likelihood − constant)."""
    x, y = chainrule.randn(6, 4, dtype=float64), chainrule.tensor([0, 1, 2, 3, 0, 1])
    composed = nn.NLLLoss()(nn.LogSoftmax(dim=1)(x), y)
    assert composed.item() == pytest.approx(nn.CrossEntropyLoss()(x, y).item(), rel=1e-12)
    a, b, sigma = chainrule.randn(50, dtype=float64), chainrule.randn(50, dtype=float64), 0.7
    constant = 0.5 * math.log(2 * math.pi * sigma**2)
    likelihood = ((a - b) ** 2 / (2 * sigma**2) + constant).mean()
    assert 2 * sigma**2 * (likelihood.item() - constant) == pytest.approx(nn.MSELoss()(a, b).item(), rel=1e-12)


@pytest.mark.parametrize("size", range(5, 12))
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_e_4_2_output_width(size: int, kernel: int, stride: int) -> None:
    """E 4.2: ⌊(W − K + 2P)/S⌋ + 1, and P = (K − 1)/2 keeps the width at stride 1."""
    x = chainrule.zeros(1, 1, size)
    for padding in (0, (kernel - 1) // 2):
        y = nn.Conv1d(1, 1, kernel, stride, padding)(x)
        assert y.shape[-1] == (size - kernel + 2 * padding) // stride + 1
    assert nn.Conv1d(1, 1, kernel, 1, (kernel - 1) // 2)(x).shape[-1] == size


def test_e_4_2_4_two_small_kernels_are_one_larger() -> None:
    """E 4.2.4: two 3×3 convolutions without padding are one 5×5; with zero padding they differ at the borders only."""
    F = nn.functional
    a, b, x = (chainrule.randn(1, 1, *s, dtype=float64) for s in [(3, 3), (3, 3), (9, 9)])
    both = F.conv_transpose2d(b, a)  # the full convolution of the two kernels
    assert chainrule.allclose(F.conv2d(F.conv2d(x, a), b), F.conv2d(x, both), rtol=1e-9)
    differs = ~chainrule.isclose(F.conv2d(F.conv2d(x, a, padding=1), b, padding=1), F.conv2d(x, both, padding=2), 1e-9)
    assert differs.any() and not differs[..., 1:-1, 1:-1].any()
