"""An attack that asks for scores only: it finds what a network hides from gradients.

A defence may flatten the loss around each image instead of making the network robust ("gradient masking"); attacks by
gradients then find little, and the network looks better than it is. A search that only compares scores is not deceived:
where it finds more than gradients do, those were masked.

Source: Andriushchenko et al., "Square attack: a query-efficient black-box adversarial attack via random search", 2020.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange
from chainrule.functions.logic import where
from chainrule.random import randint
from chainrule.robust.attacks import Bounds, Classifier, margins
from chainrule.tensor import Tensor

#: The squares' area is halved when these shares of the tries are over.
HALVED = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)


def square_attack(
    model: Classifier,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    tries: int = 1000,
    area: float = 0.3,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Random search: each try paints one square of each image by +ε or −ε in each channel, and keeps it if it helps.

    It helps where the margin (the right class's score less the best other one) becomes smaller. It begins with
    vertical stripes of ±ε, since the strongest changes are nearly always at the corners of the ball. No gradient is
    asked for, so `model` may be anything that gives scores; a compiled one is faster.

    Args:
        model: from images to scores.
        x: (N, C, H, W), entries within `bounds`.
        labels: (N,), the right classes.
        epsilon: the largest change of an entry, not negative.
        tries: how many; each asks the model once.
        area: of the first squares, as a share of the image; later ones are smaller.
        bounds: where entries of images lie; the results are clamped to it.

    Raises ValueError for numbers out of these ranges and ShapeError for anything but images.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    >>> x = chainrule.rand(2, 1, 4, 4)
    >>> changed = square_attack(model, x, chainrule.tensor([0, 2]), epsilon=0.1, tries=50)
    >>> bool((changed - x).abs().max() <= 0.1 + 1e-6)
    True
    """
    if x.ndim != 4:
        raise ShapeError(f"square_attack paints squares in images (N, C, H, W), got {tuple(x.shape)}.")
    if not epsilon >= 0 or tries < 1 or not 0 < area <= 1:
        raise ValueError(
            "square_attack: epsilon is not negative, tries 1 or more and the area in (0, 1], got "
            f"{epsilon}, {tries} and {area}."
        )
    count, channels, height, width = x.shape
    center = x.detach()
    with no_grad():
        best = (center + epsilon * _signs(center, (count, channels, 1, width))).clamp(*bounds)
        smallest = margins(model(best), labels)
        for i in range(tries):
            side = _side(i / tries, area, height, width)
            painted = (center + epsilon * _signs(center, (count, channels, 1, 1))).clamp(*bounds)
            tried = where(_squares(count, height, width, side, x.device), painted, best)
            margin = margins(model(tried), labels)
            better = margin < smallest
            best = where(better.reshape(-1, 1, 1, 1), tried, best)
            smallest = where(better, margin, smallest)
    return best


def _side(gone: float, area: float, height: int, width: int) -> int:
    """Of the squares when this share of the tries is over."""
    share = area / 2 ** sum(gone >= at for at in HALVED)
    return max(1, min(height, width, round(math.sqrt(share * height * width))))


def _signs(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """+1 or −1, evenly."""
    return (2 * randint(0, 2, shape, device=like.device) - 1).to(like.dtype)


def _squares(count: int, height: int, width: int, side: int, device: Any) -> Tensor:
    """Where a square lies that is placed anew in each image, (N, 1, H, W)."""

    def between(extent: int) -> Tensor:
        start = randint(0, extent - side + 1, (count, 1), device=device)
        places = arange(extent, device=device)
        return (places >= start) & (places < start + side)

    return between(height).reshape(count, 1, height, 1) & between(width).reshape(count, 1, 1, width)
