"""The decoder to study: a language model in which the choices of the papers are arguments.

    tokens ─► embedding + positions ─► [ + attention(norm), + network(norm) ]  ×layers ─► norm ─► scores

GPT-2 and Llama are published models and stand in files of their own, with the names of their weights; this one has
plain names, positions learned or sinusoidal, and a head that is the embedding or its own.
Source: Radford et al., "Language models are unsupervised multitask learners" (GPT-2), 2019.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule import nn
from chainrule.models.generation import LanguageModel, need_tokens
from chainrule.models.registry import register
from chainrule.nn.init import normal_
from chainrule.tensor import Tensor

POSITIONS = {"learned": nn.LearnedPositions, "sinusoidal": nn.SinusoidalPositions}


def make_positions(kind: str, length: int, width: int) -> nn.Module:
    """The module that adds positions of a kind, "learned" or "sinusoidal"; else a ValueError."""
    if kind not in POSITIONS:
        raise ValueError(f"positions are {' or '.join(map(repr, POSITIONS))}, got {kind!r}.")
    return POSITIONS[kind](length, width)


class DecoderBlock(nn.Module):
    """x = x + attention(LayerNorm(x)); x = x + network(LayerNorm(x)): one layer of a decoder, normalised first.

    The network is linear, GELU, linear, four times as wide inside. Shapes: (N, L, width), result the same and the
    cache, if one was given; see `nn.CausalSelfAttention`.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.CausalSelfAttention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: nn.KeyValueCache | None = None) -> tuple[Tensor, nn.KeyValueCache | None]:
        """See the class."""
        found, cache = self.attention(self.norm1(x), cache)
        x = x + self.dropout(found)
        return x + self.dropout(self.network(self.norm2(x))), cache


class DecoderTransformer(LanguageModel):
    """A language model: for each token the scores of all words as the next one.

    Input: tokens (N, L), integers in [0, vocabulary), L at most `context`. Result: scores (logits) (N, L, vocabulary).
    Token embedding plus positions; `layers` times a `DecoderBlock`; LayerNorm; a linear head without bias.

    Args:
        vocabulary: how many different tokens there are.
        layers, width, heads: blocks, features of each token, heads of each attention.
        context: the longest sequence.
        dropout: of embeddings, attention weights and both parts of each block.
        positions: "learned" or "sinusoidal".
        tied: whether the head's weight is the embedding's, transposed: vocabulary·width parameters less.

    Matrices start as normal numbers of standard deviation 0.02 (those before a shortcut divided by √(2·layers)),
    biases at 0. Parameters: layers·(12·width² + 13·width) + (1 + [not tied])·vocabulary·width + 2·width, and
    context·width for learned positions. Source: Radford et al., "Language models are unsupervised multitask learners"
    (GPT-2), 2019; tying: Press and Wolf, 2017.

    >>> import chainrule
    >>> model = DecoderTransformer(vocabulary=10, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 10])
    """

    def __init__(
        self,
        vocabulary: int,
        layers: int = 4,
        width: int = 128,
        heads: int = 4,
        context: int = 128,
        dropout: float = 0.0,
        positions: str = "learned",
        tied: bool = True,
    ) -> None:
        super().__init__()
        self.vocabulary, self.context = vocabulary, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = make_positions(positions, context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([DecoderBlock(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values; see the class."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                before_shortcut = name.endswith(("out_proj.weight", "network.2.weight"))
                normal_(parameter, std=0.02 / math.sqrt(2 * len(self.blocks)) if before_shortcut else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.continued(tokens, None)[0]

    def empty_state(self, batch: int, capacity: int) -> list[nn.KeyValueCache]:
        """A cache for each block, with room for `capacity` tokens."""
        return [block.attention.empty_cache(batch, capacity) for block in self.blocks]

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The caches of the sequences at these places."""
        return [cache.rows(places) for cache in state]

    def features(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the head makes scores of (N, L, width), and the caches that hold the new tokens too (None without)."""
        start = 0 if state is None else state[0].length
        x = self.dropout(self.positions(self.embedding(need_tokens(tokens, "tokens")), start))
        after = []
        for i, block in enumerate(self.blocks):
            x, cache = block(x, None if state is None else state[i])
            after.append(cache)
        return self.norm(x), None if state is None else after

    def scores(self, features: Tensor) -> Tensor:
        """The head."""
        return self.head(features)


@register(
    "decoder", task="language modelling", data="text", input=(128,), paper="Vaswani et al. 2017; Radford et al. 2019"
)
def decoder(vocabulary: int, **options: Any) -> DecoderTransformer:
    """A `DecoderTransformer` with these options."""
    return DecoderTransformer(vocabulary, **options)
