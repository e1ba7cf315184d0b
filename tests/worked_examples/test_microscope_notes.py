"""Worked examples of the notes (E, I) that look into models: paths of gradients, layouts, handmade kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.autograd import functional
from chainrule.data import DataLoader, digits
from chainrule.explain import optimised_input, variance_report, ways_to_a_gradient
from chainrule.nn import kernels

F = nn.functional
float64 = chainrule.float64


def test_i_vi_1_the_three_terms_of_backpropagation_through_time() -> None:
    """I VI.1, as printed: ∂A₃/∂W_h = A₃′·(W_h·A₂′·(W_h·(A₁′·h₀) + h₁) + h₂), by `nn.RNN` of three steps, with tanh and without."""
    for kind, slope in (("identity", lambda h: 1.0), ("tanh", lambda h: 1 - h * h)):
        layer = nn.RNN(1, 1, nonlinearity=kind, dtype=float64)
        x, h0 = chainrule.randn(3, 1, 1, dtype=float64), chainrule.randn(1, 1, 1, dtype=float64)
        x[2] = 0.0  # the last step has no input of its own
        outputs, last = layer(x, h0)
        last.sum().backward()
        h1, h2, h3 = (h.item() for h in outputs)
        W_h, A1, A2, A3 = layer.weight_hh_l0.item(), slope(h1), slope(h2), slope(h3)
        by_paths = A3 * (W_h * A2 * (W_h * (A1 * h0.item()) + h1) + h2)
        terms = [A3 * h2, A3 * W_h * A2 * h1, A3 * W_h * A2 * W_h * A1 * h0.item()]
        assert by_paths == pytest.approx(sum(terms), rel=1e-12)
        assert layer.weight_hh_l0.grad.item() == pytest.approx(by_paths, rel=1e-10)


def test_i_vi_1_the_microscope_shows_the_three_terms_one_by_one() -> None:
    """I VI.1: each use of the weight sends one term back, and they add up: what docs/microscope.md says of its picture."""
    from docs.make.microscope import through_time

    found = through_time()
    w, h, slopes = 0.5, [0.8], []
    for x in (0.3, -0.2, 0.6):
        h.append(math.tanh(w * h[-1] + x))
        slopes.append(1 - h[-1] ** 2)
    A1, A2, A3 = slopes
    terms = [
        node["contributions"][0]["downstream"]["numbers"]
        for node in found.data()["nodes"]
        if node["operation"] == "Multiply"
    ]
    assert terms == pytest.approx([A3 * w * A2 * w * A1 * h[0], A3 * w * A2 * h[1], A3 * h[2]], rel=1e-5)
    assert found.gradient("w") == pytest.approx(sum(terms), rel=1e-5)


def test_i_ii_2_e_vanishing_is_gradual_and_dying_is_at_once() -> None:
    """I II.2.e: through sigmoids the gradient falls by about the same factor with each layer; behind a dead ReLU layer it is 0."""

    def network(activation: type[nn.Module]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for _ in range(8):
            layers += [nn.Linear(30, 30), activation()]
        return nn.Sequential(*layers)

    x = chainrule.randn(50, 30)
    sizes = [math.sqrt(row.gradient_variance) for row in variance_report(network(nn.Sigmoid), x).of("Sigmoid")]
    factors = np.array(sizes[:-1]) / sizes[1:]
    assert (factors < 0.5).all() and factors.max() < 3 * factors.min()
    dying = network(nn.ReLU)
    with chainrule.no_grad():
        dying[8].bias.fill_(-100.0)  # the fifth layer: no unit is ever above zero
    found = [row.gradient_variance for row in variance_report(dying, x).of("ReLU")]
    assert found[:4] == [0.0] * 4 and all(v > 0 for v in found[4:])


def zigzag(activation: str) -> float:
    """The share of steps of descent in which all weights of one neuron go the same way, up or down together."""
    hidden = getattr(chainrule.randn(64, 2), activation)()
    truth = chainrule.tensor([[1.5, -1.5]])
    neuron = nn.Linear(2, 1, bias=False)
    optimizer, together = optim.SGD(neuron.parameters(), lr=0.1), 0
    for i in range(64):  # one sample at a time
        optimizer.zero_grad()
        F.mse_loss(neuron(hidden[i : i + 1]), hidden[i : i + 1] @ truth.T).backward()
        together += int(len(set(neuron.weight.grad.sign().reshape(-1).tolist())) == 1)
        optimizer.step()
    return together / 64


def test_i_ii_2_a_the_zig_zag_of_activations_that_are_not_centred() -> None:
    """I II.2.a: towards (1.5, −1.5) one weight must rise and one fall; behind sigmoids no step of one sample does that."""
    assert zigzag("sigmoid") == 1.0
    assert 0.2 < zigzag("tanh") < 0.8


def test_i_vii_1_the_order_of_flattening_does_not_matter_if_it_is_one() -> None:
    """I VII.1: rows of the weight in the images' order give the same outputs and gradients; another order for each image does not."""
    images, layer = chainrule.randn(2, 1, 8, 8, dtype=float64), nn.Linear(64, 3, dtype=float64)
    by_rows = images.flatten(1)
    by_columns = images.transpose(2, 3).flatten(1)
    order = chainrule.arange(64).reshape(8, 8).T.reshape(-1)
    other = nn.Linear(64, 3, dtype=float64)
    with chainrule.no_grad():
        other.weight.copy_(layer.weight[:, order])
        other.bias.copy_(layer.bias)
    assert chainrule.allclose(layer(by_rows), other(by_columns), rtol=1e-12)
    for model, x in ((layer, by_rows), (other, by_columns)):
        model(x).pow(2).sum().backward()
    assert chainrule.allclose(layer.weight.grad[:, order], other.weight.grad, rtol=1e-10)
    mixed = chainrule.stack([by_rows[0], by_columns[1]])
    assert not chainrule.allclose(layer(mixed), layer(by_rows))


