"""The generalised Pareto distribution of what exceeds a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import broadcast_all
from chainrule.functions.creation import ones_like
from chainrule.functions.logic import where
from chainrule.random import rand
from chainrule.tensor import Tensor

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """P(X > x) = (1 + ξ·z)^(−1/ξ) with z = (x − μ)/σ ≥ 0, and e^(−z) at ξ = 0.

    `loc` is μ, `scale` σ > 0, `concentration` ξ; for a negative ξ numbers end at μ − σ/ξ.

    >>> import chainrule
    >>> GeneralizedPareto(0.0, 1.0, 0.0).mean      # an exponential distribution
    tensor(1.)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = where(self.concentration < 0, self.loc - self.scale / self._shape_or_one, math.inf)
        return constraints.interval(self.loc, end)

    @property
    def _is_exponential(self) -> Tensor:
        return self.concentration.abs() < 1e-12

    @property
    def _shape_or_one(self) -> Tensor:
        """ξ, and 1 where it is 0 and only chosen around: so that no branch divides by 0, gradients included."""
        return where(self._is_exponential, ones_like(self.concentration), self.concentration)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device))

    def _log_survival(self, value: Tensor) -> Tensor:
        z, xi = (value - self.loc) / self.scale, self._shape_or_one
        return where(self._is_exponential, -z, -(z * xi).log1p() / xi)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (1 + self.concentration) * self._log_survival(value) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -self._log_survival(value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        log_left, xi = (-value).log1p(), self._shape_or_one
        return self.loc + self.scale * where(self._is_exponential, -log_left, (-xi * log_left).expm1() / xi)

    @property
    def mean(self) -> Tensor:
        xi = self.concentration
        return where(xi < 1, self.loc + self.scale / (1 - xi), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        xi = self.concentration
        return where(xi < 0.5, self.scale**2 / ((1 - xi) ** 2 * (1 - 2 * xi)), math.inf)

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1
