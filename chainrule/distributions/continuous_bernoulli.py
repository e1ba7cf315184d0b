"""The continuous Bernoulli distribution, a proper likelihood for grey values in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.probs_or_logits import ProbsOrLogits
from chainrule.distributions.utils import clamp_probs
from chainrule.functions.creation import full_like
from chainrule.functions.logic import where
from chainrule.functions.shape import broadcast_tensors
from chainrule.nn.losses.binary import binary_cross_entropy_with_logits
from chainrule.random import rand
from chainrule.tensor import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits):
    """The density C(p)·pˣ·(1 − p)^(1−x) for x in [0, 1]; give `probs` or `logits`.

    C(p) = 2·artanh(1 − 2p)/(1 − 2p), and 2 at p = ½. Where p lies within `lims`, a Taylor series around ½ takes the
    place of the quotients, which lose their digits there.
    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in VAEs", 2019.

    >>> import chainrule
    >>> ContinuousBernoulli(0.5).log_prob(chainrule.tensor(0.3))      # uniform
    tensor(0.)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._take(probs, logits)
        self._lims = lims
        super().__init__(tuple(self._param.shape), validate_args=validate_args)
        if probs is not None:
            self.probs = clamp_probs(self.probs)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        super()._expand_into(new, batch_shape)
        new._lims = self._lims

    @property
    def _outside(self) -> Tensor:
        """Where the quotients are exact enough."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    @property
    def _away(self) -> Tensor:
        """p, and a number away from ½ where p is near it and the series is taken."""
        return where(self._outside, self.probs, full_like(self.probs, self._lims[0]))

    def _log_constant(self) -> Tensor:
        p = self._away
        log_norm = ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()
        x = (self.probs - 0.5) ** 2
        return where(self._outside, log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        p = self._away
        exact = p / (2 * p - 1) + 1 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return where(self._outside, exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x**2) * x)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        p = self._away
        exact = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / ((-p).log1p() - p.log()) ** 2
        x = (self.probs - 0.5) ** 2
        return where(self._outside, exact, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_tensors(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_constant()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        p = self._away
        exact = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        inside = where(self._outside, exact, value)
        return where(value <= 0, 0.0, where(value >= 1, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        p = self._away
        exact = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return where(self._outside, exact, value)

    def entropy(self) -> Tensor:
        log_p, log_q = self.probs.log(), (-self.probs).log1p()
        return self.mean * (log_q - log_p) - self._log_constant() - log_q
