"""The compiler's functions are within two units in the last place of the exact result, for every number.

The float32 results are compared with float64 functions, the float64 ones with long double and with decimal series. A
normal run takes about two million of the 2³² float32 numbers: all signs, exponents and kinds, and whole neighbourhoods
of the numbers where a function changes its formula, overflows or vanishes. With CHAINRULE_NIGHTLY set it takes them all.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.backends.native.language import vector_math
from tests import polynomial_fits

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
pytestmark = pytest.mark.timeout(3600 if NIGHTLY else 120)

Array = np.ndarray[Any, Any]
ALLOWED = 2.0
#: Functions composed of several primitives, each of which rounds: 1/(1 + e⁻ˣ) and ln x/ln 10.
COMPOSED = {"log2": 3.0, "log10": 3.0, "sigmoid": 3.0}
#: Where long double is no longer than double, the reference itself may be wrong by one.
REFERENCE_ERROR = 0.0 if np.finfo(np.longdouble).nmant > 60 else 1.0
#: So many numbers at a time.
CHUNK = 2**20
#: Patterns taken on either side of a critical number.
AROUND = 2**12

#: Where a function changes its formula, overflows, vanishes or begins to be constant, in one or the other data type.
CRITICAL = [
    0.0, 2.0**-126, 2.0**-149, 1e-8, 6e-8, 2.0**-25, 2.0**-24, 2.0**-12, 0.25, 0.2554128, 0.34657359, 0.5, 0.55,
    0.70710678, 1.0, 1.0397208, 1.125, 1.25, 1.41421356, 2.0, 3.8325, 3.92, 4.0, 5.9, 6.0, 9.0109, 17.33, 18.7, 19.06,
    20.0, 36.74, 37.43, 87.33655, 88.02969, 88.72284, 103.27893, 103.97208, 104.0, 127.0, 128.0, 149.5, 708.39, 709.78,
    744.44, 745.14, 746.0, 2.0**23, 2.0**24, 2.0**30, 2.0**52, 2.0**53, 3.4028235e38, math.inf,
]  # fmt: skip


def erf(x: Array) -> Array:
    """`math.erf` where it is neither a multiple of x nor ±1."""
    result = np.where(np.abs(x) < 1e-5, x * (2 / math.sqrt(math.pi)), np.sign(x))
    some = (np.abs(x) >= 1e-5) & (np.abs(x) < 6)
    result[some] = [math.erf(value) for value in x[some].tolist()]
    return result


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


EXACT: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "tanh": np.tanh,
    "erf": erf,
    "sigmoid": sigmoid,
}


@functools.cache
def compiled(name: str) -> Callable[[Any], Any]:
    return chainrule.compile(lambda x: getattr(x, name)())


def computed(name: str, x: Array) -> Array:
    return compiled(name)(chainrule.tensor(x)).numpy()


def errors(result: Array, exact: Array) -> Array:
    """The distance in units in the last place; what is beyond the largest number counts as the power of 2 behind it."""
    kind, wide = np.finfo(result.dtype), exact.dtype.type
    top = np.ldexp(wide(1), kind.maxexp)
    near, exact = (np.clip(v.astype(wide), -top, top) for v in (result, exact))
    exponent = np.clip(np.frexp(exact)[1] - 1, kind.minexp, kind.maxexp - 1)
    return np.ldexp(np.abs(near - exact), kind.nmant - exponent)


def assert_close(name: str, x: Array, exact: Array, reference_error: float = 0.0) -> None:
    """NaN where it belongs, the right signs (of zeros too), and errors that are small enough."""
    y = computed(name, x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(exact), err_msg=name)
    some = ~np.isnan(exact)
    x, y, exact = x[some], y[some], exact[some]
    wrong = np.signbit(y) != np.signbit(exact)
    assert not wrong.any(), f"{name} of {x[wrong][0]!r} is {y[wrong][0]!r}: the wrong sign"
    error = errors(y, exact)
    far = error > COMPOSED.get(name, ALLOWED) + reference_error
    assert not far.any(), f"{name} of {x[far][0]!r} is {y[far][0]!r}: {error[far][0]:.2f} units off"


def neighbours(dtype: Any) -> Array:
    """The critical numbers of both signs with all that is near them."""
    whole, bits = (np.int32, 31) if dtype == np.float32 else (np.int64, 63)
    with np.errstate(over="ignore"):
        middle = np.array(CRITICAL).astype(dtype).view(whole).astype(np.int64)
    near = (middle[:, None] + np.arange(-AROUND, AROUND)).clip(0, 2**bits - 1).astype(whole).view(dtype)
    return np.concatenate([near, -near]).ravel()


def single_numbers() -> Iterator[Array]:
    """Arrays of CHUNK float32 numbers: a sample, or all there are."""
    if NIGHTLY:
        for start in range(0, 2**32, CHUNK):
            yield np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
        return
    spread = np.arange(0, 2**32, 4093, dtype=np.int64).astype(np.uint32).view(np.float32)
    sample = np.concatenate([spread, neighbours(np.float32)])
    yield from np.resize(sample, (-(-sample.size // CHUNK), CHUNK))


def double_numbers() -> Array:
    """A sample of float64: of all patterns, of usual sizes, and near the critical numbers."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    usual = [random.uniform(-size, size, 50_000) for size in (0.6, 1.5, 6.5, 40.0, 750.0)]
    small = np.exp(random.uniform(-45, 1, 50_000)) * random.choice([-1, 1], 50_000)
    near = neighbours(np.float64)[:: 1 if NIGHTLY else 8]
    return np.concatenate([patterns, *usual, small, near])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXACT)
