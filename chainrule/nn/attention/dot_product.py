"""Attention: each query asks all keys, and gets a mean of the values weighted by how well they answer.

The masks of `scaled_dot_product_attention` say where attention is allowed (True) or what is added to the scores;
those of `multi_head_attention_forward` and the transformers say, as in PyTorch, what is forbidden (True).
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.autodiff.block import block
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions import elementwise
from chainrule.functions.autocasting import in_half
from chainrule.functions.creation import full, ones, zeros
from chainrule.functions.diagonals import tril, triu
from chainrule.functions.promotion import common_shape, expand_to, need_tensor
from chainrule.primitives.attention import Attention
from chainrule.random import rand
from chainrule.tensor import Tensor


@in_half
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale·Q·Kᵀ + mask)·V: every row of the result is a weighted mean of the values.

    query: (…, L, E), key: (…, S, E), value: (…, S, V), result (…, L, V); the dimensions in front broadcast. The number
    of queries and of keys may differ, as between a decoder (K×M) and its encoder (N×M): the result is K×M.

    Args:
        attn_mask: broadcasts to (…, L, S). Booleans: True where a query may read a key. Numbers: added to the scores
            (−∞ forbids). A query that may read nothing gets zeros.
        dropout_p: the probability that a weight is dropped; always applied, so give 0 in evaluation.
        is_causal: query i reads the keys 0 … i only; takes no `attn_mask` beside it.
        scale: 1/√E if None, so that scores of random vectors have variance 1 and softmax does not saturate.
        enable_gqa: several heads of queries share a head of keys and values (dimension −3): h of the one to g of the
            other, h a multiple of g.

    The matrix of weights is never kept, so memory grows with L + S, not L·S; with dropout a byte is kept for each.

    Raises ShapeError where shapes do not fit, DTypeError where types do not, ValueError for a `dropout_p` that is no
    probability. Source: Vaswani et al., "Attention is all you need", 2017, 3.2.1; Ainslie et al., "GQA", 2023.

    >>> import chainrule
    >>> q, k = chainrule.zeros(1, 2), chainrule.ones(3, 2)  # equal scores: a plain mean
    >>> scaled_dot_product_attention(q, k, chainrule.tensor([[1.0], [2.0], [6.0]]))
    tensor([[3.]])
    """
    q, k, v = (need_tensor(x, "scaled_dot_product_attention") for x in (query, key, value))
    _check_types(q, k, v)
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p is a probability in [0, 1], got {dropout_p}.")
    if enable_gqa:
        k, v = _same_heads(q, k, v)
        batch = common_shape([x.value.array.shape[:-3] for x in (q, k, v)])
        q, k, v = (expand_to(x, (*batch, *x.value.array.shape[-3:])) for x in (q, k, v))
    else:
        q, k, v = _same_batch(q, k, v)
    if is_causal and attn_mask is not None:
        raise ShapeError("is_causal takes no attn_mask beside it; put both into one mask.")
    bias = None if attn_mask is None else _bias(attn_mask, q, k)
    return attend_in_groups(q, k, v, bias, dropout_p, is_causal, scale)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    dropout_p: float = 0.0,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """The same without checks, and with a bias and the causal mask together; dimensions in front are equal."""
    factor = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    shape = (*q.value.array.shape[:-1], k.value.array.shape[-2])
    if dropout_p == 1:
        return attend(q, k, v, bias, 0.0, causal, scale) * 0
    keep = 1.0 - float(dropout_p)  # a number of NumPy's or a tensor too
    more = () if bias is None else (expand_to(bias, shape),)
    if keep < 1:
        more = (*more, rand(shape, device=q.device) >= dropout_p)
    return Attention.apply(q, k, v, *more, scale=factor, causal=causal, keep=keep)[0]


def attend_in_groups(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *settings: Any) -> Tensor:
    """The same where several heads of queries share a head of keys and values: h of the one to g of the other.

    Keys are not repeated: with heads of queries as (g, h/g), keys are the same all along the second of these.
    """
    shared = q.shape[-3] // k.shape[-3] if q.ndim > 2 and k.shape[-3] else 1
    if shared == 1:
        return attend(q, k, v, bias, *settings)

    def in_groups(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-3], x.shape[-3] // shared, shared, *x.shape[-2:])

    def for_all(x: Tensor) -> Tensor:
        wide = x.unsqueeze(-3)
        return expand_to(wide, (*wide.shape[:-3], shared, *wide.shape[-2:]))

    if bias is not None and bias.ndim > 2:
        bias = bias.unsqueeze(-3) if bias.shape[-3] == 1 else in_groups(bias)
    found = attend(in_groups(q), for_all(k), for_all(v), bias, *settings)
    return found.reshape(*q.shape[:-1], v.shape[-1])


