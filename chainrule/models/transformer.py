"""Two transformers on tokens: a decoder that continues a text, and an encoder–decoder that answers one with another."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.activation import softmax
from chainrule.functions.creation import full
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import cat
from chainrule.nn.init import normal_
from chainrule.nn.linear import linear
from chainrule.random import multinomial
from chainrule.tensor import Tensor

POSITIONS = {"learned": nn.LearnedPositions, "sinusoidal": nn.SinusoidalPositions}


def _positions(kind: str, length: int, width: int) -> nn.Module:
    if kind not in POSITIONS:
        raise ValueError(f"positions are {' or '.join(map(repr, POSITIONS))}, got {kind!r}.")
    return POSITIONS[kind](length, width)


def _need_tokens(tokens: Tensor, what: str) -> Tensor:
    """(batch, length) integers, or an error."""
    if need_tensor(tokens, what).value.array.dtype.kind not in "iu":
        raise DTypeError(f"{what} are integers, got {tokens.dtype}.")
    if tokens.ndim != 2:
        raise ShapeError(f"{what} are (batch, length), got {tuple(tokens.shape)}; unsqueeze(0) makes a batch of one.")
    return tokens


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode inside, as before outside."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


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


class DecoderTransformer(nn.Module):
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
        self.positions = _positions(positions, context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([DecoderBlock(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False)
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

    def empty_caches(self, batch: int) -> list[nn.KeyValueCache]:
        """A cache for each block, with room for `context` tokens."""
        return [block.attention.empty_cache(batch, self.context) for block in self.blocks]

    def continued(
        self, tokens: Tensor, caches: list[nn.KeyValueCache] | None
    ) -> tuple[Tensor, list[nn.KeyValueCache] | None]:
        """The scores behind each of the new tokens, after those in the caches, and the caches with them."""
        start = 0 if caches is None else caches[0].length
        x = self.dropout(self.positions(self.embedding(_need_tokens(tokens, "tokens")), start))
        after: list[Any] = []
        for i, block in enumerate(self.blocks):
            x, cache = block(x, None if caches is None else caches[i])
            after.append(cache)
        x = self.norm(x)
        scores = linear(x, self.embedding.weight) if self.head is None else self.head(x)
        return scores, None if caches is None else after

    @no_grad()
    def generate(
        self,
        prompt: Tensor,
        steps: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: Any = None,
    ) -> Tensor:
        """The prompt (N, L) continued by `steps` tokens: (N, L + steps). In evaluation mode, with a cache.

        Args:
            temperature: scores are divided by it before softmax; 0 always takes the best.
            top_k: only the k best tokens may be drawn.
            generator: where the random numbers come from.

        Raises ShapeError if prompt and steps are longer than the context, ValueError for other settings.

        >>> import chainrule
        >>> model = DecoderTransformer(vocabulary=10, layers=1, width=8, heads=2, context=16)
        >>> model.generate(chainrule.tensor([[1, 2, 3]]), steps=2).shape
        Size([1, 5])
        """
        tokens = _need_tokens(prompt, "the prompt's tokens")
        if temperature < 0 or steps < 0 or (top_k is not None and not 1 <= top_k <= self.vocabulary):
            raise ValueError(
                f"temperature and steps are at least 0 and top_k in [1, {self.vocabulary}], got {temperature}, {steps} "
                f"and {top_k}."
            )
        if not tokens.shape[1] or tokens.shape[1] + steps > self.context:
            raise ShapeError(
                f"a prompt of {tokens.shape[1]} tokens and {steps} steps do not fit: there must be one at least, and "
                f"{self.context} (the context) at most."
            )
        caches: Any = self.empty_caches(tokens.shape[0])
        new = tokens
        with _evaluating(self):
            for _ in range(steps):
                scores, caches = self.continued(new, caches)
                new = _draw(scores[:, -1], temperature, top_k, generator)
                tokens = cat([tokens, new], 1)
        return tokens


def _draw(scores: Tensor, temperature: float, top_k: int | None, generator: Any) -> Tensor:
    """One token for each row of scores (N, vocabulary): (N, 1)."""
    if temperature == 0:
        return scores.argmax(-1, keepdim=True)
    if top_k is not None:
        scores = scores.masked_fill(scores < scores.topk(top_k).values[:, -1:], -math.inf)
    return multinomial(softmax(scores / temperature, -1), 1, generator=generator)


class EncoderDecoderTransformer(nn.Module):
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
        self.source_positions = _positions(positions, context, width)
        self.target_positions = _positions(positions, context, width)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width, heads, layers, layers, 4 * width, dropout, batch_first=True, norm_first=norm_first
        )
        self.head = nn.Linear(width, target_vocabulary)
        for embedding in (self.source_embedding, self.target_embedding):
            normal_(embedding.weight, std=1 / math.sqrt(width))

    def encode(self, source: Tensor, padding: Tensor | None = None) -> Tensor:
        """The encoder's result (N, L, width). padding: (N, L), True where there is none."""
        x = self.source_embedding(_need_tokens(source, "source tokens")) * math.sqrt(self.width)
        return self.transformer.encoder(self.dropout(self.source_positions(x)), src_key_padding_mask=padding)

    def decode(self, target: Tensor, memory: Tensor, padding: Tensor | None = None) -> Tensor:
        """The scores of the tokens behind each of `target`, from the encoder's result."""
        x = self.target_embedding(_need_tokens(target, "target tokens")) * math.sqrt(self.width)
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

    @no_grad()
    def generate(self, source: Tensor, steps: int, start: int = 0, source_padding: Tensor | None = None) -> Tensor:
        """The best token at each step, after the token `start`: (N, steps). In evaluation mode.

        >>> import chainrule
        >>> model = EncoderDecoderTransformer(10, 12, layers=1, width=8, heads=2, context=16)
        >>> model.generate(chainrule.tensor([[1, 2, 3]]), steps=4).shape
        Size([1, 4])
        """
        tokens = full((source.shape[0], 1), start, dtype="int64")
        with _evaluating(self):
            memory = self.encode(source, source_padding)
            for _ in range(steps):
                scores = self.decode(tokens, memory, source_padding)[:, -1]
                tokens = cat([tokens, scores.argmax(-1, keepdim=True)], 1)
        return tokens[:, 1:]
