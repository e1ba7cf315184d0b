"""GPT-2: a decoder alone, trained to continue text, turned out to do many tasks without being taught them.

What was new: no task but the next word; layers normalised *before* each part, so that a clean path leads from the
scores to the embedding; one more normalisation at the end; the head is the embedding, transposed.

    tokens ─► wte + wpe ─► [ + attention(ln_1) ]  ×layers ─► ln_f ─► scores
                           [ + network(ln_2)   ]

Source: Radford, Wu, Child, Luan, Amodei and Sutskever, "Language models are unsupervised multitask learners", 2019.
Names and layouts of the weights are Hugging Face's (`GPT2LMHeadModel`): `TransposedLinear` has matrices (in, out).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.generation import LanguageModel, need_tokens, next_positions
from chainrule.models.hugging_face import hub_format
from chainrule.models.registry import register
from chainrule.nn.attention.causal import KeyValueCache, read_causally
from chainrule.nn.attention.multihead import join_heads, split_heads
from chainrule.nn.init import normal_, zeros_
from chainrule.tensor import Tensor


class Attention(nn.Module):
    """Causal self-attention; one matrix makes queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = nn.TransposedLinear(width, 3 * width)
        self.c_proj = nn.TransposedLinear(width, width)
        self.attn_dropout = nn.Dropout(dropout)
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: KeyValueCache | None) -> tuple[Tensor, KeyValueCache | None]:
        """(N, L, width), and the cache with these tokens."""
        q, k, v = [split_heads(part, self.heads) for part in self.c_attn(x).chunk(3, -1)]
        found, cache = read_causally(q, k, v, cache, self.attn_dropout.p if self.training else 0.0)
        return self.resid_dropout(self.c_proj(join_heads(found))), cache


class Network(nn.Module):
    """Two layers for each token, GELU (the tanh form) between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = nn.TransposedLinear(width, hidden)
        self.act = nn.GELU("tanh")
        self.c_proj = nn.TransposedLinear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width)."""
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(nn.Module):
    """x = x + attention(ln_1(x)); x = x + network(ln_2(x))."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, heads, dropout)
        self.ln_2 = nn.LayerNorm(width, eps)
        self.mlp = Network(width, hidden, dropout)

    def forward(self, x: Tensor, cache: KeyValueCache | None) -> tuple[Tensor, KeyValueCache | None]:
        """(N, L, width), and the cache with these tokens."""
        found, cache = self.attn(self.ln_1(x), cache)
        x = x + found
        return x + self.mlp(self.ln_2(x)), cache


class GPT2(LanguageModel):
    """A language model: tokens (N, L) to scores of the next one (N, L, vocabulary).

    Args:
        vocabulary: how many different tokens there are; 50,257 byte pairs.
        layers, width, heads: blocks, features of each token, heads of each attention.
        context: the longest sequence.
        hidden: features inside of each network; 4·width if None.
        dropout: of embeddings, attention weights and both parts of each block.
        norm_eps: of the normalisations.

    The defaults are GPT-2 small: 124,439,808 parameters. Matrices start as normal numbers of standard deviation 0.02,
    those in front of a shortcut divided by √(2·layers); biases at 0.

    >>> import chainrule
    >>> model = GPT2(vocabulary=10, layers=1, width=8, heads=2, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 10])
    """

    context: int  # there is always a bound

    #: Hugging Face's words in config.json for the arguments above.
    config_names: ClassVar[dict[str, str]] = {
        "vocab_size": "vocabulary", "n_layer": "layers", "n_embd": "width", "n_head": "heads", "n_positions": "context",
        "n_inner": "hidden", "resid_pdrop": "dropout", "layer_norm_epsilon": "norm_eps",
    }  # fmt: skip
    #: What config.json must say, if it says anything about it, for this model to be the one that is meant.
    config_fixed: ClassVar[dict[str, Any]] = {
        "model_type": "gpt2", "activation_function": "gelu_new", "add_cross_attention": False,
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
        "tie_word_embeddings": True,
    }  # fmt: skip

    def __init__(
        self,
        vocabulary: int = 50257,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        context: int = 1024,
        hidden: int | None = None,
        dropout: float = 0.1,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ShapeError(f"heads divide the width, got width={width} and heads={heads}.")
        self.vocabulary, self.context = vocabulary, context
        hidden = 4 * width if hidden is None else hidden
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(context, width),
                "drop": nn.Dropout(dropout),
                "h": nn.ModuleList([Block(width, heads, hidden, dropout, norm_eps) for _ in range(layers)]),
                "ln_f": nn.LayerNorm(width, norm_eps),
            }
        )
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values; see the class."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                depth = 2 * len(self.transformer["h"]) if name.endswith("c_proj.weight") else 1
                normal_(parameter, std=0.02 / math.sqrt(depth))
            elif name.endswith("bias"):
                zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.continued(tokens, None)[0]

    def features(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the head makes scores of (N, L, width), and the caches that hold the new tokens too (None without)."""
        parts = self.transformer
        places = next_positions(need_tokens(tokens, "tokens"), state, self.context)
        x = parts["drop"](parts["wte"](tokens) + parts["wpe"](places))
        after = []
        for i, block in enumerate(parts["h"]):
            x, cache = block(x, None if state is None else state[i])
            after.append(cache)
        return parts["ln_f"](x), None if state is None else after

    def scores(self, features: Tensor) -> Tensor:
        """The head."""
        return self.lm_head(features)

    def empty_state(self, batch: int, capacity: int) -> list[KeyValueCache]:
        """A cache for each block."""
        scale, heads = self.transformer["ln_f"].weight, self.transformer["h"][0].attn.heads
        width = scale.shape[0] // heads
        return [KeyValueCache.empty(batch, heads, capacity, width, scale.dtype) for _ in self.transformer["h"]]

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The caches of the sequences at these places."""
        return [cache.rows(places) for cache in state]

    @staticmethod
    def published_name(name: str) -> str | None:
        """The name here of a tensor in a published file; None for what is no weight (the causal mask).

        >>> GPT2.published_name("h.0.attn.c_attn.weight"), GPT2.published_name("h.0.attn.bias")
        ('transformer.h.0.attn.c_attn.weight', None)
        """
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            return None
        return name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"


@register(
    "gpt2",
    task="language modelling",
    data="text",
    input=(1024,),
    paper="Radford et al. 2019",
    hub=hub_format(GPT2, "GPT2LMHeadModel"),
)
def gpt2(**options: Any) -> GPT2:
    """GPT-2 small, 124,439,808 parameters, unless the options say otherwise; they are :class:`GPT2`'s."""
    return GPT2(**options)
