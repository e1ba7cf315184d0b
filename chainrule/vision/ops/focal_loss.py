"""The focal loss: cross-entropy in which what is easy counts little."""

from __future__ import annotations

from chainrule.nn import functional as F
from chainrule.tensor import Tensor


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """α·(1 − p)ᵞ·(−log p) of scores, where p is the probability of what the target says.

    alpha: the weight of targets 1, that of 0 is 1 − α; a negative one weights nothing. Raises ValueError for another
    `reduction` than "none", "mean" and "sum". Source: Lin et al., "Focal loss for dense object detection", 2017.

    >>> import chainrule
    >>> sigmoid_focal_loss(chainrule.zeros(2), chainrule.tensor([0.0, 1.0]))
    tensor([0.1300, 0.0433])
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"sigmoid_focal_loss: reduction is 'none', 'mean' or 'sum', got {reduction!r}.")
    loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p = inputs.sigmoid()
    loss = loss * (1 - (p * targets + (1 - p) * (1 - targets))) ** gamma
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
