"""The elementwise primitives on whole vectors: branch-free, so that they can stand in the middle of any loop.

Each function gets the code, the vector type and the names of its arguments, and answers the name of its result. The
exponential and what is made of it, the logarithm and the error function are ours; rarer functions are LLVM's
intrinsics, which become calls of the C library, entry by entry. Infinities, NaN and −0 behave as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from chainrule.compiler.native.code import Code, Lanes
from chainrule.primitives.error_function import _LARGE, _MIDDLE, _SINGLE, _SMALL

Function = Callable[..., str]


def _real(lanes: Lanes) -> bool:
    return lanes.element in ("float", "double")


def _bits(lanes: Lanes) -> str:
    return f"<{lanes.lanes} x i1>"


def _instruction(real: str, whole: str, boolean: str) -> Function:
    """Two arguments, one instruction."""

    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        name = real if _real(lanes) else boolean if lanes.element == "i1" else whole
        return code.op(f"{name} {lanes.text} {x}, {y}")

    return write


def _intrinsic(name: str) -> Function:
    """An intrinsic of LLVM of the same type."""

    def write(code: Code, lanes: Lanes, *inputs: str) -> str:
        return code.call(lanes.text, f"llvm.{name}.{lanes.mangled}", *[(lanes.text, x) for x in inputs])

    return write


sqrt, absolute, floor, nearest, fma, copy_sign = (
    _intrinsic(name) for name in ("sqrt", "fabs", "floor", "rint", "fma", "copysign")
)
plus = _instruction("fadd", "add", "or")
minus = _instruction("fsub", "sub", "xor")
times = _instruction("fmul", "mul", "and")
over = _instruction("fdiv", "sdiv", "and")


def select(code: Code, lanes: Lanes, condition: str, x: str, y: str) -> str:
    """x where the condition holds, else y."""
    return code.op(f"select {_bits(lanes)} {condition}, {lanes.text} {x}, {lanes.text} {y}")


def compare(code: Code, lanes: Lanes, test: str, x: str, y: str) -> str:
    """A comparison of floating-point numbers."""
    return code.op(f"fcmp {test} {lanes.text} {x}, {y}")


def _comparison(real: str, whole: str) -> Function:
    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        if _real(lanes):
            return code.op(f"fcmp {real} {lanes.text} {x}, {y}")
        test = whole.replace("s", "u", 1) if lanes.element == "i1" and whole != "eq" else whole
        return code.op(f"icmp {test} {lanes.text} {x}, {y}")

    return write


def polynomial(code: Code, lanes: Lanes, x: str, coefficients: Sequence[float]) -> str:
    """Horner's rule, highest power first."""
    value = lanes.splat(coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(code, lanes, value, x, lanes.splat(coefficient))
    return value


# ------------------------------------------------------------------------------------- extremes, signs


def _extreme(real: str, whole: str, boolean: str) -> Function:
    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        if lanes.element == "i1":
            return code.op(f"{boolean} {lanes.text} {x}, {y}")
        return _intrinsic(real if _real(lanes) else whole)(code, lanes, x, y)

    return write


def negate(code: Code, lanes: Lanes, x: str) -> str:
    """−x."""
    if _real(lanes):
        return code.op(f"fneg {lanes.text} {x}")
    return code.op(f"sub {lanes.text} zeroinitializer, {x}")


def magnitude(code: Code, lanes: Lanes, x: str) -> str:
    """|x|."""
    if _real(lanes):
        return absolute(code, lanes, x)
    if lanes.element == "i1":
        return x
    return code.call(lanes.text, f"llvm.abs.{lanes.mangled}", (lanes.text, x), ("i1", "false"))


def sign(code: Code, lanes: Lanes, x: str) -> str:
    """−1, 0 or 1; NaN stays NaN."""
    if lanes.element == "i1":
        return x
    if not _real(lanes):
        high = code.op(f"ashr {lanes.text} {x}, {lanes.splat(lanes.bits - 1)}")
        some = code.op(f"icmp ne {lanes.text} {x}, zeroinitializer")
        one = code.op(f"zext {_bits(lanes)} {some} to {lanes.text}")
        return code.op(f"or {lanes.text} {high}, {one}")
    one = copy_sign(code, lanes, lanes.splat(1), x)
    moved = compare(code, lanes, "one", x, "zeroinitializer")
    return select(code, lanes, moved, one, code.op(f"fadd {lanes.text} {x}, zeroinitializer"))


def _whole_number(function: Function) -> Function:
    """Rounding leaves whole numbers alone."""

    def write(code: Code, lanes: Lanes, x: str) -> str:
        return function(code, lanes, x) if _real(lanes) else x

    return write


def reciprocal_root(code: Code, lanes: Lanes, x: str) -> str:
    """1/√x, both steps rounded."""
    return over(code, lanes, lanes.splat(1), sqrt(code, lanes, x))


def bitwise_not(code: Code, lanes: Lanes, x: str) -> str:
    """¬x."""
    return code.op(f"xor {lanes.text} {x}, {lanes.splat(1 if lanes.element == 'i1' else -1)}")


# ------------------------------------------------------------------------------------- division with remainder


def remainder(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """x − y·⌊x/y⌋, with the sign of y; of whole numbers 0 where y is 0."""
    if not _real(lanes):
        return _whole_division(code, lanes, x, y)[1]
    rest = code.op(f"frem {lanes.text} {x}, {y}")
    return _sign_of_divisor(code, lanes, rest, y)[0]


def _sign_of_divisor(code: Code, lanes: Lanes, rest: str, y: str) -> tuple[str, str]:
    """A remainder that has the sign of the divisor, and whether it had to be moved."""
    some = compare(code, lanes, "une", rest, "zeroinitializer")
    signs = [compare(code, lanes, "olt", v, "zeroinitializer") for v in (rest, y)]
    wrong = code.op(f"and {_bits(lanes)} {some}, {code.op(f'xor {_bits(lanes)} {signs[0]}, {signs[1]}')}")
    moved = select(code, lanes, wrong, plus(code, lanes, rest, y), rest)
    return select(code, lanes, some, moved, copy_sign(code, lanes, "zeroinitializer", y)), wrong


def floor_divide(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """⌊x/y⌋, exact: found from the remainder."""
    if not _real(lanes):
        return _whole_division(code, lanes, x, y)[0]
    rest = code.op(f"frem {lanes.text} {x}, {y}")
    wrong = _sign_of_divisor(code, lanes, rest, y)[1]
    quotient = over(code, lanes, minus(code, lanes, x, rest), y)
    quotient = select(code, lanes, wrong, minus(code, lanes, quotient, lanes.splat(1)), quotient)
    down = floor(code, lanes, quotient)
    far = compare(code, lanes, "ogt", minus(code, lanes, quotient, down), lanes.splat(0.5))
    down = select(code, lanes, far, plus(code, lanes, down, lanes.splat(1)), down)
    plain = over(code, lanes, x, y)
    some = compare(code, lanes, "une", quotient, "zeroinitializer")
    answer = select(code, lanes, some, down, copy_sign(code, lanes, "zeroinitializer", plain))
    by_zero = compare(code, lanes, "oeq", y, "zeroinitializer")
    return select(code, lanes, by_zero, plain, answer)


def _whole_division(code: Code, lanes: Lanes, x: str, y: str) -> tuple[str, str]:
    """Quotient and remainder of whole numbers; 0 where y is 0, and no trap at the smallest number by −1."""
    kind = lanes.text
    zero = code.op(f"icmp eq {kind} {y}, zeroinitializer")
    turn = code.op(f"icmp eq {kind} {y}, {lanes.splat(-1)}")
    odd = code.op(f"or {_bits(lanes)} {zero}, {turn}")
    safe = select(code, lanes, odd, lanes.splat(1), y)
    quotient, rest = code.op(f"sdiv {kind} {x}, {safe}"), code.op(f"srem {kind} {x}, {safe}")
    some = code.op(f"icmp ne {kind} {rest}, zeroinitializer")
    differ = code.op(f"icmp slt {kind} {code.op(f'xor {kind} {rest}, {safe}')}, zeroinitializer")
    wrong = code.op(f"and {_bits(lanes)} {some}, {differ}")
    quotient = code.op(f"add {kind} {quotient}, {code.op(f'sext {_bits(lanes)} {wrong} to {kind}')}")
    rest = code.op(f"add {kind} {rest}, {select(code, lanes, wrong, safe, 'zeroinitializer')}")
    quotient = select(code, lanes, turn, negate(code, lanes, x), quotient)
    rest = select(code, lanes, odd, "zeroinitializer", rest)
    return select(code, lanes, zero, "zeroinitializer", quotient), rest


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


def _clamped(code: Code, lanes: Lanes, x: str, low: float, high: float) -> str:
    """x within a range; NaN stays."""
    x = select(code, lanes, compare(code, lanes, "olt", x, lanes.splat(low)), lanes.splat(low), x)
    return select(code, lanes, compare(code, lanes, "ogt", x, lanes.splat(high)), lanes.splat(high), x)


def exponential(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ = 2ⁿ·eʳ; the power is applied in two halves, so that results near 0 and infinity come out right."""
    real = Real(lanes)
    n, r = _reduced(code, lanes, real, _clamped(code, lanes, x, real.smallest, real.largest))
    value = polynomial(code, lanes, r, [1 / math.factorial(k) for k in reversed(range(real.terms + 1))])
    half = code.op(f"ashr {real.whole.text} {n}, {real.whole.splat(1)}")
    rest = code.op(f"sub {real.whole.text} {n}, {half}")
    value = times(code, lanes, value, _power_of_two(code, lanes, real, half))
    return times(code, lanes, value, _power_of_two(code, lanes, real, rest))


def exponential_less_one(code: Code, lanes: Lanes, x: str) -> str:
    """eˣ − 1 = 2ⁿ·(eʳ − 1) + (2ⁿ − 1), exact for small x."""
    real = Real(lanes)
    bounded = _clamped(code, lanes, x, -2.0 * real.bits, real.largest)
    n, r = _reduced(code, lanes, real, bounded)
    series = [1 / math.factorial(k) for k in reversed(range(2, real.terms + 2))]
    square = times(code, lanes, r, r)
    value = fma(code, lanes, square, polynomial(code, lanes, r, series), r)
    # 2ⁿ = 2·2ⁿ⁻¹: so that n = 128 is no overflow on the way.
    less = code.op(f"sub {real.whole.text} {n}, {real.whole.splat(1)}")
    half = _power_of_two(code, lanes, real, less)
    value = fma(code, lanes, half, value, minus(code, lanes, half, lanes.splat(0.5)))
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
    value = select(code, lanes, code.op(f"or {_bits(lanes)} {zero}, {infinite}"), x, value)
    end = compare(code, lanes, "oeq", x, lanes.splat(-1))
    value = select(code, lanes, end, lanes.splat(-math.inf), value)
    fine = compare(code, lanes, "oge", x, lanes.splat(-1))
    return select(code, lanes, fine, value, lanes.splat(math.nan))


def tangent(code: Code, lanes: Lanes, x: str) -> str:
    """tanh x = m/(m + 2) with m = e^(2|x|) − 1, and the sign of x."""
    size = _clamped(code, lanes, absolute(code, lanes, x), 0.0, 22.0)
    m = exponential_less_one(code, lanes, plus(code, lanes, size, size))
    return copy_sign(code, lanes, over(code, lanes, m, plus(code, lanes, m, lanes.splat(2))), x)


def power(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """x^y; of whole numbers by repeated squaring."""
    if _real(lanes):
        return _intrinsic("pow")(code, lanes, x, y)
    result, base, exponent = lanes.splat(1), x, y
    for _ in range(6):
        odd = code.op(f"and {lanes.text} {exponent}, {lanes.splat(1)}")
        taken = code.op(f"icmp ne {lanes.text} {odd}, zeroinitializer")
        result = select(code, lanes, taken, times(code, lanes, result, base), result)
        base = times(code, lanes, base, base)
        exponent = code.op(f"lshr {lanes.text} {exponent}, {lanes.splat(1)}")
    return result


# ------------------------------------------------------------------------------------- error function


def _ratio(code: Code, lanes: Lanes, x: str, tables: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    return over(code, lanes, *[polynomial(code, lanes, x, table) for table in tables])


def error_function(code: Code, lanes: Lanes, x: str) -> str:
    """erf x by the approximations that the primitive itself uses."""
    if lanes.element == "float":
        y = _clamped(code, lanes, x, -4.0, 4.0)
        square = times(code, lanes, y, y)
        value = times(code, lanes, y, _ratio(code, lanes, square, _SINGLE))
        value = _clamped(code, lanes, value, -1.0, 1.0)
        far = compare(code, lanes, "oge", absolute(code, lanes, x), lanes.splat(4))
        return select(code, lanes, far, copy_sign(code, lanes, lanes.splat(1), x), value)
    size = _clamped(code, lanes, absolute(code, lanes, x), 0.0, 8.0)
    square = times(code, lanes, size, size)
    near = times(code, lanes, size, _ratio(code, lanes, square, _SMALL))
    bell = exponential(code, lanes, negate(code, lanes, square))
    middle = minus(code, lanes, lanes.splat(1), times(code, lanes, bell, _ratio(code, lanes, size, _MIDDLE)))
    inverse = over(code, lanes, lanes.splat(1), square)
    tail = times(code, lanes, inverse, _ratio(code, lanes, inverse, _LARGE))
    tail = over(code, lanes, minus(code, lanes, lanes.splat(1 / math.sqrt(math.pi)), tail), size)
    large = minus(code, lanes, lanes.splat(1), times(code, lanes, bell, tail))
    value = select(code, lanes, compare(code, lanes, "ogt", size, lanes.splat(4)), large, middle)
    value = select(code, lanes, compare(code, lanes, "ole", size, lanes.splat(0.46875)), near, value)
    value = select(code, lanes, compare(code, lanes, "uno", x, x), x, value)
    return copy_sign(code, lanes, value, x)


#: For each elementwise primitive the function that writes it.
FUNCTIONS: dict[str, Function] = {
    "Add": plus,
    "Subtract": minus,
    "Multiply": times,
    "Divide": over,
    "FloorDivide": floor_divide,
    "Remainder": remainder,
    "Power": power,
    "Maximum": _extreme("maximum", "smax", "or"),
    "Minimum": _extreme("minimum", "smin", "and"),
    "Arctan2": _intrinsic("atan2"),
    "Negate": negate,
    "Exp": exponential,
    "Expm1": exponential_less_one,
    "Log": logarithm,
    "Log1p": logarithm_of_one_more,
    "Sqrt": sqrt,
    "Rsqrt": reciprocal_root,
    "Sin": _intrinsic("sin"),
    "Cos": _intrinsic("cos"),
    "Arcsin": _intrinsic("asin"),
    "Arctan": _intrinsic("atan"),
    "Tanh": tangent,
    "Erf": error_function,
    "Absolute": magnitude,
    "Sign": sign,
    "Floor": _whole_number(floor),
    "Round": _whole_number(nearest),
    "Equal": _comparison("oeq", "eq"),
    "Less": _comparison("olt", "slt"),
    "LessEqual": _comparison("ole", "sle"),
    "BitwiseAnd": _instruction("", "and", "and"),
    "BitwiseOr": _instruction("", "or", "or"),
    "BitwiseXor": _instruction("", "xor", "xor"),
    "BitwiseNot": bitwise_not,
    "Where": select,
}
