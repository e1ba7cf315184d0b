"""Samples of distributions: from the right law, in eager and compiled code, with the right gradient.

The bars on p-values (1e-6) hold for any seed: one test in a million fails although all is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import chainrule
import chainrule.distributions as D
from chainrule.primitives import rejection
from tests.distribution_cases import CASES, Case, made

COUNT = 4000
SURE = 1e-6


@pytest.fixture(autouse=True)
def seed() -> None:
    chainrule.manual_seed(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]


def distribution_of(case: Case) -> Any:
    return made(case.source, D, chainrule.tensor, chainrule.float64).distribution


def chi_squared(drawn: Any, probability: Any) -> float:
    """The p-value of counts against probabilities; rare values (expected below 10 times) are joined."""
    values, counts = np.unique(drawn, return_counts=True)
    everything = np.arange(values.max() + 1)
    expected = len(drawn) * probability(everything)
    found = np.zeros(len(everything))
    found[values.astype(int)] = counts
    often = expected >= 10
    observed = np.append(found[often], found[~often].sum())
    wanted = np.append(expected[often], len(drawn) - expected[often].sum())
    if wanted[-1] < 10 and len(wanted) > 1:  # too rare even together
        observed, wanted = np.append(observed[:-2], observed[-2:].sum()), np.append(wanted[:-2], wanted[-2:].sum())
    return float(stats.chisquare(observed, wanted).pvalue) if len(wanted) > 1 else 1.0


@pytest.mark.parametrize("case", [c for c in CASES if c.samples == "continuous"], ids=lambda case: case.source)
def test_samples_follow_the_distribution_function(case: Case) -> None:
    d = distribution_of(case)
    uniform = np.asarray(d.cdf(d.sample((COUNT,))).detach().numpy())  # uniform, if the law is right
    for column in uniform.reshape(COUNT, -1).T:
        assert stats.kstest(column, "uniform").pvalue > SURE


@pytest.mark.parametrize("case", [c for c in CASES if c.samples == "discrete"], ids=lambda case: case.source)
def test_samples_have_their_probabilities(case: Case) -> None:
    d = distribution_of(case)
    drawn = d.sample((COUNT,)).numpy().reshape(COUNT, -1)
    for i in range(drawn.shape[1]):

        def probability(values: Any, i: int = i) -> Any:
            top = d.support.upper_bound if hasattr(d.support, "upper_bound") else np.inf
            top = np.asarray(top).max()
            inside = values[values <= top]
            p = d.log_prob(chainrule.tensor(inside, dtype=chainrule.float64).unsqueeze(-1).expand(-1, drawn.shape[1]))
            return np.append(p.exp().detach().numpy()[:, i], np.zeros(len(values) - len(inside)))

        assert chi_squared(drawn[:, i], probability) > SURE


@pytest.mark.parametrize(
    ("ours", "exact"),
    [
        (D.Beta(0.3, 2.0), stats.beta(0.3, 2.0)),
        (D.Beta(5.0, 70.0), stats.beta(5.0, 70.0)),
        (D.StudentT(3.5, 1.0, 2.0), stats.t(3.5, 1.0, 2.0)),
        (D.FisherSnedecor(3.0, 5.0), stats.f(3.0, 5.0)),
        (D.VonMises(0.5, 2.0), stats.vonmises(2.0, 0.5)),
        (D.VonMises(-3.0, 0.1), stats.vonmises(0.1)),
        (D.Gamma(0.02, 1.0), stats.gamma(0.02)),
        (D.Gamma(3000.0, 2.0), stats.gamma(3000.0, scale=0.5)),
    ],
    ids=["small beta", "beta", "t", "F", "von Mises", "wide von Mises", "small gamma", "large gamma"],
)
def test_samples_against_scipy(ours: Any, exact: Any) -> None:
    drawn = ours.sample((COUNT,)).numpy().astype(np.float64)
    if isinstance(ours, D.VonMises):
        center = float(ours.loc)
        drawn = (drawn - center + np.pi) % (2 * np.pi) - np.pi
        exact = stats.vonmises(float(ours.concentration))
    assert stats.kstest(drawn[drawn > 1e-30] if drawn.min() >= 0 else drawn, _given_above(exact, drawn)).pvalue > SURE


def _given_above(exact: Any, drawn: Any) -> Any:
    """The distribution function; of numbers above 1e-30, where smaller ones (no float32) were left out."""
    if drawn.min() < 0:
        return exact.cdf
    lost = exact.cdf(1e-30)
    return lambda x: (exact.cdf(x) - lost) / (1 - lost)


def test_vectors_have_their_means_and_covariances() -> None:
    """Each mean over n samples within 6 standard errors."""
    n = 20000
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    v = chainrule.tensor(matrix)
    zeros = chainrule.zeros(2, dtype=chainrule.float64)
    for d in (
        D.MultivariateNormal(zeros, v),
        D.MultivariateNormal(zeros, precision_matrix=chainrule.tensor(np.linalg.inv(matrix))),
        D.LowRankMultivariateNormal(
            zeros, chainrule.tensor([[1.0], [0.5]]).double(), chainrule.tensor([1.0, 0.75]).double()
        ),
    ):
        x = d.sample((n,)).numpy()
        products = x[:, :, None] * x[:, None, :]
        assert (abs(products.mean(0) - matrix) < 6 * products.std(0) / np.sqrt(n)).all()
    w = D.Wishart(chainrule.tensor(5.0).double(), v).sample((n,)).numpy()
    assert (abs(w.mean(0) - 5 * matrix) < 6 * w.std(0) / np.sqrt(n)).all()
    r = D.LKJCholesky(3, 2.0).sample((n,)).numpy()
    correlations = (r @ r.transpose(0, 2, 1))[:, 0, 1]
    # An entry is beta-distributed in [−1, 1] with a = b = η + n/2 − 1.
    assert stats.kstest((correlations + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > SURE
    m = D.Multinomial(5, chainrule.tensor([0.2, 0.3, 0.5])).sample((n,)).numpy()
    assert (m.sum(1) == 5).all()
    assert chi_squared(m[:, 1], stats.binom(5, 0.3).pmf) > SURE


def test_the_numbers_of_vectors_have_their_laws() -> None:
    """What one number of a vector is distributed as, in closed form."""
    weights, means, widths = np.array([0.3, 0.7]), np.array([-2.0, 1.0]), np.array([0.5, 1.5])
    p, m, s = (chainrule.tensor(x) for x in (weights, means, widths))
    mixture = D.MixtureSameFamily(D.Categorical(p), D.Normal(m, s)).sample((COUNT,)).numpy()
    assert stats.kstest(mixture, lambda x: stats.norm(means, widths).cdf(x[:, None]) @ weights).pvalue > SURE
    independent = D.Independent(D.Normal(m, s), 1).sample((COUNT,)).numpy()
    a = np.array([0.5, 2.0, 3.5])
    dirichlet = D.Dirichlet(chainrule.tensor(a)).sample((COUNT,)).numpy()
    simplex = D.LogisticNormal(m, s).sample((COUNT,)).numpy()
    relaxed = D.RelaxedBernoulli(0.7, logits=m).sample((COUNT,)).numpy()
    for i in range(2):
        assert stats.kstest(independent[:, i], stats.norm(means[i], widths[i]).cdf).pvalue > SURE
        assert stats.kstest(dirichlet[:, i], stats.beta(a[i], a.sum() - a[i]).cdf).pvalue > SURE
        # A share of what is left of the stick is the logistic function of a normal number, less ln of the pieces to come.
        broken = special.logit(simplex[:, i] / (1 - simplex[:, :i].sum(1))) + np.log(2 - i)
        assert stats.kstest(broken, stats.norm(means[i], widths[i]).cdf).pvalue > SURE
        logistic = 0.7 * special.logit(relaxed[:, i]) - means[i]
        assert stats.kstest(logistic, stats.logistic.cdf).pvalue > SURE
    for kind in (D.OneHotCategorical, D.OneHotCategoricalStraightThrough):
        chosen = kind(p).sample((COUNT,)).numpy()
        assert (chosen.sum(1) == 1).all() and chi_squared(chosen.argmax(1), lambda k: weights[k]) > SURE


def test_relaxed_samples_choose_in_proportion() -> None:
    p = chainrule.tensor([0.2, 0.3, 0.5])
    drawn = D.RelaxedOneHotCategorical(0.3, p).sample((COUNT,)).argmax(-1).numpy()
    assert chi_squared(drawn, lambda k: np.array([0.2, 0.3, 0.5])[k]) > SURE
    ones = (D.RelaxedBernoulli(0.3, 0.3).sample((COUNT,)) > 0.5).numpy()
    assert chi_squared(ones.astype(float), lambda k: np.array([0.7, 0.3])[k.astype(int)]) > SURE


# ------------------------------------------------------------------------------------------- gradients


def moved(quantile: Any, a: Any, probability: Any) -> Any:
    """d quantile/da by central differences of SciPy's inverse distribution function."""
    h = 1e-5 * a
    return (quantile(a + h, probability) - quantile(a - h, probability)) / (2 * h)


