"""I VI of the notes: the LSTM's gates as equations, its cell state as a highway for gradients, what bounds it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule
from chainrule import Tensor, float64, nn
from chainrule.autograd import functional


def gates(layer: nn.LSTM, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What goes into σ, σ, tanh and σ: the notes' W·[h, x] + b for i, f, C̃ and o, from the layer's own weights."""
    made = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    i, f, candidate, o = made.chunk(4, -1)
    return i, f, candidate, o


def test_i_vi_3_the_gates_as_equations() -> None:
    """I VI.3: C_t = f_t⊙C_{t−1} + i_t⊙C̃_t and h_t = o_t⊙tanh(C_t) are what the layer computes, gradients too."""
    layer, x = nn.LSTM(3, 5, dtype=float64), chainrule.randn(7, 2, 3, dtype=float64)
    outputs, (last_h, last_C) = layer(x)
    h, C = chainrule.zeros(2, 5, dtype=float64), chainrule.zeros(2, 5, dtype=float64)
    for t in range(7):
        i, f, candidate, o = gates(layer, x[t], h)
        C = f.sigmoid() * C + i.sigmoid() * candidate.tanh()
        h = o.sigmoid() * C.tanh()
        np.testing.assert_allclose(outputs[t].detach(), h.detach(), rtol=1e-12)
    np.testing.assert_allclose(last_C[0].detach(), C.detach(), rtol=1e-12)
    by_layer = chainrule.autograd.grad(last_h.square().sum(), list(layer.parameters()))
    by_equations = chainrule.autograd.grad(h.square().sum(), list(layer.parameters()))
    for one, other in zip(by_layer, by_equations, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("T", [1, 10, 100])
def test_i_vi_5_the_cell_state_is_a_highway(T: int) -> None:
    """I VI.5: where the gates do not look at h, ∂C_T/∂C₀ is the product of the forget gates, and nothing else.

    With f = 0.999 nine tenths of a gradient come through 100 steps. A tanh network whose weight is 0.5 lets through
    less than 0.5ᵀ.
    """
    layer = nn.LSTM(2, 3, dtype=float64)
    layer.weight_hh_l0.data.zero_()
    layer.bias_hh_l0.data[3:6] = math.log(0.999 / 0.001)
    layer.weight_ih_l0.data[3:6] = 0.0
    layer.bias_ih_l0.data[3:6] = 0.0
    x, h = chainrule.randn(T, 1, 2, dtype=float64), chainrule.zeros(1, 1, 3, dtype=float64)
    J = functional.jacobian(lambda C: layer(x, (h, C))[1][1], chainrule.zeros(1, 1, 3, dtype=float64))
    np.testing.assert_allclose(J[0, 0, :, 0, 0, :], 0.999**T * np.eye(3), rtol=1e-9)

    plain = nn.RNN(2, 3, dtype=float64)
    plain.weight_hh_l0.data.copy_(0.5 * chainrule.eye(3, dtype=float64))
    J = functional.jacobian(lambda first: plain(x, first)[1], chainrule.zeros(1, 1, 3, dtype=float64))
    assert np.abs(J.numpy()).max() <= 0.5**T


def test_i_vi_6_what_a_relu_as_the_input_gate_loses() -> None:
    """I VI.6: σ lets in at most all of a candidate in [−1, 1], so after t steps |C| ≤ t whatever the weights are.

    ReLU has no such bound: with the same weights the cell state is beyond it after the first step, and its size follows
    the size of the input.
    """
    layer = nn.LSTM(3, 4, dtype=float64)
    for parameter in layer.parameters():
        parameter.data.mul_(4.0)
    x = 50 * chainrule.ones(1, 1, 3, dtype=float64)
    layer.weight_ih_l0.data[:4] = layer.weight_ih_l0.data[:4].abs()  # the input gate is open
    zeros = chainrule.zeros(1, 4, dtype=float64)
    with chainrule.no_grad():
        for times in (1.0, 10.0):
            _, (_, C) = layer(times * x)
            assert C.abs().max().item() <= 1
            i, _, candidate, _ = gates(layer, times * x[0], zeros)
            with_relu = i.relu() * candidate.tanh()
            assert with_relu.abs().max().item() > 10 * times
