"""Stacks of transformer layers, and the whole encoder–decoder transformer."""

from __future__ import annotations

import copy
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn.activations.classic import relu
from chainrule.nn.attention.dot_product import square_subsequent_mask
from chainrule.nn.container import ModuleList
from chainrule.nn.init import xavier_uniform_
from chainrule.nn.module import Module
from chainrule.nn.normalisation.layers import LayerNorm
from chainrule.nn.transformer.layers import Activation, TransformerDecoderLayer, TransformerEncoderLayer
from chainrule.tensor import Tensor


class TransformerEncoder(Module):
    """A stack of `num_layers` copies of an encoder layer, and possibly a normalisation behind them.

    The copies start with the same values. `enable_nested_tensor` and `mask_check` are accepted and change nothing:
    there are no nested tensors. With `norm_first` layers give a `norm`, since their last sum is not normalised.

    >>> import chainrule
    >>> from chainrule import nn
    >>> encoder = TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(chainrule.randn(5, 3, 8)).shape
    Size([5, 3, 8])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Each layer in turn, all with the same masks; `is_causal` says that `mask` is the causal one."""
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """A stack of `num_layers` copies of a decoder layer, and possibly a normalisation behind them.

    >>> import chainrule
    >>> from chainrule import nn
    >>> decoder = TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> decoder(chainrule.randn(4, 3, 8), memory=chainrule.randn(6, 3, 8)).shape
    Size([4, 3, 8])
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Each layer in turn, all with the same memory and masks."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class Transformer(Module):
    """The encoder–decoder transformer: encoder(src), read by decoder(tgt). Embeddings and positions are not part of it.

    Shapes: src (L, N, d_model), tgt (K, N, d_model), result as tgt; with `batch_first` N is first, and it may be
    missing. Lengths may differ, features may not. For training on known targets give tgt a causal mask.

    Args:
        num_encoder_layers, num_decoder_layers: how many layers each stack has; both end in a normalisation.
        custom_encoder, custom_decoder: modules that take their place, called with the same arguments.

    The others are those of `TransformerEncoderLayer`. All matrices start as Glorot's uniform numbers. Source: Vaswani
    et al., "Attention is all you need", 2017.

    >>> import chainrule
    >>> model = Transformer(d_model=8, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16)
    >>> mask = model.generate_square_subsequent_mask(4)
    >>> model(chainrule.randn(6, 3, 8), chainrule.randn(4, 3, 8), tgt_mask=mask, tgt_is_causal=True).shape
    Size([4, 3, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*settings, device=device, dtype=dtype)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*settings, device=device, dtype=dtype)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        """Draw new initial values for all matrices."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's results. Masks as in `MultiheadAttention` (True forbids): (L, L), (K, K) and (K, L)."""
        batch = 0 if self.batch_first else 1
        if (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]) or {src.shape[-1], tgt.shape[-1]} != {self.d_model}:
            order = "(batch, length, features)" if self.batch_first else "(length, batch, features)"
            raise ShapeError(
                f"src and tgt are {order} with one batch size and {self.d_model} features, got {tuple(src.shape)} and "
                f"{tuple(tgt.shape)}."
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask: 0 on and below the diagonal, −∞ above it, (sz, sz).

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return square_subsequent_mask(sz, dtype, device)