def test_a_gamma_sample_moves_along_its_quantile() -> None:
    a = chainrule.tensor(np.repeat([0.3, 1.0, 2.5, 40.0, 900.0], 40), requires_grad=True)
    x = D.Gamma(a, 1.0).rsample()
    x.sum().backward()
    p = special.gammainc(a.detach().numpy(), x.detach().numpy())
    inside = (p > 1e-6) & (p < 1 - 1e-6)
    wanted = moved(special.gammaincinv, a.detach().numpy(), p)
    np.testing.assert_allclose(a.grad.numpy()[inside], wanted[inside], rtol=2e-5)


def test_a_beta_sample_moves_along_its_quantile() -> None:
    a = chainrule.tensor(np.repeat([0.4, 1.0, 3.0, 60.0], 40), requires_grad=True)
    b = chainrule.tensor(np.tile([0.5, 1.5, 9.0, 200.0], 40), requires_grad=True)
    x = D.Beta(a, b).rsample()
    x.sum().backward()
    first, second, drawn = a.detach().numpy(), b.detach().numpy(), x.detach().numpy()
    p = special.betainc(first, second, drawn)
    inside = (p > 1e-5) & (p < 1 - 1e-5) & (drawn < 0.999)
    by_a = moved(lambda a, p: special.betaincinv(a, second, p), first, p)
    np.testing.assert_allclose(a.grad.numpy()[inside], by_a[inside], rtol=1e-4)
    by_b = moved(lambda b, p: special.betaincinv(first, b, p), second, p)
    np.testing.assert_allclose(b.grad.numpy()[inside], by_b[inside], rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "start", "expectation"),
    [
        (lambda a: D.Gamma(a, 2.0), 1.5, lambda a: a / 2),
        (lambda a: D.Dirichlet(chainrule.stack([a, 2 * a, a * 0 + 1.5], -1)), 1.5, None),
        (lambda a: D.StudentT(a, 0.0, 1.0), 9.0, None),
        (lambda a: D.Normal(a, a), 1.5, lambda a: a),
        (lambda a: D.Weibull(a, 2.0), 1.5, None),
        (lambda a: D.RelaxedBernoulli(0.7, logits=a), 0.4, None),
    ],
)
def test_gradients_of_expectations(make: Any, start: float, expectation: Any) -> None:
    """The mean of the samples' gradients of f(x) = x² against a difference of expectations, within 6 standard errors."""
    n = 40000
    a = chainrule.tensor(np.full(n, start), requires_grad=True)
    x = make(a).rsample()
    f = (x * x).reshape(n, -1).sum(-1)
    (slopes,) = chainrule.autograd.grad(f.sum(), [a])
    h = 0.2
    with chainrule.no_grad():
        ends = []
        for value in (start + h, start - h):
            y = make(chainrule.tensor(np.full(4 * n, value))).sample()
            ends.append((y * y).reshape(4 * n, -1).sum(-1).numpy())
    wanted = (ends[0].mean() - ends[1].mean()) / (2 * h)
    error = np.sqrt(sum(e.var() for e in ends) / (4 * n)) / (2 * h) + slopes.numpy().std() / np.sqrt(n)
    curvature = 0.05 * abs(wanted)  # what a difference over 2·h is off
    assert abs(slopes.numpy().mean() - wanted) < 6 * error + curvature


