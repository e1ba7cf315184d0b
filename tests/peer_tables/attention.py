"""Attention, multi-head attention and transformers."""

import numpy as np

from tests.peer_tables import Case, Refused, booleans


def _forbidding(*shape: int, seed: int = 0) -> np.ndarray:
    """A mask of numbers: −∞ in some places, small numbers in the others, in each row at least one."""
    random = np.random.default_rng(seed)
    mask = np.where(random.random(shape) < 0.4, -np.inf, random.standard_normal(shape))
    mask[..., 0] = 0.5
    return mask


def _with_empty_rows(*shape: int) -> np.ndarray:
    """A boolean mask in which some rows allow nothing."""
    mask = booleans(*shape)
    mask[..., 1, :] = False
    return mask


_three = [(2, 3, 4), (2, 5, 4), (2, 5, 3)]
_heads = [(2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 2)]

FUNCTIONS = [
    Case("scaled_dot_product_attention(x, y, z)", [(3, 4), (5, 4), (5, 2)]),
    Case("scaled_dot_product_attention(x, y, z)", _three),
    Case("scaled_dot_product_attention(x, y, z)", _heads),
    Case("scaled_dot_product_attention(x, y, z)", [(1, 1), (1, 1), (1, 1)]),
    Case("scaled_dot_product_attention(x, y, z)", [(2, 1, 2, 3, 4), (2, 1, 2, 5, 4), (2, 1, 2, 5, 4)]),
    Case("scaled_dot_product_attention(x, y, z)", [(2, 3, 4), (1, 5, 4), (5, 3)]),
    Case("scaled_dot_product_attention(x, y, z)", [(0, 3, 4), (0, 5, 4), (0, 5, 3)]),
    Case("scaled_dot_product_attention(x, y, z)", [(2, 3, 4), (2, 0, 4), (2, 0, 3)]),
    Case("scaled_dot_product_attention(x, y, z)", [(2, 0, 4), (2, 5, 4), (2, 5, 3)]),
    Case("scaled_dot_product_attention(x, y, z, scale=0.3)", _three),
    Case("scaled_dot_product_attention(x, x, x)", [(2, 5, 4)]),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True)", [(4, 3), (4, 3), (4, 2)]),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True)", _heads),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True)", [(2, 6, 3), (2, 4, 3), (2, 4, 3)]),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True)", [(2, 97, 3), (2, 101, 3), (2, 101, 5)]),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True)", [(1, 300, 2), (1, 300, 2), (1, 300, 2)]),
    Case("scaled_dot_product_attention(x, y, z)", [(2, 2, 257, 4), (2, 2, 131, 4), (2, 2, 131, 3)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_three, booleans(3, 5, seed=3)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_three, _with_empty_rows(3, 5)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, _with_empty_rows(2, 1, 3, 5)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, booleans(2, 1, 1, 5, seed=2)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, booleans(3, 3, 5, seed=2)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, _forbidding(3, 5)], second=False),  # steps from −∞
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, (2, 3, 3, 5)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, (3, 5)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_three, (2, 1, 5)]),
    Case("scaled_dot_product_attention(x, y, z, u)", [*_heads, (1, 1, 1, 5)]),
    Case("scaled_dot_product_attention(x, y, z, enable_gqa=True)", [(2, 4, 3, 2), (2, 2, 5, 2), (2, 2, 5, 2)]),
    Case("scaled_dot_product_attention(x, y, z, enable_gqa=True)", [(6, 3, 2), (3, 5, 2), (2, 5, 2)]),
    Case("scaled_dot_product_attention(x, y, z, is_causal=True, enable_gqa=True)", [(4, 3, 2), (1, 3, 2), (1, 3, 2)]),
    Case("scaled_dot_product_attention(x, y, z, dropout_p=1.0)", _three),
]

REFUSED = [
    Refused("f.scaled_dot_product_attention(x, y, z)", [(5,), (3, 5), (3, 3)], r"\(5,\)"),
    Refused("f.scaled_dot_product_attention(x, y, z)", [(2, 5), (3, 6), (3, 3)], r"\(3, 6\)"),
    Refused("f.scaled_dot_product_attention(x, y, z)", [(2, 5), (3, 5), (4, 3)], r"\(4, 3\)"),
    Refused("f.scaled_dot_product_attention(x, y, z)", [(2, 2, 5), (3, 3, 5), (3, 3, 5)], "broadcast"),
    Refused("f.scaled_dot_product_attention(x, y, z.double())", [(2, 5), (3, 5), (3, 3)], "float64"),
    Refused("f.scaled_dot_product_attention(x.int(), y.int(), z.int())", [(2, 5), (3, 5), (3, 3)], "int32"),
    Refused("f.scaled_dot_product_attention(x, x, x, y)", [(2, 4, 5), (7, 2, 4, 4)], r"\(7, 2, 4, 4\)"),
    Refused("f.scaled_dot_product_attention(x, x, x, y)", [(2, 4, 5), (3, 4)], r"\(3, 4\)"),
    Refused("f.scaled_dot_product_attention(x, x, x, y.int())", [(2, 4, 5), (4, 4)], "int32"),
    Refused("f.scaled_dot_product_attention(x, x, x, y.double())", [(2, 4, 5), (4, 4)], "float64"),
    Refused("f.scaled_dot_product_attention(x, x, x, y, is_causal=True)", [(2, 4, 5), (4, 4)], "is_causal"),
    Refused("f.scaled_dot_product_attention(x, x, x, dropout_p=1.5)", [(4, 5)], "1.5"),
    Refused(
        "f.scaled_dot_product_attention(x, y, y, enable_gqa=True)", [(2, 6, 4, 5), (2, 4, 3, 5)], r"\(2, 4, 3, 5\)"
    ),
]
