"""What the rules may know about an agent that learns to act: counts and figures, so looking costs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Acting:
    """How an agent stands after so many steps; what is not known is left out.

    Attributes:
        step: steps taken in all.
        terminated, cut_off: how many of them ended an episode because the world ended, or a time limit came.
        masked: how many of them were learned from as if nothing followed: the target is r, without γ·v(s′).
        exploration: how much is tried, from 0 (always the same) to 1 (at random).
        first, spread, last: the mean return of the first episodes, its standard deviation, the mean of the latest.
        value: the size of the mean q(s, a); NaN and infinities count as diverged, None as not known.
        bound: no return can be larger than that: max |r| / (1 − γ).
    """

    step: int
    terminated: int = 0
    cut_off: int = 0
    masked: int = 0
    exploration: float = math.nan
    first: float = math.nan
    spread: float = 0.0
    last: float = math.nan
    value: float | None = None
    bound: float = math.inf
