"""Diffusion: closed forms against the chain and Bayes' rule, samplers against distributions that are known, the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.generative import Diffusion, diffusion, image_diffusion
from chainrule.generative.diffusion import Schedule, TimeUNet, cosine_schedule, linear_schedule, time_embedding

SCHEDULES = (linear_schedule(50), cosine_schedule(50), Schedule([0.3, 0.1, 0.6]))


def times(count: int, t: int) -> chainrule.Tensor:
    return chainrule.full((count,), t)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_marginal_is_what_the_chain_ends_in(schedule: Schedule) -> None:
    """Mean and variance of x_t = √(1 − β)·x + √β·ε, carried along step by step."""
    mean, variance = np.array([1.5, -2.0]), 0.0
    for t, beta in enumerate(schedule.figures()["beta"], start=1):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        found = schedule.marginal(chainrule.tensor([[1.5, -2.0]], dtype="float64"), times(1, t))
        np.testing.assert_allclose(found[0][0], mean, rtol=1e-10)
        np.testing.assert_allclose(found[1].item(), variance, rtol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_is_bayes_rule(schedule: Schedule) -> None:
    """q(x_{t−1}|x_t, x_0) ∝ q(x_t|x_{t−1})·q(x_{t−1}|x_0), integrated over a fine grid."""
    start, noisy = 0.7, -0.4
    grid = np.linspace(-8, 8, 400_001)
    for t in (2, 3, schedule.steps):
        beta, before = schedule.figures()["beta"][t - 1], schedule.figures()["kept"][t - 2]
        log = -((noisy - np.sqrt(1 - beta) * grid) ** 2) / (2 * beta)
        log -= (grid - np.sqrt(before) * start) ** 2 / (2 * (1 - before))
        weights = np.exp(log - log.max())
        weights /= weights.sum()
        mean = (weights * grid).sum()
        variance = (weights * (grid - mean) ** 2).sum()
        x, y = (chainrule.tensor([[value]], dtype="float64") for value in (start, noisy))
        found = schedule.posterior(x, y, times(1, t))
        np.testing.assert_allclose([f.item() for f in found], [mean, variance], rtol=1e-4)
        assert schedule.figures()["posterior_variance"][t - 1] == pytest.approx(variance, rel=1e-4)


def test_schedules_are_the_papers() -> None:
    """Ho et al.: β from 10⁻⁴ to 0.02; Nichol and Dhariwal: ᾱ falls as a squared cosine, β is at most 0.999."""
    linear, cosine = linear_schedule().figures(), cosine_schedule().figures()
    np.testing.assert_allclose(linear["beta"], np.linspace(1e-4, 0.02, 1000), rtol=1e-9)
    t = np.arange(1, 990)
    f = np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine["kept"][:989], f / np.cos(0.008 / 1.008 * np.pi / 2) ** 2, rtol=1e-8)
    assert cosine["beta"].max() == pytest.approx(0.999)
    for figures in (linear, cosine):
        assert (np.diff(figures["signal_to_noise"]) < 0).all() and figures["kept"][-1] < 1e-4
    few = linear_schedule(100).figures()["kept"][-1]
    assert 1e-5 < few < 1e-4, "as much noise in all as with a thousand steps"


class GaussianNoise(nn.Module):
    """E[ε|x_t] for data from N(mean, deviation²): what a perfect network finds."""

    def __init__(self, schedule: Schedule, mean: float, deviation: float) -> None:
        super().__init__()
        self.schedule, self.mean, self.deviation = schedule, mean, deviation

    def forward(self, x: Any, times: Any) -> Any:
        kept = self.schedule.kept[times].reshape(-1, 1).to(x.dtype)
        return (1 - kept).sqrt() * (x - kept.sqrt() * self.mean) / (kept * self.deviation**2 + 1 - kept)


def perfect(steps: int, mean: float = 2.0, deviation: float = 0.5) -> Diffusion:
    schedule = linear_schedule(steps)
    return Diffusion(GaussianNoise(schedule, mean, deviation), schedule, (1,))


@pytest.mark.parametrize(("steps", "eta"), [(None, 1.0), (None, 0.5), (None, 0.0), (100, 0.0)])
def test_a_perfect_network_gives_the_distribution(steps: int | None, eta: float) -> None:
    """20,000 samples: 6 standard errors are 0.02 for the mean and 3 % for the deviation; finite steps lose as much."""
    chainrule.manual_seed(0)
    found = perfect(500).sample(20_000, steps=steps, eta=eta).numpy()[:, 0]
    assert found.mean() == pytest.approx(2.0, abs=0.04)
    assert found.std() == pytest.approx(0.5, rel=0.06)
    standard = (found - found.mean()) / found.std()
    assert abs((standard**3).mean()) < 0.11 and abs((standard**4).mean() - 3) < 0.22


def test_steps_with_noise_are_the_posteriors() -> None:
    """For η = 1 and neighbours: the mean and variance of q(x_{t−1}|x_t, x̂_0). For other η the marginal stays right."""
    schedule, point = linear_schedule(50), 0.8
    model = Diffusion(GaussianNoise(schedule, point, 0.0), schedule, (1,))  # all data are one point: x̂_0 is exact
    count, t = 200_000, 20
    chainrule.manual_seed(1)
    noisy = chainrule.full((count, 1), -0.3, dtype="float64")
    found = model.move(noisy, times(count, t), times(count, t - 1), eta=1.0).numpy()
    mean, variance = schedule.posterior(chainrule.full((1, 1), point, dtype="float64"), noisy[:1], times(1, t))
    assert found.mean() == pytest.approx(mean.item(), abs=6 * variance.item() ** 0.5 / count**0.5)
    assert found.var() == pytest.approx(variance.item(), rel=6 * (2 / count) ** 0.5)
    for eta in (0.0, 0.3, 1.0):
        start = schedule.mix(chainrule.full((count, 1), point), chainrule.randn(count, 1), times(count, 40))
        found = model.move(start, times(count, 40), times(count, 15), eta=eta).numpy()
        mean, variance = schedule.marginal(chainrule.full((1, 1), point), times(1, 15))
        assert found.mean() == pytest.approx(mean.item(), abs=6 * variance.item() ** 0.5 / count**0.5)
        assert found.var() == pytest.approx(variance.item(), rel=6 * (2 / count) ** 0.5)


def test_the_way_without_noise_is_the_flow_and_goes_back() -> None:
    """For a normal distribution the probability flow keeps the number of deviations from the mean: x ↦ m + s·z."""
    model = perfect(1000)
    z = chainrule.randn(200, 1).double()
    kept = model.schedule.kept[-1].item()
    mean, deviation = kept**0.5 * 2.0, (kept * 0.25 + 1 - kept) ** 0.5
    data = model.decode(mean + deviation * z)
    room = 0.005 * (1 + z.abs()).numpy()  # steps have a length: the error grows with the way
    assert (np.abs((data - (2.0 + 0.5 * z)).numpy()) < room).all()
    again = model.decode(model.encode(data))
    assert (np.abs((again - data).numpy()) < room).all()
    few = np.abs((model.decode(model.encode(data, steps=50), steps=50) - data).numpy()).max()
    assert few > 2 * np.abs((again - data).numpy()).max(), "the error is that of the steps' length"


class Told(nn.Module):
    """Noise that is ten times the class, and times the mean of x; remembers what it was told."""

    def forward(self, x: Any, times: Any, labels: Any) -> Any:
        self.labels = labels.numpy().copy()
        return x * 0 + 10.0 * labels.float().unsqueeze(1)


def test_guidance_leads_away_from_the_untold() -> None:
    model = Diffusion(Told(), linear_schedule(10), (2,), classes=3)
    x, labels = chainrule.zeros(2, 2), chainrule.tensor([0, 2])
    for guidance in (0.0, 1.0, 2.5):
        found = model.noise(x, times(2, 5), labels, guidance).numpy()[:, 0]
        np.testing.assert_allclose(found, (1 + guidance) * np.array([0.0, 20.0]) - guidance * 30.0)
    np.testing.assert_allclose(model.noise(x, times(2, 5)), 30.0)


@pytest.mark.parametrize(("untold", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_labels_are_withheld_as_often_as_said(untold: float, share: float) -> None:
    model = Diffusion(Told(), linear_schedule(10), (2,), classes=3, untold=untold)
    labels = chainrule.arange(4000) % 3
    model(chainrule.zeros(4000, 2), labels)
    withheld = model.network.labels == 3
    assert withheld.mean() == pytest.approx(share, abs=6 * (share * (1 - share) / 4000) ** 0.5)
    np.testing.assert_array_equal(model.network.labels[~withheld], labels.numpy()[~withheld])


def test_the_loss_is_the_mean_squared_error_of_the_noise() -> None:
    """A network that says 0 has a loss of mean 1; the perfect one has the variance that is left, averaged over times."""
    model = perfect(40)
    chainrule.manual_seed(0)
    data = 2.0 + 0.5 * chainrule.randn(200_000, 1)
    kept = model.schedule.figures()["kept"]
    left = kept * 0.25 / (kept * 0.25 + 1 - kept)
    assert model(data).mean().item() == pytest.approx(left.mean(), rel=0.03)

    class Silent(nn.Module):
        def forward(self, x: Any, times: Any) -> Any:
            return x * 0

    silent = Diffusion(Silent(), linear_schedule(40), (1,))
    assert silent(data).mean().item() == pytest.approx(1.0, rel=0.03)


def test_a_compiled_step_is_the_eager_one_and_learns() -> None:
    def trained(compiled: bool) -> list[float]:
        chainrule.manual_seed(0)
        model = image_diffusion((1, 4, 4), steps=20, base=8, widths=(1, 2), classes=2)
        optimizer = chainrule.optim.Adam(model.parameters(), lr=5e-3)
        labels = chainrule.arange(32) % 2
        images = (2.0 * labels - 1).reshape(-1, 1, 1, 1) * chainrule.ones(32, 1, 4, 4)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x, y).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        losses = [run(images, labels).item() for _ in range(150 if compiled else 3)]
        if compiled:
            made = model.sample(20, chainrule.arange(20) % 2, guidance=1.0).flatten(1).mean(1)
            assert made[1::2].median() > 0.5 and made[::2].median() < -0.5
        return losses

    compiled, eager = trained(True), trained(False)
    np.testing.assert_allclose(compiled[:3], eager, rtol=1e-3)
    assert np.mean(compiled[-10:]) < 0.3 < np.mean(compiled[:3])


def test_sampling_is_one_program_and_follows_the_seed() -> None:
    model = image_diffusion((1, 4, 4), steps=30, base=8, widths=(1, 2))
    nn.init.normal_(model.network.last.weight, std=0.1)
    made = []
    for seed in (3, 3, 4):
        chainrule.manual_seed(seed)
        made.append(model.sample(2).numpy())
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 0.1 and np.abs(made[0]).max() <= 1
    assert sum(map(len, model._compiled.programs.values())) == 1


def test_the_network_knows_time_and_class() -> None:
    network = TimeUNet(2, base=8, widths=(1, 2, 2), classes=4)
    nn.init.normal_(network.last.weight)
    x = chainrule.randn(1, 2, 8, 8).repeat(3, 1, 1, 1)
    y = network(x, chainrule.tensor([1, 9, 9]), chainrule.tensor([0, 0, 4]))
    assert tuple(y.shape) == (3, 2, 8, 8)
    assert (y[0] - y[1]).abs().max() > 1e-3 and (y[1] - y[2]).abs().max() > 1e-3
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_the_embedding_tells_times_apart() -> None:
    codes = time_embedding(chainrule.arange(1000), 32).numpy()
    np.testing.assert_allclose((codes**2).sum(1), 16, rtol=1e-4)
    away = ((codes[:, None] - codes[None]) ** 2).sum(-1)
    assert (away + 10 * np.eye(1000)).min() > 0.05
    assert np.diag(away, 1).max() < np.diag(away, 20).min()


def test_errors_teach() -> None:
    plain = image_diffusion((1, 4, 4), steps=10, base=4, widths=(1, 2))
    told = image_diffusion((1, 4, 4), steps=10, base=4, widths=(1, 2), classes=2)
    for call, message in (
        (lambda: Schedule([0.1, 1.0]), "each greater than 0 and less than 1"),
        (lambda: linear_schedule(0), "1 step or more, got 0"),
        (lambda: plain(chainrule.zeros(2, 1, 8, 8)), r"data \(N, 1, 4, 4\), got \(2, 1, 8, 8\)"),
        (lambda: plain.sample(2, steps=11), "from 1 to 10 steps, got 11"),
        (lambda: plain.sample(2, eta=1.5), "eta lies between 0 and 1, got 1.5"),
        (lambda: plain.sample(2, chainrule.tensor([0, 1])), "told no classes"),
        (lambda: told.sample(2, guidance=2.0), "so it needs labels"),
        (lambda: told.sample(2, chainrule.tensor([0])), r"a label for each of 2 samples, got \(1,\)"),
        (lambda: plain.network(chainrule.zeros(1, 1, 5, 4), times(1, 1)), "multiples of 2"),
        (lambda: told.network(chainrule.zeros(1, 1, 4, 4), times(1, 1)), "2 for 'not told'"),
        (lambda: diffusion.TimeUNet(1, base=0), "1 or more"),
        (lambda: Diffusion(nn.Identity(), linear_schedule(3), (1,), limits=(1.0, -1.0)), "the lesser first"),
        (lambda: time_embedding(chainrule.tensor([1]), 3), "an even size, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_in_bfloat16_the_loss_is_float32_s() -> None:
    """Schedule, noise and loss stay float32; the network's numbers have 8 bits, so its error has a few thousandths."""
    chainrule.manual_seed(0)
    model = image_diffusion((1, 8, 8), steps=50, base=8, schedule="cosine")
    optimizer = chainrule.optim.Adam(model.parameters(), lr=2e-3)
    x = chainrule.rand(64, 1, 8, 8) * 2 - 1
    for _ in range(30):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
    losses = []
    for kind in (chainrule.float32, chainrule.bfloat16):
        model.network.to(kind)
        chainrule.manual_seed(1)
        losses.append(model(x).detach())
    assert losses[1].dtype is chainrule.float32
    assert losses[0].mean().item() < 0.9, "or nothing was learned"
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)


def test_schedules_by_name() -> None:
    for name, wanted in (("linear", linear_schedule(20)), ("cosine", cosine_schedule(20))):
        assert chainrule.equal(image_diffusion((1, 8, 8), 20, 8, schedule=name).schedule.kept, wanted.kept)
    with pytest.raises(ValueError, match="linear or cosine, got 'square'"):
        image_diffusion((1, 8, 8), schedule="square")
