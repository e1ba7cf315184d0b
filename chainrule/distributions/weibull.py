"""The Weibull distribution of lifetimes."""

from __future__ import annotations

from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.exponential import Exponential
from chainrule.distributions.transformed_distribution import TransformedDistribution
from chainrule.distributions.transforms import AffineTransform, PowerTransform
from chainrule.distributions.utils import broadcast_all, euler_constant
from chainrule.functions.creation import ones_like
from chainrule.tensor import Tensor

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """P(X > x) = exp(−(x/λ)ᵏ) for x > 0; `scale` is λ > 0 and `concentration` k > 0.

    >>> import chainrule
    >>> Weibull(2.0, 1.0).mean
    tensor(2.)
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(ones_like(self.scale), validate_args=False)
        parts = [PowerTransform(exponent=self.concentration.reciprocal()), AffineTransform(0, self.scale)]
        super().__init__(base, parts, validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        scale, concentration = self.scale.expand(*batch_shape), self.concentration.expand(*batch_shape)
        Weibull.__init__(new, scale, concentration, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.scale * (1 + self.concentration.reciprocal()).lgamma().exp()

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        return self.scale * (((k - 1) / k).clamp(min=0)) ** k.reciprocal()

    @property
    def variance(self) -> Tensor:
        inverse = self.concentration.reciprocal()
        return self.scale**2 * ((1 + 2 * inverse).lgamma().exp() - (2 * (1 + inverse).lgamma()).exp())

    def entropy(self) -> Tensor:
        inverse = self.concentration.reciprocal()
        return euler_constant * (1 - inverse) + (self.scale * inverse).log() + 1
