"""What observations and actions may be: a whole number below n, or an array between bounds. Gymnasium's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.rl.episode import Array


class Discrete:
    """The whole numbers 0 to n − 1.

    >>> 2 in Discrete(3), 3 in Discrete(3)
    (True, False)
    """

    shape: tuple[int, ...] = ()
    dtype = np.dtype(np.int64)

    def __init__(self, n: int, seed: int | None = None) -> None:
        if n < 1:
            raise ValueError(f"a discrete space has at least one element, got n={n}.")
        self.n = int(n)
        self.seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Start the stream of random elements anew."""
        self._random = np.random.default_rng(seed)

    def sample(self) -> int:
        """A random element, all equally likely."""
        return int(self._random.integers(self.n))

    def contains(self, x: Any) -> bool:
        """Whether x is one of the elements."""
        return np.ndim(x) == 0 and np.asarray(x).dtype.kind in "iu" and 0 <= int(x) < self.n

    __contains__ = contains

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Discrete) and self.n == other.n

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Discrete({self.n})"


class Box:
    """Arrays whose entries lie between `low` and `high` (arrays of one shape; infinities mean no bound).

    >>> Box([-1, -2], [1, 2]).contains([0.5, 3])
    False
    """

    def __init__(self, low: Any, high: Any, dtype: Any = np.float32, seed: int | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self.low, self.high = np.asarray(low, self.dtype), np.asarray(high, self.dtype)
        if self.low.shape != self.high.shape or (self.low > self.high).any():
            raise ValueError(f"low and high are of one shape, low ≤ high; got {self.low} and {self.high}.")
        self.shape = self.low.shape
        self.seed(seed)

    def seed(self, seed: int | None = None) -> None:
        """Start the stream of random elements anew."""
        self._random = np.random.default_rng(seed)

    def sample(self) -> Array:
        """A random element: uniform between bounds, normal where there are none. One bound alone is not supported."""
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        if (bounded != (np.isfinite(self.low) | np.isfinite(self.high))).any():
            raise ValueError(f"{self} has entries with one bound only, where no distribution offers itself.")
        uniform = self._random.uniform(np.where(bounded, self.low, 0.0), np.where(bounded, self.high, 1.0))
        return np.where(bounded, uniform, self._random.standard_normal(self.shape)).astype(self.dtype)

    def contains(self, x: Any) -> bool:
        """Whether x has the shape and lies within the bounds."""
        given = np.asarray(x)
        return given.shape == self.shape and bool(((given >= self.low) & (given <= self.high)).all())

    __contains__ = contains

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Box) or self.shape != other.shape:
            return False
        return bool((self.low == other.low).all() and (self.high == other.high).all())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Box({self.low.min()}, {self.high.max()}, {self.shape}, {self.dtype})"
