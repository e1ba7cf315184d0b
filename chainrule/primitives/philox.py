"""Counter-based random numbers: the Philox 4x32-10 generator and the draws made from its words.

A counter-based generator has no hidden state to step through.  It is a function from a key (which
stream) and a counter (which place in the stream) to a block of four random 32-bit words.  Laid end
to end, the blocks of counters `c, c + 1, c + 2, ...` form one long sequence of words; every draw in
this module says which words of that sequence make its element `i`, so that

* element `i` depends on `(key, counter, i)` only, never on how many elements are drawn, and a
  program that has been split up or compiled can make any part of a draw alone;
* a draw of `count` values that takes `w` words each uses `ceil(count * w / 4)` blocks
  (`blocks_used`), and the next draw starts that many counters later (`advance`).

Only operations whose result IEEE 754 fixes to the last bit are used (add, subtract, multiply,
divide, square root, comparison, selection and integer operations, each rounded on its own, never
fused), so another implementation that follows the docstrings gives the same bits.

Every function reads the counter modulo 2^128 and takes a key in [0, 2^64).

Sources: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11 (the generator); M. J. Wichura, "Algorithm AS 241: the percentage points of the
normal distribution", Applied Statistics 37 (1988) (the rational functions for `normal`).
"""

import sys
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from chainrule.primitives.normal import Floats, Words, recipe_of, words_to_normal
from chainrule.primitives.ordering import stable_order

Kind = Literal["uniform", "normal", "integers", "permutation"]
Words32 = npt.NDArray[np.uint32]
Words64 = npt.NDArray[np.uint64]

ROUNDS: Final = 10
WORDS_PER_BLOCK: Final = 4
# Row 0 makes the new word 0 from the old word 2, row 1 the new word 2 from the old word 0.
MULTIPLIERS: Final[Words64] = np.array([[0xCD9E8D57], [0xD2511F53]], dtype=np.uint64)
# The fractions of the golden ratio and of the square root of three, which vary the key by round.
KEY_STEPS: Final[Words64] = np.array([[0x9E3779B9], [0xBB67AE85]], dtype=np.uint64)
LOW_32_BITS: Final = 0xFFFFFFFF
LOW_64_BITS: Final = 0xFFFFFFFFFFFFFFFF
# The same constants as arrays, which NumPy combines with small arrays twice as fast as Python's numbers.
HALF: Final = np.array(32, dtype=np.uint64)
LOW_HALF: Final = np.array(LOW_32_BITS, dtype=np.uint64)

# 8192 blocks keep every working array at 128 KiB: those in use together fit a second-level cache of 1 MiB.
CHUNK_BLOCKS: Final = 8192

# The significand of each type: a uniform number with no more bits than this is exact in the type.
UNIFORM_BITS: Final[dict[str, int]] = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


# Counters and blocks ---------------------------------------------------------------------------------


def words_per_value(kind: Kind, dtype: npt.DTypeLike = np.float32) -> int:
    """How many 32-bit words one element of a draw takes: 1 for float32 draws, 2 for everything else.

    `dtype` (float32 or float64) matters to "uniform" and "normal" only.

    Raises:
        TypeError: `dtype` is another type.
        ValueError: `kind` is not the name of a draw.

    >>> words_per_value("normal", np.float64), words_per_value("integers")
    (2, 2)
    """
    if kind in ("integers", "permutation"):
        return 2
    if kind in ("uniform", "normal"):
        return recipe_of(dtype).words
    raise ValueError(f"kind must be 'uniform', 'normal', 'integers' or 'permutation', got {kind!r}")


def blocks_used(kind: Kind, count: int, dtype: npt.DTypeLike = np.float32) -> int:
    """How far a draw of `count` values moves the counter: `ceil(count * words_per_value / 4)` blocks.

    Raises:
        TypeError: `dtype` is neither float32 nor float64.
        ValueError: `count` is negative, or `kind` is not the name of a draw.

    >>> blocks_used("uniform", 5), blocks_used("uniform", 5, np.float64), blocks_used("normal", 0)
    (2, 3, 0)
    """
    _require_count(count, "count")
    return _blocks_for(count * words_per_value(kind, dtype))


def advance(counter: int, blocks: int) -> int:
    """The counter `blocks` blocks later, modulo 2^128 (a negative `blocks` goes back).

    >>> advance(7, blocks_used("normal", 1000))
    257
    >>> advance(2**128 - 1, 1)
    0
    """
    return (counter + blocks) % 2**128


