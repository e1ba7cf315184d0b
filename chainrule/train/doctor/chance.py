"""What losses are without knowledge: of a model that knows nothing, and of the best answer that is always the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import full_like, zeros_like

if TYPE_CHECKING:
    from chainrule.tensor import Tensor
    from chainrule.train.doctor.seen import Seen

_KINDS = {
    "CrossEntropyLoss": "classes",
    "cross_entropy": "classes",
    "NLLLoss": "log-probabilities",
    "nll_loss": "log-probabilities",
    "BCEWithLogitsLoss": "logits",
    "binary_cross_entropy_with_logits": "logits",
    "BCELoss": "probabilities",
    "binary_cross_entropy": "probabilities",
    "MSELoss": "squares",
    "mse_loss": "squares",
}


def kind_of(loss_function: Any) -> str:
    """What a loss wants from the model: "classes" (scores), "log-probabilities", "logits", …; "" if not known.

    >>> from chainrule import nn
    >>> kind_of(nn.CrossEntropyLoss()), kind_of(nn.functional.mse_loss), kind_of(print)
    ('classes', 'squares', '')
    """
    return _KINDS.get(getattr(loss_function, "__name__", type(loss_function).__name__), "")


def chance_loss(loss_function: Any, output: Tensor, targets: Tensor) -> float:
    """The loss where every class is equally likely: −ln(1/C) for C classes, ln 2 for two; NaN for other losses.

    >>> import chainrule
    >>> chance_loss(chainrule.nn.CrossEntropyLoss(), chainrule.zeros(4, 10), chainrule.tensor([1, 2, 3, 4]))
    2.3026
    """
    kind = kind_of(loss_function)
    with no_grad():
        if kind in ("classes", "logits"):
            return float(loss_function(zeros_like(output), targets).item())
        if kind == "log-probabilities":
            return float(loss_function(full_like(output, -math.log(output.shape[1])), targets).item())
        if kind == "probabilities":
            return float(loss_function(full_like(output, 0.5), targets).item())
    return math.nan


def constant_loss(loss_function: Any, seen: Seen) -> float:
    """The loss of the best constant answer to the targets seen; NaN where loss or targets do not tell.

    For classes it is the entropy of their shares, for squares the variance.
    """
    kind = kind_of(loss_function)
    settings = ("weight", "pos_weight")
    if any(getattr(loss_function, name, None) is not None for name in settings):
        return math.nan
    if getattr(loss_function, "label_smoothing", 0) or getattr(loss_function, "reduction", "mean") != "mean":
        return math.nan
    if kind in ("classes", "log-probabilities") and seen.labels:
        counts = np.array(list(seen.labels.values()), float)
        shares = counts / counts.sum()
        return float(-(shares * np.log(shares)).sum())
    mean, variance = seen.target_moments()
    if mean is None or variance is None:
        return math.nan
    if kind in ("logits", "probabilities"):
        p = np.clip(mean, 1e-12, 1 - 1e-12)
        return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    return float(variance.mean()) if kind == "squares" else math.nan
