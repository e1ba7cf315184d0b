"""The gamma distribution, and samples of it with their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.function import Function
from chainrule.distributions import constraints
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.distributions.utils import broadcast_all
from chainrule.dtypes import FloatLimits
from chainrule.functions.arithmetic import xlogy
from chainrule.functions.incomplete_gamma import gamma_slope, gammainc
from chainrule.primitives.random import RandomLogGamma
from chainrule.primitives.rejection import blocks_reserved
from chainrule.random import default_generator
from chainrule.tensor import Tensor

__all__ = ["Gamma", "log_gamma_draws", "standard_gamma"]


def log_gamma_draws(concentration: Tensor) -> Tensor:
    """Logarithms of gamma-distributed numbers with rate 1, without a gradient: numbers below any float have one too."""
    fixed = concentration.detach()
    return default_generator.draw(RandomLogGamma, blocks_reserved(fixed.numel()), fixed)


class _StandardGamma(Function):
    """A sample that moves with its concentration such that its probability P(a, x) stays what it is."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        drawn = log_gamma_draws(concentration).exp().clamp(min=FloatLimits(concentration.dtype).tiny)
        ctx.save_for_backward(concentration, drawn)
        return drawn

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g * gamma_slope(*ctx.saved_tensors)


def standard_gamma(concentration: Tensor) -> Tensor:
    """One gamma-distributed number with rate 1 for each concentration, differentiable in it.

    The gradient is implicit: dx/da = −(∂P(a, x)/∂a)/p(x), which keeps the probability of numbers up to x what it is.
    Source: Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018.

    >>> import chainrule
    >>> bool((standard_gamma(chainrule.full((10,), 0.5)) > 0).all())
    True
    """
    return _StandardGamma.apply(concentration)


class Gamma(ExponentialFamily):
    """The density βᵃ·x^(a−1)·e^(−βx)/Γ(a) for x > 0; `concentration` is a > 0 and `rate` β > 0.

    >>> import chainrule
    >>> Gamma(3.0, 2.0).mean, Gamma(3.0, 2.0).variance
    (tensor(1.5000), tensor(0.7500))
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(tuple(self.concentration.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        drawn = standard_gamma(self.concentration.expand(*shape)) / self.rate
        return drawn.clamp(min=FloatLimits(drawn.dtype).tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, rate = self.concentration, self.rate
        return xlogy(a, rate) + xlogy(a - 1, value) - rate * value - a.lgamma()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, y = natural_params
        return (x + 1).lgamma() - (x + 1) * (-y).log()
