"""The elementwise primitives on whole vectors: branch-free, so that they can stand in the middle of any loop.

The exponential and what is made of it, the logarithm and the error function are ours, each within two units in the last
place; rarer functions are LLVM's intrinsics, which become calls of the C library, entry by entry; what is one
instruction or a few is in `instructions.py`. Infinities, NaN and −0 behave as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.instructions import (
    Function,
    absolute,
    bitwise_not,
    booleans,
    compare,
    comparison,
    copy_sign,
    extreme,
    floor,
    floor_divide,
    fma,
    instruction,
    intrinsic,
    is_real,
    magnitude,
    minus,
    nearest,
    negate,
    over,
    plus,
    reciprocal_root,
    remainder,
    rounding,
    select,
    shift,
    sign,
    sqrt,
    times,
)
from chainrule.primitives.error_function import SINGLE_BORDER, SINGLE_END, SINGLE_FAR, SINGLE_NEAR


def polynomial(code: Code, lanes: Lanes, x: str, coefficients: Sequence[float]) -> str:
    """Horner's rule, highest power first; a long one's high powers, even and odd, do not wait for each other."""
    high, low = coefficients[:-3], coefficients[-3:]
    if len(high) < 7:
        return _horner(code, lanes, x, lanes.splat(high[0]), [*high[1:], *low])
    square = times(code, lanes, x, x)
    halves = high[::-2][::-1], high[-2::-2][::-1]
    even, odd = (_horner(code, lanes, square, lanes.splat(half[0]), half[1:]) for half in halves)
    return _horner(code, lanes, x, fma(code, lanes, odd, x, even), low)


def _horner(code: Code, lanes: Lanes, x: str, value: str, coefficients: Sequence[float]) -> str:
    for coefficient in coefficients:
        value = fma(code, lanes, value, x, lanes.splat(coefficient))
    return value


# ------------------------------------------------------------------------------------- exponential and logarithm


class Real:
    """What the functions need to know of a floating-point type.

    Attributes:
        whole: the integer type of the same size. bits: of the significand.
        high, low: ln 2 in two parts; n·high is exact for all exponents n.
        smallest, largest: outside of this range e^x is 0 or infinite.
        terms: how many of the series of e^r for |r| ≤ ln 2/2 its precision needs. odd: of the logarithm's.
    """

    def __init__(self, lanes: Lanes) -> None:
        single = lanes.element == "float"
        self.whole = lanes.of("i32" if single else "i64")
        self.bits = 23 if single else 52
        self.bias = 127 if single else 1023
        self.high = 0.693145751953125 if single else 0.6931471803691238
        self.low = 1.42860682030941723212e-6 if single else 1.9082149292705877e-10
        self.smallest, self.largest = (-104.0, 89.0) if single else (-746.0, 710.0)
        self.terms, self.odd = (7, 5) if single else (13, 11)
        self.magic = 1.5 * 2**self.bits


def _reduced(code: Code, lanes: Lanes, real: Real, x: str) -> tuple[str, str]:
    """x = n·ln 2 + r with |r| ≤ ln 2/2: n as an integer, and r."""
    scaled = fma(code, lanes, x, lanes.splat(1 / math.log(2)), lanes.splat(real.magic))
    n = minus(code, lanes, scaled, lanes.splat(real.magic))
    r = fma(code, lanes, n, lanes.splat(-real.high), x)
    r = fma(code, lanes, n, lanes.splat(-real.low), r)
    kind = real.whole.text
    whole = code.op(f"bitcast {lanes.text} {scaled} to {kind}")
    magic = code.op(f"bitcast {lanes.text} {lanes.splat(real.magic)} to {kind}")
    return code.op(f"sub {kind} {whole}, {magic}"), r


def _power_of_two(code: Code, lanes: Lanes, real: Real, n: str) -> str:
    """2ⁿ for exponents of normal numbers."""
    kind = real.whole
    biased = code.op(f"add {kind.text} {n}, {kind.splat(real.bias)}")
    shifted = code.op(f"shl {kind.text} {biased}, {kind.splat(real.bits)}")
    return code.op(f"bitcast {kind.text} {shifted} to {lanes.text}")


def _at_most(code: Code, lanes: Lanes, x: str, high: float) -> str:
    """x or a bound; NaN stays."""
    return select(code, lanes, compare(code, lanes, "ogt", x, lanes.splat(high)), lanes.splat(high), x)


def _clamped(code: Code, lanes: Lanes, x: str, low: float, high: float) -> str:
    """x within a range; NaN stays."""
    x = select(code, lanes, compare(code, lanes, "olt", x, lanes.splat(low)), lanes.splat(low), x)
    return _at_most(code, lanes, x, high)


def _exponential_of_rest(code: Code, lanes: Lanes, real: Real, r: str) -> str:
    """eʳ for |r| ≤ ln 2/2 by its series."""
    return polynomial(code, lanes, r, [1 / math.factorial(k) for k in reversed(range(real.terms + 1))])


def exponential(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ = 2ⁿ·eʳ; the power is applied in two halves, so that results near 0 and infinity come out right."""
    real = Real(lanes)
    n, r = _reduced(code, lanes, real, _clamped(code, lanes, x, real.smallest, real.largest))
    value = _exponential_of_rest(code, lanes, real, r)
    half = code.op(f"ashr {real.whole.text} {n}, {real.whole.splat(1)}")
    rest = code.op(f"sub {real.whole.text} {n}, {half}")
    value = times(code, lanes, value, _power_of_two(code, lanes, real, half))
    return times(code, lanes, value, _power_of_two(code, lanes, real, rest))


