"""The numerics of the counter-based random numbers: known answers, statistics, and element i from i alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from chainrule.primitives import normal as normal_module
from chainrule.primitives import philox as module
from chainrule.primitives.normal import FLOAT32_NORMAL, FLOAT64_NORMAL, NormalRecipe
from chainrule.primitives.philox import (
    UNIFORM_BITS,
    advance,
    blocks_used,
    integers,
    normal,
    permutation,
    philox,
    uniform,
    words_per_value,
)

COUNTER, KEY = 12345, 0xDEADBEEF12345678
# More than one chunk of every kind of draw, and not a whole number of blocks.
MANY = 2 * 4 * module.CHUNK_BLOCKS + 4321

Draw = Callable[[int, int, int], npt.NDArray[Any]]
DRAWS: dict[str, tuple[Draw, int]] = {
    "uniform float32": (lambda c, k, n: uniform(c, k, n, np.float32), 1),
    "uniform float64": (lambda c, k, n: uniform(c, k, n, np.float64), 2),
    "normal float32": (lambda c, k, n: normal(c, k, n, np.float32), 1),
    "normal float64": (lambda c, k, n: normal(c, k, n, np.float64), 2),
    "integers": (lambda c, k, n: integers(c, k, n, -5, 10**12), 2),
}
every_draw = pytest.mark.parametrize(("draw", "words"), DRAWS.values(), ids=list(DRAWS))
each_float = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def block_by_the_book(counter: int, key: int) -> list[int]:
    """One block in Python's own integers, written straight from the paper."""
    c = [counter >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k0, b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


# The generator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**128 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x0370734413198A2E85A308D3243F6A88, 0x299F31D0A4093822, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "digits of pi"],
)
def test_published_vectors(counter: int, key: int, expected: str) -> None:
    words = philox(counter, key, 1)
    assert words.dtype == np.uint32
    assert words.shape == (1, 4)
    assert " ".join(f"{word:08x}" for word in words[0]) == expected


@pytest.mark.parametrize("boundary", [2**32, 2**64, 2**96, 2**128])
def test_counter_carries(boundary: int) -> None:
    start = boundary - 3
    words = philox(start, KEY, 6)
    assert words.tolist() == [block_by_the_book((start + i) % 2**128, KEY) for i in range(6)]


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1), st.integers(0, 5))
def test_agrees_with_the_book(counter: int, key: int, blocks: int) -> None:
    expected = [block_by_the_book((counter + i) % 2**128, key) for i in range(blocks)]
    assert philox(counter, key, blocks).tolist() == expected


def test_carry_inside_a_later_chunk() -> None:
    start = 2**64 - module.CHUNK_BLOCKS - 10
    words = philox(start, KEY, 2 * module.CHUNK_BLOCKS)
    for row in (0, module.CHUNK_BLOCKS - 1, module.CHUNK_BLOCKS, module.CHUNK_BLOCKS + 9, -1):
        assert words[row].tolist() == block_by_the_book(start + row % len(words), KEY)


def test_counter_and_advance_wrap() -> None:
    assert advance(2**128 - 2, 5) == 3
    assert advance(3, -5) == 2**128 - 2
    np.testing.assert_array_equal(philox(2**128 + 7, KEY, 3), philox(7, KEY, 3))


def test_words_look_random() -> None:
    words = philox(COUNTER, KEY, 50_000).ravel()
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 5 * 0.5 / np.sqrt(words.size)
    assert abs(np.corrcoef(words[:-1], words[1:])[0, 1]) < 5 / np.sqrt(words.size)
    other_key = philox(COUNTER, KEY + 1, 50_000).ravel()
    assert abs(np.corrcoef(words, other_key)[0, 1]) < 5 / np.sqrt(words.size)


# What every draw promises ----------------------------------------------------------------------------


@every_draw
def test_a_shorter_draw_is_a_prefix(draw: Draw, words: int) -> None:
    full = draw(COUNTER, KEY, MANY)
    chunk = 4 * module.CHUNK_BLOCKS // words
    for count in (0, 1, 2, 3, 5, 1000, chunk - 1, chunk, chunk + 1, MANY - 1):
        np.testing.assert_array_equal(draw(COUNTER, KEY, count), full[:count])


