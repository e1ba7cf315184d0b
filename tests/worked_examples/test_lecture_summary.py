"""Worked examples of the lecture summary (I), those that need layers, losses and optimisers that exist."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn, optim
from chainrule.autograd import functional

F = nn.functional
float64 = chainrule.float64


def close(x: Any, y: Any, tolerance: float = 1e-10) -> bool:
    return bool(np.allclose(np.asarray(x.detach()), np.asarray(y), rtol=tolerance, atol=tolerance))


def test_i_ii_1_b_a_weight_s_gradient_is_the_sum_over_its_paths() -> None:
    """I II.1.b: in the 3–4–2 network w₁₁₁ has 4·2 = 8 terms ∂L/∂ŷⱼ·∂ŷⱼ/∂hᵢ·∂hᵢ/∂w₁₁₁, all of them but i = 1 zero."""
    first, second = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    x, y = chainrule.randn(1, 3, dtype=float64), chainrule.randn(1, 2, dtype=float64)
    F.mse_loss(second(first(x)), y).backward()

    def hidden(w: Any) -> Any:
        return x[0] @ w.T + first.bias.detach()

    h = first(x)[0].detach()
    of_w = functional.jacobian(hidden, first.weight.detach())[:, 0, 0]  # ∂hᵢ/∂w₁₁₁
    of_h = functional.jacobian(second, h)  # ∂ŷⱼ/∂hᵢ
    of_y = functional.jacobian(lambda out: F.mse_loss(out, y[0]), second(h).detach())  # ∂L/∂ŷⱼ
    terms = [(of_y[j] * of_h[j, i] * of_w[i]).item() for j, i in itertools.product(range(2), range(4))]
    assert len(terms) == 8 and [i for i, term in enumerate(terms) if term] == [0, 4]
    assert first.weight.grad[0, 0].item() == pytest.approx(sum(terms), rel=1e-12)


def test_i_ii_1_ii_7_vii_1_the_affine_layer() -> None:
    """I II.1: ∂L/∂X = dout·Wᵀ, ∂L/∂W = Xᵀ·dout, ∂L/∂b = column sums; II.7: XW + ZR + T + A with L = Σy."""
    X, W, b = (chainrule.randn(*s, dtype=float64).requires_grad_() for s in [(5, 3), (3, 2), (2,)])
    dout = chainrule.randn(5, 2, dtype=float64)
    (X @ W + b).backward(dout)
    assert close(X.grad, dout @ W.detach().T) and close(W.grad, X.detach().T @ dout) and close(b.grad, dout.sum(0))
    Z, R, T, A = (chainrule.randn(*s, dtype=float64).requires_grad_() for s in [(5, 3), (3, 2), (5, 2), (5, 2)])
    (X @ W + Z @ R + T + A).sum().backward()
    assert close(Z.grad, np.ones((5, 2)) @ R.detach().numpy().T) and close(A.grad, np.ones((5, 2)))


def test_i_ii_2_derivatives_and_saturation() -> None:
    """I II.2: σ′(0) = ¼, tanh′(0) = 1; at the ends σ′(3.5) = 0.0285, tanh′(2) = 0.0707."""
    for function, at, value in [
        (chainrule.sigmoid, 0.0, 0.25), (chainrule.tanh, 0.0, 1.0), (chainrule.sigmoid, 3.5, 0.0285), (chainrule.tanh, 2.0, 0.0707),
    ]:  # fmt: skip
        x = chainrule.tensor(at, requires_grad=True)
        function(x).backward()
        assert x.grad.item() == pytest.approx(value, abs=5e-5)


def test_i_ii_2_softmax() -> None:
    """I II.2, II.8: the Jacobian sᵢ(δᵢⱼ − sⱼ), and the shift by the maximum changes nothing."""
    x = chainrule.randn(5, dtype=float64)
    s = x.softmax(0)
    assert close(functional.jacobian(lambda x: x.softmax(0), x), chainrule.diag(s) - chainrule.outer(s, s))
    assert close((x - x.max()).softmax(0), s) and close((x + 1000).softmax(0), s)


def test_i_ii_2_a_leaky_slope_below_zero_makes_everything_positive() -> None:
    """I II.2: max(αx, x) with α < 0 is never negative."""
    x = chainrule.linspace(-3, 3, 50)
    assert (chainrule.maximum(-0.1 * x, x) >= 0).all()


@pytest.mark.parametrize(("activation", "equal"), [("sigmoid", True), ("tanh", False)])
def test_i_ii_2_a_signs_of_an_output_neuron_s_gradient(activation: str, equal: bool) -> None:
    """I II.2.a: after sigmoids, which are positive, all weight gradients of a neuron have one sign; after tanh not."""
    chainrule.manual_seed(0)
    hidden = getattr(nn.Linear(4, 20)(chainrule.randn(1, 4)), activation)().detach()
    output = nn.Linear(20, 1)
    output(hidden).sum().backward()
    assert (len(set(output.weight.grad.sign().reshape(-1).tolist())) == 1) is equal


def test_i_ii_3_one_hot_cross_entropy() -> None:
    """I II.3: the 3×3 example gives 0.1095; the naive −Σ y·log ŷ gives NaN (0·∞), ours does not."""
    y = chainrule.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    predicted = chainrule.tensor([[0.1, 0.8, 0.1], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
    assert (-(y * predicted.log()).sum(1).mean()).isnan()
    labels = y.argmax(1)
    assert nn.NLLLoss()(predicted.log(), labels).item() == pytest.approx(0.1095, abs=1e-4)
    assert F.cross_entropy(predicted.log().clamp(min=-1e4), labels).item() == pytest.approx(0.1095, abs=1e-4)


def test_i_ii_4_linear_regression_in_one_step() -> None:
    """I II.4: W = (XᵀX)⁻¹XᵀY. II.8 1a: XᵀX of 100 features is small and adds up over the parts of any data set."""
    X, Y = chainrule.randn(1000, 100, dtype=float64), chainrule.randn(1000, 1, dtype=float64)
    G, c = chainrule.zeros(100, 100, dtype=float64), chainrule.zeros(100, 1, dtype=float64)
    for a, b in zip(X.split(64), Y.split(64), strict=True):
        G, c = G + a.T @ a, c + a.T @ b
    streamed = chainrule.linalg.solve(G, c)
    assert close(models.least_squares(X, Y, bias=False).weight, streamed.T)
    assert close(chainrule.linalg.inv(X.T @ X) @ X.T @ Y, streamed)


def test_i_ii_6_one_training_step() -> None:
    """I II.6: the 2–3–1 ReLU network, learning rate 0.1.

    The printed weights come out with the gradient ŷ − y, which belongs to the loss ½(ŷ − y)²; the mean squared error
    that the notes name has twice that gradient and gives others.
    """
    W1 = chainrule.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], requires_grad=True)
    b1 = chainrule.tensor([0.1, 0.2, 0.3], requires_grad=True)
    W2, b2 = chainrule.tensor([[0.7, 0.8, 0.9]], requires_grad=True), chainrule.tensor([0.1], requires_grad=True)
    optimizer = optim.SGD([W1, b1, W2, b2], lr=0.1)
    predicted = F.linear(F.relu(F.linear(chainrule.tensor([1.0, 2.0]), W1, b1)), W2, b2)
    (0.5 * (predicted - 3.2) ** 2).sum().backward()
    optimizer.step()
    printed = [[0.09, 0.18], [0.29, 0.37], [0.49, 0.57]], [0.09, 0.19, 0.29], [[0.69, 0.78, 0.87]], [0.08]
    for tensor, expected in zip((W1, b1, W2, b2), printed, strict=True):
        assert close(tensor, expected, 0.0051)


def test_i_ii_7_ii_8_counts() -> None:
    """I II.7: 8×3×8×8 into logistic regression; II.8: first losses, two affine layers, the divisor of the MSE."""
    flat = nn.Flatten()(chainrule.ones(8, 3, 8, 8))
    assert flat.shape == (8, 192) and nn.Linear(192, 1).weight.T.shape == (192, 1)
    for classes, loss in [(100, 4.605), (4, 1.386)]:
        assert F.cross_entropy(chainrule.zeros(7, classes), chainrule.zeros(7).long()).item() == pytest.approx(
            loss, abs=1e-3
        )
    X, W1, W2, B1, B2 = (chainrule.randn(*s, dtype=float64) for s in [(5, 4), (4, 3), (3, 2), (3,), (2,)])
    assert close((X @ W1 + B1) @ W2 + B2, X @ (W1 @ W2) + (B1 @ W2 + B2))
    a, b = chainrule.randn(4, 3, 8, 8, dtype=float64), chainrule.randn(4, 3, 8, 8, dtype=float64)
    assert F.mse_loss(a, b).item() == pytest.approx(((a - b) ** 2).sum().item() / 768)


@pytest.mark.parametrize(
    ("k", "s", "p", "of_32", "of_33"), [(1, 1, 0, 32, 33), (3, 1, 1, 32, 33), (3, 2, 1, 16, 17), (7, 4, 3, 8, 9)]
)
def test_i_iii_1_widths(k: int, s: int, p: int, of_32: int, of_33: int) -> None:
    """I III.1: kernel, stride and padding on widths 32 and 33."""
    for width, expected in ((32, of_32), (33, of_33)):
        assert nn.Conv2d(1, 1, k, s, p)(chainrule.zeros(1, 1, width, width)).shape[2:] == (expected, expected)


def test_i_iii_2_vii_1_what_is_linear() -> None:
    """I III.2, VII.1: convolution and average pooling are linear; max pooling and an affine layer are not."""
    layers = {
        True: [nn.Conv2d(2, 3, 3, bias=False), nn.AvgPool2d(2)],
        False: [nn.MaxPool2d(2), nn.Conv2d(2, 3, 3)],
    }
    x, y = chainrule.randn(1, 2, 6, 6, dtype=float64), chainrule.randn(1, 2, 6, 6, dtype=float64)
    for linear, group in layers.items():
        for layer in group:
            f = layer.double()
            assert close(f(2 * x - 3 * y), (2 * f(x) - 3 * f(y)).detach()) is linear


@pytest.mark.parametrize(
    ("layers", "fields"),
    [
        ([(3, 1), (3, 1), (3, 1)], [3, 5, 7]), ([(3, 1), (2, 2), (1, 1), (4, 2)], [3, 4, 4, 10]),
        ([(5, 1), (2, 2), (5, 1), (2, 2)], [5, 6, 14, 16]),
    ],
)  # fmt: skip
def test_i_iii_3_receptive_fields(layers: list[tuple[int, int]], fields: list[int]) -> None:
    """I III.3, V.11: how many input pixels one entry depends on, found by its gradient."""
    x = chainrule.zeros(1, 1, 32, requires_grad=True)
    y: Any = x
    for (kernel, stride), expected in zip(layers, fields, strict=True):
        y = F.conv1d(y, chainrule.ones(1, 1, kernel), stride=stride)
        (g,) = chainrule.autograd.grad(y[0, 0, y.shape[-1] // 2], x, retain_graph=True)
        assert (g != 0).sum().item() == expected


def test_i_iii_6_fully_connected_layers_are_convolutions() -> None:
    """I III.6: five outputs on 4×3×8×8 by a 5×3×8×8 kernel, or as 1×1 on 4×192×1×1; a 1×1 layer 10→5 has 55 weights."""
    x = chainrule.randn(4, 3, 8, 8, dtype=float64)
    full = nn.Linear(192, 5).double()
    expected = full(x.flatten(1)).reshape(4, 5, 1, 1).detach()
    assert close(F.conv2d(x, full.weight.reshape(5, 3, 8, 8), full.bias), expected)
    assert close(F.conv2d(x.reshape(4, 192, 1, 1), full.weight.reshape(5, 192, 1, 1), full.bias), expected)
    assert sum(p.numel() for p in nn.Conv2d(10, 5, 1).parameters()) == 55


def test_i_iii_6_max_pooling_lets_a_quarter_of_the_gradients_through() -> None:
    """I III.6: 2×2 windows without ties and upstream ones: ¼ of the inputs get a gradient, each 1."""
    x = chainrule.randperm(64).float().reshape(1, 1, 8, 8).requires_grad_()
    nn.MaxPool2d(2)(x).sum().backward()
    assert x.grad.sum().item() == 16 and set(x.grad.reshape(-1).tolist()) == {0, 1}


def test_i_iv_1_a_accumulation_is_the_full_batch() -> None:
    """I IV.1.a: gradients of equal batches, each loss divided by their number, add up to that of all."""
    model, x, y = nn.Linear(3, 2).double(), chainrule.randn(12, 3, dtype=float64), chainrule.randn(12, 2, dtype=float64)
    F.mse_loss(model(x), y).backward()
    whole = model.weight.grad.clone()
    model.zero_grad()
    for a, b in zip(x.chunk(4), y.chunk(4), strict=True):
        (F.mse_loss(model(a), b) / 4).backward()
    assert close(model.weight.grad, whole)
    model.zero_grad()
    for a, b in zip(x.split([5, 7]), y.split([5, 7]), strict=True):  # else weight by size
        (F.mse_loss(model(a), b) * len(a) / 12).backward()
    assert close(model.weight.grad, whole)


def test_i_iv_1_f_adam_s_first_step() -> None:
    """I IV.1.f: about η in each coordinate; without the correction 3.16 times that, larger and not smaller."""
    slopes = chainrule.tensor([0.01, 1.0, -500.0], dtype=float64)
    p = chainrule.zeros(3, dtype=float64, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    (p * slopes).sum().backward()
    optimizer.step()
    assert close(p, [-0.1, -0.1, 0.1], 1e-6)
    state = optimizer.state[p]
    uncorrected = state["exp_avg"] / state["exp_avg_sq"].sqrt()
    assert close(uncorrected, math.sqrt(10) * slopes.sign()) and round(uncorrected[1].item(), 2) == 3.16


def test_i_iv_2_d_penalties_and_their_gradients() -> None:
    """I IV.2.d: λΣ|θ| and ½λΣθ², whose gradient adds λθ to the loss's; L1 makes zeros, L2 small numbers."""
    theta = chainrule.tensor([3.0, -4.0, 0.5], dtype=float64, requires_grad=True)
    assert nn.penalty.l1_penalty(theta, 0.1).item() == pytest.approx(0.75)
    assert nn.penalty.l2_penalty(theta, 0.1).item() == pytest.approx(0.5 * 0.1 * 25.25)
    (loss,) = chainrule.autograd.grad((theta**3).sum(), theta)
    (whole,) = chainrule.autograd.grad((theta**3).sum() + nn.penalty.l2_penalty(theta, 0.1), theta)
    assert close(whole, loss + 0.1 * theta.detach())
    X = chainrule.randn(50, 6, dtype=float64, generator=chainrule.Generator(0))
    Y = X[:, 0] * 2 + 0.1 * chainrule.randn(50, dtype=float64, generator=chainrule.Generator(1))
    sparse, small = models.lasso(X, Y, 0.5).weight[0], models.ridge(X, Y, 25.0).weight[0]
    assert (sparse == 0).tolist() == [False, True, True, True, True, True]
    assert not (small == 0).any() and small.norm().item() < models.least_squares(X, Y).weight.norm().item()


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_i_iv_2_d_dropout_on_a_linear_layer(keep: float) -> None:
    """I IV.2.d: the mean over all 2ⁿ masks, each with its probability, is the layer on p_keep·x; inverted, on x."""
    layer, x = nn.Linear(6, 3).double(), chainrule.randn(6, dtype=float64)
    samples = x.expand(200_000, 6)  # the rarest mask, all dropped, is 0.2⁶ of these: 13 are expected
    for dropout, expected in ((nn.ClassicDropout(1 - keep), layer(keep * x)), (nn.Dropout(1 - keep), layer(x))):
        dropped = chainrule.tensor(np.unique(dropout(samples).numpy(), axis=0))
        kept = (dropped != 0).sum(1).double()
        assert len(dropped) == 2**6, "every mask comes, and nothing else does"
        chances = keep**kept * (1 - keep) ** (6 - kept)
        assert chances.sum().item() == pytest.approx(1)
        assert close(chances @ layer(dropped), expected.detach())
        assert close(layer(dropout.eval()(x)), expected.detach()), "what evaluation computes instead"


