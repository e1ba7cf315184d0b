"""Images of a batch mixed with each other, and what happens to their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule.data import transforms as T
from chainrule.data.transforms.mixing import beta_draws
from tests.transform_images import images, spots

# ------------------------------------------------------------------------------------------------------- mixed batches


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 5.0])
def test_beta_draws(alpha: float) -> None:
    draws = beta_draws(4000, alpha).numpy()
    assert stats.kstest(draws, "beta", (alpha, alpha)).pvalue > 0.001 and ((draws >= 0) & (draws <= 1)).all()


def test_mixup_mixes_labels_as_images() -> None:
    x = chainrule.eye(6).reshape(6, 6, 1, 1)  # so that the image says what it is made of
    labels = chainrule.arange(6)
    mixed, soft = T.mixup(x, labels, 1.0, 6)
    np.testing.assert_allclose(mixed.numpy()[:, :, 0, 0], soft.numpy(), atol=1e-6)
    shares = soft.numpy()[np.arange(6), np.arange(6)]
    assert len(set(shares)) == 6 and np.allclose(soft.sum(1).numpy(), 1)
    np.testing.assert_allclose(soft.numpy()[np.arange(6), np.arange(6) - 1], 1 - shares, atol=1e-6)
    again, twice = T.MixUp(alpha=0.3)((x, soft))
    assert again.shape == x.shape and np.allclose(twice.sum(1).numpy(), 1)


def test_cutmix_labels_by_area() -> None:
    x = chainrule.eye(6).reshape(6, 6, 1, 1).expand(6, 6, 20, 30) * 1.0
    mixed, soft = T.CutMix(num_classes=6)(x, chainrule.arange(6))
    assert set(np.unique(mixed.numpy())) == {0, 1}
    np.testing.assert_allclose(mixed.numpy().mean((2, 3)), soft.numpy(), atol=1e-6)
    for i in range(6):
        hole = mixed.numpy()[i, i - 1] == 1
        assert hole.sum() == np.count_nonzero(hole.any(0)) * np.count_nonzero(hole.any(1)), "a rectangle"
    areas = 1 - T.cutmix(chainrule.zeros(3000, 1, 64, 64), chainrule.eye(2)[chainrule.arange(3000) % 2])[1].amax(1)
    assert areas.min().item() >= 0 and areas.max().item() <= 0.5


@pytest.mark.parametrize("mix", [T.MixUp(num_classes=6), T.CutMix(num_classes=6)])
def test_mixing_compiles(mix: Any) -> None:
    x, y = images(6), chainrule.arange(6)
    compiled: Any = chainrule.compile(lambda a, b: mix(a, b))
    for _ in range(2):
        chainrule.manual_seed(1)
        eager = mix(x, y)
        chainrule.manual_seed(1)
        for a, b in zip(eager, compiled(x, y), strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-6)


def test_compiled_with_masks_and_keypoints() -> None:
    x, places = spots(6)
    transform = T.Compose([T.RandomHorizontalFlip(), T.RandomCrop(32), T.RandomRotation(30)])
    compiled: Any = chainrule.compile(lambda a, b, c: transform(a, b, c))
    for _ in range(2):
        results = []
        for run in (transform, compiled):
            chainrule.manual_seed(4)
            results.append([v.numpy() for v in run(x, (x > 0.5).long(), places)])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(b, a, atol=1e-6)
