"""How an agent's network sees observations: as rows of numbers of a fair size."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.episode import Array


class Sight:
    """Observations (N, …) as rows (N, size), float32, for a network.

    Whole numbers below n become n entries, one of them 1. Of arrays, an entry with finite bounds is moved and scaled
    from these to [−1, 1]: MountainCar's speeds are below 0.07, Acrobot's up to 28; one learning rate is to suit all.

    Attributes:
        size: how many numbers come out.

    Raises ValueError for observations that are neither.

    >>> from chainrule.rl import Box, Discrete
    >>> Sight(Discrete(3))(np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    >>> Sight(Box([0.0, -np.inf], [4.0, np.inf]))(np.array([[1.0, 5.0]]))
    array([[-0.5,  5. ]], dtype=float32)
    """

    def __init__(self, space: Any) -> None:
        self._n = int(space.n) if hasattr(space, "n") else None
        if self._n is not None:
            self.size = self._n
            return
        if not hasattr(space, "low"):
            raise ValueError(f"agents see whole numbers (Discrete) or arrays (Box), this environment shows {space}.")
        low, high = np.ravel(space.low).astype(float), np.ravel(space.high).astype(float)
        # huge bounds are no bounds: some environments write them for infinity
        bounded = np.isfinite(low) & np.isfinite(high) & (abs(low) < 1e6) & (abs(high) < 1e6) & (low < high)
        self._centre = np.where(bounded, (np.where(bounded, low, 0) + np.where(bounded, high, 0)) / 2, 0)
        self._half = np.where(bounded, (np.where(bounded, high, 1) - np.where(bounded, low, -1)) / 2, 1)
        self.size = len(low)

    def __call__(self, observations: Any) -> Array:
        """Observations (N, …) to rows (N, size)."""
        given = np.asarray(observations)
        if self._n is not None:
            return np.eye(self._n, dtype=np.float32)[given]
        rows = given.reshape(len(given), -1)
        return ((rows - self._centre) / self._half).astype(np.float32)
