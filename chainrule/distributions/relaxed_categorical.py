"""A class as a point between the corners of a simplex: discrete choices with a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.cell import Size
from chainrule.distributions import constraints
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.gumbel import standard_gumbel
from chainrule.distributions.transformed_distribution import TransformedDistribution
from chainrule.distributions.transforms import ExpTransform
from chainrule.distributions.utils import broadcast_all
from chainrule.functions.activation import log_softmax
from chainrule.tensor import Tensor

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(Distribution):
    """The logarithm of a `RelaxedOneHotCategorical` sample: log_softmax((logits + Gumbel noise)/temperature).

    >>> import chainrule
    >>> ExpRelaxedCategorical(0.5, chainrule.tensor([0.5, 0.5])).rsample().exp().sum()
    tensor(1.)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector  # of vectors whose exponentials sum to 1
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args=validate_args)
        self.temperature = temperature
        shape = tuple(self._categorical.param_shape)
        super().__init__(shape[:-1], shape[-1:], validate_args=False)
        self._validate_args = self._categorical._validate_args

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        new._categorical = self._categorical.expand(batch_shape)
        new.temperature = self.temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes at temperature 0."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._categorical.param_shape

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = standard_gumbel(self._extended_shape(sample_shape), self.logits.dtype, self.logits.device)
        return log_softmax((self.logits + noise) / self.temperature, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.event_shape[-1]
        logits, value, temperature = broadcast_all(self.logits, value, self.temperature)
        score = log_softmax(logits - temperature * value, -1).sum(-1)
        return score + math.lgamma(k) + (k - 1) * temperature[..., 0].log()


class RelaxedOneHotCategorical(TransformedDistribution):
    """Softmax((logits + Gumbel noise)/temperature): near a corner of the simplex at a low temperature, and smooth.

    Sources: Maddison, Mnih and Teh, "The concrete distribution", 2017; Jang, Gu and Poole, "Categorical
    reparameterization with Gumbel-softmax", 2017.

    >>> import chainrule
    >>> RelaxedOneHotCategorical(0.1, chainrule.tensor([0.0, 1.0])).rsample().round()
    tensor([0., 1.])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True
    base_dist: ExpRelaxedCategorical

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How far from the corners samples lie."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes at temperature 0."""
        return self.base_dist.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self.base_dist.logits
