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

_self = [(3, 2, 4)]
_cross = [(3, 2, 4), (5, 2, 4)]
_padding = booleans(2, 5, seed=5)
_padding[:, 0] = False
_allowed = booleans(3, 5, seed=6)
_allowed[:, 1] = False
_per_head = booleans(4, 3, 5, seed=7)
_per_head[..., 2] = False
_causal = np.triu(np.ones((3, 3), bool), 1)

# The first case of each layer is a larger one: its initial values are compared over many copies, and few are enough then.
MODULES = [
    Case("MultiheadAttention(32, 4)", [(3, 2, 32)], "layer(x, x, x)"),
    Case("MultiheadAttention(4, 2)", _self, "layer(x, x, x)"),
    Case("MultiheadAttention(4, 2)", _cross, "layer(x, y, y)"),
    Case("MultiheadAttention(6, 3)", [(2, 1, 6), (4, 1, 6), (4, 1, 6)]),
    Case("MultiheadAttention(4, 1, bias=False)", _cross, "layer(x, y, y)"),
    Case("MultiheadAttention(4, 4, batch_first=True)", [(2, 3, 4), (2, 5, 4)], "layer(x, y, y)"),
    Case("MultiheadAttention(4, 2, batch_first=True)", [(2, 3, 4)], "layer(x, x, x, need_weights=False)"),
    Case("MultiheadAttention(4, 2)", [(3, 4), (5, 4)], "layer(x, y, y)"),
    Case("MultiheadAttention(4, 2, batch_first=True)", [(3, 4)], "layer(x, x, x, average_attn_weights=False)"),
    Case("MultiheadAttention(4, 2)", [(3, 0, 4)], "layer(x, x, x)"),
    Case("MultiheadAttention(4, 2)", [(1, 1, 4)], "layer(x, x, x)"),
    Case("MultiheadAttention(4, 2, kdim=3, vdim=5)", [(3, 2, 4), (5, 2, 3), (5, 2, 5)]),
    Case("MultiheadAttention(4, 2, vdim=3, bias=False)", [(3, 2, 4), (5, 2, 4), (5, 2, 3)]),
    Case("MultiheadAttention(4, 2, kdim=3)", [(3, 4), (5, 3), (5, 4)], "layer(x, y, z, need_weights=False)"),
    Case("MultiheadAttention(4, 2, add_bias_kv=True)", _cross, "layer(x, y, y)"),
    Case("MultiheadAttention(4, 2, add_zero_attn=True)", _cross, "layer(x, y, y)"),
    Case("MultiheadAttention(4, 2, dropout=0.5)", _cross, "layer(x, y, y)", modes=("eval",)),
    Case("MultiheadAttention(4, 2, dropout=0.5)", _cross, "layer(x, y, y, need_weights=False)", modes=("eval",)),
    *[
        Case(
            f"MultiheadAttention(4, 2{options})", [*_cross, *masks], f"layer(x, y, y, need_weights={weights}, {names})"
        )
        for options in ("", ", add_bias_kv=True, add_zero_attn=True")
        for weights in (False, True)
        for names, masks in [
            ("key_padding_mask=z", [_padding]),
            ("attn_mask=z", [_allowed]),
            ("attn_mask=z", [_per_head]),
            ("attn_mask=z", [(3, 5)]),
            ("attn_mask=z", [(4, 3, 5)]),
            ("attn_mask=z, key_padding_mask=u", [_allowed, _padding]),
            ("attn_mask=z, key_padding_mask=u", [(4, 3, 5), (2, 5)]),
            ("average_attn_weights=False, attn_mask=z", [_allowed]),
        ]
    ],
    Case("MultiheadAttention(4, 2)", [*_self, _causal], "layer(x, x, x, attn_mask=y, is_causal=True)"),
    Case("MultiheadAttention(4, 2)", [*_self, _causal], "layer(x, x, x, None, False, y, is_causal=True)"),
    Case(
        "MultiheadAttention(4, 2)",
        [*_self, _causal, booleans(2, 3, seed=8) & (np.arange(3) > 0)],
        "layer(x, x, x, z, False, y, is_causal=True)",
    ),
    Case(
        "MultiheadAttention(4, 2)",
        [(3, 4), _per_head[:2, :, :3], np.array([False, True, False])],
        "layer(x, x, x, key_padding_mask=z, attn_mask=y)",
    ),
    Case("MultiheadAttention(4, 2)", [(3, 4), (5, 4), _per_head[:2], (5,)], "layer(x, y, y, u, attn_mask=z)"),
]