def test_i_vii_1_the_bias_is_a_row_of_the_weight_for_an_input_of_ones() -> None:
    """I VII.1: XW + b = [X, 1]·[W; b], and ∂L/∂b is the last row of the gradient in [W; b]."""
    X, W, b = (chainrule.randn(*s, dtype=float64) for s in ((5, 3), (3, 2), (2,)))
    dout = chainrule.randn(5, 2, dtype=float64)
    joined = chainrule.cat([W, b.unsqueeze(0)]).requires_grad_()
    b.requires_grad_()
    y = chainrule.cat([X, chainrule.ones(5, 1, dtype=float64)], 1) @ joined
    assert chainrule.allclose(y, F.linear(X, W.T, b), rtol=1e-12)
    y.backward(dout)
    F.linear(X, W.T, b).backward(dout)
    np.testing.assert_allclose(joined.grad[3].numpy(), b.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(b.grad.numpy(), dout.numpy().sum(0), rtol=1e-12)


def affine_backward(dout: Any, cache: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """The exercise of I VII.1, solved: Y = XW + b."""
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)


def test_i_vii_1_affine_backward() -> None:
    """I VII.1: dx = dout·Wᵀ, dw = Xᵀ·dout, db = column sums of dout; autodiff, differences and formulas agree."""
    cache = tuple(chainrule.randn(*s, dtype=float64).requires_grad_() for s in ((4, 3), (3, 2), (2,)))
    dout = chainrule.randn(4, 2, dtype=float64)
    (cache[0] @ cache[1] + cache[2]).backward(dout)
    for found, leaf in zip(affine_backward(dout, tuple(t.detach() for t in cache)), cache, strict=True):
        np.testing.assert_allclose(found.numpy(), leaf.grad.numpy(), rtol=1e-12)
    x, b = cache[0].detach(), cache[2].detach()

    def of_w(w: Any) -> Any:
        return ((x @ w.reshape(3, 2) + b) * dout).sum()

    def by_hand(w: Any) -> Any:
        return affine_backward(dout, (x, w.reshape(3, 2), b))[1].reshape(-1)

    ways = ways_to_a_gradient(of_w, cache[1].detach().reshape(-1), by_hand, symbolic=False)
    assert ways.of("by hand").error < 1e-12 and ways.of("central differences").error < 1e-8


def test_i_vii_1_the_jacobian_of_a_matrix_laid_out_as_n_m_by_n() -> None:
    """I VII.1: f: ℝⁿˣᵐ → ℝⁿ, f(X) = Xv, has n·n·m derivatives; laid out (n·m)×n, its transpose takes dout to ∂L/∂X."""
    n, m = 3, 2
    X, v, dout = (chainrule.randn(*s, dtype=float64) for s in ((n, m), (m,), (n,)))
    jacobian = functional.jacobian(lambda X: X @ v, X)  # (n, n, m)
    laid_out = jacobian.reshape(n, n * m).T
    assert laid_out.shape == (n * m, n)
    wanted = np.zeros((n, m, n))
    for i in range(n):
        wanted[i, :, i] = v.numpy()
    np.testing.assert_allclose(laid_out.numpy(), wanted.reshape(n * m, n), atol=1e-14)
    leaf = X.clone().requires_grad_()
    (leaf @ v).backward(dout)
    np.testing.assert_allclose((laid_out @ dout).reshape(n, m).numpy(), leaf.grad.numpy(), rtol=1e-12)


def test_i_vii_1_style_transfer_learns_the_input() -> None:
    """I VII.1: the weights stay and the image moves until its features and their Gram matrix are the wanted ones."""
    features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh()).double()
    before = features[0].weight.detach().clone()
    content, style = (size * chainrule.rand(1, 1, 6, 6, dtype=float64) for size in (1, 2))

    def gram(maps: Any) -> Any:
        flat = maps.flatten(2)
        return flat @ flat.mT / flat.shape[2]

    with chainrule.no_grad():
        wanted, look = features(content), gram(features(style))

    def closeness(maps: Any) -> Any:
        return -0.1 * ((maps - wanted) ** 2).mean((1, 2, 3)) - 5 * ((gram(maps) - look) ** 2).mean((1, 2))

    found = optimised_input(features, content, closeness, steps=200, rate=2.0)
    assert found.scores[-1][0] > 0.5 * found.scores[0][0]  # both are below zero
    assert ((gram(features(found.input)) - look) ** 2).sum() < 0.5 * ((gram(wanted) - look) ** 2).sum()
    assert chainrule.equal(features[0].weight, before)


