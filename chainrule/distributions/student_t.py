"""Student's t-distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.gamma import standard_gamma
from chainrule.distributions.utils import broadcast_all
from chainrule.functions.logic import where
from chainrule.random import randn
from chainrule.tensor import Tensor

__all__ = ["StudentT"]


class StudentT(Distribution):
    """μ + σ·z/√(s/ν) with z normal and s χ²-distributed with `df` = ν degrees; `loc` is μ and `scale` σ > 0.

    >>> import chainrule
    >>> StudentT(3.0).variance
    tensor(3.)
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(tuple(self.df.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        df = self.df
        return where(df > 2, self.scale**2 * df / (df - 2), where(df > 1, math.inf, math.nan))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        df = self.df.expand(*shape)
        squares = 2 * standard_gamma(df / 2)
        return self.loc + self.scale * randn(shape, dtype=df.dtype, device=df.device) * (squares / df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        df = self.df
        z = (value - self.loc) / self.scale
        norm = self.scale.log() + 0.5 * (df.log() + math.log(math.pi)) + (df / 2).lgamma() - ((df + 1) / 2).lgamma()
        return -0.5 * (df + 1) * (z * z / df).log1p() - norm

    def entropy(self) -> Tensor:
        half, more = self.df / 2, (self.df + 1) / 2
        log_beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return self.scale.log() + more * (more.digamma() - half.digamma()) + 0.5 * self.df.log() + log_beta