_layer = "4, 2, 6, dropout=0.0"
_square = [[True, False, False], [False, True, False], [True, True, False]]
_masks = [
    ("src_mask=y", [np.array(_square)]),
    ("src_mask=y", [_forbidding(3, 3)]),
    ("src_mask=y", [_per_head[..., :3]]),
    ("src_key_padding_mask=y", [_padding[:, :3]]),
    ("src_mask=y, src_key_padding_mask=z", [np.array(_square), _padding[:, :3]]),
    ("src_mask=y, is_causal=True", [_causal]),
]
_stacks = "nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0), 2", "nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0), 2"
_both = [(3, 2, 4), (5, 2, 4)]

MODULES += [
    Case("TransformerEncoderLayer(32, 4, 32, dropout=0.0)", [(3, 2, 32)]),
    Case("TransformerDecoderLayer(32, 4, 32, dropout=0.0)", [(3, 2, 32), (2, 2, 32)]),
    Case(
        "TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 32, dropout=0.0), 1, enable_nested_tensor=False)",
        [(3, 2, 32)],
    ),
    Case("TransformerDecoder(nn.TransformerDecoderLayer(32, 4, 32, dropout=0.0), 1)", [(3, 2, 32), (2, 2, 32)]),
    Case("Transformer(32, 4, 1, 1, 32, dropout=0.0, batch_first=True)", [(2, 3, 32), (2, 2, 32)]),
    *[
        Case(f"TransformerEncoderLayer({_layer}{options})", [(3, 2, 4)])
        for options in (
            "",
            ", norm_first=True",
            ", batch_first=True",
            ", bias=False",
            ", layer_norm_eps=0.1",
            ", activation='gelu'",
            ", activation=lib.tanh",
            ", activation=nn.GELU()",
            ", activation=nn.functional.gelu, norm_first=True",
        )
    ],
    Case("TransformerEncoderLayer(4, 2)", [(3, 2, 4)], modes=("eval",)),
    Case(f"TransformerEncoderLayer({_layer})", [(3, 4)]),
    Case(f"TransformerEncoderLayer({_layer}, batch_first=True)", [(3, 4)]),
    Case(f"TransformerEncoderLayer({_layer})", [(1, 1, 4)]),
    *[
        # The second derivative of what is −∞ in a mask of numbers is nobody's business.
        Case(f"TransformerEncoderLayer({_layer})", [(3, 2, 4), *given], f"layer(x, {names})", second=False)
        for names, given in _masks
    ],
    *[
        Case(f"TransformerDecoderLayer({_layer}{options})", _both)
        for options in ("", ", norm_first=True", ", bias=False", ", activation='gelu'", ", layer_norm_eps=0.1")
    ],
    Case(f"TransformerDecoderLayer({_layer}, batch_first=True)", [(2, 3, 4), (2, 5, 4)]),
    Case(f"TransformerDecoderLayer({_layer})", [(3, 4), (5, 4)]),
    Case("TransformerDecoderLayer(4, 2)", _both, modes=("eval",)),
    *[
        Case(f"TransformerDecoderLayer({_layer})", [*_both, *given], f"layer(x, y, {names})")
        for names, given in [
            ("tgt_mask=z", [_causal]),
            ("tgt_mask=z, tgt_is_causal=True", [_causal]),
            ("memory_mask=z", [_allowed]),
            ("tgt_key_padding_mask=z, memory_key_padding_mask=u", [_padding[:, :3], _padding]),
            ("tgt_mask=z, memory_mask=u", [_causal, (3, 5)]),
        ]
    ],
    Case(f"TransformerEncoder({_stacks[0]})", [(3, 2, 4)]),
    Case(f"TransformerEncoder({_stacks[0]}, norm=nn.LayerNorm(4))", [(3, 2, 4)]),
    Case(f"TransformerEncoder({_stacks[0]}, enable_nested_tensor=False, mask_check=False)", [(3, 4)]),
    Case(f"TransformerEncoder({_stacks[0]})", [(3, 2, 4), _causal * 1.0], "layer(x, mask=y)"),
    Case(
        f"TransformerEncoder({_stacks[0]})",
        [(3, 2, 4), _causal, _padding[:, :3]],
        "layer(x, y, z, is_causal=True)",
    ),
    Case(f"TransformerDecoder({_stacks[1]})", _both),
    Case(f"TransformerDecoder({_stacks[1]}, nn.LayerNorm(4))", [*_both, _causal], "layer(x, y, z, tgt_is_causal=True)"),
    Case("Transformer(4, 2, 1, 1, 6, dropout=0.0)", _both, "layer(y, x)"),
    Case("Transformer(4, 2, 2, 1, 6, dropout=0.0, norm_first=True, batch_first=True)", [(2, 5, 4), (2, 3, 4)]),
    Case("Transformer(4, 2, 1, 2, 6, dropout=0.0, bias=False, activation='gelu')", [(5, 4), (3, 4)]),
    Case("Transformer(4, 2, 1, 1, 6)", _both, "layer(y, x)", modes=("eval",)),
    Case(
        "Transformer(4, 2, 1, 1, 6, dropout=0.0)",
        [*_both, _causal, _padding, _padding[:, :3]],
        "layer(y, x, tgt_mask=z, src_key_padding_mask=u, tgt_key_padding_mask=v, memory_key_padding_mask=u)",
    ),
    Case("Transformer(4, 2, 1, 1, 6, custom_encoder=nn.Linear(4, 4))", _both, "layer.encoder(x)"),
    Case(
        "Transformer(4, 2, 1, 1, 6, dropout=0.0)",
        [(3, 2, 4)],
        "layer(x, x, tgt_mask=layer.generate_square_subsequent_mask(3, dtype=x.dtype))",
    ),
]

