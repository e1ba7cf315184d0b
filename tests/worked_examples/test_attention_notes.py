"""Worked examples of the lecture summary on transformers (I VI.4 to VI.6)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn

F = nn.functional
float64 = chainrule.float64


def test_i_vi_4_a_sinusoidal_positions_are_different_for_each_place() -> None:
    """I VI.4.a: PE(pos, 2i) = sin(pos/10000^(2i/d)), PE(pos, 2i+1) the cosine: a code that names the place."""
    table = F.sinusoidal_positions(200, 16, dtype=float64).numpy()
    assert table[0].tolist() == [0, 1] * 8
    assert table[3, 4] == pytest.approx(math.sin(3 / 10000 ** (4 / 16)))
    distances = np.linalg.norm(table[:, None] - table[None], axis=-1) + np.eye(200)
    assert distances.min() > 0.1


def test_i_vi_4_b_the_root_keeps_scores_of_variance_1() -> None:
    """I VI.4.b: q·k of independent standard normal vectors has variance d_k; divided by √d_k it has 1."""
    q, k = chainrule.randn(4000, 64), chainrule.randn(4000, 64)
    scores = (q * k).sum(-1)
    assert scores.var().item() == pytest.approx(64, rel=0.1)
    assert (scores / math.sqrt(64)).var().item() == pytest.approx(1, rel=0.1)


def test_i_vi_4_b_splitting_into_heads_needs_a_transposition() -> None:
    """I VI.4.b says "simply reshape"; without the transposition a head would mix the positions it attends over."""
    n, length, heads, width = 2, 5, 3, 4
    x = chainrule.randn(n, length, heads * width)
    right = x.reshape(n, length, heads, width).transpose(1, 2)
    wrong = x.reshape(n, heads, length, width)
    assert chainrule.equal(right[:, 1], x[..., width : 2 * width]), "head 1 sees its features of all positions"
    assert not chainrule.equal(wrong[:, 1], x[..., width : 2 * width])
    attended = F.scaled_dot_product_attention(right, right, right)
    assert attended.transpose(1, 2).reshape(n, length, heads * width).shape == x.shape


def test_i_vi_4_c_each_sub_layer_is_layer_norm_of_a_sum() -> None:
    """I VI.4.c: LayerNorm(x + Sublayer(x)), for attention and for the network."""
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0).double(), chainrule.randn(5, 3, 8, dtype=float64)
    first = layer.norm1(x + layer.self_attn(x, x, x)[0])
    second = layer.norm2(first + layer.linear2(layer.linear1(first).relu()))
    assert chainrule.allclose(layer(x), second, rtol=1e-10)


def test_i_vi_4_d_what_the_decoder_gives_is_k_times_c() -> None:
    """I VI.4.d: one row of C scores for each of the K target tokens (the notes say N, the number of source tokens)."""
    model = models.EncoderDecoderTransformer(10, 13, layers=1, width=8, heads=2, context=9)
    source, target = chainrule.zeros(2, 7, dtype="int64"), chainrule.zeros(2, 4, dtype="int64")
    assert model(source, target).shape == (2, 4, 13)


@pytest.mark.parametrize(("n", "k", "m"), [(6, 4, 8), (3, 5, 4), (1, 1, 2)])
def test_i_vi_6_cross_attention_of_k_by_m_over_n_by_m_is_k_by_m(n: int, k: int, m: int) -> None:
    """I VI.6, 4c: q = X_d (K×M), keys and values X_e (N×M): (K×M)·(M×N)·(N×M) = K×M."""
    encoder, decoder = chainrule.randn(n, m), chainrule.randn(k, m)
    assert (decoder @ encoder.T).shape == (k, n)
    assert F.scaled_dot_product_attention(decoder, encoder, encoder).shape == (k, m)
    assert nn.MultiheadAttention(m, 2)(decoder, encoder, encoder)[0].shape == (k, m)


def test_i_vi_6_lengths_may_differ_and_features_may_not() -> None:
    """I VI.6, 4a and 4b."""
    model = nn.Transformer(8, 2, 1, 1, 16)
    for source, target in [(3, 5), (6, 2), (1, 1)]:
        assert model(chainrule.randn(source, 2, 8), chainrule.randn(target, 2, 8)).shape == (target, 2, 8)
    with pytest.raises(chainrule.ShapeError, match=r"8 features.*\(3, 2, 7\)"):
        model(chainrule.randn(3, 2, 7), chainrule.randn(5, 2, 8))


def test_i_vi_6_without_positions_order_is_invisible() -> None:
    """I VI.6, 4f: permuted inputs give the same results, permuted; with positions they do not."""
    attention, order = nn.MultiheadAttention(8, 2, batch_first=True).double(), [3, 0, 2, 4, 1]
    x = chainrule.randn(1, 5, 8, dtype=float64)

    def through(x: Any) -> Any:
        return attention(x, x, x)[0]

    assert chainrule.allclose(through(x[:, order]), through(x)[:, order], rtol=1e-10)
    placed = nn.SinusoidalPositions(5, 8, dtype=float64)
    assert not chainrule.allclose(through(placed(x[:, order])), through(placed(x))[:, order], rtol=1e-2)