def _moderate_exponential(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ where that is a normal number: one multiplication applies the power."""
    real = Real(lanes)
    n, r = _reduced(code, lanes, real, x)
    return times(code, lanes, _exponential_of_rest(code, lanes, real, r), _power_of_two(code, lanes, real, n))


def small_exponential(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ for weights, x ≤ 0 but for rounding: 0 where that is less than a normal number, NaN stays."""
    smallest, largest = (-87.0, 88.0) if lanes.element == "float" else (-708.0, 709.0)
    value = _moderate_exponential(code, lanes, _at_most(code, lanes, x, largest))
    return select(code, lanes, compare(code, lanes, "olt", x, lanes.splat(smallest)), "zeroinitializer", value)


def exponential_less_one(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ − 1 = 2ⁿ·((1 − 2⁻ⁿ) + r + (eʳ − 1 − r)), exact for small x."""
    real = Real(lanes)
    kind = real.whole
    bounded = _clamped(code, lanes, x, -2.0 * real.bits, real.largest)
    n, r = _reduced(code, lanes, real, bounded)
    series = [1 / math.factorial(k) for k in reversed(range(2, real.terms + 2))]
    # 2ⁿ = 2·2ⁿ⁻¹: so that n = 128 is no overflow on the way. From its bits those of 2¹⁻ⁿ; 0 for the largest n.
    half = _power_of_two(code, lanes, real, code.op(f"sub {kind.text} {n}, {kind.splat(1)}"))
    bits = code.op(f"bitcast {lanes.text} {half} to {kind.text}")
    inverse = code.op(f"sub {kind.text} {kind.splat(2 * real.bias << real.bits)}, {bits}")
    inverse = code.op(f"bitcast {kind.text} {inverse} to {lanes.text}")
    linear = plus(code, lanes, fma(code, lanes, inverse, lanes.splat(-0.5), lanes.splat(1)), r)
    value = fma(code, lanes, times(code, lanes, r, r), polynomial(code, lanes, r, series), linear)
    value = times(code, lanes, half, value)
    value = plus(code, lanes, value, value)
    same = compare(code, lanes, "oeq", x, "zeroinitializer")
    return select(code, lanes, same, x, value)


def _logarithm_of(code: Code, lanes: Lanes, x: str, correction: str = "") -> str:
    """ln x for positive numbers; `correction` is added to the small part of the result."""
    real = Real(lanes)
    kind = real.whole
    tiny = compare(code, lanes, "olt", x, lanes.splat(2.0 ** (1 - real.bias)))
    shift = real.bits + 2
    x = select(code, lanes, tiny, times(code, lanes, x, lanes.splat(2.0**shift)), x)
    root = code.op(f"bitcast {lanes.text} {lanes.splat(math.sqrt(0.5))} to {kind.text}")
    bits = code.op(f"bitcast {lanes.text} {x} to {kind.text}")
    above = code.op(f"sub {kind.text} {bits}, {root}")
    exponent = code.op(f"ashr {kind.text} {above}, {kind.splat(real.bits)}")
    moved = code.op(f"sub {kind.text} {bits}, {code.op(f'shl {kind.text} {exponent}, {kind.splat(real.bits)}')}")
    f = minus(code, lanes, code.op(f"bitcast {kind.text} {moved} to {lanes.text}"), lanes.splat(1))
    e = code.op(f"sitofp {kind.text} {exponent} to {lanes.text}")
    e = select(code, lanes, tiny, minus(code, lanes, e, lanes.splat(shift)), e)
    # ln(1 + f) = f − f²/2 + s·(f²/2 + R), s = f/(2 + f), R = 2s²/3 + 2s⁴/5 + …
    s = over(code, lanes, f, plus(code, lanes, f, lanes.splat(2)))
    z = times(code, lanes, s, s)
    series = polynomial(code, lanes, z, [2 / (2 * k + 1) for k in reversed(range(1, real.odd + 1))])
    half = times(code, lanes, times(code, lanes, f, f), lanes.splat(0.5))
    small = fma(code, lanes, s, fma(code, lanes, z, series, half), times(code, lanes, e, lanes.splat(real.low)))
    if correction:
        small = plus(code, lanes, small, correction)
    value = minus(code, lanes, f, minus(code, lanes, half, small))
    return fma(code, lanes, e, lanes.splat(real.high), value)


def logarithm(code: Code, lanes: Lanes, x: str) -> str:
    """ln x; −∞ at 0, NaN below."""
    value = _logarithm_of(code, lanes, x)
    infinite = compare(code, lanes, "oeq", x, lanes.splat(math.inf))
    value = select(code, lanes, infinite, x, value)
    zero = compare(code, lanes, "oeq", x, "zeroinitializer")
    value = select(code, lanes, zero, lanes.splat(-math.inf), value)
    fine = compare(code, lanes, "oge", x, "zeroinitializer")
    return select(code, lanes, fine, value, lanes.splat(math.nan))


def logarithm_of_one_more(code: Code, lanes: Lanes, x: str) -> str:
    """ln(1 + x) = ln u + (x − (u − 1))/u with u = 1 + x rounded."""
    u = plus(code, lanes, x, lanes.splat(1))
    lost = minus(code, lanes, x, minus(code, lanes, u, lanes.splat(1)))
    big = compare(code, lanes, "ogt", x, lanes.splat(2.0**30))
    lost = select(code, lanes, big, "zeroinitializer", lost)
    value = _logarithm_of(code, lanes, u, over(code, lanes, lost, u))
    zero = compare(code, lanes, "oeq", x, "zeroinitializer")
    infinite = compare(code, lanes, "oeq", x, lanes.splat(math.inf))
    value = select(code, lanes, code.op(f"or {booleans(lanes)} {zero}, {infinite}"), x, value)
    end = compare(code, lanes, "oeq", x, lanes.splat(-1))
    value = select(code, lanes, end, lanes.splat(-math.inf), value)
    fine = compare(code, lanes, "oge", x, lanes.splat(-1))
    return select(code, lanes, fine, value, lanes.splat(math.nan))


#: tanh x ≈ x + x³·P(x²) for |x| ≤ 0.55, highest power first. Found by Remez's algorithm in decimal arithmetic, as the
#: tables of erf are: tests/polynomial_fits.py. The errors of tanh and of erf near 0 are relative to x, before rounding.
_TANH_NEAR = {
    "float": (  # error 2^-29.9
        -0.006282488324371163,
        0.02107776894831459,
        -0.05385386064331604,
        0.1333260171586866,
        -0.33333318047012583,
    ),
    "double": (  # error 2^-55.5
        5.109015690687057e-05,
        -0.00021040568543647707,
        0.0005792029385355805,
        -0.0014532400046045715,
        0.003591724637171233,
        -0.008863195150675933,
        0.02186948602592318,
        -0.053968253878366165,
        0.13333333333173727,
        -0.3333333333333235,
    ),
}


def tangent(code: Code, lanes: Lanes, x: str) -> str:
    """tanh |x| = 1 − 2/(e^(2|x|) + 1) where that is above ½, below it by a polynomial; with the sign of x."""
    size = absolute(code, lanes, x)
    square = times(code, lanes, size, size)
    series = polynomial(code, lanes, square, _TANH_NEAR[lanes.element])
    near = fma(code, lanes, times(code, lanes, size, square), series, size)
    bounded = _at_most(code, lanes, size, 20.0)
    power = _moderate_exponential(code, lanes, plus(code, lanes, bounded, bounded))
    part = over(code, lanes, lanes.splat(2), plus(code, lanes, power, lanes.splat(1)))
    far = minus(code, lanes, lanes.splat(1), part)
    small = compare(code, lanes, "olt", size, lanes.splat(0.55))
    return copy_sign(code, lanes, select(code, lanes, small, near, far), x)


def power(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """x^y; of whole numbers by repeated squaring."""
    if is_real(lanes):
        return intrinsic("pow")(code, lanes, x, y)
    result, base, exponent = lanes.splat(1), x, y
    for _ in range(6):
        odd = code.op(f"and {lanes.text} {exponent}, {lanes.splat(1)}")
        taken = code.op(f"icmp ne {lanes.text} {odd}, zeroinitializer")
        result = select(code, lanes, taken, times(code, lanes, result, base), result)
        base = times(code, lanes, base, base)
        exponent = code.op(f"lshr {lanes.text} {exponent}, {lanes.splat(1)}")
    return result


# ------------------------------------------------------------------------------------- error function


#: erf x ≈ x + x·P(x²) for |x| ≤ 1.125 in float (as eager functions compute it), 1.25 in double.
_ERF_NEAR = {
    "float": SINGLE_NEAR,
    "double": (  # error 2^-60.1
        -3.2797956037644445e-12,
        7.955094200913054e-11,
        -1.18963746050363e-09,
        1.4736092029215763e-08,
        -1.635691965748055e-07,
        1.646132237625925e-06,
        -1.4925600629170325e-05,
        0.000120553307996426,
        -0.0008548326958337122,
        0.005223977624181917,
        -0.026866170644985015,
        0.1128379167095424,
        -0.3761263890318373,
        0.1283791670955126,
    ),
}

#: erf x ≈ 1 − P(x)⁸ from there to where erf x is 1 to the last bit: 4 in float, 6 in double.
_ERF_FAR = {
    "float": SINGLE_FAR,
    "double": (  # error 2^-56.9
        8.630945350434297e-13,
        -3.9447824939107605e-11,
        8.046726641807547e-10,
        -9.371650526941801e-09,
        6.518426971223024e-08,
        -2.4413650344880245e-07,
        1.7915049578015092e-07,
        2.611656813561217e-06,
        -1.827039352938725e-05,
        0.00012407874765506832,
        -0.0005729229833396108,
        0.00025896634807805104,
        0.006526280780461168,
        -0.002050325577670808,
        -0.06964640650138317,
        -0.1410433390946453,
        0.999999522867637,
    ),
}


def error_function(code: Code, lanes: Lanes, x: str) -> str:
    """erf x by polynomials: of x² near 0, and for the eighth root of 1 − erf x beyond; with the sign of x."""
    border, end = (SINGLE_BORDER, SINGLE_END) if lanes.element == "float" else (1.25, 6.0)
    size = _at_most(code, lanes, absolute(code, lanes, x), end)
    series = polynomial(code, lanes, times(code, lanes, size, size), _ERF_NEAR[lanes.element])
    near = fma(code, lanes, size, series, size)
    root = polynomial(code, lanes, size, _ERF_FAR[lanes.element])
    square = times(code, lanes, root, root)
    fourth = times(code, lanes, square, square)
    far = fma(code, lanes, negate(code, lanes, fourth), fourth, lanes.splat(1))
    small = compare(code, lanes, "olt", size, lanes.splat(border))
    return copy_sign(code, lanes, select(code, lanes, small, near, far), x)


#: For each elementwise primitive the function that writes it.
FUNCTIONS: dict[str, Function] = {
    "Add": plus,
    "Subtract": minus,
    "Multiply": times,
    "Divide": over,
    "FloorDivide": floor_divide,
    "Remainder": remainder,
    "Power": power,
    "Maximum": extreme("maximum", "smax", "or"),
    "Minimum": extreme("minimum", "smin", "and"),
    "Arctan2": intrinsic("atan2"),
    "Negate": negate,
    "Exp": exponential,
    "Expm1": exponential_less_one,
    "Log": logarithm,
    "Log1p": logarithm_of_one_more,
    "Sqrt": sqrt,
    "Rsqrt": reciprocal_root,
    "Sin": intrinsic("sin"),
    "Cos": intrinsic("cos"),
    "Arcsin": intrinsic("asin"),
    "Arctan": intrinsic("atan"),
    "Tanh": tangent,
    "Erf": error_function,
    "Absolute": magnitude,
    "Sign": sign,
    "Floor": rounding(floor),
    "Round": rounding(nearest),
    "Equal": comparison("oeq", "eq"),
    "Less": comparison("olt", "slt"),
    "LessEqual": comparison("ole", "sle"),
    "BitwiseAnd": instruction("", "and", "and"),
    "BitwiseOr": instruction("", "or", "or"),
    "BitwiseXor": instruction("", "xor", "xor"),
    "BitwiseNot": bitwise_not,
    "LeftShift": shift("shl"),
    "RightShift": shift("ashr"),
    "Where": select,
}

#: What the C library computes, one number after the other: NumPy has these in vectors, and is faster.
ONE_BY_ONE = frozenset({"Arctan2", "Sin", "Cos", "Arcsin", "Arctan"})
