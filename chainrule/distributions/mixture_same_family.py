"""Mixtures of distributions of one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.distribution import Distribution
from chainrule.errors import ShapeError
from chainrule.functions.activation import log_softmax
from chainrule.functions.gathering import gather
from chainrule.functions.shape import broadcast_shapes
from chainrule.tensor import Tensor

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """p(x) = Σₖ πₖ·pₖ(x): a `Categorical` draws the component, the last batch dimension of the other distribution.

    >>> import chainrule
    >>> from chainrule.distributions import Categorical, Normal
    >>> two = MixtureSameFamily(Categorical(chainrule.ones(2)), Normal(chainrule.tensor([-2.0, 2.0]), 1.0))
    >>> two.mean, two.variance
    (tensor(0.), tensor(5.))
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise TypeError(f"MixtureSameFamily: the mixture is a Categorical, got {mixture_distribution!r}.")
        if not isinstance(component_distribution, Distribution):
            raise TypeError(f"MixtureSameFamily: the components are a Distribution, got {component_distribution!r}.")
        mixture, components = tuple(mixture_distribution.batch_shape), tuple(component_distribution.batch_shape)
        count = int(mixture_distribution.param_shape[-1])
        if not components or components[-1] != count:
            raise ShapeError(
                f"MixtureSameFamily: {count} weights, and components of batch shape {components}; its last extent "
                "counts components."
            )
        broadcast_shapes(mixture, components[:-1])
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = count
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(components[:-1], component_distribution.event_shape, validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component, new._event_ndims = self._num_component, self._event_ndims

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """What draws the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components, along the last batch dimension."""
        return self._component_distribution

    @property
    def _weights(self) -> Tensor:
        """The probabilities of the components, with extents of 1 for the event."""
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *[1] * self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return (self._weights * self.component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        """By the law of total variance: the mean of the variances, and the variance of the means."""
        dim = -1 - self._event_ndims
        within = (self._weights * self.component_distribution.variance).sum(dim)
        away = self.component_distribution.mean - self.mean.unsqueeze(dim)
        return within + (self._weights * away * away).sum(dim)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            dim = len(sample_shape) + len(self._batch_shape)
            component = self.mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            places = component.reshape(*component.shape, *[1] * (self._event_ndims + 1))
            one = (*component.shape, 1, *self._event_shape)
            return gather(drawn, dim, places.expand(*one)).squeeze(dim)

    def log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        spread = x.unsqueeze(-1 - self._event_ndims)
        return (self.component_distribution.log_prob(spread) + self._log_weights).logsumexp(-1)

    @property
    def _log_weights(self) -> Tensor:
        return log_softmax(self.mixture_distribution.logits, -1)

    def cdf(self, x: Tensor) -> Tensor:
        spread = x.unsqueeze(-1)
        return (self.component_distribution.cdf(spread) * self.mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution!r}, {self.component_distribution!r})"
