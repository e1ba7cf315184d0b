"""Attention with its matrix of weights written out: XLA fuses what surrounds it, and shares it with the gradient."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from chainrule.backends.xla.rules.contraction import matmul
from chainrule.backends.xla.rules.table import rule
from chainrule.primitives.attention import Attention, AttentionGradient, parts_of


def _softmax(q: Any, k: Any, bias: tuple[Any, ...], scale: float, causal: bool) -> tuple[Any, Any, Any]:
    """The weights, and for each row the largest score and the sum that softmax divides by.

    The gradient computes the very same again; in one program XLA does it once.
    """
    scores = matmul(q * q.dtype.type(scale), k.mT)
    for b in bias:
        scores = scores + b
    if causal:
        before = jnp.arange(k.shape[-2]) <= jnp.arange(q.shape[-2])[:, None]
        scores = jnp.where(before, scores, -math.inf)
    largest = jnp.max(scores, -1, keepdims=True, initial=-math.inf)
    largest = jnp.where(largest == -math.inf, 0, largest)
    weights = jnp.exp(scores - largest)
    total = weights.sum(-1, keepdims=True)
    # The largest entry counts 1, so a total below 1 is 0: a row that may read no key at all.
    return weights / jnp.maximum(total, 1), largest[..., 0], total[..., 0]


def _dropped(x: Any, kept: tuple[Any, ...], keep: float) -> Any:
    """x/keep where weights are kept, else 0."""
    for mask in kept:
        x = jnp.where(mask, x * x.dtype.type(1 / keep), 0)
    return x


@rule(Attention)
def attention(q: Any, k: Any, v: Any, *more: Any, scale: float, causal: bool, keep: float) -> Any:
    """softmax(scale·q·kᵀ + bias)·v, the logarithm of each row's sum, and what rounding took from that."""
    bias, kept = parts_of(more, keep)
    weights, largest, total = _softmax(q, k, bias, scale, causal)
    tops, logarithms = largest.astype(float), jnp.log(total.astype(float))
    sums = (tops + logarithms).astype(q.dtype)
    rest = jnp.where(jnp.isfinite(sums), (tops - sums) + logarithms, 0)
    return matmul(_dropped(weights, kept, keep), v), sums, rest


@rule(AttentionGradient)
def attention_gradient(
    g: Any, q: Any, k: Any, v: Any, logsumexp: Any, rest: Any, shift: Any, *more: Any, scale: float, causal: bool,
    keep: float,
) -> Any:  # fmt: skip
    """D = P⊙(M⊙(g·vᵀ) − shift); then q̄ = scale·D·k, k̄ = scale·Dᵀ·q, v̄ = (P⊙M)ᵀ·g."""
    bias, kept = parts_of(more, keep)
    softmax, largest, total = _softmax(q, k, bias, scale, causal)
    # P is what the given logarithm says; that is softmax itself, but for a rounding.
    nothing = logsumexp == -math.inf
    given = (largest - jnp.where(nothing, 0, logsumexp)) + jnp.log(jnp.maximum(total, 1)) - rest
    factor = jnp.where(nothing, 0, jnp.exp(given))[..., None]
    g = g * factor
    to_scores = softmax * (_dropped(matmul(g, v.mT), kept, keep) - shift[..., None] * factor)
    size = q.dtype.type(scale)
    return matmul(to_scores, k) * size, matmul(to_scores.mT, q) * size, matmul(_dropped(softmax, kept, keep).mT, g)
