"""Distributions as lines of Python that both frameworks understand: `d` are the distributions, `t` makes a parameter.

A case's parameters are in float64; `values` are points at which the density is asked, in the support.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A distribution, the points at which it is evaluated, and what it has."""

    source: str
    values: str
    #: Which of entropy, cdf, mean, variance, mode PyTorch has; cdf-value: without a gradient in the parameters.
    has: str = "entropy mean variance mode"
    #: For samples: "continuous" (Kolmogorov–Smirnov against cdf), "discrete" (χ² against log_prob), or "".
    samples: str = ""


REAL = "[[-1.3, 0.2], [0.9, 2.5], [-0.4, -3.0]]"
POSITIVE = "[[0.3, 1.2], [0.05, 4.5], [2.1, 0.7]]"
UNIT = "[[0.3, 0.9], [0.05, 0.5], [0.71, 0.12]]"
COUNTS = "[[0.0, 1.0], [2.0, 3.0], [5.0, 1.0]]"
BITS = "[[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]"
SIMPLEX = "[[0.2, 0.3, 0.5], [0.1, 0.85, 0.05]]"

MOMENTS = "entropy mean variance mode"
FULL = f"{MOMENTS} cdf"
P, P2, R, U = "t([0.7, 2.4])", "t([1.6, 0.9])", "t([-0.5, 1.1])", "t([0.3, 0.8])"
L3 = "t([[0.4, -1.0, 0.3], [1.2, 0.1, -0.6]])"
P3 = "t([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])"
A3 = "t([[0.7, 2.0, 1.3], [3.1, 0.9, 1.0]])"
TRIL = "t([[1.3, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.2, 0.5, 1.1]])"
COV = "t([[2.0, 0.5, 0.1], [0.5, 1.2, -0.3], [0.1, -0.3, 0.9]])"
V3 = "[[0.1, -0.7, 1.2], [2.0, 0.3, -0.8]]"

