"""The planar flow: space is stretched along one direction, by an amount that depends on one linear function of it."""

from __future__ import annotations

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.generative.flows.bijection import Bijection
from chainrule.nn import functional as F
from chainrule.random import randn
from chainrule.tensor import Tensor

# Halving an interval of width 2·|w·u| this often leaves less than the rounding of float64.
HALVINGS = 60


class Planar(Bijection):
    """z = x + û·tanh(w·x + b) on vectors (N, features), with det ∂z/∂x = 1 + w·û·(1 − tanh²(w·x + b)).

    It is invertible where w·û > −1. So the parameter u is moved along w: û = u + (m(w·u) − w·u)·w/|w|² with
    m(a) = softplus(a) − 1. The inverse has no formula, but only the number a = w·x is unknown, and the left side of
    a + w·û·tanh(a + b) = w·z rises with a: halving an interval finds it to rounding. A Newton step
    after that gives the inverse its gradient.

    Source: Rezende and Mohamed 2015, section 4.1 and appendix A.1. They go from code to data by this function; here it
    goes from data to code, so that likelihoods need no root.

    >>> import chainrule
    >>> part = Planar(3)
    >>> x = chainrule.randn(4, 3)
    >>> z, stretch = part(x)
    >>> chainrule.allclose(part.inverse(z)[0], x, atol=1e-4)
    True
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.w = nn.Parameter(randn(features) / features**0.5)
        self.u = nn.Parameter(0.1 * randn(features))
        self.b = nn.Parameter(randn(1))  # with 0 every part, and so the flow, would begin as an odd function

    def direction(self) -> tuple[Tensor, Tensor]:
        """û, (features,), and w·û, which is above −1."""
        product = self.w @ self.u
        wanted = F.softplus(product) - 1
        return self.u + (wanted - product) * self.w / self.w.square().sum(), wanted

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ShapeError(f"Planar: vectors (N, {self.features}), got {tuple(x.shape)}.")
        u, product = self.direction()
        bend = (x @ self.w + self.b).tanh()
        return x + bend.unsqueeze(1) * u, (product * (1 - bend.square())).log1p()

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        u, product = self.direction()
        target = z @ self.w
        with no_grad():
            low, high = target - product.abs(), target + product.abs()
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                above = middle + product * (middle + self.b).tanh() > target
                low, high = middle.where(~above, low), middle.where(above, high)
            root = (low + high) / 2
            slope = 1 + product * (1 - (root + self.b).tanh().square())
        root = root - (root + product * (root + self.b).tanh() - target) / slope
        bend = (root + self.b).tanh()
        return z - bend.unsqueeze(1) * u, -(product * (1 - bend.square())).log1p()
