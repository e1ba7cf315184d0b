"""Adversarial training: rounds against PyTorch step by step, compiled against eager, its parts against formulas."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import generative, nn, optim
from chainrule.generative import GAN
from chainrule.metrics.samples import mode_coverage

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("minimax", {}),
    ("non_saturating", {}),
    ("least_squares", {}),
    ("wasserstein", {"clip": 0.05}),
    ("wasserstein", {"penalty": 10.0}),
]


def networks(slope: float | None = None) -> tuple[nn.Module, nn.Module]:
    return (
        generative.dense_generator(2, 2, (16, 16)),
        generative.dense_discriminator(2, (16, 16), slope=slope),
    )


def gan_of(G: nn.Module, D: nn.Module, rate: float = 0.05, **settings: Any) -> GAN:
    rules = [optim.SGD(network.parameters(), lr=rate) for network in (G, D)]
    return GAN(G, D, *rules, noise=2, **settings)


def values(network: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(network.parameters()).detach().numpy()


def torch_rounds(
    weights: list[list[np.ndarray]], real: Any, codes: Any, shares: Any, loss: str, **settings: Any
) -> Any:
    """The rounds in PyTorch, written out with probabilities as in the papers, with codes and points given."""
    torch = pytest.importorskip("torch")

    def network(parts: list[np.ndarray], slope: float) -> Any:
        layers: list[Any] = []
        for W, b in zip(parts[::2], parts[1::2], strict=True):
            layer = torch.nn.Linear(W.shape[1], W.shape[0]).double()
            layer.weight.data, layer.bias.data = torch.tensor(W), torch.tensor(b)
            layers += [layer, torch.nn.LeakyReLU(slope)]
        return torch.nn.Sequential(*layers[:-1])

    G, D = network(weights[0], 0.0), network(weights[1], 0.2)
    rules = [torch.optim.SGD(n.parameters(), lr=0.05) for n in (G, D)]
    measured, z, share = [], iter(torch.tensor(codes)), iter(torch.tensor(shares))
    for group in torch.tensor(real):
        for x in group:
            made = G(next(z)).detach()
            d_real, d_made = D(x), D(made)
            if loss == "least_squares":
                judged = 0.5 * ((d_real - 1) ** 2).mean() + 0.5 * (d_made**2).mean()
            elif loss == "wasserstein":
                judged = d_made.mean() - d_real.mean()
            else:
                judged = -torch.log(torch.sigmoid(d_real)).mean() - torch.log(1 - torch.sigmoid(d_made)).mean()
            total = judged
            if settings.get("penalty"):
                a = next(share)
                between = (a * x + (1 - a) * made).requires_grad_()
                (slope,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
                total = judged + settings["penalty"] * ((slope.norm(dim=1) - 1) ** 2).mean()
            rules[1].zero_grad()
            total.backward()
            steep = sum((p.grad**2).sum() for p in D.parameters()) ** 0.5
            rules[1].step()
            if settings.get("clip"):
                for p in D.parameters():
                    p.data.clamp_(-settings["clip"], settings["clip"])
        score = D(G(next(z)))
        fooled = {
            "minimax": lambda s: torch.log(1 - torch.sigmoid(s)).mean(),
            "non_saturating": lambda s: -torch.log(torch.sigmoid(s)).mean(),
            "least_squares": lambda s: 0.5 * ((s - 1) ** 2).mean(),
            "wasserstein": lambda s: -s.mean(),
        }[loss](score)
        rules[0].zero_grad()
        fooled.backward()
        push = sum((p.grad**2).sum() for p in G.parameters()) ** 0.5
        rules[0].step()
        measured.append([t.item() for t in (judged, fooled, steep, push)])
    vectors = [torch.nn.utils.parameters_to_vector(n.parameters()).detach().numpy() for n in (G, D)]
    return measured, vectors


@pytest.mark.peer
@pytest.mark.parametrize(("loss", "settings"), KINDS)
def test_rounds_are_pytorchs(loss: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rounds of two discriminator steps in float64: losses, lengths of gradients and both networks after them."""
    random = np.random.default_rng(1)
    real, codes = random.normal(size=(3, 2, 8, 2)), random.normal(size=(9, 8, 2))
    shares = random.uniform(size=(6, 8, 1))
    G, D = (network.double() for network in networks())
    weights = [[p.detach().numpy().copy() for p in network.parameters()] for network in (G, D)]
    drawn, mixed = iter(codes), iter(shares)
    monkeypatch.setattr("chainrule.generative.turns.randn", lambda *shape, device: chainrule.tensor(next(drawn)))
    monkeypatch.setattr("chainrule.nn.losses.generative.rand", lambda *shape, device: chainrule.tensor(next(mixed)))
    gan = gan_of(G, D, loss=loss, **settings)
    gan._compiled = gan._compiled.function  # eager, so that each round takes the next codes
    for group in real:
        gan.round(chainrule.tensor(group))
    measured, vectors = torch_rounds(weights, real, codes, shares, loss, **settings)
    np.testing.assert_allclose(np.array(gan.history), measured, rtol=1e-6)
    for ours, theirs in zip((G, D), vectors, strict=True):
        np.testing.assert_allclose(values(ours), theirs, rtol=1e-8, atol=1e-9)  # rounds carry roundings on