def test_i_iv_1_g_newton() -> None:
    """I IV.1.g: x − f/f′ for a root; x − f′/f″ for a minimum is the same on the derivative; θ − H⁻¹∇L for a matrix."""

    def f(x: Any) -> Any:
        return x**4 - 3 * x**2 + x

    root = optim.newton_raphson(chainrule.func.grad(f), chainrule.tensor(1.0, dtype=float64))
    x = chainrule.tensor(1.0, dtype=float64, requires_grad=True)
    newton = optim.Newton([x], adaptive=False)
    for _ in range(root.steps):
        slope, bend = 4 * x.item() ** 3 - 6 * x.item() + 1, 12 * x.item() ** 2 - 6
        expected = x.item() - slope / bend
        newton.step(lambda: f(x))
        assert x.item() == pytest.approx(expected, rel=1e-14)
    assert x.item() == pytest.approx(root.x.item(), rel=1e-14) and bend > 0
    theta = chainrule.randn(2, 3, dtype=float64).requires_grad_()
    A = chainrule.randn(6, 6, dtype=float64)
    H = A @ A.T + chainrule.eye(6, dtype=float64)
    optim.Newton([theta]).step(lambda: theta.reshape(-1) @ H @ theta.reshape(-1) / 2 - theta.sum())
    assert close(theta.detach().reshape(-1), chainrule.linalg.solve(H, chainrule.ones(6, dtype=float64)), 1e-8)


