"""Recurrent networks that write an answer: to one vector, or to a sequence, which they may look back at.

    source ─► encoder ─► its last state ─► decoder's first state ─► answer, token by token
                 │                                     ▲
                 └─ outputs at all places ─► attention ┘    each step reads a mean of them, by how well they fit

What was new (2014): one network reads a sentence into a vector, another writes it from there (Sutskever, Vinyals and
Le, "Sequence to sequence learning with neural networks"; Cho et al.); then attention, so that long sentences need not
fit into one vector (Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate").

As in Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", 2015, the state
that was just computed asks, so the cells do not wait for the attention and all steps' attention is one product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.activation import softmax
from chainrule.functions.checking import check_numbers
from chainrule.functions.pieces import cat, stack
from chainrule.models.generation import SequenceToSequence, need_tokens
from chainrule.models.recurrent import make_recurrent, recurrent_rows
from chainrule.models.registry import register
from chainrule.nn.attention.dot_product import forbid
from chainrule.tensor import Tensor


class RecurrentCaptioner(SequenceToSequence):
    """One to many: a sequence that tells what a vector holds, such as a sentence about an image.

    Input: a vector (N, features) and the answer's tokens so far (N, K). Result: the scores of the next tokens
    (N, K, vocabulary). A linear layer and tanh make the first state of every layer from the vector.

    Args:
        features: of the vector.
        vocabulary, width: how many different tokens there are, and the features of each.
        cell: "rnn", "gru" or "lstm".
        hidden, layers: units of each layer, and how many there are.

    Source: Vinyals et al., "Show and tell", 2015.

    >>> import chainrule
    >>> model = RecurrentCaptioner(features=5, vocabulary=10, width=4, hidden=8)
    >>> model(chainrule.ones(2, 5), chainrule.tensor([[0, 3], [0, 1]])).shape
    Size([2, 2, 10])
    >>> model.generate(chainrule.ones(2, 5), steps=4).shape
    Size([2, 4])
    """

    context = None

    def __init__(
        self, features: int, vocabulary: int, width: int = 64, cell: str = "lstm", hidden: int = 128, layers: int = 1
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = make_recurrent(cell, width, hidden, num_layers=layers)
        self.first_state = nn.Linear(features, len(self.recurrent.states) * layers * hidden)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, vector: Tensor, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.continued(tokens, self.reading(vector, None, 0))[0]

    def reading(self, source: Any, padding: Tensor | None, capacity: int) -> Any:
        """The first state of every layer; there is no padding in a vector."""
        parts, layers, hidden = len(self.recurrent.states), self.recurrent.num_layers, self.recurrent.hidden_size
        made = self.first_state(source).tanh().reshape(-1, parts, layers, hidden).permute(1, 2, 0, 3)
        return tuple([made[i] for i in range(parts)]) if parts > 1 else made[0]

    def continued(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind each of the new tokens, and the state after them."""
        outputs, state = self.recurrent(self.embedding(need_tokens(tokens, "tokens")), state)
        return self.head(outputs), state

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The states of the sequences at these places."""
        return recurrent_rows(state, places)


class DotAttention(nn.Module):
    """score = queryᵀ·W·key (Luong's "general"): weights (N, K, L) of the keys for each query."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.weight = nn.Linear(key_size, query_size, bias=False)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """queries: (N, K, query_size), keys: (N, L, key_size), bias: (N, 1, L), added to the scores."""
        scores = queries @ self.weight(keys).mT
        return softmax(scores if bias is None else scores + bias, -1)


class AdditiveAttention(nn.Module):
    """score = vᵀ·tanh(W·query + U·key) (Bahdanau's): weights (N, K, L) of the keys for each query."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, query_size)
        self.key = nn.Linear(key_size, query_size, bias=False)
        self.v = nn.Linear(query_size, 1, bias=False)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """As `DotAttention`."""
        scores = self.v((self.query(queries).unsqueeze(2) + self.key(keys).unsqueeze(1)).tanh()).squeeze(3)
        return softmax(scores if bias is None else scores + bias, -1)


ATTENTIONS: dict[str, type[DotAttention] | type[AdditiveAttention]] = {
    "dot": DotAttention,
    "additive": AdditiveAttention,
}


class RecurrentTranslator(SequenceToSequence):
    """Many to many, first read, then write: a sequence read by an encoder and answered by a decoder.

    Input: source (N, L) and target (N, K), integers; lengths may differ. Result: for each target token the scores of
    all words as the next one, (N, K, target_vocabulary).

        h̃ₜ = tanh(W·[cₜ; hₜ]),   cₜ = Σⱼ wₜⱼ·encoderⱼ     with attention; h̃ₜ = hₜ without

    Args:
        source_vocabulary, target_vocabulary: how many different tokens there are.
        width: the features of each token.
        cell: "rnn", "gru" or "lstm".
        hidden, layers: units of each layer, and how many there are in encoder and decoder each.
        bidirectional: whether the encoder also reads from the end to the beginning.
        attention: "dot", "additive", or None: then all that the decoder knows is the encoder's last state.
        dropout: of embeddings and between layers.

    `attention_maps(source, target)` gives the weights w. `padding` (N, L) is True where the source has no token; it
    stands at the end of each row.

    >>> import chainrule
    >>> model = RecurrentTranslator(10, 12, width=4, hidden=8)
    >>> model(chainrule.tensor([[1, 2, 3]]), chainrule.tensor([[0, 4]])).shape
    Size([1, 2, 12])
    >>> model.attention_maps(chainrule.tensor([[1, 2, 3]]), chainrule.tensor([[0, 4]])).shape
    Size([1, 2, 3])
    """

    context = None

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        width: int = 64,
        cell: str = "gru",
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = True,
        attention: str | None = "dot",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if attention is not None and attention not in ATTENTIONS:
            raise ValueError(f"attention is {', '.join(map(repr, ATTENTIONS))} or None, got {attention!r}.")
        between = dropout if layers > 1 else 0.0
        sides = 2 if bidirectional else 1
        self.source_embedding = nn.Embedding(source_vocabulary, width)
        self.target_embedding = nn.Embedding(target_vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = make_recurrent(
            cell, width, hidden, num_layers=layers, dropout=between, bidirectional=bidirectional
        )
        self.bridge = nn.Linear(2 * hidden, hidden) if bidirectional else None
        self.decoder = make_recurrent(cell, width, hidden, num_layers=layers, dropout=between)
        self.attention = None if attention is None else ATTENTIONS[attention](hidden, sides * hidden)
        self.join = None if attention is None else nn.Linear(sides * hidden + hidden, hidden)
        self.head = nn.Linear(hidden, target_vocabulary)

    def forward(self, source: Tensor, target: Tensor, padding: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.continued(target, self.reading(source, padding, 0))[0]

    def attention_maps(self, source: Tensor, target: Tensor, padding: Tensor | None = None) -> Tensor:
        """How much each step of the answer reads each token of the source: (N, K, L), rows that add up to 1."""
        if self.attention is None:
            raise ShapeError("this model was made with attention=None: there are no weights.")
        state, memory, bias = self.reading(source, padding, 0)
        outputs, _ = self.decoder(self.target_embedding(need_tokens(target, "target tokens")), state)
        return self.attention(outputs, memory, bias)

    def reading(self, source: Any, padding: Tensor | None, capacity: int) -> Any:
        """The decoder's first state, the encoder's outputs (N, L, …), and what is added to the scores of padding."""
        x = self.dropout(self.source_embedding(need_tokens(source, "source tokens")))
        if padding is None:
            memory, state = self.encoder(x)
            return self._bridged(state), memory, None
        check_numbers(_padding_is_last, padding, wrong=_padding_before_tokens)
        memory, state = self.encoder(x, None, (~padding).sum(1))
        return self._bridged(state), memory, forbid(padding, memory.dtype).unsqueeze(1)

    def _bridged(self, state: Any) -> Any:
        """The encoder's last state as the decoder's first one: both directions of a layer joined into one."""
        bridge = self.bridge
        if bridge is None:
            return state
        parts = state if isinstance(state, tuple) else (state,)
        joined = [
            stack([bridge(cat([part[i], part[i + 1]], 1)).tanh() for i in range(0, part.shape[0], 2)]) for part in parts
        ]
        return tuple(joined) if isinstance(state, tuple) else joined[0]

    def continued(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind each of the answer's new tokens, and the state with them."""
        hidden, memory, bias = state
        x = self.dropout(self.target_embedding(need_tokens(tokens, "target tokens")))
        outputs, hidden = self.decoder(x, hidden)
        if self.attention is not None and self.join is not None:
            read = self.attention(outputs, memory, bias) @ memory
            outputs = self.join(cat([read, outputs], 2)).tanh()
        return self.head(outputs), (hidden, memory, bias)

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The state of the sequences at these places."""
        hidden, memory, bias = state
        chosen = None if bias is None else bias.index_select(0, places)
        return recurrent_rows(hidden, places), memory.index_select(0, places), chosen


def _padding_is_last(padding: Any) -> None:
    wrong = np.argwhere(_padding_before_tokens(padding))
    if len(wrong):
        raise ShapeError(
            f"padding stands at the end of each row, behind one token at least; in row {wrong[0][0]} it does not."
        )


def _padding_before_tokens(padding: Any) -> Any:
    """True in rows that begin with padding, or have a token behind it."""
    return padding[:, :1] | (padding[:, :-1] & ~padding[:, 1:]).any(1)[:, None]


@register("rnn_translator", task="translation", data="pairs", input=(32,), paper="Luong et al. 2015")
def rnn_translator(source_vocabulary: int, target_vocabulary: int, **options: Any) -> RecurrentTranslator:
    """A `RecurrentTranslator`, a GRU with attention unless the options say otherwise."""
    return RecurrentTranslator(source_vocabulary, target_vocabulary, **options)
