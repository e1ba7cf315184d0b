"""Llama: the decoder as most open language models have it today.

What was new, each part taken from elsewhere: RMSNorm, which divides by the root mean square and subtracts nothing;
rotary positions, which turn queries and keys instead of adding to tokens; SwiGLU, a network whose hidden features are
gated; no biases; in later versions grouped keys, so that several heads of queries share one head of keys and values and
the cache is so many times smaller.

    tokens ─► embed ─► [ + attention(norm), q and k turned ]  ×layers ─► norm ─► scores
                       [ + down(silu(gate(norm))·up(norm)) ]

Sources: Touvron et al., "LLaMA: open and efficient foundation language models", 2023; Zhang and Sennrich (RMSNorm),
2019; Shazeer, "GLU variants improve transformer", 2020; Ainslie et al., "GQA", 2023. Names of the weights are Hugging
Face's (`LlamaForCausalLM`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.generation import LanguageModel, need_tokens, next_positions
from chainrule.models.hugging_face import hub_format
from chainrule.models.registry import register
from chainrule.nn.attention.causal import KeyValueCache, read_causally
from chainrule.nn.attention.multihead import join_heads, split_heads
from chainrule.nn.functional import silu
from chainrule.nn.init import normal_
from chainrule.tensor import Tensor


class Attention(nn.Module):
    """Causal self-attention with rotary positions and grouped keys."""

    def __init__(self, width: int, heads: int, key_heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.key_heads = heads, key_heads
        self.q_proj = nn.Linear(width, heads * head_width, bias=False)
        self.k_proj = nn.Linear(width, key_heads * head_width, bias=False)
        self.v_proj = nn.Linear(width, key_heads * head_width, bias=False)
        self.o_proj = nn.Linear(heads * head_width, width, bias=False)

    def forward(
        self, x: Tensor, rotary: nn.RotaryPositions, cache: KeyValueCache | None
    ) -> tuple[Tensor, KeyValueCache | None]:
        """(N, L, width), and the cache with these tokens; their keys are kept turned."""
        start: Any = 0 if cache is None else cache.length
        q = rotary(split_heads(self.q_proj(x), self.heads), start)
        k = rotary(split_heads(self.k_proj(x), self.key_heads), start)
        found, cache = read_causally(q, k, split_heads(self.v_proj(x), self.key_heads), cache)
        return self.o_proj(join_heads(found)), cache


class Network(nn.Module):
    """SwiGLU: down(silu(gate(x)) ⊙ up(x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width)."""
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """x = x + attention(norm(x)); x = x + network(norm(x))."""

    def __init__(self, width: int, heads: int, key_heads: int, head_width: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, key_heads, head_width)
        self.mlp = Network(width, hidden)
        self.input_layernorm = nn.RMSNorm(width, eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps)

    def forward(
        self, x: Tensor, rotary: nn.RotaryPositions, cache: KeyValueCache | None
    ) -> tuple[Tensor, KeyValueCache | None]:
        """(N, L, width), and the cache with these tokens."""
        found, cache = self.self_attn(self.input_layernorm(x), rotary, cache)
        x = x + found
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class Llama(LanguageModel):
    """A language model: tokens (N, L) to scores of the next one (N, L, vocabulary).

    Args:
        vocabulary: how many different tokens there are.
        layers, width, heads: blocks, features of each token, heads of queries.
        key_heads: heads of keys and values, a divisor of `heads`; as many as these if None.
        hidden: features inside of each network.
        context: the longest sequence.
        head_width: features of each head; width/heads if None.
        rope_theta: the base of the rotary angles.
        rope_scaling: how they were stretched, see `nn.rotary.rotary_frequencies`.
        norm_eps: of the normalisations.
        tied: whether the head's weight is the embedding's.

    The defaults are TinyLlama's (Zhang et al., 2024), 1,100,048,384 parameters; Llama 2 with 7 billion has 32 layers,
    width 4096, as many key_heads as heads, hidden 11008 and context 4096. All matrices start as normal numbers of
    standard deviation 0.02.

    >>> import chainrule
    >>> model = Llama(vocabulary=10, layers=1, width=8, heads=4, key_heads=2, hidden=16, context=16)
    >>> model(chainrule.tensor([[1, 2, 3]])).shape
    Size([1, 3, 10])
    """

    context: int  # there is always a bound

    #: Hugging Face's words in config.json for the arguments above.
    config_names: ClassVar[dict[str, str]] = {
        "vocab_size": "vocabulary", "num_hidden_layers": "layers", "hidden_size": "width",
        "num_attention_heads": "heads", "num_key_value_heads": "key_heads", "intermediate_size": "hidden",
        "max_position_embeddings": "context", "head_dim": "head_width", "rope_theta": "rope_theta",
        "rope_scaling": "rope_scaling", "rms_norm_eps": "norm_eps", "tie_word_embeddings": "tied",
    }  # fmt: skip
    #: What config.json must say, if it says anything about it, for this model to be the one that is meant.
    config_fixed: ClassVar[dict[str, Any]] = {
        "model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "attention_dropout": 0.0,
    }  # fmt: skip

    def __init__(
        self,
        vocabulary: int = 32000,
        layers: int = 22,
        width: int = 2048,
        heads: int = 32,
        key_heads: int | None = 4,
        hidden: int = 5632,
        context: int = 2048,
        head_width: int | None = None,
        rope_theta: float = 10000.0,
        rope_scaling: Mapping[str, Any] | None = None,
        norm_eps: float = 1e-5,
        tied: bool = False,
    ) -> None:
        super().__init__()
        key_heads = heads if key_heads is None else key_heads
        if heads % key_heads or (head_width is None and width % heads):
            raise ShapeError(
                f"key_heads divide the heads, and these the width, got width={width}, heads={heads} and "
                f"key_heads={key_heads}."
            )
        head_width = width // heads if head_width is None else head_width
        self.vocabulary, self.context = vocabulary, context
        self.cache_shape = key_heads, head_width
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(vocabulary, width),
                "layers": nn.ModuleList(
                    [Block(width, heads, key_heads, head_width, hidden, norm_eps) for _ in range(layers)]
                ),
                "norm": nn.RMSNorm(width, norm_eps),
                "rotary_emb": nn.RotaryPositions(context, head_width, rope_theta, rope_scaling),
            }
        )
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.lm_head.weight = self.model["embed_tokens"].weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values; see the class."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.continued(tokens, None)[0]

    def features(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the head makes scores of (N, L, width), and the caches that hold the new tokens too (None without)."""
        next_positions(need_tokens(tokens, "tokens"), state, self.context)
        x, after = self.model["embed_tokens"](tokens), []
        for i, block in enumerate(self.model["layers"]):
            x, cache = block(x, self.model["rotary_emb"], None if state is None else state[i])
            after.append(cache)
        return self.model["norm"](x), None if state is None else after

    def scores(self, features: Tensor) -> Tensor:
        """The head."""
        return self.lm_head(features)

    def empty_state(self, batch: int, capacity: int) -> list[KeyValueCache]:
        """A cache for each block."""
        heads, width = self.cache_shape
        dtype = self.model["norm"].weight.dtype
        return [KeyValueCache.empty(batch, heads, capacity, width, dtype) for _ in self.model["layers"]]

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The caches of the sequences at these places."""
        return [cache.rows(places) for cache in state]

    @staticmethod
    def published_name(name: str) -> str | None:
        """The name here of a tensor in a published file; None for what is no weight (older files' angles).

        >>> Llama.published_name("model.layers.0.self_attn.rotary_emb.inv_freq"), Llama.published_name("norm.weight")
        (None, 'model.norm.weight')
        """
        if name.endswith("rotary_emb.inv_freq"):
            return None
        return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"


@register(
    "llama",
    task="language modelling",
    data="text",
    input=(2048,),
    paper="Touvron et al. 2023",
    hub=hub_format(Llama, "LlamaForCausalLM"),
)
def llama(**options: Any) -> Llama:
    """TinyLlama, 1,100,048,384 parameters, unless the options say otherwise; they are :class:`Llama`'s."""
    return Llama(**options)
