"""Coupling: a part of the numbers is kept, and says how the rest is transformed.

With x = (a, b), z = (a, g(b; θ(a))) has a triangular Jacobian: the determinant is the product of g's slopes. b is found
again from z because a, and so θ(a), is in it. θ may be any network. The next coupling keeps what this one changed.

Source: Dinh, Sohl-Dickstein and Bengio 2017, sections 3.3 to 3.5.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros
from chainrule.generative.flows.bijection import Bijection
from chainrule.tensor import Tensor


class Coupling(Bijection):
    """What couplings share; a kind says how many parameters a number has, and how they transform it.

    Args:
        mask: 1 where a number is kept, 0 where it is transformed; the shape of a sample, or one that stretches to it.
        network: from samples (N, C, …), zero where they are transformed, to (N, parameters·C, …).
    """

    parameters_each: int

    def __init__(self, mask: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.mask: Tensor
        self.register_buffer("mask", mask)

    def elementwise(self, x: Tensor, theta: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        """g of each number of x (N, C, …), or g⁻¹, and the logarithm of its slope; theta: (N, parameters, C, …)."""
        raise NotImplementedError(f"{type(self).__name__} has no elementwise.")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._transformed(x, False)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self._transformed(z, True)

    def _transformed(self, x: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        kept = self.mask.to(x.dtype)
        theta = self.network(x * kept)
        wanted = (len(x), self.parameters_each * x.shape[1], *x.shape[2:])
        if tuple(theta.shape) != wanted:
            raise ShapeError(
                f"{type(self).__name__}: the network gives {self.parameters_each} parameters for each number, {wanted} "
                f"for samples {tuple(x.shape)}; got {tuple(theta.shape)}."
            )
        y, slope = self.elementwise(x, theta.reshape(len(x), self.parameters_each, *x.shape[1:]), inverse)
        return kept * x + (1 - kept) * y, ((1 - kept) * slope).flatten(1).sum(1)


class AffineCoupling(Coupling):
    """z = x·exp(s) + t on the numbers that are not kept (RealNVP).

    s = c·tanh(r) with a learned c; r and t come from the network, two parameters each. tanh bounds the stretch, so
    that a step of training cannot make it overflow; c starts at 1.

    >>> import chainrule
    >>> from chainrule import nn
    >>> coupling = AffineCoupling(chainrule.tensor([1.0, 0.0]), nn.Linear(2, 4))
    >>> x = chainrule.randn(3, 2)
    >>> z, stretch = coupling(x)
    >>> chainrule.equal(z[:, 0], x[:, 0]), chainrule.allclose(coupling.inverse(z)[0], x, atol=1e-4)
    (True, True)
    """

    parameters_each = 2

    def __init__(self, mask: Tensor, network: nn.Module) -> None:
        super().__init__(mask, network)
        self.largest = nn.Parameter(zeros(1) + 1)

    def elementwise(self, x: Tensor, theta: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        scale, shift = self.largest * theta[:, 0].tanh(), theta[:, 1]
        if inverse:
            return (x - shift) * (-scale).exp(), -scale
        return x * scale.exp() + shift, scale
