"""A yes or no as a number between: a discrete choice with a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.probs_or_logits import ProbsOrLogits
from chainrule.distributions.transformed_distribution import TransformedDistribution
from chainrule.distributions.transforms import SigmoidTransform
from chainrule.distributions.utils import broadcast_all, clamp_probs
from chainrule.nn.activations.smooth import softplus
from chainrule.random import rand
from chainrule.tensor import Tensor

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(ProbsOrLogits):
    """The logit of a `RelaxedBernoulli` sample: (logits + logistic noise)/temperature.

    >>> import chainrule
    >>> LogitRelaxedBernoulli(0.5, 0.5).log_prob(chainrule.tensor(0.0)).exp()
    tensor(0.1250)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(probs, logits)
        self.temperature = temperature
        super().__init__(tuple(self._param.shape), validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        super()._expand_into(new, batch_shape)
        new.temperature = self.temperature

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = clamp_probs(rand(self._extended_shape(sample_shape), dtype=self._param.dtype, device=self._param.device))
        return (u.log() - (-u).log1p() + self.logits) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value, temperature = broadcast_all(self.logits, value, self.temperature)
        difference = logits - value * temperature
        return temperature.log() + difference - 2 * softplus(difference)


class RelaxedBernoulli(TransformedDistribution):
    """σ((logits + logistic noise)/temperature): near 0 or 1 at a low temperature, and smooth.

    >>> import chainrule
    >>> bool((RelaxedBernoulli(1.0, 0.5).rsample((9,)) < 1).all())
    True
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    base_dist: LogitRelaxedBernoulli

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    def _check_parameters(self) -> None:
        """The base has checked them."""

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1 samples lie."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probability of 1 at temperature 0."""
        return self.base_dist.probs

    @property
    def logits(self) -> Tensor:
        """The logarithm of its odds."""
        return self.base_dist.logits
