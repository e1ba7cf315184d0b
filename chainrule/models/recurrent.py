"""Recurrent networks on sequences: one state that is carried along and reads one token after the other.

The forms, by how many go in and come out (I VI.1):

    many to one     many to many, aligned     one to many          many to many, first read, then write
        o            o   o   o   o             o   o   o                         o   o   o
        ▲            ▲   ▲   ▲   ▲             ▲   ▲   ▲                         ▲   ▲   ▲
    □─►□─►□          □─► □─► □─► □             □─► □─► □              □─►□─►□─►□─► □─► □
    ▲  ▲  ▲          ▲   ▲   ▲   ▲             ▲   (what was written)  ▲  ▲  ▲      (what was written)
    x  x  x          x   x   x   x             x                       x  x  x

    RecurrentClassifier  RecurrentTagger       RecurrentCaptioner      RecurrentTranslator
                         RecurrentLanguageModel

The first two and the language model are here; those that write an answer are in `recurrent_answers.py`. The cell is
Elman's (1990), "rnn"; the gated recurrent unit (Cho et al., 2014), "gru"; or long short-term memory (Hochreiter and
Schmidhuber, 1997), "lstm", whose cell state is a highway for gradients.
"""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.models.generation import LanguageModel, need_tokens
from chainrule.models.registry import register
from chainrule.tensor import Tensor

CELLS: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def make_recurrent(cell: str, input_size: int, hidden: int, **options: Any) -> Any:
    """The layers of a cell, "rnn", "gru" or "lstm", batch first; else a ValueError."""
    if cell not in CELLS:
        raise ValueError(f"cell is one of {', '.join(map(repr, CELLS))}, got {cell!r}.")
    return CELLS[cell](input_size, hidden, batch_first=True, **options)


class RecurrentClassifier(nn.Module):
    """Many to one: the state behind the last token says what the whole sequence is.

    Input: tokens (N, L), integers in [0, vocabulary); or vectors (N, L, features), if `features` is given instead.
    Result: scores (N, num_classes), from the last layer's last state, of both directions side by side.

    Args:
        num_classes: how many scores come out.
        vocabulary, width: how many different tokens there are, and the features of each.
        features: of each vector, where the sequence is none of tokens.
        cell: "rnn", "gru" or "lstm".
        hidden, layers: units of each layer, and how many there are.
        bidirectional: also read from the end to the beginning.
        dropout: between layers, and in front of the head.
        initial_state: "zeros", "normal" or "learned", see `nn.RNNBase`.

    >>> import chainrule
    >>> RecurrentClassifier(3, vocabulary=10, width=4, hidden=8)(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3])
    >>> RecurrentClassifier(3, features=5, hidden=8)(chainrule.ones(2, 7, 5), lengths=[7, 4]).shape
    Size([2, 3])
    """

    def __init__(
        self,
        num_classes: int,
        vocabulary: int | None = None,
        width: int = 64,
        features: int | None = None,
        cell: str = "lstm",
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        initial_state: str = "zeros",
    ) -> None:
        super().__init__()
        if (vocabulary is None) == (features is None):
            raise ValueError("give vocabulary, for sequences of tokens, or features, for sequences of vectors.")
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary, width)
        self.recurrent = make_recurrent(
            cell, width if features is None else features, hidden, num_layers=layers,
            dropout=dropout if layers > 1 else 0.0, bidirectional=bidirectional, initial_state=initial_state,
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), num_classes)

    def forward(self, sequence: Tensor, lengths: Any = None) -> Tensor:
        """See the class. lengths: (N,), how long each sequence is, where shorter ones are padded at the end."""
        _, state = self.recurrent(self.read(sequence), None, lengths)
        h = state[0] if isinstance(state, tuple) else state
        last = h[-2:] if self.recurrent.bidirectional else h[-1:]
        return self.head(self.dropout(last.transpose(0, 1).flatten(1)))

    def read(self, sequence: Tensor) -> Tensor:
        """The sequence as vectors (N, L, features)."""
        if self.embedding is not None:
            return self.embedding(need_tokens(sequence, "tokens"))
        if need_tensor(sequence, "sequence").ndim != 3:
            raise ShapeError(f"sequences are (batch, length, features), got {tuple(sequence.shape)}.")
        return sequence


class RecurrentTagger(RecurrentClassifier):
    """Many to many, aligned: what each token of a sequence is, as for labelling the images of a film.

    Arguments and inputs as `RecurrentClassifier`'s; the result is (N, L, num_classes).

    >>> import chainrule
    >>> RecurrentTagger(3, vocabulary=10, width=4, hidden=8)(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 3])
    """

    def forward(self, sequence: Tensor, lengths: Any = None) -> Tensor:
        """See the class."""
        outputs, _ = self.recurrent(self.read(sequence), None, lengths)
        return self.head(self.dropout(outputs))


class RecurrentLanguageModel(LanguageModel):
    """The next token from all before it: tokens (N, L) to scores (N, L, vocabulary). Any length.

    Args:
        vocabulary, width: how many different tokens there are, and the features of each.
        cell: "rnn", "gru" or "lstm".
        hidden, layers: units of each layer, and how many there are.
        dropout: of embeddings, between layers, and in front of the head.

    Source: Mikolov et al., "Recurrent neural network based language model", 2010; Graves, "Generating sequences with
    recurrent neural networks", 2013.

    >>> import chainrule
    >>> model = RecurrentLanguageModel(vocabulary=10, width=4, hidden=8)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 10])
    >>> model.generate(chainrule.tensor([[1, 2, 3]]), steps=4).shape
    Size([1, 7])
    """

    context = None

    def __init__(
        self,
        vocabulary: int,
        width: int = 64,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = make_recurrent(cell, width, hidden, num_layers=layers, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.continued(tokens, None)[0]

    def features(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the head makes scores of (N, L, hidden), and the state after them; before the first token it is None."""
        x = self.dropout(self.embedding(need_tokens(tokens, "tokens")))
        outputs, state = self.recurrent(x, state)
        return self.dropout(outputs), state

    def scores(self, features: Tensor) -> Tensor:
        """The head."""
        return self.head(features)

    def empty_state(self, batch: int, capacity: int) -> None:
        """Nothing: the layers begin by themselves, and need no room."""
        return None

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The states of the sequences at these places."""
        return recurrent_rows(state, places)


def recurrent_rows(state: Any, places: Tensor) -> Any:
    """The states (layers, N, hidden), or pairs of them, of the sequences at these places of the batch."""
    if isinstance(state, tuple):
        return tuple([part.index_select(1, places) for part in state])
    return state.index_select(1, places)


@register("rnn_language_model", task="language modelling", data="text", input=(128,), paper="Mikolov et al. 2010")
def rnn_language_model(vocabulary: int, **options: Any) -> RecurrentLanguageModel:
    """A `RecurrentLanguageModel`, an LSTM unless `cell` says otherwise."""
    return RecurrentLanguageModel(vocabulary, **options)


@register(
    "rnn_classifier",
    task="text classification",
    data="labelled texts",
    input=(128,),
    paper="Hochreiter, Schmidhuber 1997",
)
def rnn_classifier(num_classes: int, **options: Any) -> RecurrentClassifier:
    """A `RecurrentClassifier`, an LSTM unless `cell` says otherwise."""
    return RecurrentClassifier(num_classes, **options)
