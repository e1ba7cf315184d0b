"""Operations on whole vectors that are an instruction of LLVM's, or a few: arithmetic, comparisons, signs, remainders.

Each function gets the code, the vector type and the names of its arguments, and answers the name of its result. What
takes a polynomial is in `vector_math.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.backends.native.language.code import Code, Lanes

Function = Callable[..., str]


def is_real(lanes: Lanes) -> bool:
    """Whether a vector holds floating-point numbers that the processor computes with."""
    return lanes.element in ("float", "double")


def booleans(lanes: Lanes) -> str:
    """The type of what comparing such vectors gives."""
    return f"<{lanes.lanes} x i1>"


def instruction(real: str, whole: str, boolean: str) -> Function:
    """Two arguments, one instruction."""

    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        name = real if is_real(lanes) else boolean if lanes.element == "i1" else whole
        return code.op(f"{name} {lanes.text} {x}, {y}")

    return write


def intrinsic(name: str) -> Function:
    """An intrinsic of LLVM of the same type."""

    def write(code: Code, lanes: Lanes, *inputs: str) -> str:
        return code.call(lanes.text, f"llvm.{name}.{lanes.mangled}", *[(lanes.text, x) for x in inputs])

    return write


sqrt, absolute, floor, nearest, fma, copy_sign = (
    intrinsic(name) for name in ("sqrt", "fabs", "floor", "rint", "fma", "copysign")
)
plus = instruction("fadd", "add", "or")
minus = instruction("fsub", "sub", "xor")
times = instruction("fmul", "mul", "and")
over = instruction("fdiv", "sdiv", "and")


def select(code: Code, lanes: Lanes, condition: str, x: str, y: str) -> str:
    """x where the condition holds, else y."""
    return code.op(f"select {booleans(lanes)} {condition}, {lanes.text} {x}, {lanes.text} {y}")


def compare(code: Code, lanes: Lanes, test: str, x: str, y: str) -> str:
    """A comparison of floating-point numbers."""
    return code.op(f"fcmp {test} {lanes.text} {x}, {y}")


def comparison(real: str, whole: str) -> Function:
    """A comparison: its names for floating-point and for whole numbers."""

    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        if is_real(lanes):
            return code.op(f"fcmp {real} {lanes.text} {x}, {y}")
        test = whole.replace("s", "u", 1) if lanes.element == "i1" and whole != "eq" else whole
        return code.op(f"icmp {test} {lanes.text} {x}, {y}")

    return write


# ------------------------------------------------------------------------------------- extremes, signs


def extreme(real: str, whole: str, boolean: str) -> Function:
    """The larger or the smaller of two."""

    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        if lanes.element == "i1":
            return code.op(f"{boolean} {lanes.text} {x}, {y}")
        return intrinsic(real if is_real(lanes) else whole)(code, lanes, x, y)

    return write


def negate(code: Code, lanes: Lanes, x: str) -> str:
    """−x."""
    if is_real(lanes):
        return code.op(f"fneg {lanes.text} {x}")
    return code.op(f"sub {lanes.text} zeroinitializer, {x}")


def magnitude(code: Code, lanes: Lanes, x: str) -> str:
    """|x|."""
    if is_real(lanes):
        return absolute(code, lanes, x)
    if lanes.element == "i1":
        return x
    return code.call(lanes.text, f"llvm.abs.{lanes.mangled}", (lanes.text, x), ("i1", "false"))


def sign(code: Code, lanes: Lanes, x: str) -> str:
    """−1, 0 or 1; NaN stays NaN."""
    if lanes.element == "i1":
        return x
    if not is_real(lanes):
        high = code.op(f"ashr {lanes.text} {x}, {lanes.splat(lanes.bits - 1)}")
        some = code.op(f"icmp ne {lanes.text} {x}, zeroinitializer")
        one = code.op(f"zext {booleans(lanes)} {some} to {lanes.text}")
        return code.op(f"or {lanes.text} {high}, {one}")
    one = copy_sign(code, lanes, lanes.splat(1), x)
    moved = compare(code, lanes, "one", x, "zeroinitializer")
    return select(code, lanes, moved, one, code.op(f"fadd {lanes.text} {x}, zeroinitializer"))


def rounding(function: Function) -> Function:
    """Rounding leaves whole numbers alone."""

    def write(code: Code, lanes: Lanes, x: str) -> str:
        return function(code, lanes, x) if is_real(lanes) else x

    return write


def reciprocal_root(code: Code, lanes: Lanes, x: str) -> str:
    """1/√x, both steps rounded."""
    return over(code, lanes, lanes.splat(1), sqrt(code, lanes, x))


def bitwise_not(code: Code, lanes: Lanes, x: str) -> str:
    """¬x."""
    return code.op(f"xor {lanes.text} {x}, {lanes.splat(1 if lanes.element == 'i1' else -1)}")


def shift(name: str) -> Function:
    """Bits moved; by more than there are, or by a negative number, only the sign of a right shift is left."""

    def write(code: Code, lanes: Lanes, x: str, y: str) -> str:
        fits = code.op(f"icmp ult {lanes.text} {y}, {lanes.splat(lanes.bits)}")
        safe = select(code, lanes, fits, y, "zeroinitializer")
        gone = "zeroinitializer"
        if name == "ashr":
            gone = code.op(f"ashr {lanes.text} {x}, {lanes.splat(lanes.bits - 1)}")
        return select(code, lanes, fits, code.op(f"{name} {lanes.text} {x}, {safe}"), gone)

    return write


# ------------------------------------------------------------------------------------- division with remainder


def remainder(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """x − y·⌊x/y⌋, with the sign of y; of whole numbers 0 where y is 0."""
    if not is_real(lanes):
        return _whole_division(code, lanes, x, y)[1]
    rest = code.op(f"frem {lanes.text} {x}, {y}")
    return _sign_of_divisor(code, lanes, rest, y)[0]


def _sign_of_divisor(code: Code, lanes: Lanes, rest: str, y: str) -> tuple[str, str]:
    """A remainder that has the sign of the divisor, and whether it had to be moved."""
    some = compare(code, lanes, "une", rest, "zeroinitializer")
    signs = [compare(code, lanes, "olt", v, "zeroinitializer") for v in (rest, y)]
    wrong = code.op(f"and {booleans(lanes)} {some}, {code.op(f'xor {booleans(lanes)} {signs[0]}, {signs[1]}')}")
    moved = select(code, lanes, wrong, plus(code, lanes, rest, y), rest)
    return select(code, lanes, some, moved, copy_sign(code, lanes, "zeroinitializer", y)), wrong


def floor_divide(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """⌊x/y⌋, exact: found from the remainder."""
    if not is_real(lanes):
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
    odd = code.op(f"or {booleans(lanes)} {zero}, {turn}")
    safe = select(code, lanes, odd, lanes.splat(1), y)
    quotient, rest = code.op(f"sdiv {kind} {x}, {safe}"), code.op(f"srem {kind} {x}, {safe}")
    some = code.op(f"icmp ne {kind} {rest}, zeroinitializer")
    differ = code.op(f"icmp slt {kind} {code.op(f'xor {kind} {rest}, {safe}')}, zeroinitializer")
    wrong = code.op(f"and {booleans(lanes)} {some}, {differ}")
    quotient = code.op(f"add {kind} {quotient}, {code.op(f'sext {booleans(lanes)} {wrong} to {kind}')}")
    rest = code.op(f"add {kind} {rest}, {select(code, lanes, wrong, safe, 'zeroinitializer')}")
    quotient = select(code, lanes, turn, negate(code, lanes, x), quotient)
    rest = select(code, lanes, odd, "zeroinitializer", rest)
    return select(code, lanes, zero, "zeroinitializer", quotient), rest
