"""What goes wrong when agents learn to act: ends that are none, nothing tried any more, values without bounds."""

from __future__ import annotations

import math

from chainrule.train.doctor.acting import Acting
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.rule import Rule


class CutOffAsEnd(Rule):
    """`terminated or truncated` is used as the mask of the target."""

    condition = "time limits taken for ends"
    severity = "fault"
    shows = "More steps are learned from as if nothing followed than ended an episode because the world had ended."
    cause = (
        "The target is r + γ·(1 − done)·v(s′) with done = terminated or truncated. Where a time limit stops an episode "
        "the world goes on in value; the agent is taught that it ends, and values near the limit are too small."
    )
    remedies = (
        "mask by terminated alone: r + γ·(1 − terminated)·v(s′)",
        "take s′ of before the reset for it: info[final_obs] of environments side by side",
    )
    source = "E 8.1 (the return); Pardo et al., Time limits in reinforcement learning, 2018"

    def at_acting(self, case: Case, acting: Acting) -> Finding | None:
        """Compare the counts."""
        if not acting.cut_off or acting.masked <= acting.terminated:
            return None
        return self.found(
            case,
            f"of {acting.terminated + acting.cut_off} episodes {acting.terminated} ended and {acting.cut_off} were cut "
            f"off; {acting.masked} were learned from as ended.",
        )


class DeadExploration(Rule):
    """Nothing is tried any more, and nothing was learned."""

    condition = "dead exploration"
    least = 0.01
    shows = (
        f"Less than {least} of the full exploration is left (ε, the policy's entropy over ln A, or the width of drawn "
        "actions), while the latest episodes return no more than the first ones and their standard deviation; in two "
        "looks in a row."
    )
    cause = (
        "Before anything was found ε is 0, or the policy has become sure of an action by chance. What is not tried is "
        "not learned, so it stays like this."
    )
    remedies = (
        "let ε fall more slowly, and not to 0 (exploration, epsilon_end)",
        "reward entropy in the loss (entropy), or take a smaller learning rate",
        "if rewards are rare, shape them, or begin episodes nearer to them",
    )
    source = "E 8.2 (exploration); Mnih et al. 2015 and 2016 (ε, entropy)"

    def at_acting(self, case: Case, acting: Acting) -> Finding | None:
        """An agent that plays well may be sure of itself."""
        stuck = acting.last <= acting.first + acting.spread  # False where either is not known
        if not self.twice("seen", acting.exploration < self.least and stuck):
            return None
        return self.found(
            case,
            f"exploration is {acting.exploration:.2g} of the full; the latest episodes return {acting.last:.4g}, the "
            f"first {acting.first:.4g} ± {acting.spread:.2g}.",
        )


class DivergingValues(Rule):
    """The Q-function grows beyond all rewards."""

    condition = "diverging Q-function"
    severity = "fault"
    times = 2
    shows = (
        f"The size of the mean q(s, a) is more than {times} times max |r| / (1 − γ), above which no return can be, in "
        "two looks in a row; or it is no finite number."
    )
    cause = (
        "The target r + γ·max q(s′, a′) is made of the guesses that it corrects: with large steps, or a target that "
        "moves at once, errors feed on themselves."
    )
    remedies = (
        "a target network that is copied less often (target_every), or follows more slowly (tau)",
        "a smaller learning rate; clipped gradients",
        "double Q-learning, and rewards of a fair size",
    )
    source = "E 8.2.5; van Hasselt et al., Deep reinforcement learning and the deadly triad, 2018"

    def at_acting(self, case: Case, acting: Acting) -> Finding | None:
        """Compare with the bound."""
        if acting.value is None:
            return None
        finite = math.isfinite(acting.value)
        if not self.twice("seen", not finite or acting.value > self.times * acting.bound) and finite:
            return None
        return self.found(
            case, f"q(s, a) is {acting.value:.4g} in size; with these rewards no return exceeds {acting.bound:.4g}."
        )
