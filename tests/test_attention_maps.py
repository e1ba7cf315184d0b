"""Attention maps: what modules answer themselves, softmax by hand, masks, decoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.explain import attention_maps, draw_attention


def test_maps_are_what_the_module_answers_itself() -> None:
    layer = nn.MultiheadAttention(12, 3, batch_first=True).double()
    query, key = (chainrule.randn(2, n, 12, dtype=chainrule.float64) for n in (4, 6))
    _, wanted = layer(query, key, key, average_attn_weights=False)
    for need_weights in (True, False):
        (found,) = attention_maps(layer, query, key, key, need_weights=need_weights).values()
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), atol=1e-12)


def test_a_plain_attention_by_hand_with_a_mask() -> None:
    class Plain(nn.Module):
        def forward(self, q, k, mask):
            return nn.functional.scaled_dot_product_attention(q, k, k, attn_mask=mask)

    q, k = chainrule.randn(1, 2, 3, 4, dtype=chainrule.float64), chainrule.randn(1, 2, 5, 4, dtype=chainrule.float64)
    mask = chainrule.rand(3, 5) > 0.3
    mask[:, 0] = True
    scores = np.where(mask.numpy(), np.exp(q.numpy() @ k.numpy().swapaxes(-1, -2) / 2), 0)
    maps = attention_maps(Plain(), q, k, mask)
    np.testing.assert_allclose(maps[""].numpy(), scores / scores.sum(-1, keepdims=True), rtol=1e-10)


def test_every_attention_of_a_decoder_and_of_a_transformer() -> None:
    decoder = models.create("decoder", vocabulary=11, layers=2, width=16, heads=4)
    maps = attention_maps(decoder, chainrule.randint(0, 11, (1, 7)))
    assert len(maps) == 2 and all("attention" in path for path in maps)
    for weights in maps.values():
        assert weights.shape == (1, 4, 7, 7)
        np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-5)
        assert (np.triu(weights.numpy(), 1) == 0).all()  # nobody reads what comes later
    transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    maps = attention_maps(transformer, chainrule.randn(1, 5, 8), chainrule.randn(1, 3, 8))
    assert [tuple(w.shape[-2:]) for w in maps.values()] == [(5, 5), (3, 3), (3, 5)]


def test_the_same_module_twice_and_none_at_all(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

        def forward(self, x):
            for _ in range(2):
                x, _ = self.attention(x, x, x)
            return x

    maps = attention_maps(Twice(), chainrule.randn(1, 3, 4))
    assert list(maps) == ["attention", "attention (2)"]
    draw_attention(maps, tmp_path / "maps.png", ["a", "b", "c"])
    assert (tmp_path / "maps.png").stat().st_size > 1000
    assert attention_maps(nn.Linear(2, 2), chainrule.ones(1, 2)) == {}
    with pytest.raises(chainrule.ShapeError, match="no attention"):
        draw_attention({}, tmp_path / "none.png")