@pytest.mark.parametrize(("name", "same"), [("SGD", True), ("Adam", False)])
def test_i_iv_2_d_penalty_against_decoupled_decay(name: str, same: bool) -> None:
    """I IV.2.d: ½λ‖θ‖² in the loss is weight decay under SGD; Adam rescales it, and decoupled decay differs."""
    a, b = (chainrule.tensor([1.0, 2.0], dtype=float64, requires_grad=True) for _ in range(2))
    rate, decay = 0.05, 0.3
    plain = getattr(optim, name)([a], lr=rate)
    decoupled = optim.SGD([b], lr=rate, weight_decay=decay) if same else optim.AdamW([b], lr=rate, weight_decay=decay)
    for _ in range(5):
        for p, optimizer, penalty in ((a, plain, decay), (b, decoupled, 0.0)):
            optimizer.zero_grad()
            ((p - 3) ** 2 / 2 + penalty / 2 * p**2).sum().backward()
            optimizer.step()
    assert close(a, b.detach()) is same


@pytest.mark.parametrize(("nonlinearity", "kept"), [("relu", 1.0), ("linear", 0.5**10)])
def test_i_iv_2_g_variance_through_relu_layers(nonlinearity: str, kept: float) -> None:
    """I IV.2.g: ten ReLU layers of width 512: Kaiming's 2/n keeps E[h²] (found: 0.97), 1/n leaves 2⁻¹⁰ (0.00095).

    One network's mean of h² is off by about √(10·5/512) = 31% of its expectation: a layer adds 5/n to its relative
    variance, the fourth moment of a ReLU over the square of its second, 6, less 1. So the mean of 20 networks is
    within 4·31%/√20 = 28%.
    """
    model = nn.Sequential(*[part for _ in range(10) for part in (nn.Linear(512, 512, bias=False), nn.ReLU())])
    found = []
    for _ in range(20):
        for layer in model[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)
        with chainrule.no_grad():
            found.append((model(chainrule.randn(20, 512)) ** 2).mean().item())
    assert float(np.mean(found)) == pytest.approx(kept, rel=0.28)


