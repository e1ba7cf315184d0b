"""BERT: an encoder that reads in both directions at once, trained to fill in words that were taken out.

What was new: each token sees the whole sentence, before and behind; one pre-trained encoder, a small head for any task.

    [CLS] a b [SEP] c [SEP]
       │  words + positions + which of the two sentences
       ▼
    layers of attention and network, normalised after each shortcut
       ▼                       ▼
    pooler([CLS]) ─► classes   each token ─► the word that was taken out

Source: Devlin, Chang, Lee and Toutanova, "BERT: pre-training of deep bidirectional transformers", 2019. Names of the
weights are Hugging Face's: `Bert` has those of `BertModel`, `BertClassifier` of `BertForSequenceClassification`,
`BertMaskedWords` of `BertForMaskedLM`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros, zeros_like
from chainrule.models.generation import need_tokens, next_positions
from chainrule.models.hugging_face import hub_format
from chainrule.models.registry import register
from chainrule.nn.attention.dot_product import attend, forbid
from chainrule.nn.attention.multihead import join_heads, split_heads
from chainrule.nn.functional import gelu
from chainrule.nn.init import normal_, zeros_
from chainrule.tensor import Parameter, Tensor


class Embeddings(nn.Module):
    """Words, positions and sentences as vectors, added up and normalised."""

    def __init__(
        self, vocabulary: int, width: int, context: int, segments: int, dropout: float, eps: float, padding: int | None
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=padding)
        self.position_embeddings = nn.Embedding(context, width)
        self.token_type_embeddings = nn.Embedding(segments, width)
        self.LayerNorm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, segments: Tensor) -> Tensor:
        """(N, L) to (N, L, width)."""
        places = next_positions(need_tokens(tokens, "tokens"), None, self.position_embeddings.weight.shape[0])
        x = self.word_embeddings(tokens) + self.token_type_embeddings(segments) + self.position_embeddings(places)
        return self.dropout(self.LayerNorm(x))


class SelfAttention(nn.Module):
    """Each token reads all others that the mask allows."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(N, L, width); bias: what is added to the scores (N, 1, 1, L)."""
        q, k, v = [split_heads(part(x), self.heads) for part in (self.query, self.key, self.value)]
        return join_heads(attend(q, k, v, bias, self.dropout.p if self.training else 0.0))


class AddAndNorm(nn.Module):
    """LayerNorm(before + dropout(dense(x))): the end of both parts of a layer."""

    def __init__(self, inside: int, width: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inside, width)
        self.LayerNorm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """(N, L, inside) and (N, L, width) to (N, L, width)."""
        return self.LayerNorm(before + self.dropout(self.dense(x)))


class Layer(nn.Module):
    """Attention, then a network of two linear layers with GELU between them."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(width, heads, dropout), "output": AddAndNorm(width, width, dropout, eps)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = AddAndNorm(hidden, width, dropout, eps)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(N, L, width)."""
        x = self.attention["output"](self.attention["self"](x, bias), x)
        return self.output(gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """The encoder: tokens (N, L) to one vector for each, (N, L, width); see also `pooled`.

    Args:
        vocabulary: how many different tokens there are; 30,522 word pieces.
        layers, width, heads: layers, features of each token, heads of each attention.
        hidden: features inside of each network; 4·width if None.
        context: the longest sequence.
        segments: how many sentences are told apart.
        dropout: of embeddings, attention weights and both parts of each layer.
        norm_eps: of the normalisations.
        padding: the token that fills up shorter sequences, whose vector gets no gradient.
        pooler: whether there is the layer that turns the first token into a vector for the whole.

    The defaults are BERT-base: 109,482,240 parameters. Matrices start as normal numbers of standard deviation 0.02,
    biases at 0.

    >>> import chainrule
    >>> model = Bert(vocabulary=10, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 8])
    """

    #: Hugging Face's words in config.json for the arguments above.
    config_names: ClassVar[dict[str, str]] = {
        "vocab_size": "vocabulary", "num_hidden_layers": "layers", "hidden_size": "width",
        "num_attention_heads": "heads", "intermediate_size": "hidden", "max_position_embeddings": "context",
        "type_vocab_size": "segments", "hidden_dropout_prob": "dropout", "layer_norm_eps": "norm_eps",
        "pad_token_id": "padding",
    }  # fmt: skip
    #: What config.json must say, if it says anything about it, for this model to be the one that is meant.
    config_fixed: ClassVar[dict[str, Any]] = {
        "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False,
        "add_cross_attention": False,
    }  # fmt: skip

    def __init__(
        self,
        vocabulary: int = 30522,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        segments: int = 2,
        dropout: float = 0.1,
        norm_eps: float = 1e-12,
        padding: int | None = 0,
        pooler: bool = True,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ShapeError(f"heads divide the width, got width={width} and heads={heads}.")
        hidden = 4 * width if hidden is None else hidden
        self.embeddings = Embeddings(vocabulary, width, context, segments, dropout, norm_eps, padding)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList([Layer(width, heads, hidden, dropout, norm_eps) for _ in range(layers)])}
        )
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)}) if pooler else None
        start_weights(self)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """One vector for each token.

        attention_mask: (N, L), 1 or True for tokens and 0 for padding, as tokenizers give it; all tokens if None.
        segments: (N, L), which sentence each token belongs to; the first if None.
        """
        bias = None
        if attention_mask is not None:
            if attention_mask.shape != tokens.shape:
                raise ShapeError(
                    f"attention_mask has the shape of the tokens, {tuple(tokens.shape)}, got "
                    f"{tuple(attention_mask.shape)}."
                )
            bias = forbid(attention_mask == 0, self.embeddings.LayerNorm.weight.dtype)[:, None, None]
        x = self.embeddings(tokens, zeros_like(tokens) if segments is None else segments)
        if bias is not None:
            bias = bias.expand(x.shape[0], 1, x.shape[1], x.shape[1])
        for layer in self.encoder["layer"]:
            x = layer(x, bias)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """tanh(dense(first token)): one vector (N, width) for each sequence, from what `forward` gives."""
        if self.pooler is None:
            raise ShapeError("this Bert was made with pooler=False.")
        return self.pooler["dense"](x[:, 0]).tanh()

    @staticmethod
    def published_name(name: str) -> str | None:
        """The name here of a tensor in a published file; None for what is no weight or another head's.

        >>> Bert.published_name("bert.embeddings.LayerNorm.gamma")
        'embeddings.LayerNorm.weight'
        """
        found = _usual(name)
        if found is None or found.startswith(("cls.", "classifier.")):
            return None
        return found.removeprefix("bert.")


