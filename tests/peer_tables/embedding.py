"""Embeddings."""

from tests.peer_tables import Case, Refused, labels

_words = labels(3, 4, classes=6)
_few = labels(2, 5, classes=3, seed=1)

MODULES = [
    Case("Embedding(6, 2)", [_words]),
    Case("Embedding(6, 2)", [labels(classes=6)]),
    Case("Embedding(6, 2)", [labels(2, 0, classes=6)]),
    Case("Embedding(6, 2)", [labels(2, 1, 3, classes=6).astype("int32")]),
    Case("Embedding(6, 2, padding_idx=1)", [_few]),
    Case("Embedding(6, 2, padding_idx=-5)", [_few]),
    Case("Embedding(6, 2, scale_grad_by_freq=True)", [_few]),
    Case("Embedding(6, 2, 2, scale_grad_by_freq=True)", [_few]),
    Case("Embedding(6, 3, max_norm=1.0)", [_few], second=False),  # writes to its weight
    Case("Embedding(6, 3, max_norm=0.5, norm_type=1.0)", [_few], second=False),
]

FUNCTIONS = [
    Case("embedding(x, y)", [_words, (6, 2)]),
    Case("embedding(x, y, padding_idx=2)", [_words, (6, 2)]),
    Case("embedding(x, y, scale_grad_by_freq=True)", [_few, (6, 2)]),
    Case("embedding(x, y, -1, None, 2.0, True)", [_words, (6, 2)]),
]

REFUSED = [
    Refused("f.embedding(x.long() + 7, y)", [(2,), (6, 2)], "none of the 6 rows"),
    Refused("f.embedding(x.long() * 0 - 1, y)", [(2,), (6, 2)], "-1 is none"),
    Refused("f.embedding(x, y)", [(2,), (6, 2)], "float32"),
    Refused("f.embedding(x.long() * 0, y, padding_idx=6)", [(2,), (6, 2)], "6"),
    Refused("nn.Embedding(6, 2, padding_idx=6)", [], "6"),
    Refused("nn.Embedding.from_pretrained(x)", [(3,)], r"\(3,\)"),
    Refused("nn.Embedding(3, 2, _weight=x)", [(2, 3)], r"\(2, 3\)"),
    Refused("nn.Embedding(3, 2, sparse=True)", [], "sparse", by_pytorch=False),
]
