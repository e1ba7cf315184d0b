"""The variational autoencoder: bounds against a likelihood that is known, eager against compiled, its uses after training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import generative, nn
from chainrule.distributions import MultivariateNormal

W = np.array([[1.0, 0.3], [-0.5, 0.8], [0.2, -1.1]])
BIAS, DEVIATION = np.array([0.5, -1.0, 0.25]), 0.7


class LinearEncoder(nn.Module):
    """The exact posterior of a linear decoder, N(M⁻¹·Wᵀ·(x − b)/σ², M⁻¹) with M = 1 + WᵀW/σ²; `wrong` shifts its means."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, x: Any) -> Any:
        m = np.linalg.inv(np.eye(2) + W.T @ W / DEVIATION**2)
        mean = (x - chainrule.tensor(BIAS)) @ chainrule.tensor(W @ m.T / DEVIATION**2) + self.wrong
        return chainrule.cat([mean, chainrule.tensor(np.log(np.diag(m))).expand(len(x), 2)], 1)


def linear_model(wrong: float) -> generative.VAE:
    decoder = nn.Linear(2, 3).double()
    with chainrule.no_grad():
        decoder.weight.copy_(chainrule.tensor(W))
        decoder.bias.copy_(chainrule.tensor(BIAS))
    return generative.VAE(LinearEncoder(wrong), decoder, 2, "normal", DEVIATION)


def test_bounds_lie_below_the_likelihood_and_rise_to_it() -> None:
    """Of a linear decoder ln p(x) is known: x ~ N(b, W·Wᵀ + σ²). Each comparison has room for 6 standard errors."""
    x = chainrule.tensor([[0.3, 0.1, -0.5], [1.0, -2.0, 0.4]])
    x = x.double()
    exact = (
        MultivariateNormal(chainrule.tensor(BIAS), chainrule.tensor(W @ W.T + DEVIATION**2 * np.eye(3)))
        .log_prob(x)
        .numpy()
    )
    model = linear_model(0.5)
    with chainrule.no_grad():
        draws = np.array([model.elbo(x, samples=20).total.numpy() for _ in range(200)])
        elbo, error = draws.mean(0), draws.std(0) / np.sqrt(200)
        five = np.array([model.importance_bound(x, 5).numpy() for _ in range(400)])
        many = model.importance_bound(x, 20000, chunk=5000).numpy()
    assert (elbo + 6 * error < exact).all()
    assert (five.mean(0) > elbo).all() and (five.mean(0) - 6 * five.std(0) / 20 < exact).all()
    np.testing.assert_allclose(many, exact, atol=0.1)


def test_terms_are_what_they_say() -> None:
    model = generative.dense_vae((4, 4), hidden=(8,), code=3)
    x = (chainrule.rand(6, 4, 4) > 0.5).float()
    chainrule.manual_seed(1)
    found = model.elbo(x, beta=4.0)
    np.testing.assert_allclose(found.total.detach(), (found.reconstruction - 4 * found.divergence).detach(), rtol=1e-5)
    mean, log_variance = model.encoder(x).detach().numpy().reshape(6, 2, 3).transpose(1, 0, 2)
    np.testing.assert_allclose(
        found.divergence.detach(),
        0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(1),
        rtol=1e-4,
        atol=1e-6,
    )
    chainrule.manual_seed(1)
    z = mean + np.exp(log_variance / 2) * chainrule.randn(1, 6, 3).numpy()[0]
    logits = model.decoder(chainrule.tensor(z)).detach().numpy()
    wanted = (x.numpy() * logits - np.logaddexp(0, logits)).sum((1, 2))
    np.testing.assert_allclose(found.reconstruction.detach(), wanted, rtol=1e-4)


def test_a_compiled_step_is_the_eager_one_and_learns() -> None:
    def trained(compiled: bool) -> list[float]:
        chainrule.manual_seed(0)
        model = generative.dense_vae((4, 4), hidden=(32,), code=2)
        optimizer = chainrule.optim.Adam(model.parameters(), lr=0.01)
        patterns = (chainrule.rand(2, 4, 4) > 0.5).float().repeat(16, 1, 1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = -model.elbo(x).total.mean()
            loss.backward()
            optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        return [run(patterns).item() for _ in range(150 if compiled else 3)]

    compiled, eager = trained(True), trained(False)
    np.testing.assert_allclose(compiled[:3], eager, rtol=1e-4)
    assert compiled[-1] < 3, "two patterns of 16 pixels take ln 2 nats and what the bound loses; 11 at the start"


def test_uses_after_training() -> None:
    model = generative.dense_vae((4, 4), hidden=(8,), code=3)
    x = (chainrule.rand(2, 4, 4) > 0.5).float()
    assert tuple(model.sample(7).shape) == (7, 4, 4) and tuple(model(x).shape) == (2, 4, 4)
    line = model.interpolate(x[0], x[1], 5)
    np.testing.assert_allclose(line[[0, -1]].numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-6)
    moved = model.traverse(x[0], 1, [-2.0, 0.0, 2.0])
    assert tuple(moved.shape) == (3, 4, 4) and not chainrule.equal(moved[0], moved[2])


def test_errors_teach() -> None:
    model = generative.dense_vae((4, 4), hidden=(8,), code=3)
    with pytest.raises(ValueError, match=r"Bernoulli: a value must be 0 or 1, got 0\.5"):
        model.elbo(chainrule.full((1, 4, 4), 0.5))
    with pytest.raises(chainrule.ShapeError, match=r"the encoder gives \(N, 6\), got \(1, 5\)"):
        generative.VAE(nn.Linear(4, 5), nn.Linear(3, 4), 3).elbo(chainrule.zeros(1, 4))
    with pytest.raises(ValueError, match="'bernoulli' or 'normal', got 'poisson'"):
        generative.VAE(nn.Identity(), nn.Identity(), 3, "poisson")
