"""What the curves of training and validation say: over- and underfitting, and validation easier than training."""

from __future__ import annotations

import math

import numpy as np

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.rule import Rule


class Overfitting(Rule):
    """The training loss falls, the validation loss does not any more."""

    condition = "overfitting"
    shows = (
        "The validation loss was best at least 3 epochs ago and has since risen by 10% and by a twentieth of the first "
        "epoch's training loss, while the training loss fell by 10%; or it has not improved for 5 epochs, the training "
        "loss has fallen by 30% since, and the gap between them is three tenths of the first epoch's training loss."
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
        if len(validation) < 5 or len(train) != len(validation) or not np.isfinite(train + validation).all():
            return None
        best = int(np.argmin(validation))
        ago, scale = len(validation) - 1 - best, max(train[0], 1e-12)
        recent = float(np.median(validation[-3:]))
        rise = recent - validation[best]
        diverges = ago >= 3 and rise > max(0.1 * validation[best], 0.05 * scale) and train[-1] < 0.9 * train[best]
        stays = ago >= 5 and train[-1] < 0.7 * train[best] and recent - train[-1] > 0.3 * scale
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
    severity = "note"
    shows = (
        "After the last of at least 5 epochs the training loss is still more than half of what knowing nothing costs "
        "(of the first epoch's loss, where only figures are left), and training accuracy, if measured, below 90%."
    )
    cause = (
        "The model is too small or of the wrong kind for the task, was not trained for long enough, or the optimiser "
        "is stuck or oscillates around a minimum."
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
        if len(losses) < 5 or not losses[-1] > 0.5 * scale > 0 or case.succeeds():
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
    shows = (
        "In each of 3 epochs the validation loss is below three quarters of the training loss, both measured in "
        "evaluation mode on the same weights, by more than four standard errors of a validation set of that size. From "
        "figures alone: below six tenths of the training loss of the epoch after. (In the first epochs, and under "
        "dropout or augmentation, a validation loss slightly below the printed training loss is usual and no finding.)"
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
            train, factor = case.in_evaluation, min(0.75, 1 - 4 / math.sqrt(max(case.validation.count, 1)))
        else:
            train, factor = case.figures("train_loss")[1:], 0.6
        pairs = list(zip(validation, train, strict=False))[-3:]
        if len(pairs) < 3 or not all(v < t - (1 - factor) * abs(t) for v, t in pairs):
            return None
        shown = ", ".join(f"{v:.3g} against {t:.3g}" for v, t in pairs)
        return self.found(case, f"validation against training loss in 3 epochs: {shown}.")
