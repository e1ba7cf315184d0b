"""Figures of merit for samples: against SciPy, loops over pairs, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats

import chainrule
from chainrule.metrics import samples

RANDOM = np.random.default_rng(0)


def test_frechet_distance_is_that_of_the_fitted_normal_distributions() -> None:
    x, y = RANDOM.normal(size=(300, 5)) @ RANDOM.normal(size=(5, 5)), RANDOM.normal(1.0, 2.0, (200, 5))
    c1, c2 = np.cov(x.T), np.cov(y.T)
    shift = x.mean(0) - y.mean(0)
    wanted = shift @ shift + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert samples.frechet_distance(x, y) == pytest.approx(wanted, rel=1e-9)
    assert samples.frechet_distance(chainrule.tensor(x), y) == pytest.approx(samples.frechet_distance(y, x), rel=1e-9)
    flat = np.repeat(x[:, :1], 3, 1)  # a singular covariance
    assert samples.frechet_distance(flat, flat) < 1e-9


def test_kernel_distance_is_the_mean_over_pairs() -> None:
    x, y = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(5, 3))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    wanted = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    wanted += np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    wanted -= 2 * np.mean([k(a, b) for a in x for b in y])
    assert samples.kernel_distance(x, y) == pytest.approx(wanted)
    draws = [samples.kernel_distance(*RANDOM.normal(size=(2, 40, 3))) for _ in range(300)]
    assert abs(np.mean(draws)) < 6 * np.std(draws) / np.sqrt(300), "no bias"


def test_classifier_score_by_its_definition() -> None:
    p = RANDOM.dirichlet(np.ones(4), 50)
    wanted = np.exp(np.mean([stats.entropy(row, p.mean(0)) for row in p]))
    assert samples.classifier_score(p) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="sums to 1"):
        samples.classifier_score(p * 2)


def test_modes_are_counted() -> None:
    centers = np.array([(i, j) for i in range(5) for j in range(5)], float)
    x = centers.repeat(100, 0) + 0.05 * RANDOM.normal(size=(2500, 2))
    found = samples.mode_coverage(x, centers, 0.05)
    assert found.modes == 25
    assert abs(found.good - (1 - np.exp(-4.5))) < 0.012, "a Rayleigh number is below 3 with this probability"
    assert samples.mode_coverage(x[:1200], centers, 0.05).modes == 12
    assert samples.mode_coverage(x + 0.5, centers, 0.05).good == 0


def test_precision_and_recall_tell_collapse_from_blur() -> None:
    x, y = RANDOM.normal(size=(400, 2)), RANDOM.normal(size=(400, 2))
    both = samples.precision_recall(x, y)
    assert min(both) > 0.8
    collapsed = samples.precision_recall(x, 0.05 * y)
    assert collapsed.precision > 0.95 and collapsed.recall < 0.3
    wide = samples.precision_recall(x, 10 * y)
    assert wide.precision < 0.2 and wide.recall > 0.8
    squares = ((x[:, None] - y) ** 2).sum(-1)
    reach = np.sort(((x[:, None] - x) ** 2).sum(-1), 1)[:, 3]
    assert both.precision == np.mean([(squares[:, j] <= reach).any() for j in range(400)])


def test_bits_and_shapes() -> None:
    uniform_bytes = -10 * np.log(256.0)
    assert samples.bits_per_dimension([uniform_bytes, uniform_bytes], 10) == pytest.approx(8.0)
    with pytest.raises(chainrule.ShapeError, match=r"\(N, d\) and \(M, d\), got \(3, 2\) and \(3, 4\)"):
        samples.frechet_distance(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(chainrule.ShapeError, match="2 samples of each kind"):
        samples.kernel_distance(np.zeros((1, 2)), np.zeros((3, 2)))
