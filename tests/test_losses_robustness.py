"""Losses at the edges: huge scores, probabilities of exactly 0 and 1, impossible targets; and losses of our own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd, nn

F = nn.functional
float64 = chainrule.float64


def slope(loss: Any, x: Any) -> Any:
    return autograd.grad(loss, x)[0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_scores_far_out(scale: float, dtype: str) -> None:
    """Losses from scores are the larger of 0 and the score that is wrong, and their gradients ±1 or 0."""
    for target, sign in ((0.0, 1.0), (1.0, -1.0)):
        x = chainrule.tensor([scale], dtype=dtype, requires_grad=True)
        t = chainrule.tensor([target], dtype=dtype)
        wrong = sign * scale > 0
        loss = F.binary_cross_entropy_with_logits(x, t)
        assert loss.item() == (1e4 if wrong else 0) and slope(loss, x).tolist() == [sign if wrong else 0]
        signs = t * 2 - 1
        for margin_loss in (F.soft_margin_loss, F.hinge_loss):
            loss = margin_loss(x, signs)
            assert abs(loss.item() - (1e4 if wrong else 0)) <= (16 if dtype == "float16" else 1.1)
            assert slope(loss, x).tolist() == [sign if wrong else 0]
        loss = F.multilabel_soft_margin_loss(x.reshape(1, 1), t.reshape(1, 1))
        assert loss.isfinite() and slope(loss, x).isfinite().all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_probabilities_of_exactly_0_and_1(dtype: str) -> None:
    p = chainrule.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    t = chainrule.tensor([0.0, 1.0, 1.0, 0.0], dtype=dtype)
    losses = F.binary_cross_entropy(p, t, reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    found = slope(losses.sum(), p)
    assert found.isfinite().all() and found[:2].tolist() == [0, 0] and found[2] < -1e3 and found[3] > 1e3
    q = chainrule.tensor([0.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    x = chainrule.tensor([-1.0, -2.0, 0.0], dtype=dtype, requires_grad=True)
    loss = F.kl_div(x, q, reduction="sum")
    assert loss.item() == 0 and slope(loss, x).tolist() == [0, 0, -1]
    # ln t + 1 − x has no value at t = 0; as PyTorch, the slope there is NaN and not a number that looks like one.
    assert slope(F.kl_div(x, q, reduction="sum"), q).isnan().tolist() == [True, True, False]


def test_tiny_and_zero_variances() -> None:
    x, t = chainrule.zeros(3, requires_grad=True), chainrule.ones(3)
    var = chainrule.tensor([0.0, 1e-12, 1.0], requires_grad=True)
    loss = F.gaussian_nll_loss(x, t, var, reduction="sum")
    found = autograd.grad(loss, [x, var])
    assert loss.isfinite() and all(g.isfinite().all() for g in found)
    assert found[1][0] < -1e6, "the variance is pulled up although it was held"


@pytest.mark.parametrize("target", [[1], [1, 2], [1, 1], []])
def test_ctc_is_the_sum_over_all_alignments(target: list[int]) -> None:
    """Every sequence of four labels and blanks, read by joining repetitions and dropping blanks."""
    x = chainrule.randn(4, 1, 3, dtype=float64).log_softmax(2)
    p = np.exp(x.numpy()[:, 0])
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        read = [a for i, a in enumerate(path) if a and (i == 0 or path[i - 1] != a)]
        total += math.prod(p[i, a] for i, a in enumerate(path)) if read == target else 0.0
    labels = chainrule.tensor([target or [0]])
    assert F.ctc_loss(x, labels, [4], [len(target)], reduction="sum").item() == pytest.approx(-math.log(total))


def test_ctc_with_impossible_targets() -> None:
    x = chainrule.randn(3, 2, 4, dtype=float64).log_softmax(2).detach().requires_grad_()
    targets = chainrule.tensor([[1, 1, 1], [1, 2, 3]])  # three times the same needs two blanks between
    losses = F.ctc_loss(x, targets, [3, 3], [3, 3], reduction="none")
    assert losses.isinf().tolist() == [True, False]
    loss = F.ctc_loss(x, targets, [3, 3], [3, 3], reduction="sum", zero_infinity=True)
    found = slope(loss, x)
    assert loss.isfinite() and found.isfinite().all() and not found[:, 0].any() and found[:, 1].any()


def test_gaussian_and_categorical_likelihood() -> None:
    """E 3.2, I II.3: the squared error and the cross-entropy are negative logarithms of likelihoods."""
    x, t, sigma = chainrule.randn(5, 3, dtype=float64), chainrule.randn(5, 3, dtype=float64), 0.7
    density = np.exp(-((t - x).numpy() ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    likelihood = F.gaussian_log_likelihood(x, t, sigma).item()
    assert likelihood == pytest.approx(np.log(density).sum())
    mse = 2 * sigma**2 * (-likelihood / 15 - math.log(sigma * math.sqrt(2 * math.pi)))
    assert F.mse_loss(x, t).item() == pytest.approx(mse)
    scores, labels = chainrule.randn(6, 4, dtype=float64), chainrule.tensor([0, 3, 1, 1, 2, 0])
    assert F.categorical_log_likelihood(scores, labels).item() == pytest.approx(
        -6 * F.cross_entropy(scores, labels).item()
    )
    probabilities = scores.softmax(1).numpy()[np.arange(6), labels.numpy()]
    assert F.categorical_log_likelihood(scores, labels).item() == pytest.approx(np.log(probabilities).sum())


def test_t_4_the_kl_of_gaussians_is_what_samples_give() -> None:
    """T 4, I V.10: the closed form, and E_q[ln q − ln p] by 400,000 samples; zero only for equal ones."""
    mean, log_variance = chainrule.tensor([0.5, -1.0], dtype=float64), chainrule.tensor([0.3, -0.7], dtype=float64)
    other, other_log = chainrule.tensor([0.1, 0.4], dtype=float64), chainrule.tensor([-0.2, 0.5], dtype=float64)
    closed = F.gaussian_kl(mean, log_variance, other, other_log)
    z = mean + chainrule.randn(400_000, 2, dtype=float64) * (log_variance / 2).exp()

    def log_density(mean: Any, log_variance: Any) -> Any:
        return -0.5 * ((z - mean) ** 2 / log_variance.exp() + log_variance + math.log(2 * math.pi))

    sampled = (log_density(mean, log_variance) - log_density(other, other_log)).mean(0)
    np.testing.assert_allclose(closed.numpy(), sampled.numpy(), atol=0.01)
    assert (closed > 0).all() and F.gaussian_kl(mean, log_variance, mean, log_variance).abs().max() < 1e-15
    assert F.gaussian_kl(mean, log_variance).tolist() == pytest.approx(
        F.gaussian_kl(mean, log_variance, 0.0, 0.0).tolist()
    )


def test_t_4_the_elbo_is_below_the_log_likelihood_and_meets_it_at_the_posterior() -> None:
    """T 4: a discrete model summed exactly: ln p(x) ≥ Σ q(z)·[ln p(x, z) − ln q(z)], equal for q = p(z | x)."""
    prior = chainrule.randn(4, dtype=float64).softmax(0)
    likelihood = chainrule.rand(4, dtype=float64) * 0.9 + 0.05  # p(x | z) of one x
    evidence = (prior * likelihood).sum().log()

    def elbo(q: Any) -> Any:
        return (q * ((prior * likelihood).log() - q.log())).sum()

    posterior = prior * likelihood / (prior * likelihood).sum()
    assert elbo(posterior).item() == pytest.approx(evidence.item())
    for _ in range(50):
        assert elbo(chainrule.randn(4, dtype=float64).softmax(0)) < evidence
    logits = chainrule.zeros(4, dtype=float64, requires_grad=True)
    for _ in range(2000):
        loss = -elbo(logits.softmax(0))
        (found,) = autograd.grad(loss, [logits])
        logits = (logits - found).detach().requires_grad_()
    np.testing.assert_allclose(logits.softmax(0).detach().numpy(), posterior.numpy(), atol=1e-5)


def test_elbo_terms() -> None:
    x, y = chainrule.randn(5, 3, dtype=float64), chainrule.rand(5, 3, dtype=float64)
    mean, log_variance = chainrule.randn(5, 2, dtype=float64), chainrule.randn(5, 2, dtype=float64)
    fit, kl = F.elbo_terms(x, y, mean, log_variance)
    assert fit.item() == pytest.approx(((x - y) ** 2).sum().item() / 10)
    assert kl.item() == pytest.approx(F.gaussian_kl(mean, log_variance).sum().item() / 5)
    fit, _ = F.elbo_terms(x, y, mean, log_variance, "bernoulli")
    assert fit.item() == pytest.approx(F.binary_cross_entropy(x.sigmoid(), y, reduction="sum").item() / 5)
    with pytest.raises(ValueError, match="'poisson'"):
        F.elbo_terms(x, y, mean, log_variance, "poisson")


def test_adversarial_losses() -> None:
    """I V.10: against their formulas; where D is sure the saturating loss has no gradient, the other one has."""
    real, made = chainrule.randn(50, dtype=float64), chainrule.randn(50, dtype=float64)
    a, b = (1 / (1 + np.exp(-t.numpy())) for t in (real, made))
    for kind in ("minimax", "non_saturating"):
        assert F.discriminator_loss(real, made, kind).item() == pytest.approx(-np.log(a).mean() - np.log(1 - b).mean())
    assert F.generator_loss(made, "minimax").item() == pytest.approx(np.log(1 - b).mean())
    assert F.generator_loss(made).item() == pytest.approx(-np.log(b).mean())
    squares = 0.5 * ((real.numpy() - 1) ** 2).mean() + 0.5 * (made.numpy() ** 2).mean()
    assert F.discriminator_loss(real, made, "least_squares").item() == pytest.approx(squares)
    assert F.generator_loss(made, "least_squares").item() == pytest.approx(0.5 * ((made.numpy() - 1) ** 2).mean())
    assert F.discriminator_loss(real, made, "wasserstein").item() == pytest.approx(
        made.mean().item() - real.mean().item()
    )
    assert F.generator_loss(made, "wasserstein").item() == pytest.approx(-made.mean().item())
    sure = chainrule.tensor([-30.0], requires_grad=True)
    assert abs(slope(F.generator_loss(sure, "minimax"), sure).item()) < 1e-12
    assert slope(F.generator_loss(sure), sure).item() == pytest.approx(-1)
    with pytest.raises(ValueError, match="'hinge'"):
        F.generator_loss(made, "hinge")


def test_the_gradient_penalty_trains_the_critic() -> None:
    """Second derivatives reach the parameters: they are those of finite differences, and the penalty goes to 0."""
    critic = nn.Sequential(nn.Linear(2, 8, dtype=float64), nn.Tanh(), nn.Linear(8, 1, dtype=float64))
    real, made = chainrule.randn(16, 2, dtype=float64), chainrule.randn(16, 2, dtype=float64)
    names = [name for name, _ in critic.named_parameters()]

    def penalty(*values: Any) -> Any:
        chainrule.manual_seed(3)

        def scores(x: Any) -> Any:
            return chainrule.func.functional_call(critic, dict(zip(names, values, strict=True)), x)

        with chainrule.enable_grad():
            return F.gradient_penalty(scores, real, made)

    assert autograd.gradcheck(penalty, tuple(critic.parameters()), atol=1e-5)
    optimizer = chainrule.optim.Adam(critic.parameters(), lr=0.02)
    first = F.gradient_penalty(critic, real, made).item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.gradient_penalty(critic, real, made)
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 5


def test_a_weighted_sum_names_its_parts() -> None:
    total = nn.WeightedSum(kl=0.5, style=2.0)
    x = chainrule.tensor(3.0, requires_grad=True)
    loss = total(fit=x * x, kl=x, style=x * 2)
    assert loss.item() == 9 + 1.5 + 12 and slope(loss, x).item() == 6 + 0.5 + 4
    assert {name: (part.item(), part.requires_grad) for name, part in total.parts.items()} == {
        "fit": (9, False), "kl": (3, False), "style": (6, False),
    }  # fmt: skip
    assert repr(total) == "WeightedSum(kl=0.5, style=2.0)"
    with pytest.raises(KeyError, match="kl"):
        total(fit=x, style=x)
    with pytest.raises(chainrule.ShapeError, match=r"loss kl has shape \(3,\)"):
        total(fit=x, style=x, kl=chainrule.ones(3))


def test_the_gradient_penalty_of_a_flat_critic_in_halves() -> None:
    """Where the critic is flat the root of the squares has no slope; the gradient is 0 there, not NaN."""
    for dtype in ("float16", "float32", "float64"):
        critic = nn.Linear(2, 1).to(dtype)
        with chainrule.no_grad():
            critic.weight *= 0
        penalty = F.gradient_penalty(critic, chainrule.ones(4, 2).to(dtype), chainrule.zeros(4, 2).to(dtype))
        assert str(penalty.dtype) == f"chainrule.{dtype}" and penalty.item() == pytest.approx(1, abs=1e-5)
        assert slope(penalty, critic.weight).tolist() == [[0, 0]]
    samples = chainrule.ones(4)  # one number each
    assert F.gradient_penalty(lambda x: 3 * x, samples, samples * 0).item() == pytest.approx(4)


def test_weighted_scores_keep_their_digits() -> None:
    """float32 against log1p(e^x) of Python: a small loss must not be what is left of two large numbers."""
    x = chainrule.tensor([-12.0, -20.0, 12.0, 20.0], requires_grad=True)
    t = chainrule.tensor([0.0, 0.0, 1.0, 1.0])
    losses = F.binary_cross_entropy_with_logits(x, t, pos_weight=chainrule.tensor(2.0), reduction="none")
    small = [math.log1p(math.exp(-12)), math.log1p(math.exp(-20))]
    np.testing.assert_allclose(losses.detach().numpy(), [*small, 2 * small[0], 2 * small[1]], rtol=1e-5)
    slopes = slope(losses.sum(), x).numpy()[:2]
    np.testing.assert_allclose(slopes, [1 / (1 + math.exp(12)), 1 / (1 + math.exp(20))], rtol=1e-5)


BLOCKS = ["mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_gradient_has_the_type_of_its_tensor(name: str) -> None:
    """Losses with hand-derived gradients, float32 against float64: each side gets its own type back."""
    x = chainrule.tensor([0.3, 0.6], requires_grad=True)
    t = chainrule.tensor([0.5, 0.1], dtype=float64, requires_grad=True)
    found = autograd.grad(getattr(F, name)(x, t), [x, t])
    assert [g.dtype for g in found] == [chainrule.float32, float64]


def test_negative_probabilities_are_no_numbers() -> None:
    assert F.kl_div(chainrule.tensor([-1.0]), chainrule.tensor([-0.5])).isnan()


def test_ctc_s_gradient_is_its_derivative_for_any_numbers() -> None:
    """Also for log-probabilities that do not add up to 1, where PyTorch's is another: by difference quotients."""
    x = chainrule.randn(5, 2, 4, dtype=float64, requires_grad=True)
    targets = chainrule.tensor([[1, 1], [2, 3]])
    assert autograd.gradcheck(lambda x: F.ctc_loss(x, targets, [5, 4], [2, 2], reduction="sum"), (x,))
    assert autograd.gradgradcheck(lambda x: F.ctc_loss(x, targets, [5, 4], [2, 2], reduction="sum"), (x,))


