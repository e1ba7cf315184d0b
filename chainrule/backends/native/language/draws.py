"""Random numbers on whole vectors: Philox and what is made of its words, to the bit as `primitives.philox` says.

Every entry computes its own block of four words from the generator's state and its number in the draw, and takes the
words that are its own; so any part of a draw can be made anywhere, by any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import count, register
from chainrule.backends.native.language.instructions import select, sqrt
from chainrule.primitives import philox
from chainrule.primitives.normal import (
    CENTRE_LIMIT,
    CENTRE_OFFSET,
    FAR_TAIL_LIMIT,
    LOG_2,
    TAIL_OFFSET,
    NormalRecipe,
    recipe_of,
)
from chainrule.primitives.value import DataType

DRAWS = frozenset({"RandomUniform", "RandomNormal", "RandomIntegers"})
_LOW = philox.LOW_32_BITS


def draw(
    code: Code, op: str, dtype: DataType, parameters: Mapping[str, Any], lanes: int, inputs: Sequence[str], first: str
) -> str:
    """Entries of a draw. The inputs are the state (key, low and high half of the counter) and their numbers in it.

    first: the number of the first lane, where those of the others follow one by one; "" if they do not.
    """
    whole = Lanes("i64", lanes)
    if op == "RandomIntegers":
        return _integers(code, whole, _words(code, whole, 2, *inputs), parameters["low"], parameters["high"])
    kind = register(dtype, lanes)
    if first and kind.bits == 32 and lanes >= 8:
        word = _words_in_a_row(code, lanes, first, *inputs[:3])
    else:
        word = _words(code, whole, kind.bits // 32, *inputs)
    return (_uniform if op == "RandomUniform" else _normal)(code, kind, word)


def _words(code: Code, whole: Lanes, words: int, key: str, low: str, high: str, index: str) -> str:
    """The random word of each entry, 32 bits of it or (two words) 64."""
    step = {1: 2, 2: 1}[words]
    w = _block(code, whole, key, low, high, code.op(f"lshr {whole.text} {index}, {whole.splat(step)}"))
    place = code.op(f"and {whole.text} {index}, {whole.splat(4 // words - 1)}")

    def chosen(number: int, x: str, y: str) -> str:
        return select(code, whole, code.op(f"icmp eq {whole.text} {place}, {whole.splat(number)}"), x, y)

    if words == 1:
        return chosen(0, w[0], chosen(1, w[1], chosen(2, w[2], w[3])))
    lower, upper = chosen(0, w[0], w[2]), chosen(0, w[1], w[3])
    return code.op(f"or {whole.text} {code.op(f'shl {whole.text} {upper}, {whole.splat(32)}')}, {lower}")


def _words_in_a_row(code: Code, lanes: int, first: str, key: str, low: str, high: str) -> str:
    """The random words of 32 bits of entries that follow one by one: four of them share a block.

    The first may stand anywhere in its block, so there is one block more than fill the lanes; half as many as there are
    lanes are computed.
    """
    few, words = Lanes("i64", lanes // 2), Lanes("i32", lanes)
    block = code.spread(few, code.op(f"lshr i64 {first}, 2"))
    block = code.op(f"add {few.text} {block}, {count(few)}")
    key, low, high = (code.shuffle(Lanes(few.element, lanes), range(few.lanes), x) for x in (key, low, high))
    narrow = Lanes("i32", few.lanes)
    w = [code.op(f"trunc {few.text} {word} to {narrow.text}") for word in _block(code, few, key, low, high, block)]
    front, back = (code.shuffle(narrow, range(lanes), *pair) for pair in (w[:2], w[2:]))
    found = ""
    for start in range(4):
        # Entry start + i is word (start + i) mod 4 of its block; pairs have their words block after block.
        order = [word % 2 * few.lanes + word // 4 + word % 4 // 2 * lanes for word in range(start, start + lanes)]
        here = code.shuffle(words, order, front, back)
        is_here = code.op(f"icmp eq i64 {code.op(f'and i64 {first}, 3')}, {start}")
        found = code.op(f"select i1 {is_here}, {words.text} {here}, {words.text} {found}") if found else here
    whole = Lanes("i64", lanes)
    return code.op(f"zext {words.text} {found} to {whole.text}")


def _block(code: Code, whole: Lanes, key: str, low: str, high: str, number: str) -> list[str]:
    """Philox 4×32-10 in each lane, for a key and the block of this number behind a counter: four words of 32 bits."""
    below = code.op(f"add {whole.text} {low}, {number}")
    wrapped = code.op(f"icmp ult {whole.text} {below}, {low}")
    above = code.op(f"add {whole.text} {high}, {code.op(f'zext <{whole.lanes} x i1> {wrapped} to {whole.text}')}")

    def lower(x: str) -> str:
        return code.op(f"and {whole.text} {x}, {whole.splat(_LOW)}")

    def upper(x: str) -> str:
        return code.op(f"lshr {whole.text} {x}, {whole.splat(32)}")

    def xor(x: str, y: str) -> str:
        return code.op(f"xor {whole.text} {x}, {y}")

    for_2, for_0 = (int(x) for x in philox.MULTIPLIERS[:, 0])
    steps = [int(x) for x in philox.KEY_STEPS[:, 0]]
    c = [lower(below), upper(below), lower(above), upper(above)]
    keys = [lower(key), upper(key)]
    for turn in range(philox.ROUNDS):
        first = code.op(f"mul {whole.text} {c[0]}, {whole.splat(for_0)}")
        second = code.op(f"mul {whole.text} {c[2]}, {whole.splat(for_2)}")
        c = [
            xor(xor(upper(second), c[1]), keys[0]),
            lower(second),
            xor(xor(upper(first), c[3]), keys[1]),
            lower(first),
        ]
        if turn < philox.ROUNDS - 1:
            keys = [lower(code.op(f"add {whole.text} {k}, {whole.splat(s)}")) for k, s in zip(keys, steps, strict=True)]
    return c


def _uniform(code: Code, kind: Lanes, word: str) -> str:
    """As many of the highest bits as a significand holds, times a power of two: exact."""
    whole = kind.of("i64")
    bits = 24 if kind.bits == 32 else 53
    high = code.op(f"lshr {whole.text} {word}, {whole.splat(kind.bits - bits)}")
    return code.op(
        f"fmul {kind.text} {code.op(f'sitofp {whole.text} {high} to {kind.text}')}, {kind.splat(2.0**-bits)}"
    )


def _integers(code: Code, whole: Lanes, word: str, low: int, high: int) -> str:
    """low + ⌊word · (high − low) / 2⁶⁴⌋."""
    count = high - low
    if count < 2**64:
        wide = f"<{whole.lanes} x i128>"
        product = code.op(f"mul {wide} {code.op(f'zext {whole.text} {word} to {wide}')}, splat (i128 {count})")
        product = code.op(f"lshr {wide} {product}, splat (i128 64)")
        word = code.op(f"trunc {wide} {product} to {whole.text}")
    return code.op(f"add {whole.text} {word}, {whole.splat(low)}")


def _normal(code: Code, kind: Lanes, word: str) -> str:
    """The steps of `philox.normal`, each rounded on its own."""
    recipe = recipe_of(np.float32 if kind.bits == 32 else np.float64)
    bits, unit = kind.of(f"i{kind.bits}"), kind.splat(2.0 ** -(kind.bits + 1))
    if kind.bits == 32:
        word = code.op(f"trunc {kind.of('i64').text} {word} to {bits.text}")
    odd = code.op(f"or {bits.text} {code.op(f'shl {bits.text} {word}, {bits.splat(1)}')}, {bits.splat(1)}")
    real = _Real(code, kind)
    distance = real.times(code.op(f"uitofp {bits.text} {odd} to {kind.text}"), unit)
    square = real.minus(kind.splat(CENTRE_OFFSET), real.times(distance, distance))
    centre = real.times(real.ratio(recipe.centre, square), distance)
    left = code.op(f"sub {bits.text} zeroinitializer, {odd}")
    tail = _upper_tail(real, recipe, real.times(code.op(f"uitofp {bits.text} {left} to {kind.text}"), unit))
    beyond = code.op(f"fcmp ogt {kind.text} {distance}, {kind.splat(CENTRE_LIMIT)}")
    x = code.op(f"bitcast {kind.text} {select(code, kind, beyond, tail, centre)} to {bits.text}")
    sign = code.op(f"and {bits.text} {word}, {bits.splat(-(2 ** (kind.bits - 1)))}")
    return code.op(f"bitcast {bits.text} {code.op(f'or {bits.text} {x}, {sign}')} to {kind.text}")


def _upper_tail(real: _Real, recipe: NormalRecipe, probability: str) -> str:
    """The x that a normal number exceeds with a small probability."""
    code, kind = real.code, real.kind
    root = sqrt(code, kind, code.op(f"fneg {kind.text} {_logarithm(real, recipe, probability)}"))
    tail = real.ratio(recipe.tail, real.minus(root, kind.splat(TAIL_OFFSET)))
    if recipe.far_tail is None:
        return tail
    far = code.op(f"fcmp ogt {kind.text} {root}, {kind.splat(FAR_TAIL_LIMIT)}")
    beyond = real.ratio(recipe.far_tail, real.minus(root, kind.splat(FAR_TAIL_LIMIT)))
    return select(code, kind, far, beyond, tail)


def _logarithm(real: _Real, recipe: NormalRecipe, x: str) -> str:
    """The natural logarithm of positive normal numbers: e·log 2 + 2 artanh((y − 1)/(y + 1)) with x = 2ᵉ·y."""
    code, kind = real.code, real.kind
    bits = kind.of(f"i{kind.bits}")
    pattern = code.op(f"bitcast {kind.text} {x} to {bits.text}")
    moved = code.op(f"sub {bits.text} {pattern}, {bits.splat(recipe.root_half_bits)}")
    exponent = code.op(f"ashr {bits.text} {moved}, {bits.splat(recipe.mantissa_bits)}")
    shifted = code.op(f"shl {bits.text} {exponent}, {bits.splat(recipe.mantissa_bits)}")
    y = code.op(f"bitcast {bits.text} {code.op(f'sub {bits.text} {pattern}, {shifted}')} to {kind.text}")
    z = real.over(real.minus(y, kind.splat(1)), real.plus(y, kind.splat(1)))
    series = real.polynomial(recipe.logarithm_terms, real.times(z, z))
    whole = real.times(code.op(f"sitofp {bits.text} {exponent} to {kind.text}"), kind.splat(LOG_2))
    return real.plus(whole, real.times(real.plus(z, z), series))


class _Real:
    """Arithmetic in which every step is rounded: multiplications are never fused with additions."""

    def __init__(self, code: Code, kind: Lanes) -> None:
        self.code, self.kind = code, kind

    def plus(self, x: str, y: str) -> str:
        return self.code.op(f"fadd {self.kind.text} {x}, {y}")

    def minus(self, x: str, y: str) -> str:
        return self.code.op(f"fsub {self.kind.text} {x}, {y}")

    def times(self, x: str, y: str) -> str:
        return self.code.op(f"fmul {self.kind.text} {x}, {y}")

    def over(self, x: str, y: str) -> str:
        return self.code.op(f"fdiv {self.kind.text} {x}, {y}")

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """Horner's rule, constant term first."""
        value = self.times(x, self.kind.splat(coefficients[-1]))
        for coefficient in coefficients[-2:0:-1]:
            value = self.times(self.plus(value, self.kind.splat(coefficient)), x)
        return self.plus(value, self.kind.splat(coefficients[0]))

    def ratio(self, pair: tuple[Sequence[float], Sequence[float]], x: str) -> str:
        """A(x) / B(x)."""
        return self.over(self.polynomial(pair[0], x), self.polynomial(pair[1], x))
