"""How many numbers a model learns."""

from __future__ import annotations

from chainrule import nn


def count(model: nn.Module) -> int:
    """Of all its parameters."""
    return sum(p.numel() for p in model.parameters())