def test_second_derivatives_of_implicit_samples_are_refused() -> None:
    a = chainrule.tensor([1.5, 2.5], requires_grad=True)
    for d in (D.Gamma(a, 1.0), D.Beta(a, 1.0), D.Dirichlet(a)):
        (slope,) = chainrule.autograd.grad(d.rsample().sum() ** 2, [a], create_graph=True)
        with pytest.raises(chainrule.GradientError, match="second derivative"):
            slope.sum().backward()


# ------------------------------------------------------------------------------------------- generator and compiler

SAMPLERS = [
    "d.Normal(t([0.0, 1.0]), 1.0)", "d.Gamma(t([0.4, 3.0]), 1.0)", "d.Beta(t([0.4, 3.0]), 2.0)", "d.Poisson(t([3.0, 30.0]))",
    "d.Binomial(50, t([0.3, 0.05]))", "d.Dirichlet(t([0.4, 3.0]))", "d.Categorical(t([0.4, 0.6]))", "d.StudentT(t([3.0]))",
    "d.VonMises(t([0.5]), 2.0)", "d.Gumbel(t([0.5]), 2.0)", "d.RelaxedOneHotCategorical(0.5, t([0.4, 0.6]))",
    "d.MultivariateNormal(t([0.4, 0.6]), chainrule.eye(2).double())", "d.Wishart(t(3.0), chainrule.eye(2).double())",
    "d.LKJCholesky(3, t(1.0))", "d.MixtureSameFamily(d.Categorical(t([0.4, 0.6])), d.Normal(t([0.0, 4.0]), 1.0))",
    "d.NegativeBinomial(t([3.0]), 0.5)", "d.Geometric(t([0.2]))", "d.ContinuousBernoulli(t([0.2]))", "d.Bernoulli(t([0.2, 0.7]))",
]  # fmt: skip


