"""The Transformer: attention alone, without recurrence, so that all places of a sequence are computed at once.

    source ─► embedding·√width + positions ─► [ attention, network ]            ×layers ─► memory
                                                                                              │
    target ─► embedding·√width + positions ─► [ masked attention, reading memory, network ]  ×layers ─► scores

What was new: several heads of scaled dot-product attention in place of recurrent cells; positions as sines and
cosines; each part beside a shortcut, normalised after it (`norm_first` turns that round, as later models do).

Source: Vaswani et al., "Attention is all you need", 2017.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.models.decoder import make_positions
from chainrule.models.generation import SequenceToSequence, need_tokens
from chainrule.models.registry import register
from chainrule.nn.attention.causal import KeyValueCache, read_causally
from chainrule.nn.attention.dot_product import attend, forbid
from chainrule.nn.attention.multihead import join_heads, project, split_heads
from chainrule.nn.init import normal_
from chainrule.nn.linear import linear
from chainrule.tensor import Tensor


class LayerState(NamedTuple):
    """What a layer of the decoder keeps while an answer is written.

    Attributes:
        own: keys and values of the answer's tokens so far.
        keys, values: of the source, (N, heads, L, width/heads), computed once.
    """

    own: KeyValueCache
    keys: Tensor
    values: Tensor


class EncoderDecoderTransformer(SequenceToSequence):
    """A sequence read by an encoder, and another written by a decoder that reads the first: translation.

    Input: source (N, L) and target (N, K), integers; lengths may differ. Result: for each target token the scores of
    all words as the next one, (N, K, target_vocabulary): that is K×C for each sequence. Embeddings are multiplied by
    √width, positions are added, `nn.Transformer` does the rest, a linear head gives the scores.

    Args:
        source_vocabulary, target_vocabulary: how many different tokens there are.
        layers, width, heads: of encoder and decoder each; the networks are four times as wide inside.
        context: the longest sequence.
        dropout: of embeddings and in the layers.
        positions: "sinusoidal", as in the paper, or "learned".
        norm_first: whether layers are normalised first; else after each shortcut, as in the paper.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> import chainrule
    >>> model = EncoderDecoderTransformer(10, 12, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]]), chainrule.tensor([[0, 4]])).shape
    Size([1, 2, 12])
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        layers: int = 4,
        width: int = 128,
        heads: int = 4,
        context: int = 128,
        dropout: float = 0.0,
        positions: str = "sinusoidal",
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.context = width, context
        self.source_embedding = nn.Embedding(source_vocabulary, width)
        self.target_embedding = nn.Embedding(target_vocabulary, width)
        self.source_positions = make_positions(positions, context, width)
        self.target_positions = make_positions(positions, context, width)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width, heads, layers, layers, 4 * width, dropout, batch_first=True, norm_first=norm_first
        )
        self.head = nn.Linear(width, target_vocabulary)
        for embedding in (self.source_embedding, self.target_embedding):
            normal_(embedding.weight, std=1 / math.sqrt(width))

    def encode(self, source: Tensor, padding: Tensor | None = None) -> Tensor:
        """The encoder's result (N, L, width). padding: (N, L), True where there is none."""
        x = self.source_embedding(need_tokens(source, "source tokens")) * math.sqrt(self.width)
        return self.transformer.encoder(self.dropout(self.source_positions(x)), src_key_padding_mask=padding)

    def decode(self, target: Tensor, memory: Tensor, padding: Tensor | None = None) -> Tensor:
        """The scores of the tokens behind each of `target`, from the encoder's result."""
        x = self.target_embedding(need_tokens(target, "target tokens")) * math.sqrt(self.width)
        mask = self.transformer.generate_square_subsequent_mask(target.shape[1], dtype=memory.dtype)
        found = self.transformer.decoder(
            self.dropout(self.target_positions(x)),
            memory,
            tgt_mask=mask,
            tgt_is_causal=True,
            memory_key_padding_mask=padding,
        )
        return self.head(found)

    def forward(self, source: Tensor, target: Tensor, source_padding: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.decode(target, self.encode(source, source_padding), source_padding)

    def reading(self, source: Any, padding: Tensor | None, capacity: int) -> Any:
        """What is kept of the source: keys and values for each layer; and what is added to the scores of padding."""
        memory = self.encode(source, padding)
        bias = None if padding is None else forbid(padding, memory.dtype)[:, None, None]
        return [self._empty(layer, memory, capacity) for layer in self.transformer.decoder.layers], bias

    def _empty(self, layer: Any, memory: Tensor, capacity: int) -> LayerState:
        attention, width = layer.multihead_attn, self.width
        heads = attention.num_heads
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        keys = linear(memory, weight[width : 2 * width], bias[width : 2 * width])
        values = linear(memory, weight[2 * width :], bias[2 * width :])
        own = KeyValueCache.empty(memory.shape[0], heads, capacity, width // heads, memory.dtype)
        return LayerState(own, split_heads(keys, heads), split_heads(values, heads))

    def continued(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind each of the answer's new tokens, and the state with them: `decode`, step by step."""
        layers, bias = state
        x = self.target_embedding(need_tokens(tokens, "target tokens")) * math.sqrt(self.width)
        x = self.dropout(self.target_positions(x, layers[0].own.length))
        after = []
        for layer, kept in zip(self.transformer.decoder.layers, layers, strict=True):
            x, kept = self._layer(layer, x, kept, bias)
            after.append(kept)
        return self.head(self.transformer.decoder.norm(x)), (after, bias)

    def _layer(self, layer: Any, x: Tensor, kept: LayerState, bias: Tensor | None) -> tuple[Tensor, LayerState]:
        own, heads = kept.own, layer.self_attn.num_heads

        def attention(x: Tensor) -> Tensor:
            nonlocal own
            part = layer.self_attn
            q, k, v = (split_heads(y, heads) for y in project([x] * 3, part.in_proj_weight, None, part.in_proj_bias))
            found, own = read_causally(q, k, v, own)  # type: ignore[assignment]  # given a cache, it gives one
            return part.out_proj(join_heads(found))

        def reading(x: Tensor) -> Tensor:
            part = layer.multihead_attn
            q = split_heads(linear(x, part.in_proj_weight[: self.width], part.in_proj_bias[: self.width]), heads)
            shape = (*q.shape[:3], kept.keys.shape[2])
            found = attend(q, kept.keys, kept.values, None if bias is None else bias.expand(*shape))
            return part.out_proj(join_heads(found))

        x = layer.combine(x, attention, reading)
        return x, LayerState(own, kept.keys, kept.values)

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The state of the sequences at these places."""
        layers, bias = state
        chosen = [
            LayerState(kept.own.rows(places), kept.keys.index_select(0, places), kept.values.index_select(0, places))
            for kept in layers
        ]
        return chosen, None if bias is None else bias.index_select(0, places)


@register("transformer", task="translation", data="pairs", input=(128,), paper="Vaswani et al. 2017")
def transformer(source_vocabulary: int, target_vocabulary: int, **options: Any) -> EncoderDecoderTransformer:
    """An `EncoderDecoderTransformer` with these options."""
    return EncoderDecoderTransformer(source_vocabulary, target_vocabulary, **options)
