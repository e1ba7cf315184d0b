"""Worked examples of the notes (E, I) that need several parts: networks by count, activations, recurrences, splits, losses."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.autograd import functional

F = nn.functional
float64 = chainrule.float64


class Inception(nn.Module):
    """Branches side by side, their channels one after the other."""

    def __init__(self, *branches: Any) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        return chainrule.cat([branch(x) for branch in self.branches], 1)


@pytest.mark.parametrize(("reduced", "channels", "count"), [(False, 416, 387_296), (True, 256, 163_696)])
def test_i_v_6_inception_3a(reduced: bool, channels: int, count: int) -> None:
    """I V.6: 192 channels in; naive, pooling passes all 192 on; 1×1 convolutions before and behind save 58%."""
    pool = nn.MaxPool2d(3, 1, 1)
    if reduced:
        block = Inception(
            nn.Conv2d(192, 64, 1), nn.Sequential(nn.Conv2d(192, 96, 1), nn.Conv2d(96, 128, 3, padding=1)),
            nn.Sequential(nn.Conv2d(192, 16, 1), nn.Conv2d(16, 32, 5, padding=2)),
            nn.Sequential(pool, nn.Conv2d(192, 32, 1)),
        )  # fmt: skip
    else:
        block = Inception(
            nn.Conv2d(192, 64, 1), nn.Conv2d(192, 128, 3, padding=1), nn.Conv2d(192, 32, 5, padding=2), pool
        )
    assert block(chainrule.zeros(1, 192, 7, 7)).shape == (1, channels, 7, 7)
    assert sum(p.numel() for p in block.parameters()) == count


def test_e_3_3_3_vgg_16() -> None:
    """E 3.3.3: 138,357,544 parameters, 102,764,544 of them in the first fully connected layer."""
    layers: list[Any] = []
    channels = 3
    with nn.init.skip_filling():  # its numbers do not matter, and they are many
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        size = 224
        for layer in layers:
            if isinstance(layer, nn.MaxPool2d):
                size = nn.output_size(size, 2, 2)
        full = [nn.Linear(512 * size**2, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    assert sum(p.numel() for layer in layers + full for p in layer.parameters()) == 138_357_544
    assert sum(p.numel() for p in full[0].parameters()) == 102_764_544


def test_i_ii_2_elu_is_smooth_for_one_alpha_only() -> None:
    """I II.2.h: the slope of ELU at 0 is α from below and 1 from above."""
    for alpha in (0.5, 1.0, 2.0):
        x = chainrule.tensor([-1e-9, 1e-9], dtype=float64, requires_grad=True)
        nn.ELU(alpha)(x).sum().backward()
        below, above = x.grad.tolist()
        assert (below, above) == (pytest.approx(alpha, rel=1e-8), 1)
        assert nn.ELU(alpha)(x.detach()).abs().max().item() < 1e-8, "it is continuous for all"


def test_i_ii_2_i_maxout_has_twice_the_parameters() -> None:
    """I II.2.i: of a ReLU layer, which is the special case with one piece zero; with pieces ±x it is |x|."""
    maxout, relu = nn.Maxout(5, 3, dtype=float64), nn.Sequential(nn.Linear(5, 3, dtype=float64), nn.ReLU())
    counts = [sum(p.numel() for p in layer.parameters()) for layer in (maxout, relu)]
    assert counts == [36, 18]
    x = chainrule.randn(20, 5, dtype=float64)
    with chainrule.no_grad():
        for p in maxout.parameters():
            p.zero_()
        maxout.linear.weight[::2], maxout.linear.bias[::2] = relu[0].weight, relu[0].bias
    assert chainrule.allclose(maxout(x), relu(x), rtol=1e-12)
    with chainrule.no_grad():
        maxout.linear.weight[1::2], maxout.linear.bias[1::2] = -relu[0].weight, -relu[0].bias
    assert chainrule.allclose(maxout(x), relu[0](x).abs(), rtol=1e-12)


def test_i_vii_1_b_the_backward_pass_of_a_sigmoid_of_a_matrix() -> None:
    """I VII.1.b: its Jacobian has (N·M)² entries, all but N·M zero; so ∂L/∂X = dout ⊙ σ(X) ⊙ (1 − σ(X))."""
    X, dout = chainrule.randn(3, 2, dtype=float64), chainrule.randn(3, 2, dtype=float64)
    s = 1 / (1 + np.exp(-X.numpy()))
    jacobian = functional.jacobian(nn.Sigmoid(), X)
    assert jacobian.shape == (3, 2, 3, 2)
    flat = jacobian.reshape(6, 6).numpy()
    np.testing.assert_allclose(flat, np.diag((s * (1 - s)).ravel()), rtol=1e-12)
    leaf = X.clone().requires_grad_()
    nn.Sigmoid()(leaf).backward(dout)
    np.testing.assert_allclose(leaf.grad.numpy(), dout.numpy() * s * (1 - s), rtol=1e-12)
    np.testing.assert_allclose(leaf.grad.numpy().ravel(), dout.numpy().ravel() @ flat, rtol=1e-12)


def test_i_vi_1_backpropagation_through_time_of_matrices() -> None:
    """I VI.1: h_t = W_h·h_{t−1} + W_x·x_t, o = W_o·h_T: ∂L/∂W_h is the sum over t of (W_hᵀ)^(T−t)·W_oᵀ·∂L/∂o times h_{t−1}ᵀ."""
    M, D, T = 4, 3, 5
    layer = nn.RNN(D, M, nonlinearity="identity", bias=False, dtype=float64)
    x, h0, W_o = (
        chainrule.randn(T, D, dtype=float64),
        chainrule.randn(1, M, dtype=float64),
        chainrule.randn(2, M, dtype=float64),
    )
    outputs, _ = layer(x, h0)
    o = W_o @ outputs[-1]
    dout = chainrule.randn(2, dtype=float64)
    o.backward(dout)
    W_h, W_x = layer.weight_hh_l0.detach().numpy(), layer.weight_ih_l0.detach().numpy()
    states = [h0[0].numpy()]
    for t in range(T):
        states.append(W_h @ states[-1] + W_x @ x[t].numpy())
    back = [np.linalg.matrix_power(W_h.T, T - t) @ W_o.numpy().T @ dout.numpy() for t in range(1, T + 1)]
    np.testing.assert_allclose(
        layer.weight_hh_l0.grad.numpy(), sum(np.outer(b, h) for b, h in zip(back, states)), rtol=1e-10
    )
    of_inputs = sum(np.outer(b, row.numpy()) for b, row in zip(back, x))
    np.testing.assert_allclose(layer.weight_ih_l0.grad.numpy(), of_inputs, rtol=1e-10)


@pytest.mark.parametrize("eigenvalue", [0.5, 1.5])
def test_i_vi_1_the_last_state_by_the_first(eigenvalue: float) -> None:
    """I VI.1: ∂h_T/∂h₀ = W_hᵀ, the T-th power; it vanishes or explodes with the largest eigenvalue, and an orthogonal W_h keeps."""
    T, layer = 20, nn.RNN(3, 4, nonlinearity="identity", bias=False, dtype=float64)
    nn.init.orthogonal_(layer.weight_hh_l0)
    for scale in (1.0, eigenvalue):
        W = layer.weight_hh_l0.data.mul_(scale).numpy()
        J = functional.jacobian(
            lambda h: layer(chainrule.zeros(T, 3, dtype=float64), h)[1][0], chainrule.zeros(1, 4, dtype=float64)
        )
        np.testing.assert_allclose(J[:, 0].numpy(), np.linalg.matrix_power(W, T), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.linalg.svd(J[:, 0].numpy(), compute_uv=False), scale**T, rtol=1e-9)