def _check_types(q: Tensor, k: Tensor, v: Tensor) -> None:
    if not q.dtype.is_floating_point or not q.dtype == k.dtype == v.dtype:
        raise DTypeError(
            f"attention: query, key and value have one floating-point type, got {q.dtype}, {k.dtype} and {v.dtype}."
        )
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            "attention takes query (…, L, E), key (…, S, E) and value (…, S, V), got "
            f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}."
        )


def _same_heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with as many heads of each; if they come with different numbers, repeated for each query's."""
    for x in (k, v):
        if q.ndim < 3 or x.ndim < 3 or (q.shape[-3] % x.shape[-3] if x.shape[-3] else q.shape[-3]):
            raise ShapeError(
                "enable_gqa: the heads (dimension −3) of the query are a multiple of those of key and value, got "
                f"{tuple(q.shape)} and {tuple(x.shape)}."
            )
    if not q.shape[-3]:  # nobody asks
        return k.narrow(-3, 0, 0), v.narrow(-3, 0, 0)
    if k.shape[-3] == v.shape[-3]:
        return k, v
    return k.repeat_interleave(q.shape[-3] // k.shape[-3], -3), v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)


def _same_batch(*parts: Tensor) -> tuple[Tensor, ...]:
    """All with the same dimensions in front of the last two."""
    batch = common_shape([x.value.array.shape[:-2] for x in parts])
    return tuple(expand_to(x, (*batch, *x.value.array.shape[-2:])) for x in parts)


def _bias(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """What is added to the scores: broadcasts to (…, L, S), in the type of the query."""
    shape = (*q.value.array.shape[:-1], k.value.array.shape[-2])
    given = need_tensor(mask, "attn_mask").value.array.shape
    if common_shape([given, shape]) != shape:
        raise ShapeError(f"attn_mask broadcasts to the scores' shape {shape} (…, queries, keys), got {tuple(given)}.")
    if mask.value.array.dtype.kind == "b":
        mask = forbid(~mask, q.dtype)
    elif mask.dtype != q.dtype:
        raise DTypeError(f"attn_mask is boolean or of the query's type {q.dtype}, got {mask.dtype}; convert it.")
    return mask


def forbid(forbidden: Tensor, dtype: Any) -> Tensor:
    """−∞ where a boolean mask is True and 0 elsewhere: what is added to scores.

    >>> import chainrule
    >>> forbid(chainrule.tensor([False, True]), chainrule.float32)
    tensor([0., -inf])
    """
    return zeros(*forbidden.shape, dtype=dtype, device=forbidden.device).masked_fill(forbidden, -math.inf)


@block
def attention_weights(query: Tensor, key: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(scale·Q·Kᵀ + bias) over the keys: (…, L, S). Rows in which everything is forbidden are zero.

    query: (…, L, E), key: (…, S, E), bias: (…, L, S) or None.

    >>> import chainrule
    >>> attention_weights(chainrule.zeros(1, 2), chainrule.ones(4, 2), None, 1.0)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    scores = (query * scale) @ key.mT
    if bias is not None:
        scores = scores + bias
    if not scores.value.array.shape[-1]:
        return scores
    largest = scores.detach().amax(-1, keepdim=True)
    # Where everything is forbidden the largest is −∞; without a shift all exponentials are 0, and so is their sum.
    shifted = elementwise.exp(scores - largest.masked_fill(largest == -math.inf, 0))
    total = shifted.sum(-1, keepdim=True)
    return shifted / total.masked_fill(total == 0, 1)


@attention_weights.gradient
def _(g: Tensor, query: Tensor, key: Tensor, bias: Tensor | None, scale: float, output: Tensor) -> tuple[Tensor, ...]:
    weighted = g * output
    to_scores = weighted - output * weighted.sum(-1, keepdim=True)
    of_inputs = (to_scores @ key) * scale, (to_scores.mT @ query) * scale
    return of_inputs if bias is None else (*of_inputs, to_scores)


def causal_mask(queries: int, keys: int | None = None, device: Any = None) -> Tensor:
    """True where query i may read key j, that is j ≤ i: (queries, keys), for `scaled_dot_product_attention`.

    >>> causal_mask(3)
    tensor([[ True, False, False],
            [ True,  True, False],
            [ True,  True,  True]])
    """
    return tril(ones(queries, queries if keys is None else keys, dtype="bool", device=device))


def square_subsequent_mask(size: int, dtype: Any = None, device: Any = None) -> Tensor:
    """0 where query i may read key j, that is j ≤ i, and −∞ elsewhere: (size, size), for the transformers.

    >>> square_subsequent_mask(2)
    tensor([[0., -inf],
            [0., 0.]])
    """
    return triu(full((size, size), -math.inf, dtype=dtype, device=device), 1)
