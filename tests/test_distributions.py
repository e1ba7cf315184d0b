"""`chainrule.distributions` against `torch.distributions`: densities, entropies, divergences, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
import chainrule.distributions as ours
from tests.distribution_cases import CASES, MEMBERS, OTHERS, POSITIVE, Case, Made, made

torch = pytest.importorskip("torch")
theirs = torch.distributions
pytestmark = pytest.mark.peer


@pytest.fixture(autouse=True)
def pytorch_computes_in_float64() -> Iterator[None]:
    """Its GeneralizedPareto compares with a constant of the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def both(source: str) -> tuple[Made, Made]:
    return (
        made(source, ours, chainrule.tensor, chainrule.float64),
        made(source, theirs, torch.tensor, torch.float64),
    )


def numbers(x: Any) -> Any:
    return np.asarray(x.detach().numpy())


def gradients(result: Any, parameters: list[Any]) -> list[Any]:
    """Of a weighted sum, so that no entry's gradient hides another's."""
    weights = np.cos(np.arange(max(result.numel(), 1))).reshape(tuple(result.shape)) + 1.5
    module = chainrule if isinstance(result, chainrule.Tensor) else torch
    total = (result * module.tensor(weights)).sum()
    if not total.requires_grad:
        return [None] * len(parameters)
    found = module.autograd.grad(total, parameters, allow_unused=True)
    return [None if g is None else numbers(g) for g in found]


