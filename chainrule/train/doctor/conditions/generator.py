"""What can go wrong with generators trained against a discriminator."""

from __future__ import annotations

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
    shows = (
        f"Generated samples spread less than {spread} times as far as real ones; or the nearest neighbour of a "
        f"generated sample is typically less than {near} times as far away as that of a real one (few samples, often "
        f"repeated). Compared are at least {fewest}, by `mode_collapse(samples, real)` or `doctor.observe_generator`."
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
        if spread[0] >= self.spread * spread[1] and near[0] >= self.near * near[1]:
            return None
        return self.found(
            case,
            f"{count} generated samples spread by {spread[0]:.3g} (real ones by {spread[1]:.3g}); the nearest other "
            f"one is typically {near[0]:.3g} away (for real ones {near[1]:.3g}).",
        )


def _nearest(samples: Array) -> float:
    """The median distance of a sample to the nearest other one."""
    squares = np.square(samples).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * samples @ samples.T
    np.fill_diagonal(distances, np.inf)
    return float(np.sqrt(max(np.median(distances.min(axis=1)), 0)))


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
    return ModeCollapse().compare(Case(), samples.detach().numpy(), real.detach().numpy())
