"""Feature maps as sequences, for what works on sequences."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class Tokens(Module):
    """Feature maps (B, C, H, W) as (B, H·W, C): every pixel a token, a vector of its channels, row by row.

    What a transformer's head reads. Any number of spatial dimensions; without any ShapeError is raised.
    PyTorch has no such module. Source: I III.5, question 13.

    >>> import chainrule
    >>> Tokens()(chainrule.ones(8, 64, 7, 7)).shape
    Size([8, 49, 64])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        if need_tensor(input, "tokens").ndim < 3:
            raise ShapeError(f"tokens: takes (B, C, *spatial), for images (B, C, H, W), got {tuple(input.shape)}.")
        return input.flatten(2).mT
