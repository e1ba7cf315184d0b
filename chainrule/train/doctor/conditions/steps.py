"""What can be wrong with the steps: too large, or too small."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look
from chainrule.train.doctor.rule import Rule


class TooLarge(Rule):
    """The loss jumps about, grows, or ends in NaN."""

    condition = "learning rate too large"
    from_figures = True
    severity = "fault"
    recent, times = 20, 1.5
    epochs, rising, height, halved = 6, 0.33, 0.1, 0.5
    shows = (
        f"The loss becomes NaN or infinite on sound data; or the median loss of the last {recent} batches is more than "
        f"{times} times the first; or, over at least {epochs} epochs, the training loss rose in {rising:.0%} of them "
        f"or more, by more than {height:.0%} of its first value on average, and is not below {halved:.0%} of it."
    )
    cause = (
        "Steps are so large that they leap over the valley and land higher on the other side: the loss oscillates, or "
        "grows until it overflows."
    )
    remedies = (
        "divide the learning rate by 10 (and again)",
        "a schedule: warm-up at the beginning, decay towards the end",
        "clip gradients: Trainer(clip_norm=1.0)",
        "normalise inputs and targets",
    )
    source = "I IV.2.a (overshooting), IV.2.c; E 3.4"

    def at_batch(self, case: Case) -> Finding | None:
        """Compare the last losses with the first."""
        if len(case.losses) < self.recent or not case.first_loss > 0:
            return None
        recent = statistics.median(case.losses[-self.recent :])
        if not recent > self.times * max(case.first_loss, 1e-12):
            return None
        after = f"the median of {self.recent} up to batch {case.step} is {recent:.3g}"
        return self.found(case, f"the first loss was {case.first_loss:.3g}; {after}.")

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Look for rises among the epochs' losses."""
        losses = case.figures("train_loss")
        if any(not math.isfinite(loss) for loss in losses):
            number = next(i for i, loss in enumerate(losses, 1) if not math.isfinite(loss))
            return self.found(case, f"the training loss is {losses[number - 1]} in epoch {number}.")
        if len(losses) < self.epochs or losses[0] <= 0:
            return None
        rises = [b - a for a, b in itertools.pairwise(losses) if b > a]
        often = len(rises) >= self.rising * (len(losses) - 1)
        if not often or np.mean(rises) < self.height * losses[0] or losses[-1] < self.halved * losses[0]:
            return None
        return self.found(
            case,
            f"the training loss rose in {len(rises)} of {len(losses) - 1} epochs, by {np.mean(rises):.3g} on average; "
            f"it began at {losses[0]:.3g} and is {losses[-1]:.3g}.",
        )

    def at_divergence(self, case: Case) -> Finding | None:
        """The loss or the gradient is not finite; if the data are, the steps were too large."""
        if case.train.bad is not None or case.spoiled:
            return None  # the data, or a gradient that is no number, is to blame
        if case.norm:
            evidence = (
                f"the loss is {case.losses[-1]:.3g} in batch {case.step} of all, and its gradient's norm {case.norm}."
            )
            return self.found(case, evidence)
        before = f"it was {case.losses[-1]:.3g} one batch before" if case.losses else "it was the first batch"
        return self.found(case, f"the loss is no finite number in batch {case.step + 1} of all; {before}.")


class TooSmall(Rule):
    """Nothing moves, though there is a gradient."""

    condition = "learning rate too small"
    from_figures = True
    epochs, epochs_of_figures, moved, change, gradient, falling = 3, 5, 1e-3, 0.02, 1e-4, 0.8
    shows = (
        f"After {epochs} epochs the weights have moved by less than {moved:.1%} of their size and the training loss by "
        f"less than {change:.0%}, though gradients arrive (more than {gradient} of a layer's weights). From figures "
        f"alone: over {epochs_of_figures} epochs the training loss falls at least {falling:.0%} of the time, but by "
        f"less than {change:.0%} in all."
    )
    cause = "Steps are so small that training would take very long; or the optimiser does not hold these weights."
    remedies = (
        "multiply the learning rate by 10 (and again), until the loss oscillates; then go back one step",
        "Adam begins well at 0.001, SGD with momentum at 0.01 to 0.1",
        "check that the optimiser was given the model's parameters, and that they are not frozen",
    )
    source = "I IV.2.c, IV.2.f; E 3.2"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Remember how large gradients are."""
        self.memory["gradient"] = max((layer.relative for layer in look.layers), default=0.0)
        return None

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare weights and loss with those at the beginning."""
        losses = case.figures("train_loss")
        if (
            len(losses) < (self.epochs if case.model is not None else self.epochs_of_figures)
            or not losses[0] > 0
            or case.succeeds()
        ):
            return None
        if not abs(losses[0] - losses[-1]) < self.change * losses[0]:
            return None
        evidence = f"the training loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} epochs"
        if case.model is not None:
            if not (case.moved < self.moved and self.memory.get("gradient", 0.0) > self.gradient):
                return None
            return self.found(case, f"{evidence}, and the weights moved by {case.moved:.2g} of their size.")
        falls = sum(b < a for a, b in itertools.pairwise(losses))
        return self.found(case, evidence + ".") if falls >= self.falling * (len(losses) - 1) else None