def test_an_adaptive_softmax_computes_only_the_clusters_that_occur() -> None:
    """Samples pass through the layers of their label's cluster alone; noted for `scan`, the result is the same."""
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], dtype=float64)
    x = chainrule.randn(2, 5, 8, dtype=float64)
    labels = chainrule.tensor([[0, 8, 2, 11, 1], [0, 5, 6, 4, 9]])
    seen: list[tuple[int, int]] = []
    for i, cluster in enumerate(layer.tail):
        cluster.register_forward_hook(lambda m, given, result, i=i: seen.append((i, given[0].shape[0])))
    alone = [layer(a, b).output for a, b in zip(x, labels, strict=True)]
    assert seen == [(1, 2), (0, 3), (1, 1)]
    _, noted = chainrule.scan(lambda c, row: (c, layer(*row).output), chainrule.zeros(1), (x, labels))
    np.testing.assert_allclose(noted.detach().numpy(), chainrule.stack(alone).detach().numpy(), rtol=1e-12)


OWN = [
    ("gaussian_kl(x, x, y)", [(4,), (4, 1)], "other_mean"),
    ("gaussian_kl(x, x, 0.0, y)", [(4,), (4, 1)], "other_log_variance"),
    ("gaussian_kl(x, y)", [(4,), (4, 1)], "log_variance"),
    ("elbo_terms(x, x, y, y)", [(4, 3), (5, 2)], "not of one batch"),
    ("gradient_penalty(lib.nn.Linear(2, 1), x, y)", [(4, 2), (5, 2)], "generated ones"),
    ("gaussian_log_likelihood(x, y)", [(4,), (4, 1)], r"squeeze\(-1\)"),
    ("hinge_loss(x, y)", [(4,), (4, 1)], r"squeeze\(-1\)"),
    ("categorical_log_likelihood(x, lib.tensor([0, 5]))", [(2, 3)], r"label 5 at \[1\]"),
    ("categorical_log_likelihood(x, lib.tensor([0.0, 1.0]))", [(2, 3)], r"\.long\(\)"),
]