CASES = [
    Case(f"d.Normal({R}, {P})", REAL, FULL, "continuous"),
    Case(f"d.LogNormal({R}, {P})", POSITIVE, FULL, "continuous"),
    Case(f"d.HalfNormal({P})", POSITIVE, FULL, "continuous"),
    Case(f"d.HalfCauchy({P})", POSITIVE, "entropy cdf", "continuous"),
    Case(f"d.Laplace({R}, {P})", REAL, FULL, "continuous"),
    Case(f"d.Cauchy({R}, {P})", REAL, "entropy mode cdf", "continuous"),
    Case(f"d.Gumbel({R}, {P})", REAL, FULL, "continuous"),
    Case(f"d.Uniform({R} - 5, {P} + 2)", REAL, "entropy mean variance cdf", "continuous"),
    Case(f"d.Exponential({P})", POSITIVE, FULL, "continuous"),
    Case(f"d.Gamma({P}, {P2})", POSITIVE, f"{MOMENTS} cdf-value", "continuous"),
    Case(f"d.Chi2({P})", POSITIVE, f"{MOMENTS} cdf-value", "continuous"),
    Case(f"d.InverseGamma({P} + 2, {P2})", POSITIVE, f"{MOMENTS} cdf-value", "continuous"),
    Case(f"d.Beta({P}, {P2})", UNIT),
    Case("d.Beta(t([3.2, 2.0]), t([1.4, 7.0]))", UNIT),
    Case(f"d.Dirichlet({A3})", SIMPLEX),
    Case(f"d.StudentT({P} + 2, {R}, {P2})", REAL),
    Case(f"d.FisherSnedecor({P} + 2, {P2} + 4)", POSITIVE, "mean variance mode"),
    Case(f"d.Weibull({P}, {P2} + 0.5)", POSITIVE, FULL, "continuous"),
    Case("d.Pareto(t([0.04, 0.02]), t([2.5, 4.0]))", POSITIVE, FULL, "continuous"),
    Case(f"d.GeneralizedPareto(t([-4.0, -5.0]), {P}, t([0.2, 0.3]))", REAL, FULL, "continuous"),
    Case(f"d.Kumaraswamy({P} + 1, {P2} + 1)", UNIT, "entropy mean variance cdf", "continuous"),
    Case(f"d.VonMises({R}, {P})", REAL, "mean variance mode"),
    Case(f"d.LogisticNormal({R}, {P})", SIMPLEX, ""),
    Case(f"d.Bernoulli({U})", BITS, samples="discrete"),
    Case(f"d.Bernoulli(logits={R})", BITS, samples="discrete"),
    Case(f"d.ContinuousBernoulli({U})", UNIT, "entropy mean variance cdf", "continuous"),
    Case("d.ContinuousBernoulli(t([0.5, 0.5003]))", UNIT, "entropy mean variance cdf", "continuous"),
    Case(f"d.Geometric({U})", COUNTS, samples="discrete"),
    Case(f"d.Geometric(logits={R})", COUNTS, samples="discrete"),
    Case(f"d.Binomial(6, {U})", COUNTS, samples="discrete"),
    Case(f"d.Binomial(60, logits={R})", COUNTS, samples="discrete"),
    Case(f"d.NegativeBinomial({P}, {U})", COUNTS, "mean variance mode", "discrete"),
    Case(f"d.Poisson({P})", COUNTS, "mean variance mode", "discrete"),
    Case("d.Poisson(t([30.0, 11.0]))", COUNTS, "mean variance mode", "discrete"),
    Case(f"d.Categorical({P3})", "[[0.0, 2.0], [1.0, 1.0]]", "entropy mode", "discrete"),
    Case(f"d.Categorical(logits={L3})", "[[0.0, 2.0], [1.0, 1.0]]", "entropy mode", "discrete"),
    Case(f"d.OneHotCategorical({P3})", "[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]"),
    Case(f"d.OneHotCategorical(logits={L3})", "[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]"),
    Case(f"d.OneHotCategoricalStraightThrough({P3})", "[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]"),
    Case(f"d.Multinomial(5, {P3})", "[[1.0, 4.0, 0.0], [2.0, 0.0, 3.0]]", "entropy mean variance"),
    Case(f"d.Multinomial(5, logits={L3})", "[[1.0, 4.0, 0.0], [2.0, 0.0, 3.0]]", "entropy mean variance"),
    Case(f"d.RelaxedBernoulli(t(0.6), {U})", UNIT, ""),
    Case(f"d.RelaxedOneHotCategorical(t(0.6), {P3})", SIMPLEX, ""),
    Case(f"d.RelaxedOneHotCategorical(t(1.6), logits={L3})", SIMPLEX, ""),
    Case(f"d.MultivariateNormal(t([0.1, 0.2, -0.5]), scale_tril={TRIL})", V3),
    Case(f"d.MultivariateNormal(t([0.1, 0.2, -0.5]), {COV})", V3),
    Case(f"d.MultivariateNormal(t([0.1, 0.2, -0.5]), precision_matrix={COV})", V3),
    Case("d.LowRankMultivariateNormal(t([0.1, 0.2, -0.5]), t([[0.3], [1.0], [-0.6]]), t([0.5, 1.5, 0.8]))", V3),
    Case(f"d.Wishart(t(4.5), scale_tril={TRIL})", "[[[2.0, 0.5, 0.1], [0.5, 1.2, -0.3], [0.1, -0.3, 0.9]]]"),
    Case(f"d.Wishart(t(4.5), {COV})", "[[[2.0, 0.5, 0.1], [0.5, 1.2, -0.3], [0.1, -0.3, 0.9]]]"),
    Case("d.LKJCholesky(3, t(1.7))", "[[[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]]", ""),
    Case(f"d.MixtureSameFamily(d.Categorical({P3}), d.Normal({L3}, t([0.5, 1.0, 2.0])))", REAL, "mean variance"),
    Case(
        f"d.MixtureSameFamily(d.Categorical(t([0.2, 0.8])), d.Independent(d.Normal({L3}, t(1.3)), 1))",
        V3, "mean variance",
    ),
    Case(f"d.Independent(d.Normal({R}, {P}), 1)", REAL),
    Case(f"d.TransformedDistribution(d.Normal({R}, {P}), [d.AffineTransform(1.0, 2.0), d.SigmoidTransform()])", UNIT, "cdf", "continuous"),
    Case(f"d.TransformedDistribution(d.Normal({R}, {P}), [d.ExpTransform(), d.AffineTransform(9.0, -1.0)])", REAL, "cdf", "continuous"),
    Case(f"d.TransformedDistribution(d.Laplace({R}, {P}), d.TanhTransform())", UNIT, "cdf", "continuous"),
]  # fmt: skip

