"""Divergences of members of two families: −H(p) − E_p[ln q(x)], which needs a few expectations under p."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.distributions.bernoulli import Bernoulli
from chainrule.distributions.beta import Beta
from chainrule.distributions.binomial import Binomial
from chainrule.distributions.continuous_bernoulli import ContinuousBernoulli
from chainrule.distributions.exponential import Exponential
from chainrule.distributions.gamma import Gamma
from chainrule.distributions.gumbel import Gumbel
from chainrule.distributions.kl.registry import register_kl
from chainrule.distributions.kl.same_family import infinite_where
from chainrule.distributions.laplace import Laplace
from chainrule.distributions.normal import Normal
from chainrule.distributions.pareto import Pareto
from chainrule.distributions.poisson import Poisson
from chainrule.distributions.uniform import Uniform
from chainrule.distributions.utils import euler_constant
from chainrule.functions.arithmetic import xlogy
from chainrule.functions.creation import full_like
from chainrule.tensor import Tensor

# Expectations under p --------------------------------------------------------------------------------


def _mean_log_between(low: Tensor, high: Tensor) -> Tensor:
    """E[ln x] for x uniform in [low, high]."""
    return (xlogy(high, high) - xlogy(low, low)) / (high - low) - 1


#: E[ln x].
_MEAN_LOG: dict[type, Callable[[Any], Tensor]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -euler_constant - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _mean_log_between(p.low, p.high),
}

#: ln E[e^(−x/s)].
_LOG_LAPLACE_TRANSFORM: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Exponential: lambda p, s: -(1 / (p.rate * s)).log1p(),
    Gamma: lambda p, s: -p.concentration * (1 / (p.rate * s)).log1p(),
    Normal: lambda p, s: -p.loc / s + 0.5 * (p.scale / s) ** 2,
    Uniform: lambda p, s: (
        -p.low / s + (-(-(p.high - p.low) / s).expm1()).log() + (s / (p.high - p.low)).log()
    ),
}  # fmt: skip


def _for_each(kinds: Any, type_q: Any) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        for kind in kinds:
            register_kl(kind, type_q)(function)
        return function

    return register


# By the family of q ----------------------------------------------------------------------------------


@_for_each((Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform), Normal)
def _(p: Any, q: Normal) -> Tensor:
    squares = (p.variance + (p.mean - q.loc) ** 2) / (2 * q.variance)
    return squares + 0.5 * math.log(2 * math.pi) + q.scale.log() - p.entropy()


@_for_each((Beta, ContinuousBernoulli, Gamma, Pareto, Uniform), Exponential)
def _(p: Any, q: Exponential) -> Tensor:
    return _inside_positive(p, q.rate * p.mean - q.rate.log() - p.entropy())


@_for_each((Beta, Exponential, Pareto, Uniform), Gamma)
def _(p: Any, q: Gamma) -> Tensor:
    a = q.concentration
    constant = a.lgamma() - a * q.rate.log()
    return _inside_positive(p, constant - (a - 1) * _MEAN_LOG[type(p)](p) + q.rate * p.mean - p.entropy())


def _inside_positive(p: Any, value: Tensor) -> Tensor:
    """∞ where p reaches below 0, which only a uniform distribution may."""
    return infinite_where(p.low < 0, value) if isinstance(p, Uniform) else value


@_for_each((Exponential, Gamma, Normal, Uniform), Gumbel)
def _(p: Any, q: Gumbel) -> Tensor:
    last = (q.loc / q.scale + _LOG_LAPLACE_TRANSFORM[type(p)](p, q.scale)).exp()
    return q.scale.log() + (p.mean - q.loc) / q.scale + last - p.entropy()


@register_kl(Normal, Laplace)
def _(p: Normal, q: Laplace) -> Tensor:
    shift = p.loc - q.loc
    standard = shift / p.scale
    # E|x − μ| of a normal number.
    distance = math.sqrt(2 / math.pi) * p.scale * (-0.5 * standard**2).exp() + shift * (standard / math.sqrt(2)).erf()
    return (2 * q.scale).log() + distance / q.scale - p.entropy()


@register_kl(Uniform, Beta)
def _(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    constant = a.lgamma() + b.lgamma() - (a + b).lgamma()
    logs = (a - 1) * _MEAN_LOG[Uniform](p) + (b - 1) * _mean_log_between(1 - p.high, 1 - p.low)
    return _inside_unit_interval(p, constant - logs - p.entropy())


@_for_each((Beta, Uniform), ContinuousBernoulli)
def _(p: Any, q: ContinuousBernoulli) -> Tensor:
    value = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_constant()
    return _inside_unit_interval(p, value) if isinstance(p, Uniform) else value


def _inside_unit_interval(p: Uniform, value: Tensor) -> Tensor:
    return infinite_where((p.low < 0) | (p.high > 1), value)


@_for_each((Beta, ContinuousBernoulli), Uniform)
def _(p: Any, q: Uniform) -> Tensor:
    return infinite_where((q.low > 0) | (q.high < 1), (q.high - q.low).log() - p.entropy())


@register_kl(Uniform, Pareto)
def _(p: Uniform, q: Pareto) -> Tensor:
    value = (q.alpha + 1) * _MEAN_LOG[Uniform](p) - q.alpha.log() - q.alpha * q.scale.log() - p.entropy()
    return infinite_where(p.low < q.scale, value)


@register_kl(Bernoulli, Poisson)
def _(p: Bernoulli, q: Poisson) -> Tensor:
    return q.rate - p.probs * q.rate.log() - p.entropy()


# Where q excludes something that p allows ------------------------------------------------------------

_UNBOUNDED = (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_EXCLUDED: dict[type, tuple[type, ...]] = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: _UNBOUNDED,
    Laplace: _UNBOUNDED,
    Normal: _UNBOUNDED,
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}


def _infinite(p: Any, q: Any) -> Tensor:
    """∞ in the shape of both."""
    return full_like(p.mean + q.mean, math.inf)


for _kind, _others in _EXCLUDED.items():
    for _other in _others:
        register_kl(_kind, _other)(_infinite)
