"""What the curves of training and validation say: over- and underfitting, and validation easier than training."""

from __future__ import annotations

import math

import numpy as np

from chainrule.train.doctor.case import GOOD, Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.rule import Rule


class Overfitting(Rule):
    """The training loss falls, the validation loss does not any more."""

    condition = "overfitting"
    from_figures = True
    fewest = 5
    rising_for, rise, part, fall = 3, 0.1, 0.05, 0.1
    staying_for, deep_fall, gap = 5, 0.3, 0.3
    shows = (
        f"The validation loss was best at least {rising_for} epochs ago and has since risen by {rise:.0%} and by "
        f"{part:.0%} of the first epoch's training loss, while the training loss fell by {fall:.0%}; or it has not "
        f"improved for {staying_for} epochs, the training loss has fallen by {deep_fall:.0%} since, and the gap "
        f"between them is {gap:.0%} of the first epoch's training loss. Asked from epoch {fewest} on; the validation "
        "loss of now is the median of three epochs."
    )
    cause = (
        "The model learns its training data by heart: it is too large for the data there are, or training goes on "
        "after what is general has been learned."
    )
    remedies = (
        "regularise: weight decay, dropout, data augmentation",
        "keep the weights of the best epoch: EarlyStopping, Checkpoints",
        "a smaller model",
        "more data",
    )
    source = "I IV.2.a, IV.2.d"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare the last epochs with the best."""
        train, validation = case.figures("train_loss"), case.figures("validation_loss")
        if len(validation) < self.fewest or len(train) != len(validation) or not np.isfinite(train + validation).all():
            return None
        best = int(np.argmin(validation))
        ago, scale = len(validation) - 1 - best, max(train[0], 1e-12)
        recent = float(np.median(validation[-3:]))
        rises = recent - validation[best] > max(self.rise * validation[best], self.part * scale)
        diverges = ago >= self.rising_for and rises and train[-1] < (1 - self.fall) * train[best]
        apart = recent - train[-1] > self.gap * scale
        stays = ago >= self.staying_for and apart and train[-1] < (1 - self.deep_fall) * train[best]
        if not (diverges or stays) or recent <= train[-1]:
            return None
        return self.found(
            case,
            f"the validation loss was best in epoch {best + 1} with {validation[best]:.3g}; now it is {recent:.3g}, "
            f"while the training loss went from {train[best]:.3g} to {train[-1]:.3g}.",
        )


class Underfitting(Rule):
    """The training data are not learned."""

    condition = "underfitting"
    from_figures = True
    severity = "note"
    epochs, share, share_of_first = 5, 0.5, 0.8
    shows = (
        f"After the last of at least {epochs} epochs the training loss is still more than {share:.0%} of what knowing "
        f"nothing costs, and training accuracy, if measured, below {GOOD:.0%}. Where it is not known what knowing "
        f"nothing costs, the first epoch's loss stands for it: more than {share:.0%} of it, or without accuracy "
        f"{share_of_first:.0%}."
    )
    cause = (
        "The model is too small or of the wrong kind for the task, was not trained for long enough, or the optimiser "
        "is stuck or oscillates around a minimum. Or the targets hold so much chance that no model can do better."
    )
    remedies = (
        "more epochs, if the loss is still falling",
        "a larger model, or one that suits the data",
        "another optimiser or learning rate; decay it towards the end",
        "less regularisation",
    )
    source = "I IV.2.a, IV.2.h (c)"

    def at_end(self, case: Case) -> Finding | None:
        """Compare the last training loss with that of knowing nothing."""
        losses = case.figures("train_loss")
        constant = case.constant_loss()
        scale = constant if constant > 0 else max(losses[0], 0.0) if losses else 0.0
        share = self.share if constant > 0 or case.figures("train_accuracy") else self.share_of_first
        if len(losses) < self.epochs or not losses[-1] > share * scale > 0 or case.succeeds():
            return None
        falls = losses[-3] - losses[-1] > 0.02 * losses[-3]
        trend = "is still falling" if falls else "no longer falls"
        compared = "knowing nothing costs" if constant > 0 else "in the first epoch it was"
        return self.found(
            case,
            f"after {len(losses)} epochs the training loss is {losses[-1]:.3g} and {trend}; {compared} {scale:.3g}.",
        )


class ValidationEasier(Rule):
    """The validation loss is clearly below the training loss."""

    condition = "validation easier than training"
    from_figures = True
    epochs, part, errors, part_of_figures = 3, 0.75, 4, 0.6
    shows = (
        f"In each of {epochs} epochs the validation loss is below {part} of the training loss, both measured in "
        f"evaluation mode on the same weights, and below 1 − {errors}/√N of it for N validation samples. From "
        f"figures alone: below {part_of_figures} of the training loss of the epoch after. (In the first epochs, and "
        "under dropout or augmentation, a validation loss slightly below the printed training loss is usual and no "
        "finding.)"
    )
    cause = (
        "The validation set is too small or too easy, for instance without the hard classes; or validation samples "
        "are in the training data; or a bug computes the two losses differently."
    )
    remedies = (
        "divide anew at random, stratified by class",
        "look for samples on both sides of the split",
        "evaluate the training data through the validation code: the losses must agree",
    )
    source = "I IV.2.h (b), IV.5 2d"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare three epochs."""
        validation = case.figures("validation_loss")
        if case.model is not None:
            enough = 1 - self.errors / math.sqrt(max(case.validation.count, 1))
            train, part = case.in_evaluation, min(self.part, enough)
        else:
            train, part = case.figures("train_loss")[1:], self.part_of_figures
        pairs = list(zip(validation, train, strict=False))[-self.epochs :]
        if len(pairs) < self.epochs or not all(self.below(v, t, part) for v, t in pairs):
            return None
        shown = ", ".join(f"{v:.3g} against {t:.3g}" for v, t in pairs)
        return self.found(case, f"validation against training loss in {self.epochs} epochs: {shown}.")

    @classmethod
    def below(cls, validation: float, train: float, part: float | None = None) -> bool:
        """Whether one loss is below that part of the other; both may be negative, as log-likelihoods are."""
        return validation < train - (1 - (cls.part if part is None else part)) * abs(train)
