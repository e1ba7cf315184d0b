"""Maxout: an activation that is learned."""

from __future__ import annotations

from typing import Any

from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class Maxout(Module):
    """The largest of several affine functions, for each output: y = max over k of (W_k·x + b_k).

    A learned activation: with enough pieces any convex function. Input (…, in_features), output (…, out_features);
    `pieces` times the parameters of a linear layer. PyTorch has no such layer.
    Source: Goodfellow et al., "Maxout networks", 2013.

    >>> import chainrule
    >>> Maxout(5, 3, pieces=4)(chainrule.ones(2, 5)).shape
    Size([2, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if pieces < 1:
            raise ValueError(f"maxout has at least one piece, got {pieces}.")
        self.in_features, self.out_features, self.pieces = in_features, out_features, pieces
        self.linear = Linear(in_features, out_features * pieces, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return self.linear(input).unflatten(-1, (self.out_features, self.pieces)).amax(-1)

    def extra_repr(self) -> str:
        """How many pieces."""
        return f"pieces={self.pieces}"
