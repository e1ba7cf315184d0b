"""The binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule.random as random
from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.bernoulli import listed
from chainrule.distributions.probs_or_logits import ProbsOrLogits
from chainrule.nn.activations.smooth import softplus
from chainrule.tensor import Tensor

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits):
    """How many of `total_count` trials succeed, each with probability p; give `probs` or `logits`.

    >>> import chainrule
    >>> Binomial(2, 0.5).log_prob(chainrule.tensor([0.0, 1.0, 2.0])).exp()
    tensor([0.2500, 0.5000, 0.2500])
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        (count,) = self._take(probs, logits, total_count)
        self.total_count = count.to(self._param.dtype)
        super().__init__(tuple(self._param.shape), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        top = ((self.total_count + 1) * self.probs).floor()
        return top.minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return random.binomial(self.total_count.expand(*shape), self.probs.expand(*shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # k·ln p + (n − k)·ln(1 − p) = k·logit − n·ln(1 + e^logit)
        return ways + value * self.logits - n * softplus(self.logits)

    def entropy(self) -> Tensor:
        values = self.enumerate_support(expand=False)
        log_probs = self.log_prob(values)
        return -(log_probs.exp() * log_probs).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = int(self.total_count.max().item())
        if self.total_count.min().item() != count:
            raise NotImplementedError("Binomial: the values of different numbers of trials do not form one list.")
        return listed(1 + count, self._batch_shape, self._param.dtype, self._param.device, expand)