@pytest.mark.parametrize(("source", "shapes", "says"), OWN)
def test_our_own_losses_refuse_to_broadcast_too(source: str, shapes: Any, says: str) -> None:
    names = dict(zip("xy", (chainrule.ones(*s) for s in shapes), strict=False))
    with pytest.raises(chainrule.errors.ChainruleError, match=says):
        eval(f"f.{source}", {"f": F, "lib": chainrule, **names})


@pytest.mark.parametrize("by", ["kl", "squares"])
def test_h_5_four_against_nine_by_kl_and_by_squares(by: str) -> None:
    """H 5 on the shipped digits: logistic regression by the cross-entropy and by squares; both read most of them."""
    from chainrule.data import digits

    data = digits(size=8)
    (x, y), (u, v) = (split.tensors for split in (data.train, data.test))
    keep, other = (y == 4) | (y == 9), (v == 4) | (v == 9)
    x, u = x[keep].reshape(-1, 64).double(), u[other].reshape(-1, 64).double()
    t, four = (y[keep] == 4).double(), v[other] == 4
    layer = nn.Linear(64, 1, dtype=float64)
    optimizer = chainrule.optim.LBFGS(layer.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        scores = layer(x).squeeze(1)
        fit = F.binary_cross_entropy_with_logits(scores, t) if by == "kl" else F.mse_loss(scores.sigmoid(), t)
        loss = fit + 1e-4 * (layer.weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    read = ((layer(u).squeeze(1) > 0) == four).double().mean().item()
    assert read > 0.95
