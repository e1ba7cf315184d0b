"""The Bernoulli distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.probs_or_logits import ProbsOrLogits
from chainrule.functions.creation import arange
from chainrule.functions.logic import where
from chainrule.functions.shape import broadcast_tensors
from chainrule.nn.losses.binary import binary_cross_entropy_with_logits
from chainrule.random import bernoulli
from chainrule.tensor import Tensor

__all__ = ["Bernoulli"]


class Bernoulli(ProbsOrLogits):
    """1 with probability p, else 0; give `probs` or `logits`.

    >>> import chainrule
    >>> Bernoulli(0.25).log_prob(chainrule.tensor([0.0, 1.0])).exp()
    tensor([0.7500, 0.2500])
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take(probs, logits)
        super().__init__(tuple(self._param.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return where(self.probs == 0.5, float("nan"), (self.probs >= 0.5).to(self.probs.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return bernoulli(self.probs.expand(*self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_tensors(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return listed(2, self._batch_shape, self._param.dtype, self._param.device, expand)


def listed(count: int, batch_shape: Sequence[int], dtype: Any, device: Any, expand: bool) -> Tensor:
    """0, 1, …, count − 1 along a first dimension, repeated for the batch if `expand` says so."""
    values = arange(count, dtype=dtype, device=device).reshape(-1, *[1] * len(batch_shape))
    return values.expand(-1, *batch_shape) if expand else values
