"""Layers of PyTorch-vision that its other parts share."""

from __future__ import annotations

import chainrule
from chainrule import nn
from chainrule.tensor import Tensor


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics, γ and β are buffers: nothing in it learns or follows a batch.

    >>> layer = FrozenBatchNorm2d(3)
    >>> layer(chainrule.ones(1, 3, 2, 2)).shape, list(layer.parameters())
    (Size([1, 3, 2, 2]), [])
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", chainrule.ones(num_features))
        self.register_buffer("bias", chainrule.zeros(num_features))
        self.register_buffer("running_mean", chainrule.zeros(num_features))
        self.register_buffer("running_var", chainrule.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """γ·(x − μ)/√(σ² + ε) + β with the numbers that are there."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.weight.shape[0]}, eps={self.eps}"