@pytest.mark.parametrize(("loss", "settings"), KINDS)
@pytest.mark.parametrize("slope", [None, 5.0])
def test_compiled_rounds_are_the_eager_ones(loss: str, settings: dict[str, Any], slope: float | None) -> None:
    """Second derivatives, power iterations, averages and draws included; for a program that is made once."""
    G, D = networks(slope)
    gans = [gan_of(*deepcopy((G, D)), loss=loss, average=0.9, **settings) for _ in range(2)]
    gans[1]._compiled = gans[1]._compiled.function
    for gan in gans:
        chainrule.manual_seed(3)
        gan.fit(generative.ring().sample, 6, batch=16, discriminator_steps=2)
    np.testing.assert_allclose(np.array(gans[0].history), np.array(gans[1].history), rtol=2e-4, atol=1e-6)
    for name in ("generator", "discriminator", "averaged"):
        # A unit whose input is within a rounding of 0 takes the other slope: a weight moves by a share of a step.
        np.testing.assert_allclose(values(getattr(gans[0], name)), values(getattr(gans[1], name)), rtol=1e-3, atol=2e-4)
    assert sum(map(len, gans[0]._compiled.programs.values())) <= 2, "one for the first gradients, one for all others"


def test_clipped_weights_stay_small() -> None:
    G, D = networks()
    gan_of(G, D, loss="wasserstein", clip=0.01).fit(generative.grid().sample, 2, batch=16)
    assert np.abs(values(D)).max() <= 0.01 + 1e-9 < np.abs(values(G)).max()


def test_the_average_follows_the_generator() -> None:
    G, D = networks()
    before = values(G)
    gan = gan_of(G, D, average=0.75)
    gan.fit(generative.ring().sample, 1, batch=16)
    first = values(G)
    gan.fit(generative.ring().sample, 1, batch=16)
    expected = 0.75 * (0.75 * before + 0.25 * first) + 0.25 * values(G)
    np.testing.assert_allclose(values(gan.averaged), expected, rtol=1e-5, atol=1e-7)


def test_the_generator_step_leaves_no_gradient_in_the_discriminator() -> None:
    """Its gradients after a round are those of its own last step."""
    G, D = networks()
    gan = gan_of(G, D)
    gan.fit(generative.ring().sample, 3, batch=16)
    length = sum(float((p.grad**2).sum()) for p in D.parameters() if p.grad is not None) ** 0.5
    assert length == pytest.approx(gan.history[-1].discriminator_gradient, rel=1e-4)


def test_samples_are_made_in_evaluation_mode() -> None:
    G = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    _, D = networks()
    gan = gan_of(G, D)
    chainrule.manual_seed(0)
    assert G.training and (gan.sample(200) != 0).all() and G.training


