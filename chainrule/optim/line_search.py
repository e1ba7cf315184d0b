"""A line search that meets the strong Wolfe conditions: how far to go along a direction.

Along θ + t·d the loss is a function of one number, φ(t) = L(θ + t·d), with slope φ′(t) = ∇L(θ + t·d)·d. A step t is
accepted if both

    φ(t) ≤ φ(0) + c₁·t·φ′(0)      enough decrease (Armijo): no step that is too long
    |φ′(t)| ≤ c₂·|φ′(0)|          the slope has become flat enough: no step that is too short

First *bracket*: longer and longer steps, until an acceptable one lies between two of them. Then *zoom*: the bracket
shrinks by fitting a cubic through the values and slopes at its ends. Source: Nocedal and Wright, "Numerical
Optimization", 2nd edition, algorithms 3.5 and 3.6; the safeguards are those of the code that PyTorch's goes back to
(Schmidt's minFunc), so the steps are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from chainrule.tensor import Tensor

#: c₁ and c₂: the usual constants for quasi-Newton directions.
DECREASE, CURVATURE = 1e-4, 0.9


class Trial(NamedTuple):
    """What is known at step length t: the loss φ(t), the whole gradient (n,) and the slope φ′(t) along the line."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


class Search(NamedTuple):
    """The accepted (or best) trial and how many times the loss was computed."""

    best: Trial
    evaluations: int


Evaluate = Callable[[float], Trial]


def strong_wolfe(
    evaluate: Evaluate,
    start: Trial,
    first: float,
    *,
    size: float,
    tolerance_change: float = 1e-9,
    max_iterations: int = 25,
) -> Search:
    """The step length t > 0 by the strong Wolfe conditions, or the best found within the iterations allowed.

    Args:
        evaluate: gives the Trial at a step length.
        start: the trial at t = 0; its slope is negative, for otherwise the direction does not lead down.
        first: the step length to try first.
        size: the largest entry of the direction.
        tolerance_change: a bracket across which no parameter moves by more ends the search.
        max_iterations: how many times either phase may try again, together.

    >>> import chainrule
    >>> def parabola(t):  # φ(t) = (t − 3)²
    ...     return Trial(t, (t - 3) ** 2, chainrule.tensor([2 * (t - 3)]), 2 * (t - 3))
    >>> strong_wolfe(parabola, parabola(0.0), 0.1, size=1.0).best.t
    1.0
    """
    search = _LineSearch(evaluate, start, max_iterations)
    low, high = search.bracket(first)
    best = low if low is high else search.zoom(low, high, size, tolerance_change)
    return Search(best, search.evaluations)


class _LineSearch:
    """The two phases; tries are counted over both.

    Comparisons are written so that NaN counts as too high: a step out of the function's domain is shortened.
    """

    def __init__(self, evaluate: Evaluate, start: Trial, max_iterations: int) -> None:
        self._evaluate, self.start = evaluate, start
        self.left, self.evaluations = max_iterations, 0

    def at(self, t: float) -> Trial:
        self.evaluations += 1
        return self._evaluate(t)

    def decreases(self, trial: Trial) -> bool:
        return trial.loss <= self.start.loss + DECREASE * trial.t * self.start.slope

    def is_flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -CURVATURE * self.start.slope

    def bracket(self, first: float) -> tuple[Trial, Trial]:
        """Two trials, the better first, with an acceptable step between them; twice the same if it is accepted."""
        before, now = self.start, self.at(first)
        tries = 0
        while self.left > 0:
            if not self.decreases(now) or (tries > 1 and now.loss >= before.loss):
                return before, now
            if self.is_flat(now):
                return now, now
            if now.slope >= 0:
                return (now, before) if now.loss < before.loss else (before, now)
            longer = cubic_minimum(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
            before, now = now, self.at(longer)
            tries, self.left = tries + 1, self.left - 1
        return (now, now) if now.loss < self.start.loss else (self.start, self.start)

    def zoom(self, low: Trial, high: Trial, size: float, tolerance_change: float) -> Trial:
        """Shrink the bracket until a step in it is accepted; else its lower end, which decreases enough."""
        near_an_end = False  # whether the last try was close to an end of the bracket
        while self.left > 0:
            left, right = min(low.t, high.t), max(low.t, high.t)
            if (right - left) * size < tolerance_change:
                break
            t, near_an_end = _away_from_the_ends(cubic_minimum(low, high, left, right), left, right, near_an_end)
            trial = self.at(t)
            self.left -= 1
            if not self.decreases(trial) or not trial.loss < low.loss:
                high = trial
                continue
            if self.is_flat(trial):
                return trial
            if trial.slope * (high.t - low.t) >= 0:
                high = low
            low = trial
        return low


def _away_from_the_ends(t: float, left: float, right: float, again: bool) -> tuple[float, bool]:
    """A try within a tenth of an end, for the second time or at the end itself, moves inside: else nothing shrinks."""
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not again and left < t < right:
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def cubic_minimum(a: Trial, b: Trial, lowest: float, highest: float) -> float:
    """Where the cubic through the values and slopes at a and b has its minimum, within [lowest, highest].

    With d₁ = φ′(a) + φ′(b) − 3·(φ(a) − φ(b))/(a − b) and d₂ = √(d₁² − φ′(a)·φ′(b)), for a < b:

        t = b − (b − a)·(φ′(b) + d₂ − d₁)/(φ′(b) − φ′(a) + 2·d₂)

    The middle of the interval if the cubic has no minimum. Source: Nocedal and Wright, formula (3.59).

    >>> import chainrule
    >>> a, b = (Trial(t, t**3 - 3 * t, chainrule.zeros(1), 3 * t**2 - 3) for t in (0.0, 4.0))
    >>> cubic_minimum(a, b, 0.0, 4.0)
    1.0
    """
    if b.t < a.t:
        a, b = b, a
    if a.t == b.t:
        return lowest
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return (lowest + highest) / 2
    d2 = math.sqrt(square)
    above, below = b.slope + d2 - d1, b.slope - a.slope + 2 * d2
    if below == 0:  # a straight line: as far as allowed, down the slope
        return highest if above < 0 else lowest if above > 0 else (lowest + highest) / 2
    return min(max(b.t - (b.t - a.t) * (above / below), lowest), highest)
