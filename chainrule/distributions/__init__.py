"""Probability distributions, with PyTorch's names and meaning.

A distribution has parameters (tensors), draws samples, knows the logarithm of the density of a value, and often its
entropy, its distribution function and the divergence from another one. Samples come from chainrule's default
generator, so `manual_seed` repeats them, in compiled steps too. Samples of `rsample` have a gradient in the parameters:

    location and scale     x = μ + σ·ε                    Normal, Laplace, Cauchy, Gumbel, StudentT, MultivariateNormal
    inverse function       x = F⁻¹(u)                     Uniform, Exponential, Weibull, Pareto, Kumaraswamy
    implicit               dx/da = −(∂F/∂a)/p(x)          Gamma, Beta, Dirichlet, and what is made of them
    relaxed                softmax((ln p + g)/τ)          RelaxedBernoulli, RelaxedOneHotCategorical

>>> import chainrule
>>> from chainrule.distributions import Normal, kl_divergence
>>> _ = chainrule.manual_seed(0)
>>> posterior = Normal(chainrule.zeros(2), chainrule.ones(2))
>>> posterior.rsample((3,)).shape
Size([3, 2])
>>> kl_divergence(posterior, Normal(0.0, 2.0)).sum()
tensor(0.6363)
"""

from chainrule.distributions import constraint_registry, constraints, kl, transforms, utils
from chainrule.distributions.bernoulli import Bernoulli
from chainrule.distributions.beta import Beta
from chainrule.distributions.binomial import Binomial
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.cauchy import Cauchy
from chainrule.distributions.chi2 import Chi2
from chainrule.distributions.constraint_registry import biject_to, transform_to
from chainrule.distributions.continuous_bernoulli import ContinuousBernoulli
from chainrule.distributions.dirichlet import Dirichlet
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.distributions.exponential import Exponential
from chainrule.distributions.fishersnedecor import FisherSnedecor
from chainrule.distributions.gamma import Gamma
from chainrule.distributions.generalized_pareto import GeneralizedPareto
from chainrule.distributions.geometric import Geometric
from chainrule.distributions.gumbel import Gumbel
from chainrule.distributions.half_cauchy import HalfCauchy
from chainrule.distributions.half_normal import HalfNormal
from chainrule.distributions.independent import Independent
from chainrule.distributions.inverse_gamma import InverseGamma
from chainrule.distributions.kl import kl_divergence, register_kl
from chainrule.distributions.kumaraswamy import Kumaraswamy
from chainrule.distributions.laplace import Laplace
from chainrule.distributions.lkj_cholesky import LKJCholesky
from chainrule.distributions.log_normal import LogNormal
from chainrule.distributions.logistic_normal import LogisticNormal
from chainrule.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from chainrule.distributions.mixture_same_family import MixtureSameFamily
from chainrule.distributions.multinomial import Multinomial
from chainrule.distributions.multivariate_normal import MultivariateNormal
from chainrule.distributions.negative_binomial import NegativeBinomial
from chainrule.distributions.normal import Normal
from chainrule.distributions.one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from chainrule.distributions.pareto import Pareto
from chainrule.distributions.poisson import Poisson
from chainrule.distributions.relaxed_bernoulli import RelaxedBernoulli
from chainrule.distributions.relaxed_categorical import RelaxedOneHotCategorical
from chainrule.distributions.student_t import StudentT
from chainrule.distributions.transformed_distribution import TransformedDistribution
from chainrule.distributions.transforms import *  # noqa: F403
from chainrule.distributions.transforms import __all__ as _transforms
from chainrule.distributions.uniform import Uniform
from chainrule.distributions.von_mises import VonMises
from chainrule.distributions.weibull import Weibull
from chainrule.distributions.wishart import Wishart

__all__ = [
    "constraint_registry",
    "constraints",
    "kl",
    "transforms",
    "utils",
    "Bernoulli",
    "Beta",
    "biject_to",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "kl_divergence",
    "Kumaraswamy",
    "Laplace",
    "LKJCholesky",
    "LogisticNormal",
    "LogNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "register_kl",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "transform_to",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    *_transforms,
]