#: One member of each family that a divergence is registered for.
MEMBERS: dict[str, str] = {
    "Bernoulli": f"d.Bernoulli({U})",
    "Beta": f"d.Beta({P}, {P2})",
    "Binomial": f"d.Binomial(4, {U})",
    "Categorical": f"d.Categorical({P3})",
    "Cauchy": f"d.Cauchy({R}, {P})",
    "ContinuousBernoulli": f"d.ContinuousBernoulli({U})",
    "Dirichlet": f"d.Dirichlet({A3})",
    "Exponential": f"d.Exponential({P})",
    "Gamma": f"d.Gamma({P}, {P2})",
    "Geometric": f"d.Geometric({U})",
    "Gumbel": f"d.Gumbel({R}, {P})",
    "HalfNormal": f"d.HalfNormal({P})",
    "Independent": f"d.Independent(d.Normal({R}, {P}), 1)",
    "Laplace": f"d.Laplace({R}, {P})",
    "LowRankMultivariateNormal": CASES[-1].source,  # set below
    "MultivariateNormal": f"d.MultivariateNormal(t([0.1, 0.2, -0.5]), scale_tril={TRIL})",
    "Normal": f"d.Normal({R}, {P})",
    "OneHotCategorical": f"d.OneHotCategorical({P3})",
    "Pareto": "d.Pareto(t([0.5, 0.7]), t([2.5, 4.0]))",
    "Poisson": f"d.Poisson({P})",
    "TransformedDistribution": f"d.TransformedDistribution(d.Normal({R}, {P}), [d.ExpTransform()])",
    "Uniform": "d.Uniform(t([0.2, 0.1]), t([0.6, 0.9]))",
}
MEMBERS["LowRankMultivariateNormal"] = (
    "d.LowRankMultivariateNormal(t([0.1, 0.2, -0.5]), t([[0.3], [1.0], [-0.6]]), t([0.5, 1.5, 0.8]))"
)
#: Another member of the families, for the divergence of two.
OTHERS: dict[str, str] = {
    **MEMBERS,
    "Bernoulli": "d.Bernoulli(t([0.6, 0.1]))",
    "Beta": "d.Beta(t([2.5, 0.6]), t([1.1, 3.0]))",
    "Binomial": "d.Binomial(4, t([0.6, 0.1]))",
    "Categorical": f"d.Categorical(logits={L3})",
    "Cauchy": "d.Cauchy(t([0.2, 0.1]), t([1.1, 3.0]))",
    "ContinuousBernoulli": "d.ContinuousBernoulli(t([0.6, 0.1]))",
    "Dirichlet": "d.Dirichlet(t([[1.7, 0.4, 2.3], [1.1, 1.9, 0.5]]))",
    "Exponential": "d.Exponential(t([1.1, 3.0]))",
    "Gamma": "d.Gamma(t([2.5, 0.6]), t([1.1, 3.0]))",
    "Geometric": "d.Geometric(t([0.6, 0.1]))",
    "Gumbel": "d.Gumbel(t([0.2, 0.1]), t([1.1, 3.0]))",
    "HalfNormal": "d.HalfNormal(t([1.1, 3.0]))",
    "Independent": "d.Independent(d.Normal(t([0.2, 0.1]), t([1.1, 3.0])), 1)",
    "Laplace": "d.Laplace(t([0.2, 0.1]), t([1.1, 3.0]))",
    "LowRankMultivariateNormal": (
        "d.LowRankMultivariateNormal(t([0.4, 0.0, 0.5]), t([[0.1], [0.5], [0.9]]), t([1.5, 0.5, 1.8]))"
    ),
    "MultivariateNormal": f"d.MultivariateNormal(t([0.4, 0.0, 0.5]), {COV})",
    "Normal": "d.Normal(t([0.2, 0.1]), t([1.1, 3.0]))",
    "OneHotCategorical": f"d.OneHotCategorical(logits={L3})",
    "Pareto": "d.Pareto(t([0.3, 0.9]), t([1.5, 3.0]))",
    "Poisson": "d.Poisson(t([1.1, 3.0]))",
    "TransformedDistribution": "d.TransformedDistribution(d.Normal(t([0.2, 0.1]), t([1.1, 3.0])), [d.ExpTransform()])",
    "Uniform": "d.Uniform(t([0.1, 0.3]), t([0.7, 1.0]))",
}


class Made(NamedTuple):
    """A distribution of one framework with the parameters it was made of."""

    distribution: Any
    parameters: list[Any]


def made(source: str, d: Any, tensor: Any, float64: Any) -> Made:
    """Evaluate a line in one framework; parameters want gradients."""
    parameters: list[Any] = []

    def t(numbers: Any) -> Any:
        parameters.append(tensor(numbers, dtype=float64, requires_grad=True))
        return parameters[-1]

    return Made(eval(source, {"d": d, "t": t}), parameters)
