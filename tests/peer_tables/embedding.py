"""Embeddings and bags of them."""

import numpy as np

from tests.peer_tables import Case, Refused, labels

WORDS = labels(2, 3, classes=5)
BAGS = labels(7, classes=5, seed=1)
STARTS = np.array([0, 3, 3, 5])

MODULES = [
    Case("Embedding(5, 3)", [WORDS]),
    Case("Embedding(5, 3)", [np.array(2)]),
    Case("Embedding(5, 3)", [np.zeros((0, 2), int)]),
    Case("Embedding(5, 3, padding_idx=-2)", [WORDS]),
    Case("Embedding(5, 3, max_norm=1.0)", [WORDS], second=False),  # looking up changes the weight
    Case("Embedding(5, 3, max_norm=1.5, norm_type=1.0)", [WORDS], second=False),
    Case("Embedding(5, 3, scale_grad_by_freq=True)", [WORDS], second=False),  # the gradient is not that of the result
    *[Case(f"EmbeddingBag(5, 3, mode='{mode}')", [WORDS]) for mode in ("sum", "mean", "max")],
    *[Case(f"EmbeddingBag(5, 3, mode='{mode}')", [BAGS, STARTS]) for mode in ("sum", "mean", "max")],
    *[Case(f"EmbeddingBag(5, 3, mode='{mode}', padding_idx=1)", [BAGS, STARTS]) for mode in ("sum", "mean", "max")],
    Case("EmbeddingBag(5, 3, include_last_offset=True)", [BAGS, np.array([0, 3, 7])]),
    Case("EmbeddingBag(5, 3, mode='sum')", [WORDS, (2, 3)], "layer(x, per_sample_weights=y)"),
    Case("EmbeddingBag(5, 3, max_norm=1.0)", [BAGS, STARTS], second=False),
]

FUNCTIONS = [
    Case("embedding(x, y)", [WORDS, (5, 3)]),
    Case("embedding(x, y, padding_idx=2)", [WORDS, (5, 3)], second=False),  # its row counts, but gets no gradient
    Case("embedding_bag(x, y, z)", [BAGS, (5, 3), STARTS]),
    Case("embedding_bag(x, y, z, mode='sum', per_sample_weights=u)", [BAGS, (5, 3), STARTS, (7,)]),
    Case("embedding_bag(x, y, mode='max')", [WORDS, (5, 3)]),
]

REFUSED = [
    Refused("nn.Embedding(3, 2)(lib.tensor([0, 3]))", [], r"3 at \[1\] is none of the 3 words"),
    Refused("nn.Embedding(3, 2)(lib.tensor([-1]))", [], "-1 at"),
    Refused("nn.Embedding(3, 2)(x)", [(2,)], "float32.*long"),
    Refused("nn.Embedding(3, 2, padding_idx=3)", [], "3 words"),
    Refused("nn.Embedding.from_pretrained(x)", [(2,)], r"\(words, features\)"),
    Refused("nn.EmbeddingBag(3, 2)(lib.tensor([0, 1]))", [], "offsets"),
    Refused("nn.EmbeddingBag(3, 2)(lib.tensor([0, 1]), lib.tensor([1]))", [], r"from 0 to at most 2, got \[1\]"),
    Refused("nn.EmbeddingBag(3, 2)(lib.tensor([[0, 1]]), lib.tensor([0]))", [], "no offsets"),
    Refused("nn.EmbeddingBag(3, 2, mode='min')(lib.tensor([[0, 1]]))", [], "'min'"),
    Refused("nn.EmbeddingBag(3, 2)(lib.tensor([[0, 1]]), per_sample_weights=x)", [(1, 2)], "mode 'sum'"),
]
