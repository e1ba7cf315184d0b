"""Distributions of functions of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.independent import Independent
from chainrule.distributions.transforms import ComposeTransform, Transform
from chainrule.distributions.utils import sum_rightmost
from chainrule.errors import ShapeError
from chainrule.tensor import Tensor

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of y = f(x) for x from a base distribution: ln p(y) = ln p(x) − ln |det ∂y/∂x|.

    `transforms` is one transform or a list; the first is applied first. Normalising flows are such distributions.

    >>> import chainrule
    >>> from chainrule.distributions import Normal, transforms
    >>> log_normal = TransformedDistribution(Normal(0.0, 1.0), [transforms.ExpTransform()])
    >>> log_normal.log_prob(chainrule.tensor(1.0))
    tensor(-0.9189)
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for t in self.transforms:
            if not isinstance(t, Transform):
                raise TypeError(f"TransformedDistribution: a Transform or a list of them, got {type(t).__name__}.")
        base_shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        base_dims = len(base_distribution.event_shape)
        whole = ComposeTransform(self.transforms)
        if len(base_shape) < whole.domain.event_dim:
            raise ShapeError(
                f"TransformedDistribution: the transforms take events of {whole.domain.event_dim} dimensions, the base "
                f"has the shape {base_shape}."
            )
        shape = whole.forward_shape(base_shape)
        expanded = whole.inverse_shape(shape)
        if tuple(expanded) != base_shape:  # parameters of the transforms make the batch larger
            base_distribution = base_distribution.expand(expanded[: len(expanded) - base_dims])
        more = whole.domain.event_dim - base_dims
        self.base_dist = Independent(base_distribution, more) if more > 0 else base_distribution
        dims = whole.codomain.event_dim + max(base_dims - whole.domain.event_dim, 0)
        cut = len(shape) - dims
        super().__init__(shape[:cut], shape[cut:], validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Any) -> None:
        whole = ComposeTransform(self.transforms)
        shape = whole.inverse_shape((*batch_shape, *self.event_shape))
        new.transforms = self.transforms
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        return constraints.widened(self.transforms[-1].codomain, len(self.event_shape))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """As the base."""
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        return reduce(lambda value, t: t(value), self.transforms, x)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        dims = len(self.event_shape)
        total: Any = 0.0
        y = value
        for t in reversed(self.transforms):
            x = t.inv(y)
            dims += t.domain.event_dim - t.codomain.event_dim
            total = total - sum_rightmost(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        for t in reversed(self.transforms):
            value = t.inv(value)
        return self._mirrored(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._forward(self.base_dist.icdf(self._mirrored(value)))

    def _mirrored(self, probability: Tensor) -> Tensor:
        """The probability, or 1 − it where the transforms turn the order of numbers round."""
        sign = reduce(lambda product, t: product * t.sign, self.transforms, 1)
        return probability if isinstance(sign, int | float) and sign == 1 else sign * (probability - 0.5) + 0.5

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist!r}, {self.transforms!r})"
