"""The categorical distribution: one of K classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.cell import Size
from chainrule.distributions import constraints
from chainrule.distributions.bernoulli import listed
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.probs_or_logits import need_one
from chainrule.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from chainrule.dtypes import FloatLimits, int64
from chainrule.errors import ShapeError
from chainrule.functions.creation import full
from chainrule.functions.gathering import gather
from chainrule.functions.shape import broadcast_shapes
from chainrule.random import multinomial
from chainrule.tensor import Tensor

__all__ = ["Categorical"]


class Categorical(Distribution):
    """0, 1, …, K − 1 with the probabilities along the last dimension of `probs`, or in proportion to exp(`logits`).

    `probs` need not sum to 1; they are divided by their sum. The attribute `logits` is then normalised too: its
    exponentials sum to 1.

    >>> import chainrule
    >>> policy = Categorical(logits=chainrule.tensor([0.0, 0.0]))
    >>> policy.log_prob(chainrule.tensor(1)), policy.entropy()
    (tensor(-0.6931), tensor(0.6931))
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        need_one(type(self).__name__, probs, logits)
        given = logits if probs is None else probs
        if given.ndim < 1:
            raise ShapeError("Categorical: the parameter has one dimension or more, the last one for the classes.")
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = int(given.shape[-1])
        super().__init__(tuple(given.shape[:-1]), validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        super()._expand_into(new, batch_shape)
        new._num_events = self._num_events

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities, which sum to 1."""
        return logits_to_probs(self.logits)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter: batch_shape and the number of classes."""
        return self._param.shape

    @property
    def mean(self) -> Tensor:
        return full(tuple(self._batch_shape), math.nan, dtype=self.probs.dtype, device=self._param.device)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return full(tuple(self._batch_shape), math.nan, dtype=self.probs.dtype, device=self._param.device)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = Size(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = multinomial(rows, shape.numel(), replacement=True)
            return drawn.T.reshape(self._extended_shape(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        places = value.to(int64).unsqueeze(-1)
        shape = broadcast_shapes(tuple(places.shape[:-1]), tuple(self.logits.shape[:-1]))
        logits = self.logits.expand(*shape, self._num_events)
        return gather(logits, -1, places.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        # A class of probability 0 has the logit −∞, and 0·(−∞) shall be 0.
        logits = self.logits.clamp(min=FloatLimits(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return listed(self._num_events, self._batch_shape, int64, self.probs.device, expand)
