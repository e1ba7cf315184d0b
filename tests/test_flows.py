"""Normalising flows: inverses, determinants against the Jacobian, densities that integrate to 1, two moons' entropy."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import func, generative, nn
from chainrule.generative import flows

NIGHTLY = os.environ.get("CHAINRULE_NIGHTLY") == "1"
VECTORS = ["planar", "realnvp", "spline"]


def shaken(flow: flows.Flow, size: float = 0.3) -> flows.Flow:
    """The flow with something added to every parameter: away from the identity that it begins with."""
    with chainrule.no_grad():
        for parameter in flow.parameters():
            parameter.add_(size * chainrule.randn(*parameter.shape))
    return flow


def flow_and_data(kind: str) -> tuple[flows.Flow, Any]:
    chainrule.manual_seed(3)
    if kind == "planar":
        return shaken(flows.planar_flow(2, layers=6)), 2 * chainrule.randn(64, 2)
    if kind == "realnvp":
        return shaken(flows.realnvp(2, layers=4, hidden=(8,)), 0.15), 2 * chainrule.randn(64, 2)
    if kind == "spline":
        return shaken(flows.spline_flow(2, layers=4, hidden=(8,))), 2 * chainrule.randn(64, 2)
    return shaken(flows.image_realnvp((1, 4, 4), levels=2, couplings=2, hidden=4), 0.1), chainrule.rand(8, 1, 4, 4)


@pytest.mark.parametrize("kind", [*VECTORS, "image"])
def test_the_inverse_of_forward_is_the_identity(kind: str) -> None:
    for dtype, room in ((chainrule.float32, 1e-4), (chainrule.float64, 1e-9)):
        flow, x = flow_and_data(kind)
        flow, x = flow.to(dtype), x.to(dtype)
        with chainrule.no_grad():
            z, stretch = flow.bijection(x)
            back, shrink = flow.bijection.inverse(z)
        assert z.dtype == back.dtype == dtype and np.abs(z.flatten(1).numpy() - x.flatten(1).numpy()).max() > 0.1
        np.testing.assert_allclose(back.numpy(), x.numpy(), rtol=0, atol=room)
        np.testing.assert_allclose(shrink.numpy(), -stretch.numpy(), rtol=0, atol=100 * room)


@pytest.mark.parametrize("kind", [*VECTORS, "image"])
def test_the_stretch_is_the_determinant_of_the_jacobian(kind: str) -> None:
    flow, x = flow_and_data(kind)
    flow, x = flow.double(), x[:4].double()
    for direction in (flow.bijection, flow.bijection.inverse):
        found, stretch = direction(x)
        for sample, wanted in zip(x, stretch.detach().numpy(), strict=True):
            jacobian = func.jacrev(lambda one, f=direction: f(one.unsqueeze(0))[0].flatten())(sample)
            size = sample.numel()
            logarithm = np.linalg.slogdet(jacobian.detach().numpy().reshape(size, size))[1]
            np.testing.assert_allclose(wanted, logarithm, rtol=1e-7, atol=1e-7)
        x = found.detach()


def mass(flow: flows.Flow, edge: float, step: float) -> float:
    """The integral of the density over a square around 0."""
    line = chainrule.arange(-edge, edge, step) + step / 2
    grid = chainrule.cartesian_prod(line, line)
    with chainrule.no_grad():
        return float(sum(flow.log_prob(part).double().exp().sum().item() for part in grid.split(20000)) * step**2)


@pytest.mark.parametrize("kind", VECTORS)
def test_densities_integrate_to_one(kind: str) -> None:
    flow, _ = flow_and_data(kind)
    assert mass(flow, 12.0, 0.06) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", VECTORS)
def test_samples_have_the_density(kind: str) -> None:
    """The share of samples in a half-plane is its mass under log_prob, within 6 standard errors and the grid's 1%."""
    flow, _ = flow_and_data(kind)
    line = chainrule.arange(-12, 12, 0.06) + 0.03
    grid = chainrule.cartesian_prod(line, line)
    with chainrule.no_grad():
        density = flow.log_prob(grid).exp().double() * 0.06**2
    samples = flow.sample(20000)
    for feature in (0, 1):
        wanted = density[grid[:, feature] > 0.5].sum().item()
        share = (samples[:, feature] > 0.5).double().mean().item()
        assert abs(share - wanted) < 0.01 + 6 * (0.25 / 20000) ** 0.5


def test_the_inverse_of_a_planar_part_has_the_gradient() -> None:
    """Of x = f⁻¹(z) with respect to f's parameters, against finite differences."""
    chainrule.manual_seed(0)
    part = flows.Planar(3).double()
    with chainrule.no_grad():
        part.u.add_(part.w)
    z = chainrule.randn(5, 3).double()
    weights = chainrule.randn(5, 3).double()

    def value() -> Any:
        x, stretch = part.inverse(z)
        return (x * weights).sum() + stretch.sum()

    value().backward()
    for parameter in part.parameters():
        for i in range(parameter.numel()):
            ends = []
            for move in (1e-5, -2e-5):
                with chainrule.no_grad():
                    parameter[i] += move
                    ends.append(value().item())
            with chainrule.no_grad():
                parameter[i] += 1e-5
            assert parameter.grad[i].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)


def test_the_spline_is_identity_beyond_its_bound_and_continuous_at_it() -> None:
    chainrule.manual_seed(0)
    theta = [chainrule.randn(1, k).double() for k in (5, 5, 4)]
    x = chainrule.tensor([-7.0, -3.0 - 1e-9, -3.0 + 1e-9, 3.0 - 1e-9, 3.0 + 1e-9, 50.0]).double()
    y, slope = flows.rational_quadratic_spline(x, *(part.expand(6, -1) for part in theta), bound=3.0)
    np.testing.assert_allclose(y.numpy(), x.numpy(), atol=1e-7)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-6)


