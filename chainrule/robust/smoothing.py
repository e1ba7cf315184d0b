"""Randomised smoothing: the class that a classifier answers most often under Gaussian noise, with a certificate.

If that class comes with a probability of at least p > ½, no change of the input shorter than σ·Φ⁻¹(p) can alter the
smoothed answer. Source: Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.primitives.gamma import log_gamma
from chainrule.random import randn
from chainrule.special import ndtri
from chainrule.tensor import Tensor


class Certificate(NamedTuple):
    """A class, and the radius (Euclidean) in which it is the smoothed answer; class −1: no answer is certain enough."""

    label: int
    radius: float


class SmoothedClassifier:
    """A classifier asked many times about x + σ·ε.

    Args:
        model: from inputs (N, …) to scores (N, K).
        sigma: σ > 0, the standard deviation of the noise; models are best trained with the same noise.
        batch_size: how many noisy copies at once.

    >>> import chainrule
    >>> sure = SmoothedClassifier(lambda x: chainrule.stack([x[:, 0] * 0, x[:, 0] * 0 + 1], 1), sigma=0.5)
    >>> sure.certify(chainrule.zeros(3), count=1000)
    Certificate(label=1, radius=1.23...)
    """

    def __init__(self, model: Callable[[Tensor], Tensor], sigma: float, batch_size: int = 500) -> None:
        if not sigma > 0:
            raise ValueError(f"SmoothedClassifier: sigma, the noise's deviation, is greater than 0, got {sigma}.")
        self.model, self.sigma, self.batch_size = model, sigma, batch_size

    def counts(self, x: Tensor, count: int) -> list[int]:
        """How often each class is answered in `count` draws, for one input x without a batch dimension."""
        total = None
        for start in range(0, count, self.batch_size):
            n = min(self.batch_size, count - start)
            with no_grad():
                noisy = x + self.sigma * randn((n, *x.shape), dtype=x.dtype, device=x.device)
                scores = self.model(noisy)
            if scores.ndim != 2 or len(scores) != n:
                raise ShapeError(f"the model gives scores ({n}, K), got {tuple(scores.shape)}.")
            found = np.bincount(scores.argmax(1).cpu().numpy(), minlength=scores.shape[1])
            total = found if total is None else total + found
        return [] if total is None else [int(c) for c in total]

    def certify(self, x: Tensor, count: int = 10_000, choosing: int = 100, alpha: float = 0.001) -> Certificate:
        """The answer at x with a radius that holds with a probability of at least 1 − alpha.

        `choosing` draws choose the class, `count` others bound its probability from below (Clopper and Pearson).
        """
        label = int(np.argmax(self.counts(x, choosing)))
        least = lower_confidence_bound(self.counts(x, count)[label], count, alpha)
        if least <= 0.5:
            return Certificate(-1, 0.0)
        return Certificate(label, self.sigma * float(ndtri(tensor(least, dtype="float64")).item()))


def lower_confidence_bound(successes: int, trials: int, alpha: float) -> float:
    """The probability p at which as many successes or more would come with a chance of only alpha.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934).

    >>> round(lower_confidence_bound(10, 10, 0.05), 4)      # 0.05 to the power of 1/10
    0.7411
    """
    if not (0 <= successes <= trials and trials > 0 and 0 < alpha < 1):
        raise ValueError(
            f"lower_confidence_bound: 0 ≤ successes ≤ trials and 0 < alpha < 1, got {successes}, {trials}, {alpha}."
        )
    if successes == 0:
        return 0.0
    k = np.arange(successes, trials + 1, dtype=np.float64)
    ways = log_gamma(np.array(trials + 1.0)) - log_gamma(k + 1) - log_gamma(trials - k + 1)
    low, high = 0.0, 1.0
    for _ in range(60):  # halving: the tail grows with p
        p = (low + high) / 2
        tail = np.exp(ways + k * np.log(p) + (trials - k) * np.log1p(-p)).sum()
        low, high = (p, high) if tail < alpha else (low, p)
    return low