def test_float32(name: str) -> None:
    for x in single_numbers():
        if name == "sigmoid":  # 1/(1 + e⁻ˣ) is 0 where e⁻ˣ is infinite, though the exact value is 2⁻¹²⁸
            assert np.all(computed(name, x)[x < -88] < 2.0**-126)
            x = np.where(x < -88, np.float32(0), x)
        assert_close(name, x, EXACT[name](x.astype(np.float64)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in EXACT if name != "erf"])
def test_float64(name: str) -> None:
    x = double_numbers()
    if name == "sigmoid":
        x = x[~(x < -709)]
    assert_close(name, x, EXACT[name](x.astype(np.longdouble)), REFERENCE_ERROR)


def test_erf_in_float64() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.uniform(0, 6.5, 300), random.uniform(1, 1.5, 600), np.exp(random.uniform(-40, 0, 100))])
    assert np.array_equal(computed("erf", -x), -computed("erf", x))
    for value, result in zip(x.tolist(), computed("erf", x).tolist()):
        exact = polynomial_fits.erf(Decimal(value))
        unit = Decimal(math.ulp(min(float(exact), math.nextafter(1, 0))))
        assert abs(Decimal(result) - exact) <= Decimal(ALLOWED) * unit, value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_at_its_ends(dtype: Any) -> None:
    ends = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 6, -6, 1e30, np.finfo(dtype).smallest_subnormal], dtype)
    result = computed("erf", ends)
    np.testing.assert_array_equal(result, [0, 0, 1, -1, math.nan, 1, -1, 1, ends[-1]])
    assert np.signbit(result[:2]).tolist() == [False, True]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "erf"])
def test_the_rest_of_a_vector_is_computed_as_the_others(name: str, dtype: Any) -> None:
    x = np.linspace(-3, 3, 67).astype(dtype)
    whole = computed(name, x)
    for size in (1, 7, 19):
        assert computed(name, x[:size].copy()).tobytes() == whole[:size].tobytes()


@pytest.mark.parametrize("name", polynomial_fits.FITS)
def test_the_tables_are_what_the_fits_give(name: str) -> None:
    for element, fit in polynomial_fits.FITS[name].items():
        coefficients, _ = polynomial_fits.fitted(fit)
        assert getattr(vector_math, name)[element] == tuple(map(float, coefficients))


def test_the_units_are_counted_right() -> None:
    """The measure itself: at 1, among subnormal numbers, at the largest number and behind it."""
    kind = np.finfo(np.float32)
    result = np.array([1 + kind.eps, 1 - kind.epsneg, 3 * 2.0**-149, np.inf, kind.max, np.inf], np.float32)
    exact = np.array([1, 1 - 2 * kind.epsneg, 2.0**-149, 1e300, 2.0**128, kind.max], np.float64)
    assert errors(result, exact).tolist() == [1, 1, 2, 0, 1, 1]
