"""The Poisson distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule.random as random
from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.distributions.utils import broadcast_all
from chainrule.functions.arithmetic import xlogy
from chainrule.tensor import Tensor

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    """λᵏ·e^(−λ)/k! for k = 0, 1, …: how often something happens that happens λ times on average; `rate` is λ ≥ 0.

    >>> import chainrule
    >>> Poisson(2.0).log_prob(chainrule.tensor([0.0, 2.0])).exp()
    tensor([0.1353, 0.2707])
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(tuple(self.rate.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return random.poisson(self.rate.expand(*self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = value.to(self.rate.dtype)
        return xlogy(value, self.rate) - self.rate - (value + 1).lgamma()

    def entropy(self) -> Tensor:
        raise NotImplementedError("the entropy of Poisson is a series without a closed form.")

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.rate.log(),)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        return natural_params[0].exp()
