"""A normalising flow: data as an invertible function of normal numbers.

Where z = f(x) is invertible and z ~ N(0, 1), the change of variables gives the density of x exactly,

    ln p(x) = ln N(f(x); 0, 1) + ln |det ∂f/∂x|,

so that f can be trained by maximum likelihood; x = f⁻¹(z) are samples. The work is in functions f that are easy to undo
and have a determinant that costs no more than f.

Sources: Rezende and Mohamed, "Variational inference with normalizing flows", 2015; Dinh, Sohl-Dickstein and Bengio,
"Density estimation using Real NVP", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.generative.flows.bijection import Bijection
from chainrule.random import randn
from chainrule.tensor import Tensor


class Flow(nn.Module):
    """A density over data, and samples, from a bijection between data and standard normal codes.

    Args:
        bijection: from data (N, …) to codes (N, *code_shape).
        code_shape: the shape of one code; for vectors that of the data, (D,); (D,) for `MultiScale` as well.

    Train by minimising `-flow.log_prob(x).mean()`. Raises ShapeError where the bijection gives codes of another shape.

    >>> import chainrule
    >>> from chainrule.generative import flows
    >>> flow = flows.realnvp(2, layers=4, hidden=(16,))
    >>> flow.log_prob(chainrule.zeros(3, 2)).shape, flow.sample(7).shape
    (Size([3]), Size([7, 2]))
    """

    def __init__(self, bijection: Bijection, code_shape: Sequence[int]) -> None:
        super().__init__()
        self.bijection, self.code_shape = bijection, tuple(code_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """ln p(x) of each sample, in nats, (N,). It is exact."""
        z, stretch = self.bijection(x)
        if tuple(z.shape[1:]) != self.code_shape:
            raise ShapeError(f"Flow: the bijection gives codes (N, *{self.code_shape}), got {tuple(z.shape)}.")
        size = math.prod(self.code_shape)
        return stretch - 0.5 * (z.square().flatten(1).sum(1) + size * math.log(2 * math.pi))

    def forward(self, x: Tensor) -> Tensor:
        """As log_prob."""
        return self.log_prob(x)

    def sample(self, count: int, temperature: float = 1.0) -> Tensor:
        """New data, (count, …), from codes of the standard deviation `temperature`; 1 is the model's own density."""
        if not temperature >= 0:
            raise ValueError(f"Flow.sample: a temperature is 0 or more, got {temperature}.")
        weight = next(self.bijection.parameters())
        with no_grad():
            code = randn(count, *self.code_shape, dtype=weight.dtype, device=weight.device)
            x: Tensor = self.bijection.inverse(temperature * code)[0]
        return x
