"""What can be wrong with the targets: classes that hardly come, and targets that have nothing to do with the inputs."""

from __future__ import annotations

import math

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.chance import kind_of
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.rule import Rule


class Imbalance(Rule):
    """Some classes come far more often than others."""

    condition = "class imbalance"
    times, samples = 10, 20
    shows = (
        f"Among the training labels the most frequent class comes at least {times} times as often as the rarest — "
        f"unless the loss is weighted. Asked where there are on average {samples} samples of a class or more."
    )
    cause = (
        "The data hold few samples of some classes. Always answering the large class is already right most of the "
        "time, so accuracy looks good, and the small classes are learned late or never."
    )
    remedies = (
        "weight the loss: CrossEntropyLoss(weight=…) or BCEWithLogitsLoss(pos_weight=…), inversely to the shares",
        "draw small classes more often, or augment them",
        "measure precision, recall and F1 for each class, not accuracy alone",
    )
    source = "E 4.5.4 (unbalanced data and batch normalisation), I I.2.a"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Count the labels once the training data were seen."""
        if self.memory.get("asked") or not case.train.count:
            return None
        self.memory["asked"] = True
        counts = _counts(case)
        weighted = any(getattr(case.loss_function, name, None) is not None for name in ("weight", "pos_weight"))
        if weighted or len(counts) < 2 or sum(counts.values()) < self.samples * len(counts):
            return None
        most, least = max(counts, key=lambda k: counts[k]), min(counts, key=lambda k: counts[k])
        if counts[most] < self.times * counts[least]:
            return None
        share = counts[most] / sum(counts.values())
        return self.found(
            case,
            f"class {most} has {counts[most]} samples ({share:.1%}), class {least} has {counts[least]} "
            f"({len(counts)} classes).",
        )


def _counts(case: Case) -> dict[int, int]:
    """How often each class came; for one yes-or-no answer, how often it was either."""
    mean, _ = case.train.target_moments()
    if kind_of(case.loss_function) in ("logits", "probabilities") and mean is not None and mean.size == 1:
        ones = round(float(mean[0]) * case.train.targets.count)
        return {0: case.train.targets.count - ones, 1: ones}
    return case.train.labels


class Unlearnable(Rule):
    """Nothing is learned that holds for validation data."""

    condition = "unlearnable targets"
    severity = "fault"
    epochs, gain, moved = 5, 0.03, 1e-3
    shows = (
        f"After {epochs} epochs the validation loss (without validation: the training loss) has never come {gain:.0%} "
        "below that of the best constant answer — the entropy of the class shares, or the variance of the targets — "
        f"though the weights have moved by {moved:.1%} or more. A batch alone shows it too: `overfit_one_batch` finds "
        "out whether the model can learn a few samples by heart."
    )
    cause = (
        "The targets have nothing to do with the inputs: labels were shuffled against the samples, sorted differently, "
        "or belong to another split; or the inputs do not hold what the targets ask for; or a bug keeps the model from "
        "learning. Training loss that falls all the same is memorising."
    )
    remedies = (
        "look at some samples with their labels",
        "check that inputs and targets are shuffled together",
        "train on one batch alone (chainrule.train.overfit_one_batch): if even that fails, the bug is in model or loop",
    )
    source = "I IV.2.a (a model should be able to overfit its training data)"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare with knowing nothing but the shares."""
        constant = case.constant_loss()
        losses, name = case.figures("validation_loss"), "validation"
        if not losses:
            losses, name = case.figures("train_loss"), "training"
        if len(losses) < self.epochs or not math.isfinite(constant) or constant <= 0 or case.moved < self.moved:
            return None
        best = min(losses)
        if not best > (1 - self.gain) * constant:
            return None
        train = case.figures("train_loss")[-1]
        return self.found(
            case,
            f"the best {name} loss in {len(losses)} epochs is {best:.4g}; always giving the same answer costs "
            f"{constant:.4g}. The training loss is {train:.4g}.",
        )
