"""Von Mises' distribution of angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import broadcast_all
from chainrule.functions.bessel import i0e, i1e
from chainrule.primitives.random import RandomVonMises
from chainrule.primitives.rejection import blocks_reserved
from chainrule.random import default_generator
from chainrule.tensor import Tensor

__all__ = ["VonMises"]


class VonMises(Distribution):
    """The density exp(κ·cos(x − μ))/(2π·I₀(κ)) on the circle; `loc` is μ and `concentration` κ > 0. Angles are radians.

    >>> import chainrule
    >>> VonMises(0.0, 1.0).log_prob(chainrule.tensor(0.0))
    tensor(-1.0738)
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 − I₁(κ)/I₀(κ)."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            kappa = self.concentration.expand(*self._extended_shape(sample_shape))
            angle = default_generator.draw(RandomVonMises, blocks_reserved(kappa.numel()), kappa)
            return (angle + self.loc + math.pi) % (2 * math.pi) - math.pi

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        kappa = self.concentration
        return kappa * ((value - self.loc).cos() - 1) - math.log(2 * math.pi) - i0e(kappa).log()

    def entropy(self) -> Tensor:
        kappa = self.concentration
        return math.log(2 * math.pi) + i0e(kappa).log() + kappa * (1 - i1e(kappa) / i0e(kappa))