@pytest.mark.parametrize("source", SAMPLERS)
def test_compiled_samples_are_the_eager_ones(source: str) -> None:
    def draw() -> Any:
        d = eval(source, {"d": D, "t": lambda x: chainrule.tensor(x, dtype=chainrule.float64), "chainrule": chainrule})
        return d.sample((3,)), chainrule.rand(2)

    compiled = chainrule.compile(draw)
    chainrule.manual_seed(7)
    eager = [draw(), draw()]
    chainrule.manual_seed(7)
    for expected in eager:
        for one, two in zip(compiled(), expected, strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-12)
    assert not np.array_equal(eager[0][0].numpy(), eager[1][0].numpy()) or "Geometric" in source or "rnoulli" in source


def test_a_compiled_step_with_a_divergence_and_an_implicit_gradient() -> None:
    def step(a: Any, b: Any) -> Any:
        q = D.Gamma(a.exp(), b.exp())
        x = q.rsample()
        loss = (x - 1).square().sum() + D.kl_divergence(q, D.Gamma(1.0, 1.0)).sum() - q.log_prob(x.detach()).sum()
        return (loss, *chainrule.autograd.grad(loss, [a, b]))

    a, b = (chainrule.tensor([0.1, 0.7], dtype=chainrule.float64, requires_grad=True) for _ in range(2))
    chainrule.manual_seed(1)
    eager = step(a, b)
    chainrule.manual_seed(1)
    for one, two in zip(chainrule.compile(step)(a, b), eager, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), two.detach().numpy(), rtol=1e-10)


def test_compiled_parameters_are_checked_in_each_run() -> None:
    @chainrule.compile
    def density(scale: Any) -> Any:
        return D.Normal(0.0, scale).log_prob(chainrule.zeros(2))

    density(chainrule.ones(2))
    with pytest.raises(ValueError, match=r"Normal: scale must be greater than 0, got -1. at \(1,\)"):
        density(chainrule.tensor([1.0, -1.0]))
    density(chainrule.ones(2))


def test_draws_by_rejection_reserve_the_same_blocks_whatever_they_draw() -> None:
    for a in (0.1, 1.0, 100.0):
        generator = chainrule.Generator().manual_seed(0)
        generator.draw(
            chainrule.primitives.random.RandomLogGamma, rejection.blocks_reserved(10), chainrule.full((10,), a)
        )
        assert generator.get_state()[1].item() == rejection.blocks_reserved(10)


def test_impossible_parameters_give_nan_and_do_not_hang() -> None:
    with np.errstate(all="ignore"):
        for draw in (rejection.log_gamma_draws, rejection.poisson_draws, rejection.von_mises_draws):
            assert np.isnan(draw(0, 0, np.array([-1.0, np.nan, np.inf]))).all()
        n, p = np.array([-1.0, np.nan, 5.0, 5.0]), np.array([0.5, 0.5, 2.0, np.nan])
        assert np.isnan(rejection.binomial_draws(0, 0, n, p)).all()
