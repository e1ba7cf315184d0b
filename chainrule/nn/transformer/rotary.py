"""Rotary positions: queries and keys are turned by angles that grow with the position, so scores see the distance.

    a query at position m, a key at position n, each pair of features (x, y) a point in the plane:

        (x, y) turned by m·θ    ·    (x′, y′) turned by n·θ    =    a function of (x, y), (x′, y′) and (m − n)·θ

Nothing is added to the tokens, and nothing is learned. Source: Su et al., "RoFormer: enhanced transformer with rotary
position embedding", 2021. As in Llama's published weights, feature i is paired with feature i + width/2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.nn.transformer.positions import places_from
from chainrule.tensor import Tensor


def rotary_frequencies(width: int, base: float = 10000.0, scaling: Mapping[str, Any] | None = None) -> np.ndarray:
    """The angle per position of each pair: base^(−2i/width), float64 (width/2,).

    scaling: how a model was stretched to longer texts than it was trained on, in the words of its config.json, with
    the `rope_type` "linear" (all angles divided by `factor`) or "llama3" (the slow ones divided, the fast ones kept,
    those between blended; `low_freq_factor`, `high_freq_factor`, `original_max_position_embeddings`); None or
    "default" for neither. Raises ValueError for another.

    >>> rotary_frequencies(4)
    array([1.  , 0.01])
    """
    frequencies = base ** (-np.arange(0, width, 2) / width)
    kind = "default" if scaling is None else scaling.get("rope_type", scaling.get("type", "default"))
    if scaling is None or kind == "default":
        return frequencies
    if kind == "linear":
        return frequencies / scaling["factor"]
    if kind != "llama3":
        raise ValueError(f"rotary positions can be scaled by 'linear' or 'llama3', got {kind!r}.")
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)  # within the length trained on
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - kept) * frequencies / scaling["factor"] + kept * frequencies


class RotaryPositions(Module):
    """Queries or keys (N, heads, L, width), turned by their positions; the shape stays.

        y = x·cos(position·θ) + turned(x)·sin(position·θ),   turned((a, b)) = (−b, a) for the two halves of the features

    `forward(input, start)` counts from `start`, an integer or an integer tensor. The tables (length, width) are no part
    of the state dict. Raises ShapeError for an odd width or more positions than `length`. PyTorch has no such module.

    >>> import chainrule
    >>> rotary = RotaryPositions(length=8, width=2)
    >>> rotary(chainrule.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]))
    tensor([[[[1.0000, 0.0000],
              [0.5403, 0.8415]]]])
    """

    def __init__(
        self, length: int, width: int, base: float = 10000.0, scaling: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ShapeError(f"rotary positions turn pairs of features: width is even, got {width}.")
        self.length, self.width = length, width
        angles = np.arange(length)[:, None] * rotary_frequencies(width, base, scaling)
        angles = np.concatenate([angles, angles], 1)
        self.register_buffer("cosines", from_numpy(np.cos(angles).astype("float32")), persistent=False)
        self.register_buffer("sines", from_numpy(np.sin(angles).astype("float32")), persistent=False)

    def forward(self, input: Tensor, start: int | Tensor = 0) -> Tensor:
        """See the class."""
        x = need_tensor(input, "rotary positions")
        if x.ndim < 2 or x.shape[-1] != self.width:
            raise ShapeError(f"rotary positions take (…, length, {self.width}), got {tuple(x.shape)}.")
        places = places_from(start, x.shape[-2], self.length)
        cosines, sines = self.cosines[places].to(x.dtype), self.sines[places].to(x.dtype)
        first, second = x.chunk(2, -1)
        return x * cosines + cat([-second, first], -1) * sines

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.length}, {self.width}"
