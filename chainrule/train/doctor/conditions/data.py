"""What can be wrong with the inputs: NaN, their scale, their distribution, and samples on both sides of the split."""

from __future__ import annotations

import numpy as np

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look
from chainrule.train.doctor.rule import Rule
from chainrule.train.doctor.seen import Array, Moments, Seen


class BadNumbers(Rule):
    """Inputs or targets hold NaN or infinities."""

    condition = "NaN in the data"
    severity = "fault"
    shows = "An entry of the inputs or targets is NaN or infinite. The place of the first is named."
    cause = (
        "A missing value was read as NaN, a division by a standard deviation of 0, a logarithm of 0, or an overflow of "
        "half precision. One NaN makes loss, gradients and, after one step, all weights NaN."
    )
    remedies = (
        "find the sample by its place, and mend or drop it",
        "fill missing values before scaling; divide by the standard deviation plus a small ε",
    )
    source = "I I.2.d"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Ask what was seen of both splits."""
        for split, seen in (("training", case.train), ("validation", case.validation)):
            if seen.bad is not None:
                what, value, batch, place = seen.bad
                where = f"batch {batch} of the {split} data, at {list(place)} (sample {place[0] if place else 0} of it)"
                return self.found(case, f"an entry of the {what}s is {value}: {where}.")
        return None

    def at_divergence(self, case: Case) -> Finding | None:
        """The batch of which the loss is NaN has been seen too."""
        return self.at_epoch_end(case)


class Unnormalised(Rule):
    """The scale of the inputs is far from 1."""

    condition = "inputs not normalised"
    large, small, ratio, fewest = 10, 0.01, 100, 8
    shows = (
        f"What the first layer gets has a root mean square above {large} or below {small}, or one feature spreads more "
        f"than {ratio} times as far as the median feature, in two looks in a row — unless that layer normalises. "
        "Pixels in [0, 1] pass."
    )
    cause = (
        "The inputs come as they were measured (pixels from 0 to 255, dollars beside metres). Large inputs make large "
        "activations and gradients, which saturate or explode; with uneven scales no learning rate fits all weights."
    )
    remedies = (
        "subtract the mean and divide by the standard deviation of the training split, for each feature or channel, "
        "in all splits alike",
        "for images: divide by 255 first",
        "begin the model with a normalisation layer (BatchNorm)",
    )
    source = "I I.2.d (standardising does not map to [0, 1]: ERRATA)"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Look at the first tensor that the model gets."""
        x = look.inputs[0] if look.inputs else None
        if x is None or x.dtype.kind != "f" or look.normalised_first or len(x) < 2 or not np.isfinite(x).all():
            return None
        values = x.astype(float)
        size = float(np.sqrt(np.mean(np.square(values))))
        seen = f"mean {values.mean():.3g}, standard deviation {values.std():.3g}, from {values.min():.3g} to "
        seen += f"{values.max():.3g}"
        wrong = bool(size > self.large or 0 < size < self.small)
        evidence, paths = f"the inputs have {seen}.", ()
        if not wrong and values.ndim == 2 and len(values) >= self.fewest:
            spread = values.std(axis=0)
            largest, usual = int(spread.argmax()), np.median(spread)
            wrong = bool(usual > 0 and spread[largest] > self.ratio * usual)
            evidence = f"feature {largest} spreads by {spread[largest]:.3g}, the median feature by {usual:.3g}."
        return self.found(case, evidence, paths) if self.twice("seen", wrong) else None