def test_e_4_2_2_handmade_kernels_before_an_mlp() -> None:
    """E 4.2.2: blur and Sobel kernels, pooled, make an MLP stand images that lie one pixel further; plain pixels do not."""
    data = digits(size=8)
    (x, y), (test, truth) = (next(iter(DataLoader(part, len(part)))) for part in (data.train, data.test))
    moved = chainrule.roll(test, 1, -1)
    front = kernels.bank(kernels.identity(), kernels.gaussian_blur(), kernels.sobel("x"), kernels.sobel("y"))

    def handmade(images: Any) -> Any:
        maps = front(images)
        return F.max_pool2d(chainrule.cat([maps.relu(), (-maps).relu()], 1), 2).flatten(1)

    def accuracy(see: Any) -> float:
        seen = see(x[:400])
        mean, deviation = seen.mean(0), seen.std(0) + 0.1
        mlp = nn.Sequential(nn.Linear(seen.shape[1], 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = optim.Adam(mlp.parameters(), lr=1e-2)
        inputs = (seen - mean) / deviation
        for _ in range(80):
            optimizer.zero_grad()
            F.cross_entropy(mlp(inputs), y[:400]).backward()
            optimizer.step()
        return float((mlp((see(moved) - mean) / deviation).argmax(1) == truth).float().mean().item())

    plain, made = (np.mean([accuracy(see) for _ in range(3)]) for see in (lambda images: images.flatten(1), handmade))
    assert made > plain + 0.04, (plain, made)
