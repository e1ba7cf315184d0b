"""What can go wrong with generators trained against a discriminator."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from chainrule.tensor import Tensor
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.rule import Rule
from chainrule.train.doctor.seen import Array


class ModeCollapse(Rule):
    """All that the generator makes looks alike."""

    condition = "mode collapse"
    severity = "fault"
    spread, near, fewest = 0.2, 0.1, 8
    reach, rare, missed, enough = 0.2, 0.25, 0.1, 256
    shows = (
        f"Generated samples spread less than {spread} times as far as real ones; or the nearest neighbour of a "
        f"generated sample is typically less than {near} times as far away as that of a real one (few samples, often "
        f"repeated); or, where there are {enough} of each, more than {missed:.0%} of the real ones are missed: within "
        f"{reach} times their spread, or 3 times the distance of the nearest real one if that is farther, there are "
        f"less than {rare} times as many generated samples as real ones. "
        f"Compared are at least {fewest}, by `mode_collapse(samples, real)` or `doctor.observe_generator`."
    )
    cause = (
        "The generator has found one sample, or a few, that fool the discriminator best, and makes only these: nothing "
        "in its loss asks for variety."
    )
    remedies = (
        "a Wasserstein loss with gradient penalty, or least squares, instead of the plain loss",
        "let the discriminator see whole batches (their variation as a feature)",
        "a smaller learning rate for the generator; more steps of the discriminator for each of the generator",
        "condition on the class",
    )
    source = "I V.10.b"

    def compare(self, case: Case, samples: Array, real: Array) -> Finding | None:
        """Compare generated samples (N, …) with real ones (M, …)."""
        count = min(len(samples), len(real))
        samples, real = (x[:count].reshape(count, -1).astype(float) for x in (samples, real))
        if count < self.fewest:
            raise ValueError(
                f"mode collapse shows in at least {self.fewest} generated and as many real samples, got {count}."
            )
        spread = float(np.sqrt(samples.var(axis=0).sum())), float(np.sqrt(real.var(axis=0).sum()))
        near = _nearest(samples), _nearest(real)
        missed = self._missed(samples, real, spread[1]) if count >= self.enough else 0.0
        if missed > self.missed:
            return self.found(case, f"near {missed:.0%} of {count} real samples generated ones are rare or absent.")
        if spread[0] >= self.spread * spread[1] and near[0] >= self.near * near[1]:
            return None
        return self.found(
            case,
            f"{count} generated samples spread by {spread[0]:.3g} (real ones by {spread[1]:.3g}); the nearest other "
            f"one is typically {near[0]:.3g} away (for real ones {near[1]:.3g}).",
        )

    def _missed(self, samples: Array, real: Array, spread: float) -> float:
        """The share of real samples that have hardly any generated ones near."""
        among, across = _squares(real, real), _squares(real, samples)
        np.fill_diagonal(among, np.inf)
        far = np.maximum((self.reach * spread) ** 2, 9 * among.min(axis=1))[:, None]
        return float(((across <= far).sum(axis=1) < self.rare * (1 + (among <= far).sum(axis=1))).mean())


def _nearest(samples: Array) -> float:
    """The median distance of a sample to the nearest other one."""
    distances = _squares(samples, samples)
    np.fill_diagonal(distances, np.inf)
    return float(np.sqrt(max(np.median(distances.min(axis=1)), 0)))


def _squares(x: Array, y: Array) -> Array:
    """All squared distances, (N, M)."""
    return np.asarray(np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * x @ y.T)


class Adversaries(Rule):
    """What the rules share that watch rounds of adversarial training: figures of the last rounds, and their mean."""

    rounds = 200

    def observe(self, case: Case, loss: str, judged: float, push: float) -> Finding | None:
        """After a round: the kind of the loss, the discriminator's, and the length of the generator's gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it looks for.")

    def mean(self, figure: float) -> float | None:
        """The mean over the last rounds; None before there are as many."""
        figures = self.memory["last"] = [*self.memory.get("last", [])[1 - self.rounds :], figure]
        return sum(figures) / self.rounds if len(figures) == self.rounds else None


class WinningDiscriminator(Adversaries):
    """The discriminator is nearly always right."""

    condition = "winning discriminator"
    undecided: ClassVar[dict[str, float]] = {
        "minimax": 2 * math.log(2), "non_saturating": 2 * math.log(2), "least_squares": 0.25
    }  # fmt: skip
    share = 0.1
    shows = (
        f"Over {Adversaries.rounds} rounds the discriminator's loss is on average below {share} times that of one that "
        "cannot tell at all: 2 ln 2 for the original and the non-saturating loss, ¼ for least squares. The scores of a "
        "Wasserstein critic have no zero, so it is not judged. Seen by `doctor.observe_adversaries`."
    )
    cause = (
        "The discriminator learns faster than the generator, or what is generated lies where nothing real is, so that "
        "it is told apart whatever small step the generator takes."
    )
    remedies = (
        "bound the discriminator's slope: spectral normalisation or a gradient penalty",
        "a Wasserstein loss, which still says in which direction to go",
        "a smaller learning rate for the discriminator, or a smaller one of it",
        "noise on real and generated samples",
    )
    source = "I V.10; Arjovsky and Bottou 2017"

    def observe(self, case: Case, loss: str, judged: float, push: float) -> Finding | None:
        """See the class."""
        mean = self.mean(judged)
        if mean is None or loss not in self.undecided or mean >= self.share * self.undecided[loss]:
            return None
        return self.found(
            case,
            f"over {self.rounds} rounds the discriminator's loss was {mean:.3g}; knowing nothing costs "
            f"{self.undecided[loss]:.3g}.",
        )


class VanishingGeneratorGradient(Adversaries):
    """Hardly anything reaches the generator."""

    condition = "vanishing generator gradient"
    severity = "fault"
    share = 1e-2
    shows = (
        f"Over {Adversaries.rounds} rounds the generator's gradient is on average less than {share} times as long as "
        "it once was over as many. Seen by `doctor.observe_adversaries`."
    )
    cause = (
        "The discriminator is so sure that its score has no slope where samples are generated: the original loss is "
        "flat there, ln(1 − σ(D)) ≈ 0."
    )
    remedies = (
        "the non-saturating loss instead of the original one",
        "a Wasserstein loss with gradient penalty",
        "spectral normalisation of the discriminator",
    )
    source = "I V.10; Goodfellow et al. 2014"

    def observe(self, case: Case, loss: str, judged: float, push: float) -> Finding | None:
        """See the class."""
        mean = self.mean(push)
        if mean is None:
            return None
        longest = self.memory["longest"] = max(mean, self.memory.get("longest", 0.0))
        if mean >= self.share * longest:
            return None
        return self.found(
            case, f"over {self.rounds} rounds the generator's gradient was {mean:.3g} long; it was {longest:.3g} once."
        )


def mode_collapse(samples: Tensor, real: Tensor) -> Finding | None:
    """Whether a generator makes samples that are all alike, or only a few different ones.

    samples: (N, …) generated, real: (M, …); the first min(N, M) of each are compared, all pairs, so some hundreds
    are enough. Raises ValueError for fewer than 8.

    >>> import chainrule
    >>> mode_collapse(chainrule.ones(16, 4), chainrule.randn(16, 4)).condition
    'mode collapse'
    >>> mode_collapse(chainrule.randn(16, 4), chainrule.randn(16, 4)) is None
    True
    """
    return ModeCollapse().compare(Case(), samples.detach().read(), real.detach().read())
