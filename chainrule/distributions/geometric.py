"""The geometric distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.distribution import require
from chainrule.distributions.probs_or_logits import ProbsOrLogits
from chainrule.functions.creation import zeros_like
from chainrule.nn.losses.binary import binary_cross_entropy_with_logits
from chainrule.random import rand
from chainrule.special import xlog1py
from chainrule.tensor import Tensor

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits):
    """How many trials fail before the first success: (1 − p)ᵏ·p for k = 0, 1, …; give `probs` (in (0, 1]) or `logits`.

    >>> import chainrule
    >>> Geometric(0.25).mean
    tensor(3.)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take(probs, logits)
        super().__init__(tuple(self._param.shape), validate_args=validate_args)
        if self._validate_args and probs is not None:
            require(constraints.positive, self.probs, who="Geometric", what="probs")

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            u = rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
            return ((-u).log1p() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return xlog1py(value.to(self.probs.dtype), -self.probs) + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