def test_the_slope_is_bounded() -> None:
    """The chain of exact spectral norms bounds the score's change; the factor is in it."""
    D = generative.dense_discriminator(2, (16, 16), slope=7.0)
    for _ in range(100):
        D(chainrule.zeros(1, 2))  # power iterations
    D.eval()
    x, y = chainrule.randn(500, 2), chainrule.randn(500, 2)
    slopes = (D(x) - D(y)).abs().squeeze(1) / (x - y).norm(dim=1)
    assert 0.1 < slopes.max().item() < 7.0 * 1.02


def test_packed_samples_are_judged_together() -> None:
    """Two samples at a time are one input of twice the size; the compiled rounds are the eager ones."""
    D, other = generative.dense_discriminator(2, (16,), packing=2), generative.dense_discriminator(4, (16,))
    for mine, theirs in zip(D.parameters(), other.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    x = chainrule.randn(6, 2)
    assert D(x).shape == (3, 1)
    expected = other(chainrule.cat([x[::2], x[1::2]], 1))
    np.testing.assert_allclose(D(x).detach().numpy(), expected.detach().numpy(), rtol=1e-6)
    gans = [gan_of(*deepcopy((networks()[0], D))) for _ in range(2)]
    gans[1].generator.load_state_dict(gans[0].generator.state_dict())
    gans[1]._compiled = gans[1]._compiled.function
    for gan in gans:
        chainrule.manual_seed(3)
        gan.fit(generative.ring().sample, 3, batch=16)
    np.testing.assert_allclose(np.array(gans[0].history), np.array(gans[1].history), rtol=2e-4, atol=1e-6)
    with pytest.raises(chainrule.ShapeError, match="2 samples at once takes a multiple of them, got 5"):
        D(chainrule.ones(5, 2))
    with pytest.raises(ValueError, match="packing is 1 or more, got 0"):
        generative.dense_discriminator(2, packing=0)


def test_a_bounded_discriminator_begins_with_all_singular_values_alike() -> None:
    """Of each layer, biases 0: no direction loses more of the slope than the leaky ReLUs take."""
    for layer in generative.dense_discriminator(2, (16, 16), slope=20.0).modules():
        if isinstance(layer, nn.Linear):
            values = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
            np.testing.assert_allclose(values, 1.0, rtol=1e-3)
            assert not layer.bias.detach().numpy().any()


@pytest.mark.parametrize(("data", "modes"), [(generative.ring(), 8), (generative.grid(), 25)])
def test_the_data_have_their_modes(data: generative.Gaussians, modes: int) -> None:
    """A normal point in the plane lies within 3σ with probability 1 − exp(−4.5)."""
    chainrule.manual_seed(0)
    found = mode_coverage(data.sample(2500), data.centers, data.deviation)
    assert found.modes == modes and found.good == pytest.approx(1 - np.exp(-4.5), abs=0.01)
    assert data.sample(3, 4).shape == (3, 4, 2)
    away = ((data.centers[:, None] - data.centers).square().sum(-1) + 100 * chainrule.eye(modes)).min().sqrt().item()
    assert away > 20 * data.deviation


def test_wrong_settings() -> None:
    G, D = networks()
    good = [optim.SGD(network.parameters(), lr=0.1) for network in (G, D)]
    for settings, message in (
        ({"loss": "hinge"}, "the loss is one of 'minimax'"),
        ({"penalty": -1.0}, "the penalty not negative"),
        ({"clip": 0.0}, "clip greater than 0"),
        ({"average": 1.0}, "decay in"),
    ):
        with pytest.raises(ValueError, match=message):
            GAN(G, D, *good, noise=2, **settings)
    with pytest.raises(ValueError, match="the generator's optimiser holds a parameter that is not"):
        GAN(G, D, good[1], good[0], noise=2)
    with pytest.raises(chainrule.ShapeError, match=r"\(steps, N, \*shape\), got \(16, 2\)"):
        GAN(G, D, *good, noise=2).round(chainrule.ones(16, 2))
    with pytest.raises(ValueError, match="the slope is greater than 0, got 0"):
        generative.dense_discriminator(2, slope=0.0)
    for wrong in (generative.ring, generative.grid):
        with pytest.raises(ValueError, match="1 mode or more|a side of 1 or more"):
            wrong(0)
