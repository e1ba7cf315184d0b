"""Random draws: our own Philox 4×32-10 in whole-number arithmetic, so that a seed gives the same bits as everywhere.

The steps are those of `primitives/philox.py`, where they are described. Normal numbers need operations of floating
point that are rounded one by one; XLA would join a product and a sum into one instruction, so `_exact` stands between.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.backends.xla.rules.table import rule, zero
from chainrule.primitives import philox
from chainrule.primitives import random as r
from chainrule.primitives.normal import (
    CENTRE_LIMIT,
    CENTRE_OFFSET,
    FAR_TAIL_LIMIT,
    LOG_2,
    TAIL_OFFSET,
    NormalRecipe,
    recipe_of,
)

_u32, _u64, _index = np.dtype(np.uint32), np.dtype(np.uint64), np.dtype(np.int64)
_single, _double = np.dtype(np.float32), np.dtype(np.float64)


def _words(state: Any, count: int) -> Any:
    """So many 32-bit words of the stream, from the state's counter on."""
    key, low, high = lax.bitcast_convert_type(state, _u64)
    blocks = -(-count // philox.WORDS_PER_BLOCK)
    lower = low + lax.iota(_u64, blocks)
    upper = high + (lower < low).astype(_u64)
    c0, c1, c2, c3 = (half.astype(_u32) for c in (lower, upper) for half in (c, c >> 32))
    k0, k1 = key.astype(_u32), (key >> 32).astype(_u32)
    (a, b), (step0, step1) = philox.MULTIPLIERS[::-1, 0], philox.KEY_STEPS[:, 0].astype(_u32)
    for i in range(philox.ROUNDS):
        first, second = a * c0.astype(_u64), b * c2.astype(_u64)
        r0, r1 = k0 + np.uint32(i * int(step0) % 2**32), k1 + np.uint32(i * int(step1) % 2**32)
        c0, c1, c2, c3 = (
            (second >> 32).astype(_u32) ^ c1 ^ r0, second.astype(_u32),
            (first >> 32).astype(_u32) ^ c3 ^ r1, first.astype(_u32),
        )  # fmt: skip
    return jnp.stack([c0, c1, c2, c3], -1).reshape(-1)[:count]


def _long_words(state: Any, count: int) -> Any:
    """So many 64-bit words: pairs, the first the lower half."""
    pairs = _words(state, 2 * count).reshape(count, 2).astype(_u64)
    return pairs[:, 0] | pairs[:, 1] << 32


@rule(r.RandomUniform)
def uniform(state: Any, *, to: Any, dtype: Any) -> Any:
    """Uniform in [0, 1): as many upper bits of a word as the type holds, which is exact."""
    count, bits = math.prod(to), philox.UNIFORM_BITS[dtype.name]
    word, size = (_long_words(state, count), 64) if dtype == _double else (_words(state, count), 32)
    exact = _double if dtype == _double else _single
    return ((word >> (size - bits)).astype(exact) * exact.type(2.0**-bits)).astype(dtype).reshape(to)


@rule(r.RandomIntegers)
def integers(state: Any, *, to: Any, low: int, high: int) -> Any:
    """low + ⌊w·(high − low) / 2⁶⁴⌋, in halves of 32 bits."""
    words, factor = _long_words(state, math.prod(to)), high - low
    if factor == 2**64:
        upper_half = words
    else:
        f0, f1 = np.uint64(factor & philox.LOW_32_BITS), np.uint64(factor >> 32)
        w0, w1 = words & np.uint64(philox.LOW_32_BITS), words >> 32
        middle = w1 * f0 + (w0 * f0 >> 32)
        upper_half = w1 * f1 + (middle >> 32) + (w0 * f1 + (middle & np.uint64(philox.LOW_32_BITS)) >> 32)
    return lax.bitcast_convert_type(upper_half + np.uint64(low % 2**64), _index).reshape(to)


@rule(r.RandomPermutation)
def permutation(state: Any, *, n: int) -> Any:
    """The numbers sorted by their random words."""
    return jnp.argsort(_long_words(state, n), stable=True).astype(_index)


@rule(r.RandomAdvance)
def advance(state: Any, *, blocks: int) -> Any:
    """The counter, of 128 bits, so many blocks later."""
    key, low, high = lax.bitcast_convert_type(state, _u64)
    later = low + np.uint64(blocks & philox.LOW_64_BITS)
    carry = (later < low).astype(_u64)
    return lax.bitcast_convert_type(jnp.stack([key, later, high + np.uint64(blocks >> 64) + carry]), _index)


# ------------------------------------------------------------------------------------------- normal numbers


def _exact(x: Any) -> Any:
    """x itself, rounded: XLA cannot join what comes before with what comes after, as it does not know the 0."""
    whole = np.dtype(f"i{x.dtype.itemsize}")
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, whole) ^ zero().astype(whole), x.dtype)


def _polynomial(coefficients: Any, x: Any) -> Any:
    """Horner's rule, constant term first, every operation rounded."""
    constants = [x.dtype.type(c) for c in coefficients]
    result = _exact(x * constants[-1])
    for c in constants[-2:0:-1]:
        result = _exact((result + c) * x)
    return result + constants[0]


def _ratio(pair: Any, x: Any) -> Any:
    return _polynomial(pair[0], x) / _polynomial(pair[1], x)


@rule(r.RandomNormal)
def normal(state: Any, *, to: Any, dtype: Any) -> Any:
    """Standard normal numbers by Wichura's AS 241: the steps of `philox.normal`."""
    count = math.prod(to)
    exact = _double if dtype == _double else _single
    recipe = recipe_of(exact)
    words = _long_words(state, count) if exact == _double else _words(state, count)
    word, kind = words.dtype, exact.type
    unit = kind(2.0 ** -(recipe.bit_count + 1))
    odd = words << 1 | word.type(1)
    distance = odd.astype(exact) * unit
    centre = _ratio(recipe.centre, kind(CENTRE_OFFSET) - _exact(distance * distance))
    size = jnp.where(
        distance <= kind(CENTRE_LIMIT), _exact(centre) * distance, _tail((-odd).astype(exact) * unit, recipe)
    )
    sign = words & word.type(1 << recipe.bit_count - 1)
    bits = lax.bitcast_convert_type(size, word) | sign
    return lax.bitcast_convert_type(bits, exact).astype(dtype).reshape(to)


def _tail(probability: Any, recipe: NormalRecipe) -> Any:
    """The number that a normal one exceeds with this probability."""
    kind = probability.dtype.type
    root = jnp.sqrt(-_logarithm(probability, recipe))
    result = _ratio(recipe.tail, root - kind(TAIL_OFFSET))
    if recipe.far_tail is None:
        return result
    return jnp.where(root > kind(FAR_TAIL_LIMIT), _ratio(recipe.far_tail, root - kind(FAR_TAIL_LIMIT)), result)


def _logarithm(x: Any, recipe: NormalRecipe) -> Any:
    """ln x = e·ln 2 + 2·artanh((y − 1)/(y + 1)) for x = 2ᵉ·y."""
    whole, kind = np.dtype(f"i{x.dtype.itemsize}"), x.dtype.type
    pattern = lax.bitcast_convert_type(x, whole)
    exponent = pattern - whole.type(recipe.root_half_bits) >> recipe.mantissa_bits
    y = lax.bitcast_convert_type(pattern - (exponent << recipe.mantissa_bits), x.dtype)
    z = (y - kind(1)) / (y + kind(1))
    series = _polynomial(recipe.logarithm_terms, _exact(z * z))
    return _exact(exponent.astype(x.dtype) * kind(LOG_2)) + _exact((z + z) * series)
