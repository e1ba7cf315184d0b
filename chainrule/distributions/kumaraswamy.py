"""Kumaraswamy's distribution, which is like the beta distribution and has a plain inverse."""

from __future__ import annotations

from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.transformed_distribution import TransformedDistribution
from chainrule.distributions.transforms import AffineTransform, PowerTransform
from chainrule.distributions.uniform import Uniform
from chainrule.distributions.utils import broadcast_all, euler_constant
from chainrule.functions.creation import full_like, ones_like, zeros_like
from chainrule.functions.logic import where
from chainrule.tensor import Tensor

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """P(X ≤ x) = 1 − (1 − xᵃ)ᵇ in [0, 1]; `concentration1` is a > 0 and `concentration0` b > 0.

    >>> import chainrule
    >>> Kumaraswamy(1.0, 1.0).mean
    tensor(0.5000)
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(zeros_like(self.concentration0), ones_like(self.concentration0), validate_args=False)
        parts = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base, parts, validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        both = self.concentration1.expand(*batch_shape), self.concentration0.expand(*batch_shape)
        Kumaraswamy.__init__(new, *both, validate_args=False)

    def _moment(self, n: int) -> Tensor:
        """E[xⁿ] = b·B(1 + n/a, b)."""
        a, b = self.concentration1, self.concentration0
        first = 1 + n / a
        return (b.log() + first.lgamma() + b.lgamma() - (first + b).lgamma()).exp()

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inside = (a >= 1) & (b >= 1) & (a * b != 1)
        # Where there is no peak inside there is none; ones stand in, so that nothing is divided by 0.
        a, b = where(inside, a, 2.0), where(inside, b, 2.0)
        return where(inside, ((a - 1) / (a * b - 1)) ** a.reciprocal(), full_like(a, float("nan")))

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + euler_constant
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
