"""float16 and bfloat16: in memory 16 bits, in registers float32, rounded where an operation ends.

A float32 has room for every half, and for a sum, product, quotient or root of two halves with bits to spare, so that
what is computed in float32 and then rounded is rounded once, as NumPy does it.
"""

from __future__ import annotations

import functools
import platform

import numpy as np

from chainrule.backends.native.language.code import Code, Lanes
from chainrule.primitives.value import DataType

HALVES = frozenset({"float16", "bfloat16"})
#: Operations whose result is one of their arguments, or a whole number, and needs no rounding.
EXACT = frozenset({"load", "constant", "block", "Cast", "Where", "Maximum", "Minimum", "Negate", "Absolute", "Sign"})


@functools.cache
def can_convert(name: str) -> bool:
    """Whether this processor can do it: float16 needs an instruction of x86's that the oldest do not have."""
    from chainrule.backends.native.run.machine import host

    if name == "bfloat16" or platform.machine().lower() in ("arm64", "aarch64"):
        return True
    return "+f16c" in host()[-1].split(",")


@functools.lru_cache(maxsize=256)  # the names of data types are slow to ask for
def is_half(dtype: DataType) -> bool:
    """Whether entries are halves that are computed with; otherwise they are only moved, as 16 bits."""
    return dtype.name in HALVES and can_convert(dtype.name)


def widened(code: Code, dtype: DataType, lanes: int, bits: str) -> str:
    """What lies in memory, as float32: exact."""
    single = Lanes("float", lanes)
    if dtype == np.float16:
        half = code.op(f"bitcast {Lanes('i16', lanes).text} {bits} to {Lanes('half', lanes).text}")
        return code.op(f"fpext {Lanes('half', lanes).text} {half} to {single.text}")
    whole = Lanes("i32", lanes)
    wide = code.op(f"zext {Lanes('i16', lanes).text} {bits} to {whole.text}")
    return code.op(f"bitcast {whole.text} {code.op(f'shl {whole.text} {wide}, {whole.splat(16)}')} to {single.text}")


def narrowed(code: Code, dtype: DataType, lanes: int, value: str) -> str:
    """A float32 rounded to the nearest half, ties to even, as the bits that lie in memory."""
    single, short = Lanes("float", lanes), Lanes("i16", lanes)
    if dtype == np.float16:
        half = code.op(f"fptrunc {single.text} {value} to {Lanes('half', lanes).text}")
        return code.op(f"bitcast {Lanes('half', lanes).text} {half} to {short.text}")
    whole = Lanes("i32", lanes)
    bits = code.op(f"bitcast {single.text} {value} to {whole.text}")
    last = code.op(f"and {whole.text} {code.op(f'lshr {whole.text} {bits}, {whole.splat(16)}')}, {whole.splat(1)}")
    up = code.op(f"add {whole.text} {bits}, {code.op(f'add {whole.text} {last}, {whole.splat(0x7FFF)}')}")
    nan = code.op(f"fcmp uno {single.text} {value}, {value}")
    quiet = code.op(f"or {whole.text} {bits}, {whole.splat(0x400000)}")
    up = code.op(f"select <{lanes} x i1> {nan}, {whole.text} {quiet}, {whole.text} {up}")
    return code.op(f"trunc {whole.text} {code.op(f'lshr {whole.text} {up}, {whole.splat(16)}')} to {short.text}")


def shortened(code: Code, dtype: DataType, lanes: int, value: str) -> str:
    """A float32 that is a half already, as the bits that lie in memory: exact."""
    if dtype == np.float16:
        return narrowed(code, dtype, lanes, value)
    whole = Lanes("i32", lanes)
    bits = code.op(f"bitcast {Lanes('float', lanes).text} {value} to {whole.text}")
    return code.op(f"trunc {whole.text} {code.op(f'lshr {whole.text} {bits}, {whole.splat(16)}')} to <{lanes} x i16>")


def rounded(code: Code, dtype: DataType, lanes: int, value: str) -> str:
    """A float32 as the nearest half."""
    return widened(code, dtype, lanes, narrowed(code, dtype, lanes, value))


def double_for_half(code: Code, lanes: int, value: str) -> str:
    """An int64 that float64 has room for and that rounds to the same half: of large ones, ten digits become one."""
    kind, bits = Lanes("i64", lanes), f"<{lanes} x i1>"
    few = code.op(f"and {kind.text} {value}, {kind.splat(2**10 - 1)}")
    inexact = code.op(f"icmp ne {kind.text} {few}, zeroinitializer")
    odd = code.op(f"or {kind.text} {value}, {kind.splat(2**10)}")
    odd = code.op(f"select {bits} {inexact}, {kind.text} {odd}, {kind.text} {value}")
    short = code.op(f"and {kind.text} {odd}, {kind.splat(-(2**10))}")
    size = code.call(kind.text, f"llvm.abs.{kind.mangled}", (kind.text, value), ("i1", "false"))
    large = code.op(f"icmp ugt {kind.text} {size}, {kind.splat(2**53)}")
    return code.op(f"select {bits} {large}, {kind.text} {short}, {kind.text} {value}")


def single_for_half(code: Code, lanes: int, value: str) -> str:
    """A float64 as a float32 that rounds to the same half: inexact ones end in 1, so that none becomes a tie."""
    double, single, whole = Lanes("double", lanes), Lanes("float", lanes), Lanes("i32", lanes)
    bits = f"<{lanes} x i1>"
    near = code.op(f"fptrunc {double.text} {value} to {single.text}")
    back = code.op(f"fpext {single.text} {near} to {double.text}")
    inexact = code.op(f"fcmp one {double.text} {back}, {value}")
    size, other = (code.call(double.text, f"llvm.fabs.{double.mangled}", (double.text, x)) for x in (back, value))
    beyond = code.op(f"fcmp ogt {double.text} {size}, {other}")
    pattern = code.op(f"bitcast {single.text} {near} to {whole.text}")
    lower = code.op(f"sub {whole.text} {pattern}, {whole.splat(1)}")
    pattern = code.op(f"select {bits} {beyond}, {whole.text} {lower}, {whole.text} {pattern}")
    odd = code.op(f"or {whole.text} {pattern}, {whole.splat(1)}")
    pattern = code.op(f"select {bits} {inexact}, {whole.text} {odd}, {whole.text} {pattern}")
    return code.op(f"bitcast {whole.text} {pattern} to {single.text}")