class Mismatch(Rule):
    """Training and validation data are distributed differently."""

    condition = "distribution mismatch"
    apart, ratio, share, errors, fewest = 0.25, 2, 0.05, 6, 20
    shows = (
        f"In the first epoch, the mean of a feature or channel differs between training and validation by more than "
        f"{apart} of its standard deviation, or its mean square by more than a factor of {ratio}, or a class's share "
        f"by more than {share:.0%} of all samples and half of the larger share — each by more than {errors} standard "
        f"errors, and with at least {fewest} samples on each side."
    )
    cause = (
        "The splits are drawn from different distributions: the data were not shuffled before dividing (all that came "
        "late is in validation), come from different sources, or are scaled in one split only."
    )
    remedies = (
        "shuffle before dividing, stratified by class; keep groups that belong together on one side",
        "apply the same scaling, with the training split's mean and standard deviation, to all splits",
        "if real use looks like the validation data, train on data like it",
    )
    source = "I IV.2.h (a), I.2.a"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare the statistics of both splits once both were seen whole."""
        train, validation = case.train, case.validation
        if self.memory.get("asked") or min(train.count, validation.count) < self.fewest:
            return None
        self.memory["asked"] = True
        evidence = self._moments_differ(train.moments, validation.moments) or self._labels_differ(train, validation)
        return self.found(case, evidence) if evidence else None

    def _moments_differ(self, train: Moments, validation: Moments) -> str:
        enough = min(train.count, validation.count) >= self.fewest
        if not enough or train.centre is None or validation.sums[0].shape != train.centre.shape:
            return ""
        m1, q1, m1_variance, q1_variance = train.means()
        m2, q2, m2_variance, q2_variance = validation.means()
        n1, n2 = train.count, validation.count
        spread = np.sqrt(np.maximum(q1 - m1 * m1, 0)) + 1e-12
        shift = np.abs(m1 - m2) / spread
        sure = np.abs(m1 - m2) / np.sqrt(m1_variance / n1 + m2_variance / n2 + 1e-30)
        shifted = np.where(sure > self.errors, shift, 0.0)
        feature = int(shifted.argmax())
        if shifted[feature] > self.apart:
            means = train.centre[feature] + m1[feature], train.centre[feature] + m2[feature]
            return (
                f"feature or channel {feature} has mean {means[0]:.3g} in training and {means[1]:.3g} in validation, "
                f"{shift[feature]:.2f} standard deviations apart ({(shifted > self.apart).sum()} of {len(shifted)} "
                "differ)."
            )
        sure = np.abs(q1 - q2) / np.sqrt(q1_variance / n1 + q2_variance / n2 + 1e-30)
        ratio = np.maximum(q1, q2) / (np.minimum(q1, q2) + 1e-30)
        scaled = np.where(sure > self.errors, ratio, 1.0)
        feature = int(scaled.argmax())
        if scaled[feature] > self.ratio:
            return (
                f"feature or channel {feature} has mean square {q1[feature]:.3g} about the training mean in training "
                f"and {q2[feature]:.3g} in validation ({(scaled > self.ratio).sum()} of {len(scaled)} differ)."
            )
        return ""

    def _labels_differ(self, train: Seen, validation: Seen) -> str:
        n1, n2 = sum(train.labels.values()), sum(validation.labels.values())
        if min(n1, n2) < self.fewest:
            return ""
        differ = {}
        for label in sorted(train.labels.keys() | validation.labels.keys()):
            p1, p2 = train.labels.get(label, 0) / n1, validation.labels.get(label, 0) / n2
            p = (p1 * n1 + p2 * n2) / (n1 + n2)
            error = np.sqrt(p * (1 - p) * (1 / n1 + 1 / n2)) + 1e-12
            if abs(p1 - p2) > max(self.share, 0.5 * max(p1, p2), self.errors * error):
                differ[label] = p1, p2
        if not differ:
            return ""
        worst = max(differ, key=lambda label: abs(differ[label][0] - differ[label][1]))
        p1, p2 = differ[worst]
        return (
            f"class {worst} is {p1:.1%} of the training and {p2:.1%} of the validation labels ({len(differ)} of "
            f"{len(train.labels.keys() | validation.labels.keys())} classes differ)."
        )


class Leakage(Rule):
    """The same samples are in training and in validation."""

    condition = "leakage"
    severity = "fault"
    share, times, fewest = 0.01, 2, 2
    shows = (
        f"More than {share:.0%} of the validation samples, and at least {fewest}, are bit for bit in the training data "
        f"too (and more than {times} times the share that repeats within the training data). Augmented copies cannot "
        "be recognised."
    )
    cause = (
        "The split was made after duplicating or augmenting, the data hold duplicates, or the wrong set was passed. "
        "Validation then measures memory instead of generalisation, and looks too good."
    )
    remedies = (
        "remove duplicates, then divide, then augment the training split alone",
        "keep together on one side what belongs together (one patient, one video)",
    )
    source = "I IV.2.h (b)"

    def at_epoch_end(self, case: Case) -> Finding | None:
        """Compare the samples' fingerprints once both splits were seen."""
        train, validation = case.train.prints(), case.validation.prints()
        if self.memory.get("asked") or not len(train) or not len(validation):
            return None
        self.memory["asked"] = True
        shared = np.isin(validation, train)
        share, usual = float(shared.mean()), _share_of_repeated(train)
        if shared.sum() < self.fewest or share <= max(self.share, self.times * usual):
            return None
        first = int(shared.argmax())
        return self.found(
            case,
            f"{int(shared.sum())} of {len(validation)} validation samples ({share:.1%}) are in the training data too, "
            f"the first of them number {first} (from 0, in the loader's order).",
        )


def _share_of_repeated(prints: Array) -> float:
    return 1 - len(np.unique(prints)) / len(prints)
