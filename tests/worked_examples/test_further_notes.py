"""Worked examples of the notes (E, I) that need several parts: networks by count, activations, recurrences, splits, losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.autograd import functional
from chainrule.models import googlenet

F = nn.functional
float64 = chainrule.float64


@pytest.mark.parametrize(("reduced", "channels", "count"), [(False, 416, 387_296), (True, 256, 163_696)])
def test_i_v_6_inception_3a(reduced: bool, channels: int, count: int) -> None:
    """I V.6: 192 channels in; naive, pooling passes all 192 on; 1×1 convolutions before and behind save 58%."""
    block: nn.Module = googlenet.NaiveInception(192, 64, 128, 32, googlenet.BiasedConv2d)
    if reduced:
        block = googlenet.Inception(192, 64, 96, 128, 16, 32, 32, googlenet.BiasedConv2d, large=5)
    assert block(chainrule.zeros(1, 192, 7, 7)).shape == (1, channels, 7, 7)
    assert sum(p.numel() for p in block.parameters()) == count


def test_e_3_3_3_vgg_16() -> None:
    """E 3.3.3: 138,357,544 parameters, 102,764,544 of them in the first fully connected layer."""
    with nn.init.skip_filling():  # its numbers do not matter, and they are many
        model = chainrule.models.create("vgg16")
    assert sum(p.numel() for p in model.parameters()) == 138_357_544
    assert sum(p.numel() for p in model.classifier[0].parameters()) == 102_764_544


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


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss"])
def test_e_3_2_1_a_column_against_a_row_is_refused(loss: str) -> None:
    """E 3.2.1: predictions (N, 1) and targets (N,) would broadcast to (N, N); `unsqueeze(-1)` is the mend."""
    predicted, target = chainrule.rand(8, 1), chainrule.rand(8)
    with pytest.raises(chainrule.ShapeError, match=r"\(8, 1\).*\(8,\)"):
        getattr(nn, loss)()(predicted, target)
    assert getattr(nn, loss)()(predicted, target.unsqueeze(-1)).isfinite()


def test_e_3_2_1_what_would_be_learned() -> None:
    """E 3.2.1: over all (N, N) pairs each prediction is drawn to the mean of all targets, whatever its own."""
    predicted, target = chainrule.randn(8, 1, dtype=float64).requires_grad_(), chainrule.randn(8, dtype=float64)
    ((predicted - target) ** 2).mean().backward()
    wrong = 2 / 8 * (predicted.detach().squeeze(1) - target.mean())
    assert chainrule.allclose(predicted.grad.squeeze(1), wrong, rtol=1e-12)
    predicted.grad = None
    nn.MSELoss()(predicted, target.unsqueeze(-1)).backward()
    assert chainrule.allclose(predicted.grad.squeeze(1), 2 / 8 * (predicted.detach().squeeze(1) - target), rtol=1e-12)


def test_i_ii_7_absolute_errors_for_depths_with_outliers() -> None:
    """I II.7, 4c: 5% of the depths are 50 m too large; squares are drawn up by 5% of that, absolute errors are not."""
    x = chainrule.linspace(0, 1, 200, dtype=float64).unsqueeze(1)
    depth = 2 * x + 1
    depth[::20] += 50.0
    offsets = {}
    for loss in (nn.MSELoss(), nn.L1Loss()):
        layer = nn.Linear(1, 1, dtype=float64)
        optimizer = optim.Adam(layer.parameters(), lr=0.3)
        schedule = optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 400)
        for _ in range(400):
            optimizer.zero_grad()
            loss(layer(x), depth).backward()
            optimizer.step()
            schedule.step()
        offsets[type(loss)] = (layer(x) - (2 * x + 1)).mean().item()
    assert offsets[nn.MSELoss] == pytest.approx(2.5, abs=0.1) and abs(offsets[nn.L1Loss]) < 0.1


def test_i_ii_7_scores_above_a_thousand_explode_under_squares() -> None:
    """I II.7, 4f: the gradient of a square is as large as its score, that of cross-entropy at most 1 per sample."""
    x, labels = 2 * chainrule.randn(16, 50, dtype=float64), chainrule.arange(16) % 4
    wanted = F.one_hot(labels, 4).double()
    grown = {}
    for name in ("squares", "cross-entropy"):
        layer = nn.Linear(50, 4, dtype=float64)
        with chainrule.no_grad():
            layer.weight.normal_().mul_(1000.0 / 50**0.5 * 2)
        optimizer = optim.SGD(layer.parameters(), lr=1.0)
        sizes = []
        for _ in range(8):
            scores = layer(x)
            scores.retain_grad()
            optimizer.zero_grad()
            (F.mse_loss(scores, wanted) if name == "squares" else F.cross_entropy(scores, labels)).backward()
            optimizer.step()
            sizes.append(scores.abs().max().item())
            of_a_sample = scores.grad.abs().sum(1).max().item() * len(x)
            if name == "squares":
                assert of_a_sample > 0.25 * sizes[-1]  # of the four scores' mean of 2·(score − target)
            else:
                assert of_a_sample <= 2 + 1e-9
        assert sizes[0] > 1000
        grown[name] = sizes[-1] / sizes[0]
    assert grown["squares"] > 100 and grown["cross-entropy"] < 2


#: Optimisers as I IV.1.h may count them: what they need beside the gradient.
FIRST_ORDER = ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"]


def test_i_iv_1_h_what_sees_a_second_derivative() -> None:
    """I IV.1.h: functions with one gradient and different curvatures: first-order methods step alike, Newton does not.

    Moments of gradients (RMSProp, Adam) are no second derivatives, though the notes call both second order.
    """
    start, slope = chainrule.randn(3, dtype=float64), chainrule.randn(3, dtype=float64)
    curvatures = [chainrule.diag(chainrule.tensor(d, dtype=float64)) for d in ([1.0, 2.0, 3.0], [5.0, 1.0, 9.0])]

    def step(name: str, curvature: Any, steps: int) -> Any:
        x = start.clone().requires_grad_()
        optimizer = optim.Newton([x], adaptive=False) if name == "Newton" else getattr(optim, name)([x], lr=0.1)

        def closure() -> Any:
            if name != "Newton":
                optimizer.zero_grad()
            away = x - start
            value = slope @ away + away @ curvature @ away / 2
            if name != "Newton":
                value.backward()
            return value

        for _ in range(steps):
            optimizer.step(closure)
        return x.detach()

    for name in FIRST_ORDER:
        assert chainrule.equal(step(name, curvatures[0], 1), step(name, curvatures[1], 1)), name
    for curvature in curvatures:
        minimum = start - chainrule.linalg.solve(curvature, slope)
        assert chainrule.allclose(step("Newton", curvature, 1), minimum, rtol=1e-10)
        assert chainrule.allclose(step("LBFGS", curvature, 40), minimum, atol=1e-4), "from differences of gradients"
        assert not any(chainrule.allclose(step(name, curvature, 1), minimum, atol=1e-2) for name in FIRST_ORDER)


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_i_iv_2_d_dropout_is_an_ensemble(keep: float) -> None:
    """I IV.2.d: under softmax regression, evaluation is the geometric mean of all 2ⁿ thinned networks, normalised."""
    n, x = 5, chainrule.randn(5, dtype=float64)
    network = nn.Sequential(nn.Dropout(1 - keep), nn.Linear(n, 3, dtype=float64), nn.Softmax(-1))
    dropped = chainrule.tensor(np.unique(network[0](x.expand(60_000, n)).numpy(), axis=0))
    kept = (dropped != 0).sum(1).double()
    assert len(dropped) == 2**n
    chances = keep**kept * (1 - keep) ** (n - kept)
    mean = (chances @ network[1:](dropped).log()).exp()
    assert chainrule.allclose(network.eval()(x), mean / mean.sum(), rtol=1e-10)


def test_i_iv_2_d_dropout_comes_last() -> None:
    """I IV.2.d: Linear → Norm → Activation → Dropout. Before a norm it makes the variance of training another one.

    Inputs of mean μ and variance σ² have σ²/q + μ²(1 − q)/q after dropout that keeps q; evaluation sees σ².
    """
    keep, mean, deviation = 0.5, 1.0, 1.0
    x = mean + deviation * chainrule.randn(100_000, 1, dtype=float64)
    before, after = (
        nn.Sequential(*layers)
        for layers in (
            (nn.Dropout(1 - keep), nn.BatchNorm1d(1, momentum=None, dtype=float64)),
            (nn.BatchNorm1d(1, momentum=None, dtype=float64), nn.Dropout(1 - keep)),
        )
    )
    for network in (before, after):
        network.train()(x)
    expected = deviation**2 / (deviation**2 / keep + mean**2 * (1 - keep) / keep)
    assert expected == pytest.approx(1 / 3)
    assert before.eval()(x).var().item() == pytest.approx(expected, rel=0.03)
    assert after.eval()(x).var().item() == pytest.approx(1, rel=1e-4)