def test_i_iv_4_equal_weights_stay_equal() -> None:
    """I IV.4: hidden units that start alike are alike after any number of steps."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    for p in model.parameters():
        nn.init.constant_(p, 0.3)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        F.mse_loss(model(chainrule.randn(8, 3)), chainrule.randn(8, 1)).backward()
        optimizer.step()
    weights = model[0].weight
    assert chainrule.allclose(weights, weights[:1].expand(4, 3), atol=1e-6) and not chainrule.allclose(
        weights, weights * 0 + 0.3
    )


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.BatchNorm2d(6), (1, 6, 1, 1)), (nn.LayerNorm((6, 5, 4)), (3, 1, 1, 1)), (nn.InstanceNorm2d(6), (3, 6, 1, 1)),
    (nn.GroupNorm(2, 6), (3, 2, 1, 1)),
])  # fmt: skip
def test_i_iv_2_e_over_what_each_norm_takes_its_statistics(layer: Any, shape: tuple[int, ...]) -> None:
    """I IV.2.e, E 4.5: of (N, C, H, W) one mean and variance for each entry of the given shape, all with mean 0, 1."""
    x = chainrule.randn(3, 6, 5, 4) * 3 + 2
    groups = layer(x).detach().numpy().reshape(3, shape[1], -1, 20) if shape[1] == 2 else layer(x).detach().numpy()
    axes = tuple(i for i, extent in enumerate(shape) if extent == 1) if shape[1] != 2 else (2, 3)
    means, variances = groups.mean(axes), groups.var(axes)
    assert means.size == np.prod(shape)
    np.testing.assert_allclose(means, 0, atol=1e-5)
    np.testing.assert_allclose(variances, 1, atol=1e-3)


def test_i_iv_5_the_gradients_of_batch_norm() -> None:
    """I IV.5: ∂L/∂γ = Σ dout·x̂, ∂L/∂β = Σ dout, ∂L/∂x = γ/√(σ² + ε)·(dout − mean dout − x̂·mean(dout·x̂))."""
    layer, x = nn.BatchNorm1d(4, dtype=float64), chainrule.randn(7, 4, dtype=float64).requires_grad_()
    layer.weight.data.copy_(chainrule.randn(4, dtype=float64))
    dout = chainrule.randn(7, 4, dtype=float64)
    layer(x).backward(dout)
    d, data = dout.numpy(), x.detach().numpy()
    spread = np.sqrt(data.var(0) + layer.eps)
    normed = (data - data.mean(0)) / spread
    assert close(layer.weight.grad, (d * normed).sum(0)) and close(layer.bias.grad, d.sum(0))
    by_hand = layer.weight.detach().numpy() / spread * (d - d.mean(0) - normed * (d * normed).mean(0))
    assert close(x.grad, by_hand)


def test_i_v_4_v_6_residual_block_and_pooling_that_keeps_the_size() -> None:
    """I V.4: the Jacobian of x + F(x) is I + J_F; V.6: max pooling 3/1/1 keeps the size."""
    W, x = chainrule.randn(4, 4, dtype=float64), chainrule.randn(4, dtype=float64)
    J = functional.jacobian(lambda x: (W @ x).tanh(), x)
    assert close(functional.jacobian(lambda x: x + (W @ x).tanh(), x), J + chainrule.eye(4, dtype=float64))
    assert nn.MaxPool2d(3, 1, 1)(chainrule.zeros(1, 2, 7, 9)).shape == (1, 2, 7, 9)


def test_i_vi_1_recurrence_by_hand() -> None:
    """I VI.1: two steps of a linear recurrence, ∂o/∂W_h = W_o·(W_h·h₀ + h₁); over T steps ∂h_T/∂h₀ = W_hᵀ."""
    h0, x1, x2, wx, wo = 0.4, 0.7, -0.2, 0.5, 1.3
    W = chainrule.tensor(0.9, dtype=float64, requires_grad=True)
    h1 = W * h0 + wx * x1
    o = wo * (W * h1 + wx * x2)
    o.backward()
    assert W.grad.item() == pytest.approx(wo * (0.9 * h0 + h1.item()))
    for eigenvalue in (0.5, 1.5):
        w = chainrule.tensor(eigenvalue, dtype=float64)
        start = chainrule.tensor(1.0, dtype=float64, requires_grad=True)
        last, _ = chainrule.scan(lambda h, x, w=w: (w * h + x, None), start, chainrule.zeros(20, dtype=float64))
        assert chainrule.autograd.grad(last, start)[0].item() == pytest.approx(eigenvalue**20)


def test_i_vi_1_parameters_of_recurrent_layers() -> None:
    """I VI.1: M·M + D·M + M parameters, 91 for D = 5 and M = 7; with PyTorch's second bias 98. The LSTM: 4 times that."""
    for kind, expected in ((nn.RNN, (91, 98)), (nn.GRU, (273, 294)), (nn.LSTM, (364, 392))):
        layer = kind(5, 7)
        count = sum(p.numel() for p in layer.parameters())
        assert (count - layer.bias_hh_l0.numel(), count) == expected


