"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from chainrule.functions.creation import zeros_like
from chainrule.nn.module import Module
from chainrule.random import rand
from chainrule.tensor import Tensor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry set to 0 with probability p, the others divided by 1 − p, so that the expectation stays.

    This is the inverted form: nothing is done unless `training`. Each entry is dropped independently. With `inplace`
    the result also takes the place of the input. Raises ValueError for a p outside of [0, 1].

    >>> import chainrule
    >>> dropout(chainrule.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability in [0, 1], got {p}.")
    if not training or p == 0:
        return input
    keep = rand(tuple(input.shape)) >= p
    factors = keep.to(input.dtype) / (1 - p) if p < 1 else zeros_like(input)
    return input.mul_(factors) if inplace else input * factors


class Dropout(Module):
    """In training each entry is set to 0 with probability p and the others are divided by 1 − p; else nothing.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014; there the
    division is done at test time instead.

    >>> import chainrule
    >>> Dropout(0.5).eval()(chainrule.ones(3))
    tensor([1., 1., 1.])
    """

    differs_in_training = True

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability in [0, 1], got {p}.")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"
