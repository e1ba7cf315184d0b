"""What the loops are filled with: entries of every data type in registers and in memory, and one operation at a time.

Booleans are `i1` in registers and a byte in memory; halves are float32 in registers and 16 bits in memory. Everything
else is in registers what it is in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.halves import (
    double_for_half,
    is_half,
    narrowed,
    rounded,
    shortened,
    single_for_half,
    widened,
)
from chainrule.primitives.value import DataType

_single, _double = np.dtype(np.float32), np.dtype(np.float64)
#: The types that native code computes with, as LLVM calls them.
COMPUTED = {
    "float32": "float", "float64": "double", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8",
    "bool": "i1",
}  # fmt: skip
#: Types that native code only moves, as whole numbers of their size: halves where the processor cannot convert them.
MOVED = {"uint8": "i8", "float16": "i16", "bfloat16": "i16"}
ELEMENTS = {**COMPUTED, **MOVED}


@functools.cache
def is_computed(dtype: DataType) -> bool:
    """Whether native code computes with a data type."""
    return dtype.name in COMPUTED or is_half(dtype)


def is_real(dtype: DataType) -> bool:
    """Whether entries are floating-point numbers; bfloat16 has no letter of its own."""
    return dtype.kind == "f" or is_half(dtype)


def in_memory(dtype: DataType, lanes: int) -> Lanes:
    """The vector type of what lies in memory."""
    if dtype == np.bool_:
        return Lanes("i8", lanes)
    return Lanes("i16", lanes) if is_half(dtype) else register(dtype, lanes)


@functools.lru_cache(maxsize=256)  # the names of data types are slow to ask for
def register(dtype: DataType, lanes: int) -> Lanes:
    """The vector type that holds entries of a data type.

    >>> register(np.dtype(np.float32), 16).text
    '<16 x float>'
    """
    return Lanes("float" if is_half(dtype) else ELEMENTS[dtype.name], lanes)


def splat(dtype: DataType, lanes: int, value: Any) -> str:
    """The same number in every lane."""
    if dtype.name in MOVED and not is_half(dtype):
        value = np.asarray(value).astype(dtype).reshape(1).view(f"i{dtype.itemsize}")[0]
    return register(dtype, lanes).splat(value)


def lowest(dtype: DataType) -> float:
    """What every entry is at least: where a search for the largest starts."""
    if is_real(dtype):
        return float("-inf")
    return 0 if dtype.kind == "b" else int(np.iinfo(dtype).min)


def highest(dtype: DataType) -> float:
    """What every entry is at most."""
    if is_real(dtype):
        return float("inf")
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)


def count(kind: Lanes) -> str:
    """0, 1, 2, … in the lanes."""
    return "<" + ", ".join(f"{kind.element} {i}" for i in range(kind.lanes)) + ">"


class Place(NamedTuple):
    """Where the entries of a vector are.

    Attributes:
        address: of the first lane.
        step: bytes from lane to lane: a constant (the size of an entry, its negative, 0 for one entry) or a name.
        terms: further (index vector, stride in bytes) by which each lane moves.
    """

    address: str
    step: str
    terms: tuple[tuple[str, str], ...]


def _addresses(code: Code, place: Place, lanes: int) -> str:
    """One address for each lane."""
    kind = Lanes("i64", lanes)
    move = code.op(f"mul {kind.text} {count(kind)}, {code.spread(kind, place.step)}")
    for index, stride in place.terms:
        move = code.op(f"add {kind.text} {move}, {code.op(f'mul {kind.text} {index}, {code.spread(kind, stride)}')}")
    return code.op(f"getelementptr i8, ptr {place.address}, {kind.text} {move}")


def load(code: Code, dtype: DataType, lanes: int, place: Place, mask: str, constant: float) -> str:
    """Read a vector; lanes that the mask leaves out are the constant."""
    boolean, size = dtype == np.bool_, dtype.itemsize
    kind = in_memory(dtype, lanes)
    if is_half(dtype):
        other = kind.splat(np.asarray(constant).astype(dtype).reshape(1).view(np.int16)[0])
    else:
        other = kind.splat(bool(constant)) if boolean else splat(dtype, lanes, constant)
    ones = Lanes("i1", lanes).splat(1)
    if lanes == 1 or (not place.terms and place.step in (str(size), str(-size))):
        backwards = lanes > 1 and place.step == str(-size)
        address = place.address
        if backwards:
            address = code.op(f"getelementptr i8, ptr {address}, i64 {-size * (lanes - 1)}")
            mask = mask and _reverse(code, Lanes("i1", lanes), mask)
        if mask:
            value = code.load_some(kind, address, mask, size, other)
        else:
            value = code.load(kind.text, address, size)
        value = _reverse(code, kind, value) if backwards else value
    elif not place.terms and place.step == str(2 * size):
        value = _every_other(code, kind, place.address, size, mask, other)
    else:
        value = code.call(
            kind.text, f"llvm.masked.gather.{kind.mangled}.v{lanes}p0",
            (f"<{lanes} x ptr>", _addresses(code, place, lanes)), ("i32", str(size)),
            (f"<{lanes} x i1>", mask or ones), (kind.text, other if mask else "poison"),
        )  # fmt: skip
    if is_half(dtype):
        return widened(code, dtype, lanes, value)
    return code.op(f"icmp ne {kind.text} {value}, zeroinitializer") if boolean else value


def _every_other(code: Code, kind: Lanes, address: str, size: int, mask: str, other: str) -> str:
    """A vector of entries that are two apart, out of two vectors: one begins with the first, one ends with the last."""
    lanes = kind.lanes
    last = code.op(f"getelementptr i8, ptr {address}, i64 {size * (lanes - 1)}")
    parts = []
    for place, first in ((address, 0), (last, lanes - 1)):
        if mask:
            ours = [e // 2 if e % 2 == 0 else -1 for e in range(first, first + lanes)]
            parts.append(code.load_some(kind, place, picked(code, mask, lanes, ours), size, other))
        else:
            parts.append(code.load(kind.text, place, size))
    return code.shuffle(kind, [e if e < lanes else e + 1 for e in range(0, 2 * lanes, 2)], *parts)


def picked(code: Code, mask: str, lanes: int, chosen: Sequence[int]) -> str:
    """A mask of these lanes of another; −1 stands for false.

    Where masks are numbers (AVX-512) moving their bits one by one would take longer than the load that they are for. So
    each lane tests its bit of the number.
    """
    kind = Lanes("i32" if lanes <= 32 else "i64", len(chosen))
    number = code.op(f"bitcast <{lanes} x i1> {mask} to i{lanes}")
    number = number if lanes == kind.bits else code.op(f"zext i{lanes} {number} to {kind.element}")
    own = ", ".join(f"{kind.element} {0 if i < 0 else 1 << i}" for i in chosen)
    bit = code.op(f"and {kind.text} {code.spread(kind, number)}, <{own}>")
    return code.op(f"icmp ne {kind.text} {bit}, zeroinitializer")


def load_repeated(code: Code, dtype: DataType, lanes: int, times: int, place: Place, mask: str, constant: float) -> str:
    """Read a vector in which each entry fills so many neighbouring lanes; the mask is of the entries."""
    few = lanes // times
    value, kind = load(code, dtype, few, place, mask, constant), register(dtype, few)
    return code.shuffle(kind, [i // times for i in range(lanes)], value)


def _reverse(code: Code, kind: Lanes, value: str) -> str:
    return code.shuffle(kind, range(kind.lanes)[::-1], value)


def store(
    code: Code, dtype: DataType, lanes: int, place: Place, value: str, mask: str = "", is_rounded: bool = False
) -> None:
    """Write a vector, or those lanes of it that the mask names. `is_rounded`: what is to be a half is one already."""
    kind, size = in_memory(dtype, lanes), dtype.itemsize
    if is_half(dtype):
        value = (shortened if is_rounded else narrowed)(code, dtype, lanes, value)
    elif dtype == np.bool_:
        value = code.op(f"zext <{lanes} x i1> {value} to {kind.text}")
    bits = f"<{lanes} x i1>"
    if lanes == 1 or (not place.terms and place.step == str(size)):
        if not mask:
            code.store(kind.text, value, place.address, size)
            return
        code.store_some(kind, value, place.address, mask, size)
        return
    code.call(
        "void", f"llvm.masked.scatter.{kind.mangled}.v{lanes}p0",
        (kind.text, value), (f"<{lanes} x ptr>", _addresses(code, place, lanes)), ("i32", str(size)),
        (bits, mask or Lanes("i1", lanes).splat(1)),
    )  # fmt: skip


def checked_index(code: Code, value: str, extent: str, lanes: int, status: str, check: str, mask: str = "") -> str:
    """An index, counted from the end if negative; outside of the extent the error word is set and 0 taken."""
    kind = Lanes("i64", lanes)
    limit = code.spread(kind, extent)
    negative = code.op(f"icmp slt {kind.text} {value}, zeroinitializer")
    wrapped = code.op(f"add {kind.text} {value}, {limit}")
    value = code.op(f"select <{lanes} x i1> {negative}, {kind.text} {wrapped}, {kind.text} {value}")
    outside = code.op(f"icmp uge {kind.text} {value}, {limit}")
    if mask:
        outside = code.op(f"and <{lanes} x i1> {outside}, {mask}")
    report(code, outside, lanes, status, check)
    return code.op(f"select <{lanes} x i1> {outside}, {kind.text} zeroinitializer, {kind.text} {value}")


def report(code: Code, wrong: str, lanes: int, status: str, check: str) -> None:
    """Set the error word to the number of the check, unless it is set already, if any lane is wrong."""
    somewhere = code.call("i1", f"llvm.vector.reduce.or.v{lanes}i1", (f"<{lanes} x i1>", wrong))
    with code.when(somewhere):
        code.op(f"cmpxchg ptr {status}, i64 0, i64 {check} monotonic monotonic")


def later_or_larger(code: Code, kind: Lanes, x: Sequence[str], y: Sequence[str], last_nan: bool = False) -> list[str]:
    """Of two (value, position) the larger; of equals the earlier; a NaN counts as the largest.

    Of several NaNs the first, or the last as `max_pool` has it.
    """
    bits = f"<{kind.lanes} x i1>"
    place = Lanes("i64", kind.lanes).text
    before = code.op(f"icmp slt {place} {y[1]}, {x[1]}")
    if kind.element in ("float", "double"):
        larger = code.op(f"fcmp ogt {kind.text} {y[0]}, {x[0]}")
        equal = code.op(f"fcmp oeq {kind.text} {y[0]}, {x[0]}")
        nan_x, nan_y = (code.op(f"fcmp uno {kind.text} {v[0]}, {v[0]}") for v in (x, y))
        number_x = code.op(f"fcmp ord {kind.text} {x[0]}, {x[0]}")
        only_y = code.op(f"and {bits} {nan_y}, {number_x}")
        larger = code.op(f"or {bits} {larger}, {only_y}")
        both = code.op(f"and {bits} {nan_x}, {nan_y}")
        if last_nan:
            after = code.op(f"xor {bits} {before}, {Lanes('i1', kind.lanes).splat(1)}")
            larger = code.op(f"or {bits} {larger}, {code.op(f'and {bits} {both}, {after}')}")
        else:
            equal = code.op(f"or {bits} {equal}, {both}")
    else:
        larger = code.op(f"icmp sgt {kind.text} {y[0]}, {x[0]}")
        equal = code.op(f"icmp eq {kind.text} {y[0]}, {x[0]}")
    take = code.op(f"or {bits} {larger}, {code.op(f'and {bits} {equal}, {before}')}")
    value = code.op(f"select {bits} {take}, {kind.text} {y[0]}, {kind.text} {x[0]}")
    return [value, code.op(f"select {bits} {take}, {place} {y[1]}, {place} {x[1]}")]


def as_large(code: Code, kind: Lanes, x: Sequence[str], y: Sequence[str], smallest: bool = False) -> list[str]:
    """(value, position) y, which comes later, where it is as large as x (or as small), or NaN; else x."""
    if kind.element in ("float", "double"):
        take = code.op(f"fcmp {'ole' if smallest else 'oge'} {kind.text} {y[0]}, {x[0]}")
        nan = code.op(f"fcmp uno {kind.text} {y[0]}, {y[0]}")
        take = code.op(f"or <{kind.lanes} x i1> {take}, {nan}")
    else:
        test = ("u" if kind.element == "i1" else "s") + ("le" if smallest else "ge")
        take = code.op(f"icmp {test} {kind.text} {y[0]}, {x[0]}")
    return [
        code.op(f"select <{kind.lanes} x i1> {take}, {lanes.text} {b}, {lanes.text} {a}")
        for lanes, a, b in zip((kind, kind.of("i64")), x, y, strict=True)
    ]


def apply(code: Code, op: str, dtype: DataType, lanes: int, inputs: Sequence[str]) -> str:
    """One elementwise primitive on vectors; `dtype` is that of its (last) argument."""
    from chainrule.backends.native.language.vector_math import FUNCTIONS

    return FUNCTIONS[op](code, register(dtype, lanes), *inputs)


def _whole(code: Code, source: DataType, target: DataType, lanes: int, value: str) -> str:
    """The fraction cut off; the most negative number for what does not fit, and small types get the last bits."""
    wide: DataType = np.dtype(np.int32) if target == np.int32 else np.dtype(np.int64)
    old, new = register(source, lanes), register(wide, lanes)
    limit = 2.0 ** (8 * wide.itemsize - 1)
    whole = code.call(new.text, f"llvm.fptosi.sat.{new.mangled}.{old.mangled}", (old.text, value))
    # Saturation is right but for what is too large, and for NaN, which it makes 0.
    fits = code.op(f"fcmp olt {old.text} {value}, {old.splat(limit)}")
    lowest_one = new.splat(-(2 ** (8 * wide.itemsize - 1)))
    whole = code.op(f"select <{lanes} x i1> {fits}, {new.text} {whole}, {new.text} {lowest_one}")
    return cast(code, wide, target, lanes, whole)


def cast(code: Code, source: DataType, target: DataType, lanes: int, value: str) -> str:
    """Entries of one data type as another, as :class:`~chainrule.primitives.elementwise.Cast` says."""
    if source == target:
        return value
    if is_half(target):
        if source in (np.float64, np.int32, np.int64):  # a float32 has no room for all of their digits
            value = double_for_half(code, lanes, value) if source == np.int64 else value
            double = value if source == np.float64 else cast(code, source, _double, lanes, value)
            return rounded(code, target, lanes, single_for_half(code, lanes, double))
        return rounded(code, target, lanes, cast(code, source, _single, lanes, value))
    if is_half(source):
        return cast(code, _single, target, lanes, value)
    old, new = register(source, lanes), register(target, lanes)
    convert = f"{old.text} {value} to {new.text}"
    if target == np.bool_:
        test = "fcmp une" if source.kind == "f" else "icmp ne"
        return code.op(f"{test} {old.text} {value}, zeroinitializer")
    if source.kind == "f" and target.kind == "f":
        return code.op(f"{'fpext' if new.bits > old.bits else 'fptrunc'} {convert}")
    if source == np.bool_ and target.kind == "f":  # one instruction, where converting a number takes three
        return code.op(f"select {old.text} {value}, {new.text} {new.splat(1.0)}, {new.text} zeroinitializer")
    if target.kind == "f":
        return code.op(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {convert}")
    if source.kind == "f":
        return _whole(code, source, target, lanes, value)
    if new.bits == old.bits:
        return value
    if new.bits < old.bits:
        return code.op(f"trunc {convert}")
    return code.op(f"{'sext' if source.kind == 'i' else 'zext'} {convert}")
