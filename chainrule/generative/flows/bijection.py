"""Functions that can be undone and say how they stretch space."""

from __future__ import annotations

from chainrule import nn
from chainrule.tensor import Tensor


class Bijection(nn.Module):
    """An invertible function z = f(x) of batches, with ln |det ∂z/∂x| for each sample.

    A part of a flow has the two methods below. Both give the transformed batch and the logarithm for the direction that
    was asked for, (N,): that of `inverse` is ln |det ∂x/∂z|, the negative of the other at the same point.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From data towards the code: z, and ln |det ∂z/∂x|."""
        raise NotImplementedError(f"{type(self).__name__} has no forward.")

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """From the code towards data: x, and ln |det ∂x/∂z|."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse.")


class Chain(Bijection):
    """Bijections one after the other; the logarithms of their determinants add up (the chain rule).

    >>> import chainrule
    >>> from chainrule.generative.flows import Chain, Planar
    >>> chain = Chain(Planar(2), Planar(2))
    >>> z, stretch = chain(chainrule.randn(5, 2))
    >>> z.shape, stretch.shape
    (Size([5, 2]), Size([5]))
    """

    def __init__(self, *parts: Bijection) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for part in self.parts:
            x, stretch = part(x)
            total = total + stretch
        return x, total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for part in reversed(list(self.parts)):
            z, stretch = part.inverse(z)
            total = total + stretch
        return z, total
