"""K-means, the choice of K, and PCA beside the linear autoencoder."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import chainrule
from chainrule import models
from chainrule.data.optdigits import load_digits_arrays
from chainrule.errors import ChainruleError, ShapeError


def blobs(count: int = 40, spread: float = 0.5) -> tuple[chainrule.Tensor, np.ndarray]:
    centres = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 6.0]])
    random = np.random.default_rng(0)
    x = np.repeat(centres, count, 0) + spread * random.standard_normal((4 * count, 3))
    return chainrule.tensor(x), np.repeat(np.arange(4), count)


def test_kmeans_is_where_neither_step_changes_anything() -> None:
    """By the definition: each centre is the mean of its samples, each sample is with its nearest centre."""
    x, truth = blobs()
    found = models.kmeans(x, 4)
    samples, labels, centres = x.numpy(), found.labels.numpy(), found.centres.numpy()
    distances = ((samples[:, None] - centres) ** 2).sum(2)
    np.testing.assert_array_equal(distances.argmin(1), labels)
    for i in range(4):
        np.testing.assert_allclose(centres[i], samples[labels == i].mean(0))
        assert len(set(truth[labels == i].tolist())) == 1
    assert found.inertia == pytest.approx(distances.min(1).sum())
    assert chainrule.equal(found.assign(x), found.labels)
    again = models.kmeans(x, 4)
    assert chainrule.equal(again.labels, found.labels) and again.inertia == found.inertia


def test_the_choice_of_k() -> None:
    x, _ = blobs()
    choices = models.choose_k(x, range(1, 9))
    assert choices.elbow == 4 == choices.silhouette
    inertias = [row.inertia for row in choices]
    assert inertias == sorted(inertias, reverse=True) and math.isnan(choices.rows[0].silhouette)
    # The silhouette by its definition: (b − a) / max(a, b), a to one's own cluster, b to the next one.
    samples, labels = x.numpy(), models.kmeans(x, 4).labels.numpy()
    distances = np.sqrt(((samples[:, None] - samples) ** 2).sum(2))
    values = []
    for i, own in enumerate(labels):
        a = distances[i, labels == own].sum() / ((labels == own).sum() - 1)
        b = min(distances[i, labels == other].mean() for other in set(labels) - {own})
        values.append((b - a) / max(a, b))
    assert choices.rows[3].silhouette == pytest.approx(np.mean(values))
    one = models.choose_k(x, [1])
    assert one.elbow == 1 and one.silhouette is None
    assert math.isnan(models.choose_k(x[:3], [3]).rows[0].silhouette)


def test_pca_is_the_singular_value_decomposition() -> None:
    x, _ = blobs()
    found = models.pca(x, 2)
    centred = x.numpy() - x.numpy().mean(0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.components.numpy()), np.abs(directions[:2]), atol=1e-10)
    np.testing.assert_allclose(found.explained.numpy(), (values**2 / (values**2).sum())[:2])
    assert (found.components.abs().argmax(1) == found.components.argmax(1)).all()  # the largest entry is positive
    error = ((found.decode(found.encode(x)) - x) ** 2).sum().item()
    assert error == pytest.approx((values[2:] ** 2).sum())


def test_pca_is_a_linear_autoencoder_that_training_cannot_mend() -> None:
    """On the digits: the network gives PCA's codes and images, and its gradient vanishes: it stands at a minimum."""
    images, _ = load_digits_arrays()
    x = chainrule.tensor(images.reshape(len(images), -1) / 16)
    found = models.pca(x, 8)
    network = found.autoencoder()
    assert chainrule.allclose(network[0](x), found.encode(x)) and chainrule.allclose(
        network(x), found.decode(found.encode(x))
    )
    loss = ((network(x) - x) ** 2).mean()
    loss.backward()
    assert all(p.grad.abs().max().item() < 1e-9 for p in network.parameters())
    sizes = [models.pca(x, k) for k in (2, 8, 32)]
    errors = [((p.decode(p.encode(x)) - x) ** 2).mean().item() for p in sizes]
    assert errors == sorted(errors, reverse=True) and errors[1] == pytest.approx(loss.item())


def test_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = blobs(2)
    with pytest.raises(ValueError, match="between 1 and the number of samples, 8; got 9"):
        models.kmeans(x, 9)
    with pytest.raises(ValueError, match="restarts=0"):
        models.kmeans(x, 2, restarts=0)
    with pytest.raises(ValueError, match="no k to try"):
        models.choose_k(x, [])
    with pytest.raises(ValueError, match="between 1 and 3 components, got 4"):
        models.pca(x, 4)
    with pytest.raises(ShapeError, match=r"got \(5,\)"):
        models.kmeans(chainrule.zeros(5), 2)
    with pytest.raises(ShapeError, match="the centres have 3 numbers, the samples 2"):
        models.kmeans(x, 2).assign(chainrule.zeros(4, 2))
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(ChainruleError, match=r"pip install 'chainrule\[cluster\]'"):
        models.kmeans(x, 2)