def compare(mine: Any, other: Any, mine_made: Made, other_made: Made) -> None:
    assert tuple(mine.shape) == tuple(other.shape)
    assert str(mine.dtype).split(".")[-1] == str(other.dtype).split(".")[-1]
    np.testing.assert_allclose(numbers(mine), numbers(other), rtol=1e-6, atol=1e-9)
    pairs = zip(gradients(mine, mine_made.parameters), gradients(other, other_made.parameters), strict=True)
    for one, two in pairs:
        if one is not None and one.ndim == 2 and one.shape[0] == one.shape[1]:  # PyTorch reads above the diagonal too
            one, two = (np.tril(one), np.tril(two)) if not np.triu(one, 1).any() else (one, two)
        zero = 0.0 if one is None or two is None else None
        np.testing.assert_allclose(zero if one is None else one, zero if two is None else two, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_shapes_log_prob_and_moments(case: Case) -> None:
    mine, other = both(case.source)
    assert tuple(mine.distribution.batch_shape) == tuple(other.distribution.batch_shape)
    assert tuple(mine.distribution.event_shape) == tuple(other.distribution.event_shape)
    for attribute in ("has_rsample", "has_enumerate_support"):
        assert getattr(mine.distribution, attribute) == getattr(other.distribution, attribute), attribute
    points = eval(case.values)
    x, y = chainrule.tensor(points, dtype=chainrule.float64), torch.tensor(points, dtype=torch.float64)
    compare(mine.distribution.log_prob(x), other.distribution.log_prob(y), mine, other)
    for what in case.has.split():
        mine, other = both(case.source)
        if what == "cdf-value":
            one, two = mine.distribution.cdf(x), other.distribution.cdf(y)
            np.testing.assert_allclose(numbers(one), numbers(two), rtol=1e-6)
        elif what == "cdf":
            compare(mine.distribution.cdf(x), other.distribution.cdf(y), mine, other)
        elif what == "entropy":
            compare(mine.distribution.entropy(), other.distribution.entropy(), mine, other)
        else:
            one, two = getattr(mine.distribution, what), getattr(other.distribution, what)
            np.testing.assert_allclose(numbers(one), numbers(two), rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_log_prob_has_the_gradient_in_the_value(case: Case) -> None:
    mine, other = both(case.source)
    points = eval(case.values)
    if "Categorical(" in case.source and "Relaxed" not in case.source and "Mixture" not in case.source:
        return  # classes
    x = chainrule.tensor(points, dtype=chainrule.float64, requires_grad=True)
    y = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    one, two = gradients(mine.distribution.log_prob(x), [x]), gradients(other.distribution.log_prob(y), [y])
    if one[0] is not None and two[0] is not None:
        np.testing.assert_allclose(one[0], two[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_samples_have_the_shape_and_lie_in_the_support(case: Case) -> None:
    mine, other = both(case.source)
    for shape in ((), (5,), (2, 3)):
        drawn = mine.distribution.sample(shape)
        like = other.distribution.sample(shape)
        assert tuple(drawn.shape) == tuple(like.shape) and not drawn.requires_grad
        assert str(drawn.dtype).split(".")[-1] == str(like.dtype).split(".")[-1]
        assert bool(mine.distribution.support.check(drawn).all())
        assert bool(chainrule.isfinite(mine.distribution.log_prob(drawn)).all())
    if mine.distribution.has_rsample:
        assert mine.distribution.rsample((4,)).requires_grad


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_expanding_keeps_everything(case: Case) -> None:
    mine, other = both(case.source)
    batch = (4, *mine.distribution.batch_shape)
    large, like = mine.distribution.expand(batch), other.distribution.expand(batch)
    assert tuple(large.batch_shape) == tuple(like.batch_shape) == batch
    assert tuple(large.event_shape) == tuple(like.event_shape)
    points = eval(case.values)
    x, y = chainrule.tensor(points, dtype=chainrule.float64)[:1], torch.tensor(points, dtype=torch.float64)[:1]
    np.testing.assert_allclose(numbers(large.log_prob(x)), numbers(like.log_prob(y)), rtol=1e-6)
    assert tuple(large.sample((2,)).shape) == (2, *batch, *large.event_shape)


@pytest.mark.parametrize("case", [case for case in CASES if "cdf" in case.has], ids=lambda case: case.source)
def test_icdf_is_the_inverse_of_cdf(case: Case) -> None:
    mine, _ = both(case.source)
    p = chainrule.tensor([[0.05, 0.5], [0.9, 0.3]], dtype=chainrule.float64)
    try:
        x = mine.distribution.icdf(p)
    except NotImplementedError:
        assert any(name in case.source for name in ("Gamma", "Chi2")), "as in PyTorch"
        return
    np.testing.assert_allclose(numbers(mine.distribution.cdf(x)), numbers(p), rtol=1e-9)


def test_no_distribution_is_left_out() -> None:
    """Every class of PyTorch's is one of ours, and is compared above."""
    classes = {name for name in theirs.__all__ if isinstance(getattr(theirs, name), type)}
    names = {name for name in classes if issubclass(getattr(theirs, name), theirs.Distribution)}
    bases = {"Distribution", "ExponentialFamily"}
    for name in sorted(names - bases):
        assert issubclass(getattr(ours, name), ours.Distribution)
        assert any(f"d.{name}(" in case.source for case in CASES), name
    registered = {p.__name__ for pair in theirs.kl._KL_REGISTRY for p in pair}
    assert registered - bases <= set(MEMBERS), "a divergence of each is compared below"


def _pairs() -> list[tuple[str, str]]:
    registered = torch.distributions.kl._KL_REGISTRY
    names = sorted((p.__name__, q.__name__) for p, q in registered)
    return [(p, q) for p, q in names if "ExponentialFamily" not in (p, q)]


#: PyTorch says ∞ here whenever the uniform distribution reaches 0 or 1 exactly or lies inside of it.
STRICTER = {("ContinuousBernoulli", "Uniform"), ("Uniform", "ContinuousBernoulli")}


@pytest.mark.parametrize(("p", "q"), _pairs())
def test_divergences(p: str, q: str) -> None:
    mine_p, other_p = both(MEMBERS[p])
    mine_q, other_q = both(OTHERS[q])
    if (p, q) in STRICTER:
        one = numbers(ours.kl_divergence(mine_p.distribution, mine_q.distribution))
        inside = p == "Uniform"
        assert np.isfinite(one).all() == inside
        if inside:  # by quadrature
            low, high = numbers(mine_p.parameters[0]), numbers(mine_p.parameters[1])
            x = low + (high - low) * ((np.arange(4000) + 0.5) / 4000)[:, None]
            q_of_x = numbers(other_q.distribution.log_prob(torch.tensor(x)))
            np.testing.assert_allclose(one, (-np.log(high - low) - q_of_x).mean(0), rtol=1e-6)
        return
    one = ours.kl_divergence(mine_p.distribution, mine_q.distribution)
    two = theirs.kl_divergence(other_p.distribution, other_q.distribution)
    mine = Made(None, mine_p.parameters + mine_q.parameters)
    other = Made(None, other_p.parameters + other_q.parameters)
    if np.isfinite(numbers(two)).all():
        compare(one, two, mine, other)
    else:
        np.testing.assert_allclose(numbers(one), numbers(two), rtol=1e-6)


@pytest.mark.parametrize("name", ["Gamma", "Beta", "Dirichlet", "Normal", "Exponential"])
def test_bregmans_formulas_agree_with_the_closed_ones(name: str) -> None:
    from chainrule.distributions.exp_family import ExponentialFamily
    from chainrule.distributions.kl.registry import _FORMULAS

    p, q = both(MEMBERS[name])[0].distribution, both(OTHERS[name])[0].distribution
    general = _FORMULAS[ExponentialFamily, ExponentialFamily](p, q)
    np.testing.assert_allclose(numbers(general), numbers(ours.kl_divergence(p, q)), rtol=1e-9)
    if name in ("Gamma", "Normal", "Exponential"):
        np.testing.assert_allclose(numbers(ExponentialFamily.entropy(p)), numbers(p.entropy()), rtol=1e-9)


def test_every_name_is_there() -> None:
    assert set(theirs.__all__) <= set(ours.__all__)
    for part in ("constraints", "transforms"):
        assert set(getattr(theirs, part).__all__) <= set(getattr(ours, part).__all__)
    for name in (
        "broadcast_all",
        "clamp_probs",
        "euler_constant",
        "lazy_property",
        "logits_to_probs",
        "probs_to_logits",
    ):
        assert hasattr(ours.utils, name) and hasattr(theirs.utils, name)


def test_the_mode_of_kumaraswamy() -> None:
    """PyTorch's is NaN for b > 1."""
    p = ours.Kumaraswamy(chainrule.tensor([1.7, 3.4]), chainrule.tensor([2.6, 1.9]))
    x = (chainrule.arange(1999) + 1).reshape(-1, 1) / 2000
    best = x[p.log_prob(x).argmax(0)].squeeze(-1)
    np.testing.assert_allclose(numbers(p.mode), numbers(best), atol=1e-3)


@pytest.mark.parametrize(
    "source", ["d.Gamma(t([0.7, 2.4]), t([1.6, 0.9]))", "d.InverseGamma(t([2.7, 4.4]), t([1.6, 0.9]))"]
)
def test_the_gradient_of_the_gamma_distributions_function(source: str) -> None:
    """PyTorch's has none in the concentration."""
    mine, _ = both(source)
    x = chainrule.tensor(eval(POSITIVE), dtype=chainrule.float64)

    def cdf(*parameters: Any) -> Any:
        return type(mine.distribution)(*parameters).cdf(x)

    assert chainrule.autograd.gradcheck(cdf, tuple(mine.parameters))


def test_degenerate_probabilities() -> None:
    for lib, tensor in ((ours, chainrule.tensor), (theirs, torch.tensor)):
        p = lib.Bernoulli(tensor([0.0, 1.0]))
        q = lib.Bernoulli(tensor([0.5, 0.0]))
        np.testing.assert_allclose(numbers(lib.kl_divergence(p, q)), [math.log(2), math.inf], rtol=1e-5)
        c = lib.Categorical(tensor([0.0, 1.0]))
        np.testing.assert_allclose(numbers(c.entropy()), 0.0, atol=1e-5)
        g = lib.Geometric(tensor(1.0))
        assert float(g.sample()) == 0.0
