"""Random draws as primitives: functions of a generator's state, so that a traced program draws as an eager one does.

The state is an int64 tensor of three numbers: the key (the stream), and the low and high half of the 128-bit
counter (the place in the stream). A draw does not change it; `RandomAdvance` says where the next one starts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.primitives import philox, rejection
from chainrule.primitives.primitive import Primitive, same_shape
from chainrule.primitives.value import Array, DataType, Form, Shape

_index = np.dtype(np.int64)
_single, _double = np.dtype(np.float32), np.dtype(np.float64)
#: A draw takes NumPy as long as so many multiplications and additions, of those that are counted elsewhere.
WORK = 8


def read_state(state: Array) -> tuple[int, int]:
    """The counter and the key in a state."""
    key, low, high = (int(word) & philox.LOW_64_BITS for word in state)
    return high << 64 | low, key


def write_state(counter: int, key: int) -> Array:
    """The state with this counter and key."""
    words = [key, counter & philox.LOW_64_BITS, counter >> 64 & philox.LOW_64_BITS]
    return np.array(words, np.uint64).view(np.int64)


class RandomUniform(Primitive):
    """z uniform in [0, 1). Each type gets as many random bits as its significand holds, so 1 never comes."""

    latex = r"z \sim U[0, 1)"

    @staticmethod
    def shape(state: Array, *, to: Shape, dtype: DataType) -> Form:
        return to, dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return WORK * math.prod(parameters["to"])

    @staticmethod
    def evaluate(state: Array, *, to: Shape, dtype: DataType) -> Array:
        counter, key = read_state(state)
        if dtype == _double:
            return philox.uniform(counter, key, math.prod(to), _double).reshape(to)
        bits: Any = philox.UNIFORM_BITS[dtype.name]
        exact = philox.uniform(counter, key, math.prod(to), _single)
        if bits < 24:  # cut to the bits of a half, so that rounding cannot reach 1
            exact = np.floor(exact * np.float32(2**bits)) / np.float32(2**bits)
        return exact.astype(dtype, copy=False).reshape(to)


class RandomNormal(Primitive):
    """z standard normal: mean 0, variance 1. Halves are rounded from float32."""

    latex = r"z \sim \mathcal{N}(0, 1)"

    @staticmethod
    def shape(state: Array, *, to: Shape, dtype: DataType) -> Form:
        return to, dtype

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return WORK * math.prod(parameters["to"])

    @staticmethod
    def evaluate(state: Array, *, to: Shape, dtype: DataType) -> Array:
        counter, key = read_state(state)
        exact = _double if dtype == _double else _single
        return philox.normal(counter, key, math.prod(to), exact).astype(dtype, copy=False).reshape(to)


class RandomIntegers(Primitive):
    """z uniform among the integers low … high − 1."""

    latex = r"z \sim U\{l, \dots, h - 1\}"

    @staticmethod
    def shape(state: Array, *, to: Shape, low: int, high: int) -> Form:
        return to, _index

    @staticmethod
    def evaluate(state: Array, *, to: Shape, low: int, high: int) -> Array:
        counter, key = read_state(state)
        return philox.integers(counter, key, math.prod(to), low, high).reshape(to)


class RandomPermutation(Primitive):
    """z = the numbers 0 … n − 1 in random order, each order equally likely."""

    latex = r"z \sim U(S_n)"

    @staticmethod
    def shape(state: Array, *, n: int) -> Form:
        return (n,), _index

    @staticmethod
    def evaluate(state: Array, *, n: int) -> Array:
        counter, key = read_state(state)
        return philox.permutation(counter, key, n)


class RandomAdvance(Primitive):
    """z = the state after a draw that used that many blocks of four words."""

    latex = r"c + b"

    @staticmethod
    def shape(state: Array, *, blocks: int) -> Form:
        return (3,), _index

    @staticmethod
    def evaluate(state: Array, *, blocks: int) -> Array:
        counter, key = read_state(state)
        return write_state(philox.advance(counter, blocks), key)


def _floats(name: str, *parameters: Array) -> Form:
    """The form of draws with these parameters, which have one shape and one floating-point type."""
    for other in parameters[1:]:
        same_shape(name, parameters[0], other)
    return parameters[0].shape, parameters[0].dtype


def _drawn(draw: Any, state: Array, *parameters: Array) -> Array:
    """One number for each entry of the parameters, computed in float64."""
    counter, key = read_state(state)
    exact = [np.asarray(p, _double).reshape(-1) for p in parameters]
    return np.asarray(draw(counter, key, *exact)).reshape(parameters[0].shape)


class RandomLogGamma(Primitive):
    """z = ln X with X gamma-distributed, rate 1, one for each concentration; X itself may be too small for a float."""

    latex = r"e^z \sim \Gamma(a, 1)"

    @staticmethod
    def shape(state: Array, concentration: Array) -> Form:
        return _floats("RandomLogGamma", concentration)

    @staticmethod
    def evaluate(state: Array, concentration: Array) -> Array:
        return _drawn(rejection.log_gamma_draws, state, concentration).astype(concentration.dtype)


class RandomPoisson(Primitive):
    """z = a Poisson-distributed count for each rate, in the type of the rates."""

    latex = r"z \sim \operatorname{Poisson}(\lambda)"

    @staticmethod
    def shape(state: Array, rate: Array) -> Form:
        return _floats("RandomPoisson", rate)

    @staticmethod
    def evaluate(state: Array, rate: Array) -> Array:
        return _drawn(rejection.poisson_draws, state, rate).astype(rate.dtype)


class RandomBinomial(Primitive):
    """z = how many of n trials succeed with probability p, in their type."""

    latex = r"z \sim B(n, p)"

    @staticmethod
    def shape(state: Array, trials: Array, probability: Array) -> Form:
        return _floats("RandomBinomial", trials, probability)

    @staticmethod
    def evaluate(state: Array, trials: Array, probability: Array) -> Array:
        return _drawn(rejection.binomial_draws, state, trials, probability).astype(trials.dtype)


class RandomVonMises(Primitive):
    """z = an angle around 0 for each concentration, in [−π, π]."""

    latex = r"z \sim \frac{e^{\kappa \cos z}}{2\pi I_0(\kappa)}"

    @staticmethod
    def shape(state: Array, concentration: Array) -> Form:
        return _floats("RandomVonMises", concentration)

    @staticmethod
    def evaluate(state: Array, concentration: Array) -> Array:
        return _drawn(rejection.von_mises_draws, state, concentration).astype(concentration.dtype)