_weights = "x, y, y, 4, 2, z, u, None, None, False, 0.5, v, w"
FUNCTIONS += [
    Case(f"multi_head_attention_forward({_weights}, training=False)", [*_cross, (12, 4), (12,), (4, 4), (4,)]),
    Case(
        "multi_head_attention_forward(x, x, x, 4, 2, y, None, None, None, True, 0.0, z, None, static_k=u, static_v=v)",
        [(3, 2, 4), (12, 4), (4, 4), (4, 6, 2), (4, 6, 2)],
    ),
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
    Refused("nn.MultiheadAttention(4, 3)", [], "embed_dim=4"),
    Refused("nn.MultiheadAttention(0, 1)", [], "embed_dim=0"),
    Refused("nn.MultiheadAttention(4, 2)(x, x, x)", [(3, 2, 5)], r"\(3, 2, 5\)"),
    Refused("nn.MultiheadAttention(4, 2)(x, y, y)", [(3, 2, 4), (5, 3, 4)], r"\(5, 3, 4\)"),
    Refused("nn.MultiheadAttention(4, 2)(x, y, y)", [(3, 2, 4), (5, 4)], r"\(5, 4\)"),
    Refused("nn.MultiheadAttention(4, 2)(x, x, y)", [(3, 2, 4), (5, 2, 4)], r"\(5, 2, 4\)"),
    Refused(
        "nn.MultiheadAttention(4, 2)(x, y, y)",
        [(3, 2, 4), (5, 2, 3)],
        "query, key and value of 4 features, got 4, 3, 3",
    ),
    Refused("nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=y)", [(3, 2, 4), (3, 4)], r"attn_mask.*\(3, 4\).*\(3, 3\)"),
    Refused("nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=y)", [(3, 2, 4), (2, 3, 3)], r"\(4, 3, 3\)"),
    Refused(
        "nn.MultiheadAttention(4, 2)(x, x, x, y > 0)", [(3, 2, 4), (3, 2)], r"key_padding_mask.*\(3, 2\).*\(2, 3\)"
    ),
    Refused("nn.MultiheadAttention(4, 2)(x, x, x, y.int())", [(3, 2, 4), (2, 3)], "int32"),
    Refused("nn.MultiheadAttention(4, 2)(x, x, x, is_causal=True)", [(3, 2, 4)], "is_causal"),
    Refused("nn.TransformerEncoderLayer(4, 2, activation='swish')", [], "'swish'"),
    Refused("nn.TransformerDecoderLayer(4, 3)", [], "num_heads=3"),
    Refused("nn.Transformer(4, 2, 1, 1, 6)(x, y)", [(3, 2, 4), (3, 3, 4)], r"\(3, 3, 4\)"),
    Refused("nn.Transformer(4, 2, 1, 1, 6)(x, x)", [(3, 2, 5)], r"\(3, 2, 5\)"),
]
