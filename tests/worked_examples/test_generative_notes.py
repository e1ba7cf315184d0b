"""What the notes say about generative models (I V.10, T 4.2), shown on the library's own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import generative, nn, optim
from chainrule.nn import functional as F


def test_i_v_10_the_discriminators_loss_is_cross_entropy_with_labels() -> None:
    """Real samples have label 1, generated ones 0, and the ½ before the sum halves the gradients and nothing else."""
    D, x = generative.dense_discriminator(2, (8,)), chainrule.randn(2, 5, 2)
    real, made = D(x[0]), D(x[1])
    labelled = F.binary_cross_entropy_with_logits(
        chainrule.cat([real, made]), chainrule.cat([chainrule.ones(5, 1), chainrule.zeros(5, 1)])
    )
    whole = F.discriminator_loss(real, made)
    assert whole.item() == pytest.approx(2 * labelled.item(), rel=1e-5)  # the mean over both kinds has the ½ in it
    steps = []
    for loss in (whole, 0.5 * whole):
        (slope,) = chainrule.autograd.grad(loss, [D[0].weight], retain_graph=True)
        steps.append(slope.numpy())
    np.testing.assert_allclose(steps[0], 2 * steps[1], rtol=1e-5)


def test_i_v_10_first_the_discriminator_then_the_generator() -> None:
    """One round of plain gradient descent by hand: the generator is moved by the discriminator's new weights."""
    chainrule.manual_seed(0)
    G, D = generative.dense_generator(2, 2, (8,)), generative.dense_discriminator(2, (8,))
    g, d = deepcopy(G), deepcopy(D)
    real = chainrule.randn(1, 16, 2)
    gan = generative.GAN(G, D, optim.SGD(G.parameters(), lr=0.5), optim.SGD(D.parameters(), lr=0.5), noise=2)
    chainrule.manual_seed(1)
    gan.round(real)
    chainrule.manual_seed(1)
    for network, loss in (
        (d, lambda: F.discriminator_loss(d(real[0]), d(g(chainrule.randn(16, 2)).detach()))),
        (g, lambda: F.generator_loss(d(g(chainrule.randn(16, 2))))),
    ):
        slopes = chainrule.autograd.grad(loss(), list(network.parameters()))
        with chainrule.no_grad():
            for parameter, slope in zip(network.parameters(), slopes, strict=True):
                parameter -= 0.5 * slope
    for ours, by_hand in ((G, g), (D, d)):
        for p, q in zip(ours.parameters(), by_hand.parameters(), strict=True):
            np.testing.assert_allclose(p.detach(), q.detach(), rtol=1e-4, atol=1e-6)


def test_i_v_10_the_best_discriminator_is_the_ratio_of_the_densities() -> None:
    """D* = ln p − ln q; for N(1, 1) against N(−1, 1) that is 2x, and the loss 2·ln 2 − 2·JSD(p, q)."""
    chainrule.manual_seed(0)
    D = nn.Linear(1, 1)
    optimizer = optim.Adam(D.parameters(), lr=0.05)

    @chainrule.compile
    def step(real: Any, made: Any) -> Any:
        optimizer.zero_grad()
        loss = F.discriminator_loss(D(real), D(made))
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(chainrule.randn(2000, 1) + 1, chainrule.randn(2000, 1) - 1).item() for _ in range(400)]
    assert D.weight.item() == pytest.approx(2, abs=0.25) and D.bias.item() == pytest.approx(0, abs=0.15)
    x = np.linspace(-9, 9, 20_001)
    p, q = (np.exp(-((x - m) ** 2) / 2) / np.sqrt(2 * np.pi) for m in (1, -1))
    middle = (p + q) / 2
    divergence = 0.5 * np.trapezoid(p * np.log(p / middle) + q * np.log(q / middle), x)
    assert np.mean(losses[-200:]) == pytest.approx(2 * np.log(2) - 2 * divergence, abs=0.02)


def test_i_v_10_the_encoder_has_no_part_in_new_data() -> None:
    """At test time codes come from N(0, 1): another encoder, the same samples."""
    model = generative.dense_vae((4, 4), hidden=(8,), code=3)
    chainrule.manual_seed(5)
    before = model.sample(4).numpy()
    for parameter in model.encoder.parameters():
        nn.init.normal_(parameter)
    chainrule.manual_seed(5)
    np.testing.assert_array_equal(model.sample(4).numpy(), before)


@pytest.mark.parametrize(("loss", "grey"), [(nn.MSELoss(), 2 / 3), (nn.L1Loss(), 1.0)])
def test_t_4_2_reconstruction_errors_blur(loss: Any, grey: float) -> None:
    """One code, three equally likely images, a bar in one of three places; each place is white in two of them.

    Squared errors are least for the mean, absolute ones for the median: neither is one of the images.
    """
    images = 1 - chainrule.eye(3)
    drawn = nn.Parameter(chainrule.full((3,), 0.5))
    optimizer = optim.Adam([drawn], lr=0.02)
    for i in range(300):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - i / 300)
        optimizer.zero_grad()
        loss(drawn.expand(3, 3), images).backward()
        optimizer.step()
    np.testing.assert_allclose(drawn.detach(), grey, atol=0.02)
    assert ((drawn - images).abs().max(1).values > 0.3).all()
