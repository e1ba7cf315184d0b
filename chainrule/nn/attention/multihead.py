"""Multi-head attention: several attentions side by side, each on its own projections of queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.autodiff.block import block
from chainrule.autodiff.composite import composite
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import empty, zeros
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad
from chainrule.nn.attention.dot_product import attend, attention_weights, forbid
from chainrule.nn.dropout import dropout
from chainrule.nn.init import xavier_normal_, xavier_uniform_, zeros_
from chainrule.nn.linear import Linear, check_bias, check_dtype, linear
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """concat(head₁ … head_h)·Wᵒ, where headᵢ = attention(Q·Wᵢ, K·Wᵢ′, V·Wᵢ″): the function under `MultiheadAttention`.

    query: (L, N, E), key: (S, N, E_k), value: (S, N, E_v), or all without N. Result (L, N, E), and the weights
    (N, L, S), their mean over heads, or (N, h, L, S) without `average_attn_weights`, or None without `need_weights`.

    Args:
        embed_dim_to_check: E.
        num_heads: h. Every head has E/h of the features.
        in_proj_weight, in_proj_bias: (3E, E) and (3E,), projections of queries, keys and values one below the other.
        bias_k, bias_v: (1, 1, E), one more key and value for everybody; learned.
        add_zero_attn: whether there is one more key and value of zeros.
        dropout_p: the probability that a weight is dropped, if `training`.
        out_proj_weight, out_proj_bias: (E, E) and (E,).
        key_padding_mask: (N, S), True where a key is padding and must not be read; or numbers to add to the scores.
        need_weights: whether the weights are returned. Without them less memory is used.
        attn_mask: (L, S) or (N·h, L, S), True where a query must not read a key; or numbers to add.
        use_separate_proj_weight: whether `q_proj_weight` (E, E), `k_proj_weight` (E, E_k) and `v_proj_weight` (E, E_v)
            are given instead of `in_proj_weight`.
        static_k, static_v: (N·h, S, E/h), keys and values that are projected already.
        is_causal: says that `attn_mask` is the causal mask, which saves reading it.

    A query that may read no key gets zeros, and zero weights. Raises ShapeError and DTypeError for what does not fit.
    Source: Vaswani et al., "Attention is all you need", 2017, 3.2.2. Splitting into heads is a reshape to
    (N, L, h, E/h) and a transposition; a reshape alone would mix positions.
    """
    batched = _check_inputs(query, key, value, embed_dim_to_check, num_heads)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    inputs = _each_once(lambda x: x.transpose(0, 1) if batched else x.unsqueeze(0), query, key, value)
    dropout_p = dropout_p if training else 0.0
    extras = bias_k, bias_v, static_k, static_v, separate
    if (
        in_proj_weight is not None
        and all(x is None for x in extras)
        and not (add_zero_attn or need_weights or dropout_p)
    ):
        _need_mask(is_causal, attn_mask)
        _check_projections(inputs, in_proj_weight, in_proj_bias)
        shape = (inputs[0].shape[0], num_heads, inputs[0].shape[1], inputs[1].shape[1])
        bias = _bias(None if is_causal else attn_mask, key_padding_mask, shape, 0, query.dtype, batched)
        own = inputs[0] is inputs[1] is inputs[2]
        parameters = in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias
        output = _attended(
            inputs[0], None if own else inputs[1], None if own else inputs[2], *parameters, bias, num_heads, is_causal
        )
        return (output.transpose(0, 1) if batched else output.squeeze(0)), None
    q, k, v = project(inputs, in_proj_weight, separate, in_proj_bias)
    length = k.shape[1]
    if bias_k is not None or bias_v is not None:
        k, v = _with_learned(k, v, bias_k, bias_v, static_k, static_v)
    q, k, v = (split_heads(x, num_heads) for x in (q, k, v))
    k, v = _static(static_k, k), _static(static_v, v)
    if add_zero_attn:
        nothing = zeros(*k.shape[:2], 1, k.shape[-1], dtype=k.dtype, device=k.device)
        k, v = cat([k, nothing], 2), cat([v, nothing], 2)
    _need_mask(is_causal, attn_mask)
    extra = k.shape[2] - (length if static_k is None else static_k.shape[1])
    causal = is_causal and not need_weights and not extra
    shape = (q.shape[0], num_heads, q.shape[2], k.shape[2] - extra)
    bias = _bias(None if causal else attn_mask, key_padding_mask, shape, extra, q.dtype, batched)
    weights = None
    if need_weights:
        scale = 1 / math.sqrt(q.shape[-1])
        weights = attention_weights(q, k, bias if bias is None else bias.expand(*shape[:3], k.shape[2]), scale)
        weights = dropout(weights, dropout_p)
        heads = weights @ v
    else:
        heads = attend(q, k, v, bias, dropout_p, causal)
    output = linear(join_heads(heads), out_proj_weight, out_proj_bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if batched:
        return output.transpose(0, 1), weights
    return output.squeeze(0), weights if weights is None else weights.squeeze(0)


@composite
def _attended(
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor | None,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    bias: Tensor | None,
    heads: int,
    causal: bool,
) -> Tensor:
    """The usual case in one: projections, heads, attention, heads joined, the last product. (N, L, E) in and out.

    Without key and value they are the query.
    """
    inputs = [query, query if key is None else key, query if value is None else value]
    q, k, v = (split_heads(x, heads) for x in project(inputs, in_proj_weight, None, in_proj_bias))
    return linear(join_heads(attend(q, k, v, bias, 0.0, causal)), out_proj_weight, out_proj_bias)


def _need_mask(is_causal: bool, attn_mask: Tensor | None) -> None:
    if is_causal and attn_mask is None:
        raise ShapeError("is_causal says what attn_mask is; give the mask too, for instance a causal one.")


def _each_once(change: Callable[[Tensor], Tensor], *tensors: Tensor) -> list[Tensor]:
    """The tensors changed; what is one tensor remains one."""
    changed = {id(x): change(x) for x in tensors}
    return [changed[id(x)] for x in tensors]


def _check_inputs(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int) -> bool:
    """Whether there is a batch dimension; or an error for what does not fit."""
    q, k, v = (need_tensor(x, "multi-head attention") for x in (query, key, value))
    shapes = f"query {tuple(q.shape)}, key {tuple(k.shape)} and value {tuple(v.shape)}"
    if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
        raise ShapeError(f"multi-head attention takes (length, batch, features) or (length, features), got {shapes}.")
    if k.shape[:-1] != v.shape[:-1] or q.shape[1:-1] != k.shape[1:-1]:
        raise ShapeError(
            f"multi-head attention: key and value have one length, and all one batch size, got {shapes} (length first)."
        )
    if q.shape[-1] != embed_dim or embed_dim % num_heads:
        raise ShapeError(
            f"multi-head attention of {num_heads} heads and embed_dim {embed_dim}: the heads divide embed_dim, which "
            f"is the query's last extent; got {shapes}."
        )
    return q.ndim == 3


def project(
    inputs: list[Tensor],
    in_proj_weight: Tensor | None,
    separate: tuple[Tensor | None, ...] | None,
    in_proj_bias: Tensor | None,
) -> list[Tensor]:
    """Queries, keys and values.

    Three products with parts of the weight, not one with all of it: then the parts are put together again in the
    gradient of the weight, which is small, and not in that of the result.
    """
    if separate is None and in_proj_weight is not None:
        _check_projections(inputs, in_proj_weight, in_proj_bias)
    if separate is None and in_proj_weight is not None and _projected.is_whole(*inputs, in_proj_weight):
        for x in inputs:  # before anything is within the block, whose name a user does not know
            check_dtype(x, in_proj_weight)
        if in_proj_bias is not None:
            check_bias(in_proj_bias, in_proj_weight, in_proj_weight.shape[:1])
        query, key, value = inputs
        passes_on = tuple(x.value.source is not None for x in inputs)
        if query is key is value:
            return list(_projected(query, None, None, in_proj_weight, in_proj_bias, passes_on))
        return list(_projected(query, key, value, in_proj_weight, in_proj_bias, passes_on))
    weights = in_proj_weight.chunk(3) if separate is None and in_proj_weight is not None else separate
    if weights is None or any(w is None for w in weights):
        raise ShapeError(
            "multi-head attention needs in_proj_weight, or with use_separate_proj_weight q_, k_ and v_proj_weight."
        )
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]  # type: ignore[arg-type]


def _check_projections(inputs: list[Tensor], weight: Tensor, bias: Tensor | None) -> None:
    """Raise a ShapeError unless the weight is (3E, E) and the bias (3E,), for inputs of E features each."""
    width = inputs[0].shape[-1]
    for name, x, expected in (("in_proj_weight", weight, (3 * width, width)), ("in_proj_bias", bias, (3 * width,))):
        if x is not None and tuple(x.shape) != expected:
            raise ShapeError(
                f"multi-head attention of {width} features takes {name} {expected}, the projections "
                f"of queries, keys and values one below the other, got {tuple(x.shape)}."
            )
    if any(x.shape[-1] != width for x in inputs):
        raise ShapeError(
            f"multi-head attention with in_proj_weight takes query, key and value of {width} "
            f"features, got {', '.join(str(x.shape[-1]) for x in inputs)}; give kdim and vdim for others."
        )


@block
def _projected(
    query: Tensor, key: Tensor | None, value: Tensor | None, weight: Tensor, bias: Tensor | None, passes_on: Any
) -> tuple[Tensor, ...]:
    """The three products as one node, in eager code. Without key and value they are the query."""
    inputs = (query, query if key is None else key, query if value is None else value)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip(inputs, weight.chunk(3), biases, strict=True))


@_projected.gradient
def _(
    g: Any, query: Tensor, key: Tensor | None, value: Tensor | None, weight: Tensor, bias: Tensor | None, passes_on: Any
) -> tuple[Tensor | None, ...]:
    """As for a linear layer, for each of the three; what one tensor was used for is added up."""
    inputs = (query, query if key is None else key, query if value is None else value)
    parts = weight.chunk(3)
    g = [zeros(*x.shape[:-1], len(w), dtype=x.dtype) if one is None else one for one, x, w in zip(g, inputs, parts)]
    rows = [one.reshape(-1, one.shape[-1]) for one in g]
    back = [one @ w if wanted else None for one, w, wanted in zip(g, parts, passes_on, strict=True)]
    if key is None:
        first, second, third = back
        back = [None if first is None or second is None or third is None else first + second + third]
    of_weight = cat([one.T @ x.reshape(-1, x.shape[-1]) for one, x in zip(rows, inputs, strict=True)])
    return (*back, of_weight) if bias is None else (*back, of_weight, cat([one.sum(0) for one in rows]))


def _with_learned(
    k: Tensor, v: Tensor, bias_k: Tensor | None, bias_v: Tensor | None, static_k: Tensor | None, static_v: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Keys and values with the learned ones behind them."""
    if bias_k is None or bias_v is None or static_k is not None or static_v is not None:
        raise ShapeError("bias_k and bias_v belong together, and cannot be added to static_k and static_v.")
    return tuple(cat([x, b.expand(x.shape[0], 1, x.shape[2])], 1) for x, b in ((k, bias_k), (v, bias_v)))  # type: ignore[return-value]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, E) as (N, h, L, E/h)."""
    n, length, features = x.shape
    return x.reshape(n, length, heads, features // heads).transpose(1, 2)


def join_heads(heads: Tensor) -> Tensor:
    """(N, h, L, E/h) as (N, L, E): what `split_heads` took apart."""
    return heads.transpose(1, 2).flatten(2)


def _static(given: Tensor | None, computed: Tensor) -> Tensor:
    """Keys or values (N·h, S, E/h) that take the place of the computed ones (N, h, S, E/h)."""
    if given is None:
        return computed
    n, heads, _, width = computed.shape
    if given.ndim != 3 or given.shape[0] != n * heads or given.shape[2] != width:
        raise ShapeError(f"static keys and values are ({n * heads}, length, {width}), got {tuple(given.shape)}.")
    return given.unflatten(0, (n, heads))


def _bias(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    shape: tuple[int, int, int, int],
    extra: int,
    dtype: Any,
    batched: bool,
) -> Tensor | None:
    """Both masks as one that is added to the scores (N, h, L, S + extra); the extra keys are open to all."""
    n, heads, queries, keys = shape
    found = []
    if attn_mask is not None:
        full = (n * heads, queries, keys)
        mask = _added(attn_mask, "attn_mask", [(queries, keys), full], dtype)
        found.append(mask if mask.ndim == 2 else mask.unflatten(0, (n, heads)))
    if key_padding_mask is not None:
        mask = _added(key_padding_mask, "key_padding_mask", [(n, keys) if batched else (keys,)], dtype)
        found.append(mask.reshape(n, 1, 1, keys))
    if not found:
        return None
    bias = found[0] if len(found) == 1 else found[0] + found[1]
    return pad(bias, (0, extra)) if extra else bias


def _added(mask: Tensor, name: str, allowed: list[tuple[int, ...]], dtype: Any) -> Tensor:
    """The mask as numbers to add, after a look at its shape and type."""
    if tuple(need_tensor(mask, name).shape) not in allowed:
        raise ShapeError(f"{name} has shape {tuple(mask.shape)}, expected {' or '.join(map(str, allowed))}.")
    if mask.value.array.dtype.kind == "b":
        return forbid(mask, dtype)
    if not mask.dtype.is_floating_point:
        raise DTypeError(f"{name} is boolean (True forbids) or floating-point (added), got {mask.dtype}.")
    return mask.to(dtype)


class NonDynamicallyQuantizableLinear(Linear):
    """A linear layer; the name by which PyTorch prints the last projection of multi-head attention."""


class MultiheadAttention(Module):
    """concat(head₁ … head_h)·Wᵒ with headᵢ = attention(Q·Wᵢ, K·Wᵢ′, V·Wᵢ″).

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), result (L, N, embed_dim) and the weights
    (N, L, S) or None; with `batch_first` N comes before L and S; N may be missing.

    Args:
        embed_dim: features of queries and results; a multiple of `num_heads`.
        num_heads: how many attentions there are side by side, each on embed_dim/num_heads features.
        dropout: the probability that a weight is dropped in training.
        bias: whether the projections have biases.
        add_bias_kv: one more key and value for everybody, learned.
        add_zero_attn: one more key and value of zeros.
        kdim, vdim: features of keys and values; embed_dim if None.
        batch_first: the order of the dimensions.

    Masks and the other arguments of `forward` are those of `functional.multi_head_attention_forward`: True forbids.
    Projections start as Glorot's uniform numbers (the last one as a linear layer's), their biases at 0. Raises
    ValueError for numbers that do not fit. Source: Vaswani et al., "Attention is all you need", 2017, 3.2.2.

    >>> import chainrule
    >>> attention = MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = chainrule.randn(3, 5, 8)  # 3 sequences of 5 tokens
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    (Size([3, 5, 8]), Size([3, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim is a positive multiple of num_heads, got embed_dim={embed_dim} and num_heads={num_heads}."
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.differs_in_training = dropout > 0
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn

        def parameter(*shape: int) -> Parameter:
            return Parameter(empty(*shape, device=device, dtype=dtype))

        same = self.kdim == self.vdim == embed_dim
        for name, width in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", None if same else parameter(embed_dim, width))
        self.register_parameter("in_proj_weight", parameter(3 * embed_dim, embed_dim) if same else None)
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device=device, dtype=dtype)
        self.register_parameter("bias_k", parameter(1, 1, embed_dim) if add_bias_kv else None)
        self.register_parameter("bias_v", parameter(1, 1, embed_dim) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw new initial values, of all but `out_proj.weight`, which is a linear layer's."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            zeros_(self.in_proj_bias)
            zeros_(self.out_proj.bias)
        if self.bias_k is not None:
            xavier_normal_(self.bias_k)
            xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result and the weights; see the class."""
        turned = self.batch_first and query.ndim == 3
        if turned:
            query, key, value = _each_once(lambda x: x.transpose(0, 1), query, key, value)
        output, weights = multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=self.in_proj_weight is None,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return output.transpose(0, 1) if turned else output, weights
