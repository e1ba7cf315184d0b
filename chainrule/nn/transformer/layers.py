"""The layers of a transformer: attention and a network for each position, with shortcuts and normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.nn import functional
from chainrule.nn.activations.classic import relu
from chainrule.nn.attention.multihead import MultiheadAttention
from chainrule.nn.dropout import Dropout
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.normalisation.layers import LayerNorm
from chainrule.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


def read_activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function of the name "relu" or "gelu", or the function or module itself."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise ValueError(f"activation is 'relu', 'gelu' or a function, got {activation!r}.")
    return getattr(functional, activation)


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers for each position; each part beside a shortcut and normalised.

        norm_first=False:  x = LayerNorm₁(x + attention(x));   x = LayerNorm₂(x + network(x))
        norm_first=True:   x = x + attention(LayerNorm₁(x));   x = x + network(LayerNorm₂(x))

    with network(x) = activation(x·W₁ᵀ + b₁)·W₂ᵀ + b₂. Shapes: (L, N, d_model), or (N, L, d_model) with `batch_first`,
    or without N; the result has the same.

    Args:
        d_model: the features of each position.
        nhead: heads of the attention; a divisor of `d_model`.
        dim_feedforward: the features between the two linear layers.
        dropout: the probability of dropout on attention weights, inside of the network, and after each part.
        activation: "relu", "gelu", or a function or module of one tensor.
        layer_norm_eps: see `LayerNorm`.
        batch_first: the order of the dimensions.
        norm_first: normalise before each part (trains without a warm-up of the rate) or after its shortcut (as in the
            paper).
        bias: whether linear layers and normalisations have biases.

    Source: Vaswani et al., "Attention is all you need", 2017, 3.1; `norm_first`: Xiong et al., "On layer normalization
    in the transformer architecture", 2020.

    >>> import chainrule
    >>> TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)(chainrule.randn(5, 3, 8)).shape
    Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **kind)
        self.linear1 = Linear(d_model, dim_feedforward, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **kind)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **kind)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **kind)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = read_activation(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Masks as in `MultiheadAttention` (True forbids); `is_causal` says that `src_mask` is the causal one."""

        def attention(x: Tensor) -> Tensor:
            found, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(found)

        def network(x: Tensor) -> Tensor:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = src
        if self.norm_first:
            x = x + attention(self.norm1(x))
            return x + network(self.norm2(x))
        x = self.norm1(x + attention(x))
        return self.norm2(x + network(x))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's results, then two linear layers for each position.

    Each of the three parts stands beside a shortcut and is normalised, as in `TransformerEncoderLayer`, which explains
    the arguments. Shapes: tgt (K, N, d_model), memory (L, N, d_model), result as tgt; with `batch_first` N is first.

    Source: Vaswani et al., "Attention is all you need", 2017, 3.1.

    >>> import chainrule
    >>> layer = TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(chainrule.randn(4, 3, 8), memory=chainrule.randn(6, 3, 8)).shape
    Size([4, 3, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **kind)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **kind)
        self.linear1 = Linear(d_model, dim_feedforward, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **kind)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **kind)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **kind)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, **kind)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = read_activation(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Masks as in `MultiheadAttention` (True forbids): of tgt by itself, and of memory by tgt."""

        def attention(x: Tensor) -> Tensor:
            found, _ = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(found)

        def reading(x: Tensor) -> Tensor:
            padding, mask = memory_key_padding_mask, memory_mask
            found, _ = self.multihead_attn(x, memory, memory, padding, False, mask, is_causal=memory_is_causal)
            return self.dropout2(found)

        return self.combine(tgt, attention, reading)

    def combine(self, x: Tensor, attention: Callable[[Tensor], Tensor], reading: Callable[[Tensor], Tensor]) -> Tensor:
        """The three parts beside their shortcuts, normalised first or after: two that are given, and the network."""

        def network(x: Tensor) -> Tensor:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = x + attention(self.norm1(x))
            x = x + reading(self.norm2(x))
            return x + network(self.norm3(x))
        x = self.norm1(x + attention(x))
        x = self.norm2(x + reading(x))
        return self.norm3(x + network(x))