class BertClassifier(nn.Module):
    """BERT and a linear layer on the pooled vector: tokens (N, L) to scores (N, num_classes).

    The arguments are `num_classes` and `Bert`'s.

    >>> import chainrule
    >>> model = BertClassifier(num_classes=3, vocabulary=10, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3])
    """

    config_names: ClassVar[dict[str, str]] = {**Bert.config_names, "num_labels": "num_classes"}
    config_fixed: ClassVar[dict[str, Any]] = Bert.config_fixed

    def __init__(
        self,
        num_classes: int = 2,
        vocabulary: int = 30522,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        segments: int = 2,
        dropout: float = 0.1,
        norm_eps: float = 1e-12,
        padding: int | None = 0,
    ) -> None:
        super().__init__()
        self.bert = Bert(vocabulary, layers, width, heads, hidden, context, segments, dropout, norm_eps, padding)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, num_classes)
        start_weights(self.classifier)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """See the class, and `Bert.forward`."""
        return self.classifier(self.dropout(self.bert.pooled(self.bert(tokens, attention_mask, segments))))

    @staticmethod
    def published_name(name: str) -> str | None:
        """The name here of a tensor in a published file; None for what is no weight or another head's."""
        found = _usual(name)
        if found is None or found.startswith("cls."):
            return None
        return found if found.startswith(("bert.", "classifier.")) else f"bert.{found}"


class WordHead(nn.Module):
    """dense, GELU and LayerNorm, then a score for each word by its embedding."""

    def __init__(self, width: int, words: Parameter, eps: float) -> None:
        super().__init__()
        self.bias = Parameter(zeros(words.shape[0]))
        self.transform = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps)})
        start_weights(self.transform)
        self.decoder = nn.Linear(width, words.shape[0])
        self.decoder.weight, self.decoder.bias = words, self.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width) to (N, L, vocabulary)."""
        return self.decoder(self.transform["LayerNorm"](gelu(self.transform["dense"](x))))


class BertMaskedWords(nn.Module):
    """BERT as it is pre-trained: tokens (N, L) to scores of the word that belongs at each place (N, L, vocabulary).

    The arguments are `Bert`'s, without `pooler`.

    >>> import chainrule
    >>> model = BertMaskedWords(vocabulary=10, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 10])
    """

    config_names: ClassVar[dict[str, str]] = Bert.config_names
    config_fixed: ClassVar[dict[str, Any]] = {**Bert.config_fixed, "tie_word_embeddings": True}

    def __init__(
        self,
        vocabulary: int = 30522,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        segments: int = 2,
        dropout: float = 0.1,
        norm_eps: float = 1e-12,
        padding: int | None = 0,
    ) -> None:
        super().__init__()
        self.bert = Bert(
            vocabulary, layers, width, heads, hidden, context, segments, dropout, norm_eps, padding, pooler=False
        )
        head = WordHead(width, self.bert.embeddings.word_embeddings.weight, norm_eps)
        self.cls = nn.ModuleDict({"predictions": head})

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """See the class, and `Bert.forward`."""
        return self.cls["predictions"](self.bert(tokens, attention_mask, segments))

    @staticmethod
    def published_name(name: str) -> str | None:
        """The name here of a tensor in a published file; None for what is no weight or another head's."""
        found = _usual(name)
        if found is None or found.startswith(("cls.seq_relationship.", "bert.pooler.")):
            return None
        return found


def _usual(name: str) -> str | None:
    """Names of the first files as those of today have them; None for a table of positions, which is no weight."""
    if name.endswith("embeddings.position_ids"):
        return None
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith("LayerNorm.beta") else name


def start_weights(module: nn.Module) -> None:
    """Matrices as normal numbers of standard deviation 0.02, biases at 0."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            zeros_(parameter)


@register(
    "bert", task="encoding", data="text", input=(512,), paper="Devlin et al. 2019", hub=hub_format(Bert, "BertModel")
)
def bert(**options: Any) -> Bert:
    """BERT-base, 109,482,240 parameters, unless the options say otherwise; they are :class:`Bert`'s."""
    return Bert(**options)


@register(
    "bert_classifier",
    task="text classification",
    data="labelled texts",
    input=(512,),
    paper="Devlin et al. 2019",
    hub=hub_format(BertClassifier, "BertForSequenceClassification"),
)
def bert_classifier(num_classes: int = 2, **options: Any) -> BertClassifier:
    """BERT-base with a head for `num_classes`; the other options are :class:`Bert`'s."""
    return BertClassifier(num_classes, **options)


@register(
    "bert_masked_words",
    task="filling in words",
    data="text",
    input=(512,),
    paper="Devlin et al. 2019",
    hub=hub_format(BertMaskedWords, "BertForMaskedLM"),
)
def bert_masked_words(**options: Any) -> BertMaskedWords:
    """BERT-base as it is pre-trained; the options are :class:`Bert`'s."""
    return BertMaskedWords(**options)