@every_draw
def test_a_later_part_can_be_drawn_alone(draw: Draw, words: int) -> None:
    full = draw(COUNTER, KEY, MANY)
    for blocks in (1, 7, module.CHUNK_BLOCKS + 1):
        first = 4 * blocks // words
        part = draw(advance(COUNTER, blocks), KEY, 100)
        np.testing.assert_array_equal(part, full[first : first + 100])


@every_draw
def test_chunks_do_not_show(draw: Draw, words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draw(COUNTER, KEY, 1001)
    monkeypatch.setattr(module, "CHUNK_BLOCKS", 3)
    np.testing.assert_array_equal(draw(COUNTER, KEY, 1001), expected)


@every_draw
def test_key_and_counter_matter(draw: Draw, words: int) -> None:
    first = draw(COUNTER, KEY, 100)
    assert np.mean(first == draw(COUNTER, KEY + 1, 100)) < 0.05
    assert np.mean(first == draw(advance(COUNTER, 25 * words), KEY, 100)) < 0.05


def test_empty_draws() -> None:
    assert philox(0, 0, 0).shape == (0, 4)
    assert uniform(0, 0, 0).shape == normal(0, 0, 0, np.float64).shape == (0,)
    assert integers(0, 0, 0, 0, 1).shape == permutation(0, 0, 0).shape == (0,)


def test_blocks_used() -> None:
    assert [blocks_used("normal", n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert [blocks_used("uniform", n, np.float64) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert [blocks_used("integers", n) for n in (0, 2, 3)] == [0, 1, 2]
    assert words_per_value("permutation") == 2
    assert (words_per_value("uniform"), words_per_value("uniform", "float64")) == (1, 2)


# Uniform ---------------------------------------------------------------------------------------------


@each_float
def test_uniform_distribution(dtype: npt.DTypeLike) -> None:
    values = uniform(COUNTER, KEY, 200_000, dtype)
    assert values.dtype == dtype
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert abs(values.mean(dtype=float) - 1 / 2) < 5 * np.sqrt(1 / 12 / values.size)
    assert abs(values.var(dtype=float) - 1 / 12) < 5 * np.sqrt(1 / 180 / values.size)


def test_uniform_takes_the_top_bits() -> None:
    words = philox(COUNTER, KEY, 2).ravel().tolist()
    assert uniform(COUNTER, KEY, 8).tolist() == [(w >> 8) / 2**24 for w in words]
    pairs = [low + (high << 32) for low, high in zip(words[::2], words[1::2], strict=True)]
    assert uniform(COUNTER, KEY, 4, np.float64).tolist() == [(w >> 11) / 2**53 for w in pairs]


def test_uniform_for_float16_is_exact_and_below_one() -> None:
    values = uniform(COUNTER, KEY, 100_000, bits=UNIFORM_BITS["float16"])
    assert values.max() == 1 - 2**-11
    np.testing.assert_array_equal(values.astype(np.float16).astype(np.float32), values)
    assert uniform(COUNTER, KEY, 100_000).astype(np.float16).max() == 1  # why the bits are fewer


def test_uniform_for_bfloat16_fits_eight_bits() -> None:
    values = uniform(COUNTER, KEY, 10_000, bits=UNIFORM_BITS["bfloat16"])
    assert values.max() == 1 - 2**-8
    assert not np.any(values.view(np.uint32) & 0xFFFF)  # bfloat16 is the upper half of a float32


# Normal ----------------------------------------------------------------------------------------------


@each_float
def test_normal_distribution(dtype: npt.DTypeLike) -> None:
    values = normal(COUNTER, KEY, 400_000, dtype)
    assert values.dtype == dtype
    assert stats.kstest(values, "norm").pvalue > 0.001
    exact = values.astype(np.float64)
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(exact**power) - moment) < 5 * np.sqrt(variance / values.size), power
    assert abs(np.corrcoef(exact[::2], exact[1::2])[0, 1]) < 5 / np.sqrt(values.size / 2)


def test_normal_tail_counts() -> None:
    count = 4_000_000
    values = normal(COUNTER, KEY, count)
    for limit in (1.0, 1.4395, 2.0, 3.0, 4.0, 4.5):
        for tail in (values > limit, values < -limit):
            expected = count * special.ndtr(-limit)
            assert abs(np.count_nonzero(tail) - expected) < 5 * np.sqrt(expected), limit
    assert np.abs(values).max() > 5


def words_for(recipe: NormalRecipe) -> npt.NDArray[Any]:
    """Words of every size: random ones, ones close to both ends, and both edges of the centre."""
    s = recipe.bit_count
    ends = [2**n - 1 for n in range(s)] + [2 ** (s - 1) - 2**n for n in range(s - 1)]
    edge = int(0.425 * 2**s)
    near_edge = [edge + step * 2 ** (s - 26) for step in range(-50, 50)]
    random = philox(COUNTER, KEY, 30_000).ravel().view(f"u{s // 8}") >> 1
    # Spread over the logarithm of the tail's probability, where random words are few.
    far = [2 ** (s - 1) - 1 - int(2 ** (s - 2) * 2.0 ** (-n / 40)) for n in range(40 * (s - 2))]
    return np.concatenate([np.array(ends + near_edge + far, dtype=random.dtype), random])


def from_words(words: npt.NDArray[Any], recipe: NormalRecipe) -> npt.NDArray[Any]:
    dtype = np.float32 if recipe.words == 1 else np.float64
    result: normal_module.Floats = np.empty(len(words), dtype=dtype)
    normal_module.words_to_normal(words, recipe, result, np.empty_like(result, shape=(4, len(words))))
    return result


def normal_by_the_book(word: int, recipe: NormalRecipe) -> Any:
    """One normal number, one operation at a time, as a compiler's author reads the docstring."""
    s, m = recipe.bit_count, recipe.mantissa_bits
    number: Any = np.float32 if s == 32 else np.float64

    def polynomial(coefficients: tuple[float, ...], t: Any) -> Any:
        value = number(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = value * t + number(coefficient)
        return value

    h = (word << 1 | 1) % 2**s
    q = number(h) * number(2.0 ** -(s + 1))
    if q <= number(0.425):
        r = number(0.180625) - q * q
        x = polynomial(recipe.centre[0], r) / polynomial(recipe.centre[1], r) * q
    else:
        p = number(2**s - h) * number(2.0 ** -(s + 1))
        pattern = int(p.view(f"i{s // 8}"))
        e = (pattern - recipe.root_half_bits) >> m
        y = np.array(pattern - (e << m), dtype=f"i{s // 8}").view(number)[()]
        z = (y - number(1)) / (y + number(1))
        r = np.sqrt(-(number(e) * number(np.log(2)) + (z + z) * polynomial(recipe.logarithm_terms, z * z)))
        far = recipe.far_tail is not None and r > number(5)
        above, below = recipe.far_tail if far and recipe.far_tail is not None else recipe.tail
        t = r - number(5 if far else 1.6)
        x = polynomial(above, t) / polynomial(below, t)
    return number(-x if word >> (s - 1) else x)


@pytest.mark.parametrize("recipe", [FLOAT32_NORMAL, FLOAT64_NORMAL])
def test_normal_follows_its_docstring_bit_for_bit(recipe: NormalRecipe) -> None:
    words = words_for(recipe)[:6000]
    words[::2] |= 1 << recipe.bit_count - 1
    expected = [normal_by_the_book(word, recipe) for word in words.tolist()]
    np.testing.assert_array_equal(from_words(words, recipe), expected)


@pytest.mark.parametrize(
    ("recipe", "tolerance", "reach"), [(FLOAT32_NORMAL, 4e-7, 6.34), (FLOAT64_NORMAL, 2e-15, 9.155)]
)
def test_normal_accuracy(recipe: NormalRecipe, tolerance: float, reach: float) -> None:
    words = words_for(recipe)
    values = from_words(words, recipe)
    odd = (words << 1 | 1).astype(object)
    unit = 2 ** (recipe.bit_count + 1)
    distance = np.array([h / unit for h in odd])
    tail = np.array([(unit // 2 - h) / unit for h in odd])
    # Near the median erfinv keeps the relative accuracy that ndtri loses in forming 1/2 - distance.
    exact = np.where(distance < 0.3, np.sqrt(2) * special.erfinv(2 * distance), -special.ndtri(tail))
    np.testing.assert_allclose(values.astype(np.float64), exact, rtol=tolerance, atol=0)
    assert values.max() == pytest.approx(reach, abs=0.01)
    assert values.min() > 0


@pytest.mark.parametrize("recipe", [FLOAT32_NORMAL, FLOAT64_NORMAL])
def test_normal_is_symmetric_bit_for_bit(recipe: NormalRecipe) -> None:
    words = words_for(recipe)
    sign = 1 << recipe.bit_count - 1
    np.testing.assert_array_equal(from_words(words ^ sign, recipe), -from_words(words, recipe))


@pytest.mark.parametrize(("recipe", "dtype"), [(FLOAT32_NORMAL, np.float32), (FLOAT64_NORMAL, np.float64)])
def test_logarithm(recipe: NormalRecipe, dtype: npt.DTypeLike) -> None:
    p = np.exp(-np.linspace(2.5, 45, 20_000)).astype(dtype)
    expected = np.log(p.astype(np.float64))
    np.testing.assert_allclose(normal_module._logarithm(p, recipe), expected, rtol=2 * np.finfo(p.dtype).eps)


@each_float
def test_normal_bits_do_not_depend_on_the_position_in_an_array(dtype: npt.DTypeLike) -> None:
    # Vector and remainder loops must round alike: elements one by one equal elements together.
    together = normal(COUNTER, KEY, 64, dtype)
    per_block = 4 // words_per_value("normal", dtype)
    alone = [normal(COUNTER + i, KEY, per_block, dtype) for i in range(64 // per_block)]
    np.testing.assert_array_equal(np.concatenate(alone), together)


# Integers and permutations ---------------------------------------------------------------------------


@pytest.mark.parametrize("span", [2, 7, 100])
def test_integers_are_uniform(span: int) -> None:
    values = integers(COUNTER, KEY, 100_000, -3, -3 + span)
    assert values.dtype == np.int64
    assert stats.chisquare(np.bincount(values + 3, minlength=span)).pvalue > 0.001


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**64))
def test_integers_match_the_formula(low: int, span: int) -> None:
    high = min(low + span, 2**63)
    words = philox(COUNTER, KEY, 4).ravel().tolist()
    pairs = [first + (second << 32) for first, second in zip(words[::2], words[1::2], strict=True)]
    expected = [low + (pair * (high - low) >> 64) for pair in pairs]
    assert integers(COUNTER, KEY, 8, low, high).tolist() == expected
    assert all(low <= value < high for value in expected)


def test_integers_over_the_whole_range() -> None:
    values = integers(COUNTER, KEY, 100_000, -(2**63), 2**63)
    assert stats.kstest(values / 2**64 + 0.5, "uniform").pvalue > 0.001
    assert integers(COUNTER, KEY, 3, 2**63 - 1, 2**63).tolist() == [2**63 - 1] * 3


@pytest.mark.parametrize("n", [1, 2, 10, 50_000])
def test_permutation_holds_every_number_once(n: int) -> None:
    order = permutation(COUNTER, KEY, n)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_permutations_are_equally_likely() -> None:
    draws = np.array([permutation(2 * i, KEY, 4) for i in range(4800)])
    _, counts = np.unique(draws @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 0.001


# Errors ----------------------------------------------------------------------------------------------


def test_errors_say_what_came_and_what_is_expected() -> None:
    with pytest.raises(ValueError, match="low must be less than high, got low=3 and high=3"):
        integers(0, 0, 1, 3, 3)
    with pytest.raises(ValueError, match=r"within \[-2\^63, 2\^63\], got low=0 and high=9223372036854775809"):
        integers(0, 0, 1, 0, 2**63 + 1)
    with pytest.raises(ValueError, match="n must be zero or more, got -2"):
        permutation(0, 0, -2)
    with pytest.raises(ValueError, match="blocks must be zero or more, got -1"):
        philox(0, 0, -1)
    with pytest.raises(ValueError, match=r"key must be an integer in \[0, 2\^64\), got 18446744073709551616"):
        philox(0, 2**64, 1)
    with pytest.raises(ValueError, match="bits must be from 1 to 24 for float32, got 25"):
        uniform(0, 0, 1, bits=25)
    with pytest.raises(TypeError, match=r"dtype must be float32 or float64 .*, got float16"):
        normal(0, 0, 1, np.float16)
    with pytest.raises(ValueError, match=r"kind must be 'uniform', .*, got 'gamma'"):
        words_per_value("gamma")  # type: ignore[arg-type]


@every_draw
def test_negative_count(draw: Draw, words: int) -> None:
    with pytest.raises(ValueError, match="count must be zero or more, got -1"):
        draw(0, 0, -1)
