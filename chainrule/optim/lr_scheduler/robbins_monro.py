"""Robbins and Monro's two conditions on learning rates, decided from how a schedule behaves in the long run."""

from __future__ import annotations

from typing import NamedTuple


class Tail(NamedTuple):
    """How a schedule's rates behave after very many steps.

    Attributes:
        kind: "level" (bounded, and does not tend to 0), "power" (like n^−power), "geometric" (falls at least like qⁿ,
            q < 1), "zero" (0 from some step on, or no further steps), "growing", or "unknown".
        why: the schedule's own words for it.
        power: for "power", above 0.
    """

    kind: str
    why: str
    power: float = 0.0

    def times(self, other: Tail) -> Tail:
        """How the product of two such schedules behaves."""
        why = f"{self.why}; {other.why}"
        for kind in ("zero", "unknown"):
            if kind in (self.kind, other.kind):
                return Tail(kind, why)
        for one, two in ((self, other), (other, self)):
            if one.kind == "level":
                return Tail(two.kind, why, two.power)
        if self.kind == other.kind == "power":
            return Tail("power", why, self.power + other.power)
        if "growing" in (self.kind, other.kind):
            return Tail("growing" if self.kind == other.kind else "unknown", why)
        return Tail("geometric", why)  # whatever it is multiplied by, but for what grows


class Verdict:
    """Whether rates αₙ fulfil both conditions, Σ αₙ = ∞ and Σ αₙ² < ∞. True in a condition if they do.

    The first lets the parameters travel any distance; the second lets the noise of the gradients die out. With them
    stochastic approximation of a strictly convex function converges with probability 1 (Robbins and Monro, "A
    stochastic approximation method", 1951). They say nothing of how fast; most schedules in use break one of them,
    since training ends after a finite number of steps.

    Attributes:
        sum_diverges: whether Σ αₙ = ∞; None where it cannot be told.
        squares_converge: whether Σ αₙ² < ∞; None where it cannot be told.
        reason: why.

    >>> verdict = Verdict(Tail("power", "the rate falls like 1/n", 1.0))
    >>> bool(verdict), verdict.reason
    (True, 'the rate falls like 1/n: Σα = ∞ and Σα² < ∞')
    """

    def __init__(self, tail: Tail) -> None:
        known = {
            "level": (True, False), "growing": (True, False), "geometric": (False, True), "zero": (False, True),
            "power": (tail.power <= 1, tail.power > 0.5), "unknown": (None, None),
        }  # fmt: skip
        self.sum_diverges, self.squares_converge = known[tail.kind]
        if self.sum_diverges is None:
            sums = "neither sum is known"
        elif self:
            sums = "Σα = ∞ and Σα² < ∞"
        elif self.sum_diverges:
            sums = "Σα² = ∞, the noise does not die out"
        else:
            sums = "Σα is finite, only a bounded distance can be travelled"
        self.reason = f"{tail.why}: {sums}"

    def __bool__(self) -> bool:
        return bool(self.sum_diverges and self.squares_converge)

    def __repr__(self) -> str:
        return f"{bool(self)}: {self.reason}"