def test_i_vi_1_a_layer_s_gradient_through_time() -> None:
    """I VI.1: the same two steps by `nn.RNN` with the identity: ∂o/∂W_h = W_o·(W_h·h₀ + h₁) for one unit."""
    layer = nn.RNN(1, 1, nonlinearity="identity", dtype=float64)
    x, h0, W_o = chainrule.randn(2, 1, 1, dtype=float64), chainrule.randn(1, 1, 1, dtype=float64), 1.7
    outputs, last = layer(x, h0)
    (W_o * last).sum().backward()
    W_h, h1 = layer.weight_hh_l0.item(), outputs[0].item()
    assert layer.weight_hh_l0.grad.item() == pytest.approx(W_o * (W_h * h0.item() + h1))


def test_i_vii_1_affine_square_sum() -> None:
    """I VII.1.d: X = [[0, 1], [2, 3]], W = 1, L = Σ(XW)²; and f = 2X, g = Σ gives 2."""
    X, W = chainrule.tensor([[0.0, 1.0], [2.0, 3.0]], requires_grad=True), chainrule.ones(2, 2, requires_grad=True)
    Y = X @ W
    f = Y * Y
    Y.retain_grad()
    f.retain_grad()
    L = f.sum()
    L.backward()
    assert L.item() == 52 and f.grad.tolist() == [[1, 1], [1, 1]] and Y.grad.tolist() == [[2, 2], [10, 10]]
    assert X.grad.tolist() == [[4, 4], [20, 20]] and W.grad.tolist() == [[20, 20], [32, 32]]
    x = chainrule.randn(5, requires_grad=True)
    (2 * x).sum().backward()
    assert x.grad.tolist() == [2] * 5
