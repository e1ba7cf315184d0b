"""Embeddings beyond the tables: initial values, what is trained, what is shortened."""

from __future__ import annotations

import numpy as np
from scipy import stats

import chainrule
from chainrule import nn


def test_initial_values_are_standard_normal_but_for_padding() -> None:
    chainrule.manual_seed(0)
    weight = nn.Embedding(200, 30, padding_idx=3).weight.detach().numpy()
    assert not weight[3].any()
    assert stats.kstest(np.delete(weight, 3, 0).ravel(), "norm").pvalue > 1e-3


def test_only_words_that_occur_have_a_gradient() -> None:
    layer = nn.Embedding(5, 2, padding_idx=0)
    layer(chainrule.tensor([[0, 1], [1, 4]])).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0], [1, 1]]


def test_pretrained_vectors_are_frozen_unless_told_otherwise() -> None:
    vectors = chainrule.randn(4, 3)
    frozen = nn.Embedding.from_pretrained(vectors, padding_idx=1)
    assert not frozen.weight.requires_grad and frozen.padding_idx == 1 and chainrule.equal(frozen.weight, vectors)
    assert nn.Embedding.from_pretrained(vectors, freeze=False).weight.requires_grad


def test_max_norm_shortens_what_is_used() -> None:
    layer = nn.Embedding.from_pretrained(chainrule.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]]), max_norm=1.0)
    found = layer(chainrule.tensor([0, 1]))
    np.testing.assert_allclose(found.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(layer.weight.numpy(), [[0.6, 0.8], [0.3, 0.4], [6, 8]], rtol=1e-6)
