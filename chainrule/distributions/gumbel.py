"""Gumbel's distribution of the largest of many numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import broadcast_all, euler_constant
from chainrule.dtypes import FloatLimits
from chainrule.random import rand
from chainrule.tensor import Tensor

__all__ = ["Gumbel", "standard_gumbel"]


def standard_gumbel(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    """−ln(−ln u) for uniform u, the numbers that make a choice in proportion to exp(logits) from argmax(logits + g)."""
    return (
        -(-rand(tuple(shape), dtype=dtype, device=device).clamp(min=FloatLimits(dtype).tiny).log())
        .clamp(min=FloatLimits(dtype).eps / 2)
        .log()
    )


class Gumbel(Distribution):
    """The distribution function exp(−exp(−(x − μ)/β)); `loc` is μ and `scale` β > 0.

    >>> import chainrule
    >>> Gumbel(0.0, 1.0).mean      # Euler's constant
    tensor(0.5772)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (math.pi**2 / 6)

    @property
    def stddev(self) -> Tensor:
        return self.scale * (math.pi / math.sqrt(6))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        loc = self.loc
        return loc + self.scale * standard_gumbel(self._extended_shape(sample_shape), loc.dtype, loc.device)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + euler_constant)