def test_gradients_are_finite_far_away() -> None:
    for kind in VECTORS:
        flow, x = flow_and_data(kind)
        (-flow.log_prob(100 * x).mean()).backward()
        for parameter in flow.parameters():
            assert np.isfinite(parameter.grad.numpy()).all(), kind


def test_pixels_become_real_numbers_and_come_back() -> None:
    chainrule.manual_seed(0)
    pixels = chainrule.randint(0, 256, (50, 1, 4, 4))
    x = flows.dequantise(pixels)
    assert chainrule.equal((x * 256).floor().long(), pixels.long())
    z, stretch = flows.LogitScale()(x.double())
    p = 0.05 + 0.9 * x.double()
    np.testing.assert_allclose(z.numpy(), (p / (1 - p)).log().numpy(), rtol=1e-6)
    np.testing.assert_allclose(stretch.numpy(), (0.9 / (p * (1 - p))).log().flatten(1).sum(1).numpy(), rtol=1e-6)
    back, _ = flows.LogitScale().inverse(z)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-9)


def test_masks_alternate_and_every_pixel_is_transformed() -> None:
    board = flows.checkerboard_mask(3, 4).numpy()[0]
    np.testing.assert_array_equal(board, [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    np.testing.assert_array_equal(flows.checkerboard_mask(3, 4, 0).numpy()[0], 1 - board)
    np.testing.assert_array_equal(flows.channel_mask(4, 0).numpy().ravel(), [0, 0, 1, 1])


def fitted(flow: flows.Flow, steps: int) -> None:
    """A training by maximum likelihood on two moons of noise 0.1, with fresh points at every step."""
    moons = generative.TwoMoons(0.1)
    optimizer = chainrule.optim.Adam(flow.parameters(), lr=5e-3)
    schedule = chainrule.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = chainrule.compile(lambda x: training_step(flow, optimizer, x))
    for _ in range(steps):
        step(moons.sample(256))
        schedule.step()


def training_step(flow: flows.Flow, optimizer: Any, x: Any) -> Any:
    optimizer.zero_grad()
    loss = -flow.log_prob(x).mean()
    loss.backward()
    optimizer.step()
    return loss


@pytest.mark.parametrize("kind", [*VECTORS, "image"])
def test_a_compiled_step_is_the_eager_one(kind: str) -> None:
    def trained(compiled: bool) -> list[float]:
        flow, x = flow_and_data(kind)
        optimizer = chainrule.optim.Adam(flow.parameters(), lr=1e-3)

        def step(x: Any) -> Any:
            return training_step(flow, optimizer, x)

        run = chainrule.compile(step) if compiled else step
        return [run(x).item() for _ in range(4)]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-4)


def test_two_moons_are_as_they_say() -> None:
    """Samples against the density: its integral is 1, and the mean of −ln p is the entropy within 6 standard errors."""
    chainrule.manual_seed(0)
    moons = generative.TwoMoons(0.1)
    line = chainrule.arange(-2.0, 3.0, 0.05).double()
    grid = chainrule.cartesian_prod(line, line)
    total = sum(moons.log_prob(part).exp().sum().item() for part in grid.split(10000)) * 0.05**2
    assert total == pytest.approx(1, abs=1e-4)
    surprise = -moons.log_prob(moons.sample(20000).double()).numpy()
    assert abs(surprise.mean() - moons.entropy()) < 6 * surprise.std() / 20000**0.5


@pytest.mark.parametrize(("kind", "room"), [("spline", 0.05), ("realnvp", 0.1)])
def test_two_moons_are_learned_to_their_entropy(kind: str, room: float) -> None:
    """A training of 400 steps comes within 0.1 (spline) and 0.25 nats; the long form within 0.05 and 0.1."""
    chainrule.manual_seed(0)
    hidden, steps, room = ((64, 64), 1500, room) if NIGHTLY else ((32, 32), 400, {"spline": 0.1, "realnvp": 0.25}[kind])
    flow = flows.spline_flow(2, hidden=hidden) if kind == "spline" else flows.realnvp(2, layers=8, hidden=hidden)
    fitted(flow, steps)
    moons = generative.TwoMoons(0.1)
    with chainrule.no_grad():
        taken = -flow.log_prob(moons.sample(40000)).mean().item()
    assert -0.02 < taken - moons.entropy() < room
    assert mass(flow, 4.0, 0.02 if NIGHTLY else 0.04) == pytest.approx(1, abs=0.01)


def test_errors_teach() -> None:
    with pytest.raises(chainrule.ShapeError, match=r"2 parameters for each number, \(5, 4\).*got \(5, 3\)"):
        flows.AffineCoupling(chainrule.tensor([1.0, 0.0]), nn.Linear(2, 3))(chainrule.zeros(5, 2))
    with pytest.raises(chainrule.ShapeError, match=r"Planar: vectors \(N, 2\), got \(5, 3\)"):
        flows.Planar(2)(chainrule.zeros(5, 3))
    with pytest.raises(chainrule.ShapeError, match="even height and width"):
        flows.Squeeze()(chainrule.zeros(1, 1, 3, 4))
    with pytest.raises(ValueError, match="2 features or more, got 1"):
        flows.realnvp(1)
    with pytest.raises(ValueError, match=r"alpha lies between 0 and 0\.5"):
        flows.LogitScale(0.5)
    with pytest.raises(ValueError, match=r"noise from 0\.05 to 0\.5"):
        generative.TwoMoons(0.001)
