"""Stochastic depth: in training a residual branch is left out now and then."""

from __future__ import annotations

import chainrule
from chainrule import nn
from chainrule.tensor import Tensor


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """The branch with probability 1 − p, divided by that; zeros otherwise. In evaluation the branch.

    mode: "batch" decides once, "row" for each sample. Raises ValueError for another mode, and for p out of [0, 1].
    Source: Huang et al., "Deep networks with stochastic depth", 2016.

    >>> stochastic_depth(chainrule.ones(2, 3), 0.5, "row", training=False).sum()
    tensor(6.)
    """
    if not 0 <= p <= 1:
        raise ValueError(f"stochastic_depth: p is a probability, got {p}.")
    if mode not in ("batch", "row"):
        raise ValueError(f"stochastic_depth: mode is 'batch' or 'row', got {mode!r}.")
    if not training or p == 0:
        return input
    shape = [input.shape[0] if mode == "row" else 1, *[1] * (input.ndim - 1)]
    kept = chainrule.rand(*shape, dtype=input.dtype, device=input.device) < 1 - p
    return input * (kept.to(input.dtype) / (1 - p) if p < 1 else kept.to(input.dtype))


class StochasticDepth(nn.Module):
    """See `stochastic_depth`.

    >>> StochasticDepth(0.2, "row")
    StochasticDepth(p=0.2, mode=row)
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, mode={self.mode}"