def philox(counter_start: int, key: int, blocks: int) -> Words32:
    """Philox 4x32-10 at the counters `counter_start, ..., counter_start + blocks - 1` (modulo 2^128).

    The counter is four 32-bit words `c0..c3` and the key two, `k0` and `k1`, least significant first.
    Ten rounds of

        c0, c1, c2, c3 = high(B c2) ^ c1 ^ k0,  low(B c2),  high(A c0) ^ c3 ^ k1,  low(A c0)

    where A = 0xD2511F53, B = 0xCD9E8D57, and high and low are the halves of the 64-bit product.
    Between rounds k0 grows by 0x9E3779B9 and k1 by 0xBB67AE85, modulo 2^32.  (Salmon et al., SC'11.)

    Returns an array of shape (blocks, 4): row `b` is the block of counter `counter_start + b`.

    Raises:
        ValueError: `blocks` is negative, or `key` is outside [0, 2^64).

    >>> [hex(word) for word in philox(0, 0, 1)[0]]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    _require_count(blocks, "blocks")
    _require_key(key)
    round_keys = _round_keys(key)
    result = np.empty((blocks, WORDS_PER_BLOCK), dtype=np.uint32)
    scratch = np.empty((3, 2, min(blocks, CHUNK_BLOCKS)), dtype=np.uint64)
    for start in range(0, blocks, CHUNK_BLOCKS):
        _fill_blocks(counter_start + start, round_keys, result[start : start + CHUNK_BLOCKS], scratch)
    return result


def _round_keys(key: int) -> Words64:
    """The keys of the ten rounds, shape (10, 2, 1): k0 for row 0 of the words and k1 for row 1."""
    rounds = np.arange(ROUNDS, dtype=np.uint64)[:, np.newaxis, np.newaxis]
    start = np.array([[key & LOW_32_BITS], [key >> 32]], dtype=np.uint64)
    round_keys: Words64 = (start + rounds * KEY_STEPS) & LOW_HALF
    return round_keys


def _fill_blocks(counter: int, round_keys: Words64, result: Words32, scratch: Words64) -> None:
    """Write the blocks of consecutive counters to the rows of `result`: one chunk of `philox`.

    `left` holds words 0 and 2 of every block and `right` words 1 and 3, each in 64 bits.  Only
    `left` is multiplied, so only `left` is cut to 32 bits in every round.
    """
    left, right, product = scratch[:, :, : len(result)]
    _split_counters(counter, left, right)
    for round_key in round_keys:
        np.multiply(left[::-1], MULTIPLIERS, out=product)
        right ^= round_key
        np.right_shift(product, HALF, out=left)
        left ^= right
        left &= LOW_HALF
        right, product = product, right
    right &= LOW_HALF
    # One store of two words: which of them is the upper half is up to the machine's byte order.
    first, second = (left, right) if sys.byteorder == "little" else (right, left)
    second <<= HALF
    second |= first
    result.view(np.uint64)[:] = second.T


def _split_counters(counter: int, left: Words64, right: Words64) -> None:
    """Set word 0 and 2 (`left`) and 1 and 3 (`right`) of the counters that start at `counter`."""
    start_low = counter & LOW_64_BITS
    start_high = counter >> 64 & LOW_64_BITS
    low = np.arange(left.shape[1], dtype=np.uint64)
    low += start_low
    # A sum that wrapped past 2^64 is smaller than what it started from: there the upper half moves on.
    carry = low < start_low
    high = np.full_like(low, start_high)
    high += carry
    for row, half in enumerate((low, high)):
        np.bitwise_and(half, LOW_32_BITS, out=left[row])
        np.right_shift(half, 32, out=right[row])


def _blocks_for(words: int) -> int:
    return -(-words // WORDS_PER_BLOCK)


def _chunk_size(count: int, words: int) -> int:
    """How many values of `words` words each are worked on at a time."""
    return min(count, CHUNK_BLOCKS * WORDS_PER_BLOCK // words)


def _chunks(counter: int, key: int, count: int, words: int) -> Iterator[tuple[slice, Words]]:
    """Yield the random words of a draw, a cache-sized part at a time, with the elements they belong to.

    Words arrive as uint32 (`words` = 1) or in pairs as uint64, the first word the lower half
    (`words` = 2).  The array is overwritten by the next part.
    """
    blocks = _blocks_for(count * words)
    round_keys = _round_keys(key)
    buffer = np.empty((min(blocks, CHUNK_BLOCKS), WORDS_PER_BLOCK), dtype=np.uint32)
    scratch = np.empty((3, 2, len(buffer)), dtype=np.uint64)
    values_per_block = WORDS_PER_BLOCK // words
    for first_block in range(0, blocks, CHUNK_BLOCKS):
        part = buffer[: blocks - first_block]
        _fill_blocks(counter + first_block, round_keys, part, scratch)
        start = first_block * values_per_block
        stop = min(start + len(part) * values_per_block, count)
        flat = part.reshape(-1)
        # "<" fixes the order of the two halves on machines that store the upper half first.
        values: Words = flat if words == 1 else flat.astype("<u4", copy=False).view("<u8")
        yield slice(start, stop), values[: stop - start]


# Draws -----------------------------------------------------------------------------------------------


def uniform(counter: int, key: int, count: int, dtype: npt.DTypeLike = np.float32, bits: int | None = None) -> Floats:
    """Uniform numbers in [0, 1): the multiples of 2^-bits, all equally likely.

    Element `i` is `(w >> (s - bits)) * 2^-bits`, where for float32 `w` is word `i` (s = 32), and for
    float64 `w = word[2 i] + 2^32 word[2 i + 1]` (s = 64).  Both steps are exact.

    `bits` is 24 for float32 and 53 for float64 unless given.  float16 and bfloat16 numbers are made by
    casting float32 numbers of 11 and 8 bits (`UNIFORM_BITS`): with those the cast is exact, whereas
    a number of 24 bits may be rounded up to 1, which is outside the interval.

    Raises:
        TypeError: `dtype` is neither float32 nor float64.
        ValueError: `count` is negative, `key` is outside [0, 2^64), or `bits` is outside [1, 24]
            (float32) or [1, 53] (float64).

    >>> uniform(0, 0, 3)
    array([0.39904642, 0.88052016, 0.73571277], dtype=float32)
    >>> uniform(0, 0, 3, bits=UNIFORM_BITS["float16"]).astype(np.float16)
    array([0.399 , 0.8804, 0.7354], dtype=float16)
    """
    recipe = recipe_of(dtype)
    _require_count(count, "count")
    _require_key(key)
    most = recipe.mantissa_bits + 1
    bits = most if bits is None else bits
    if not 1 <= bits <= most:
        raise ValueError(f"bits must be from 1 to {most} for {np.dtype(dtype)}, got {bits}")
    result: Floats = np.empty(count, dtype=dtype)
    for part, words in _chunks(counter, key, count, recipe.words):
        result[part] = words >> (recipe.bit_count - bits)
        result[part] *= 2.0**-bits
    return result


def normal(counter: int, key: int, count: int, dtype: npt.DTypeLike = np.float32) -> Floats:
    """Standard normal numbers, by inverting the distribution function (Wichura's AS 241).

    The steps for one element, every operation rounded to `dtype` on its own (no fused multiply-add)
    and every constant first rounded to `dtype`; s = 32 for float32 and 64 for float64:

     1. `w` = word `i` (float32) or `word[2 i] + 2^32 word[2 i + 1]` (float64); its top bit is the sign.
     2. `h = (w << 1) | 1`, an odd integer of s bits: the distance from the median in units of 2^-(s+1).
     3. `q = float(h) * 2^-(s+1)`, in (0, 1/2].
     4. If `q <= 0.425`: `r = 0.180625 - q * q` and `x = (A(r) / B(r)) * q`, with the `centre` pair.
     5. Else `p = float(2^s - h) * 2^-(s+1)`, the probability beyond x, and `r = sqrt(-log(p))`.
        If `r <= 5` then `t = r - 1.6` with the `tail` pair, else `t = r - 5` with the `far_tail` pair
        (float64 only): `x = A(t) / B(t)`.
     6. Put the sign into the sign bit of `x`.

    `float` rounds the unsigned integer to nearest, ties to even.  A polynomial `c0 + c1 t + ... + cn t^n`
    is evaluated as `(((cn * t) + c[n-1]) * t + ...) * t + c0`.  The logarithm is

     a. `e = (bits(p) - bits(sqrt(1/2))) >> m`, an arithmetic shift of the signed bit pattern, with
        m = 23 or 52 stored bits of significand; `y = from_bits(bits(p) - (e << m))`, in
        [sqrt(1/2), sqrt(2)), so that p = 2^e y.
     b. `z = (y - 1) / (y + 1)`, and `S` the polynomial in `z * z` with coefficients 1, 1/3, 1/5, ...
        (5 of them for float32, 11 for float64), because log(y) = 2 artanh(z).
     c. `log(p) = float(e) * log(2) + (z + z) * S`.

    The numbers are symmetric about 0 bit for bit, never 0, and reach |x| = 6.34 (float32) and 9.16
    (float64).  Relative error below 4e-7 (float32) and 2e-15 (float64).  float16 and bfloat16
    numbers are float32 numbers cast.

    Raises:
        TypeError: `dtype` is neither float32 nor float64.
        ValueError: `count` is negative, or `key` is outside [0, 2^64).

    >>> normal(0, 0, 3).round(4)
    array([ 1.2761, -1.1776, -0.6302], dtype=float32)
    """
    recipe = recipe_of(dtype)
    _require_count(count, "count")
    _require_key(key)
    result: Floats = np.empty(count, dtype=dtype)
    scratch: Floats = np.empty((4, _chunk_size(count, recipe.words)), dtype=dtype)
    for part, words in _chunks(counter, key, count, recipe.words):
        words_to_normal(words, recipe, result[part], scratch)
    return result


def integers(counter: int, key: int, count: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """Integers in [low, high), where -2^63 <= low < high <= 2^63.

    Element `i` is `low + floor(w (high - low) / 2^64)` with `w = word[2 i] + 2^32 word[2 i + 1]`: the
    upper half of a 128-bit product (Lemire's multiply-shift, without rejection, so that every element
    takes the same two words).  The probability of each value is within 2^-64 of 1 / (high - low):
    a relative error of at most (high - low) / 2^64.

    Raises:
        ValueError: `low >= high` or either is out of range, `count` is negative, or `key` is outside
            [0, 2^64).

    >>> integers(0, 0, 4, -3, 4)
    array([ 3,  1, -1, -3])
    """
    _require_count(count, "count")
    _require_key(key)
    if low >= high:
        raise ValueError(f"low must be less than high, got low={low} and high={high}")
    if low < -(2**63) or high > 2**63:
        raise ValueError(f"low and high must be within [-2^63, 2^63], got low={low} and high={high}")
    result = np.empty(count, dtype=np.uint64)
    scratch = np.empty((3, _chunk_size(count, 2)), dtype=np.uint64)
    for part, words in _chunks(counter, key, count, 2):
        _upper_half_of_product(words, high - low, result[part], scratch)
    result += low % 2**64
    return result.view(np.int64)


def _upper_half_of_product(words: Words, factor: int, result: Words64, scratch: Words64) -> None:
    """floor(words * factor / 2^64) for uint64 words and a factor in [1, 2^64], in 64-bit arithmetic.

    With halves w = w1 2^32 + w0 and f = f1 2^32 + f0, and middle = w1 f0 + (w0 f0 >> 32):
    result = w1 f1 + (middle >> 32) + ((w0 f1 + low(middle)) >> 32).  No sum reaches 2^64.
    """
    if factor == 2**64:
        result[:] = words
        return
    factor_low, factor_high = factor & LOW_32_BITS, factor >> 32
    lower, upper, middle = scratch[:, : len(words)]
    np.bitwise_and(words, LOW_HALF, out=lower)
    np.right_shift(words, HALF, out=upper)
    np.multiply(lower, factor_low, out=middle)
    middle >>= HALF
    middle += np.multiply(upper, factor_low, out=result)
    np.right_shift(middle, HALF, out=result)
    if factor_high == 0:
        return
    upper *= factor_high
    result += upper
    lower *= factor_high
    middle &= LOW_HALF
    lower += middle
    lower >>= HALF
    result += lower


def permutation(counter: int, key: int, n: int) -> npt.NDArray[np.int64]:
    """A random order of 0, 1, ..., n - 1.

    Number `i` is given the 64-bit word `word[2 i] + 2^32 word[2 i + 1]`, and the numbers are sorted by
    their words.  The sort is stable: equal words, which occur with probability below n^2 / 2^65
    (3e-6 for n = 10^7), keep their numbers in rising order.

    Raises:
        ValueError: `n` is negative, or `key` is outside [0, 2^64).

    >>> permutation(0, 0, 5)
    array([3, 4, 2, 1, 0])
    """
    _require_count(n, "n")
    _require_key(key)
    sort_keys = np.empty(n, dtype=np.uint64)
    for part, words in _chunks(counter, key, n, 2):
        sort_keys[part] = words
    return stable_order(sort_keys).astype(np.int64, copy=False)


# Checks ----------------------------------------------------------------------------------------------


def _require_count(count: int, name: str) -> None:
    if count < 0:
        raise ValueError(f"{name} must be zero or more, got {count}")


def _require_key(key: int) -> None:
    if not 0 <= key <= LOW_64_BITS:
        raise ValueError(f"key must be an integer in [0, 2^64), got {key}")
