"""The machine code of sorting: a merge sort of (entry, place), row after row.

An entry becomes a whole number of the same order, and with its place behind it one number of twice the size. No two of
these are equal, so their order says everything: equal entries stay as they were, and so does the place of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.native.emitting.numbers import Kernel, Offset, Slot
from chainrule.backends.native.emitting.walk import PART
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.language.elementary import is_real
from chainrule.backends.native.lowering.nest import Sorting
from chainrule.primitives.value import DataType


def emit_sort(sorting: Sorting) -> tuple[Kernel, int]:
    """The function that sorts some rows, and the scratch memory that it takes."""
    dtype = sorting.source.dtype
    size = 8 if dtype.itemsize <= 4 else 16
    rows, length = sorting.source.shape
    code = Code("void", "kernel", [("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch")])
    numbers: list[Any] = []

    def number(value: Any) -> str:
        numbers.append(value)
        return code.load("i64", code.at("%n", "i64", str(len(numbers) - 1)))

    source, values, places = (
        code.op(
            f"getelementptr i8, ptr {code.load('ptr', code.at('%bases', 'ptr', number(Slot(view.buffer))))}, "
            f"i64 {number(Offset(view.buffer, view.offset * view.dtype.itemsize))}"
        )
        for view in (sorting.source, sorting.values, sorting.indices)
    )
    count, each, levels = number(length), number(max(1, PART // length)), number((length - 1).bit_length())
    by_row, by_entry = (number(stride * dtype.itemsize) for stride in sorting.source.strides)
    first = code.whole("mul", "%part", each)
    behind = code.least(code.whole("add", first, each), number(rows))
    other = code.at("%scratch", "i8", code.whole("mul", count, size))
    with code.loop(first, behind) as row:
        here = code.at(source, "i8", code.whole("mul", row.index, by_row))
        with code.loop("0", count) as entry:
            value = _load(code, dtype, code.at(here, "i8", code.whole("mul", entry.index, by_entry)))
            key = _ordered(code, dtype, value, sorting.descending)
            key = _with_place(code, dtype, key, entry.index, size)
            code.store(_wide(size), key, code.at("%scratch", _wide(size), entry.index), 8)
        ordered = _merge_all(code, count, levels, other, size)
        start = code.whole("mul", row.index, count)
        with code.loop("0", count) as entry:
            key = code.load(_wide(size), code.at(ordered, _wide(size), entry.index), 8)
            place = code.op(f"and i64 {key}, {2**32 - 1}") if size == 8 else code.op(f"trunc i128 {key} to i64")
            value = _load(code, dtype, code.at(here, "i8", code.whole("mul", place, by_entry)))
            target = code.whole("add", start, entry.index)
            code.store(_kind(dtype), value, code.at(values, _kind(dtype), target))
            code.store("i64", place, code.at(places, "i64", target))
    code.do("ret void")
    parts = -(-rows // max(1, PART // length))
    return Kernel(code, numbers, parts), 2 * size * length + 256


def _wide(size: int) -> str:
    """The type of an entry with its place."""
    return f"i{8 * size}"


def _kind(dtype: DataType) -> str:
    """The type of an entry in memory."""
    return f"i{8 * dtype.itemsize}"


def _load(code: Code, dtype: DataType, address: str) -> str:
    return code.load(_kind(dtype), address)


def _ordered(code: Code, dtype: DataType, value: str, descending: bool) -> str:
    """A whole number that is less where the entry comes before; of floats the bits, every NaN above infinity."""
    bits, kind = 8 * dtype.itemsize, _kind(dtype)
    if is_real(dtype):
        most = 2 ** (bits - 1) - 1
        size = code.op(f"and {kind} {value}, {most}")
        infinity = int(np.array([np.inf]).astype(dtype).view(f"i{dtype.itemsize}")[0])
        zero, nan = code.op(f"icmp eq {kind} {size}, 0"), code.op(f"icmp sgt {kind} {size}, {infinity}")
        flipped = code.op(f"and {kind} {code.op(f'ashr {kind} {value}, {bits - 1}')}, {most}")
        whole = code.op(f"xor {kind} {value}, {flipped}")
        whole = code.op(f"select i1 {nan}, {kind} {most}, {kind} {whole}")
        value = code.op(f"select i1 {zero}, {kind} 0, {kind} {whole}")
    return code.op(f"xor {kind} {value}, -1") if descending else value


def _with_place(code: Code, dtype: DataType, key: str, place: str, size: int) -> str:
    """The number whose first half is the entry's and whose second half is its place."""
    wide, kind = _wide(size), _kind(dtype)
    if wide != kind:
        key = code.op(f"{'zext' if dtype == np.bool_ else 'sext'} {kind} {key} to {wide}")
    if size == 16:
        place = code.op(f"zext i64 {place} to i128")
    return code.op(f"or {wide} {code.op(f'shl {wide} {key}, {4 * size}')}, {place}")


def _merge_all(code: Code, count: str, levels: str, other: str, size: int) -> str:
    """Merge neighbouring runs of 1, 2, 4, … entries, from one memory to the other; answers where the result is."""
    wide = _wide(size)
    with code.loop("0", levels, carried=[("ptr", "%scratch"), ("ptr", other)]) as level:
        source, target = level.carried
        width = code.op(f"shl i64 1, {level.index}")
        both = code.op(f"shl i64 {width}, 1")
        with code.loop("0", count, both) as run:
            middle = code.least(code.whole("add", run.index, width), count)
            end = code.least(code.whole("add", run.index, both), count)
            with code.loop(run.index, end, carried=[("i64", run.index), ("i64", middle)]) as turn:
                left, right = turn.carried
                # What lies behind a run is as large as nothing in it, so that no jump depends on the entries.
                a, b = (
                    code.op(f"select i1 {inside}, {wide} {entry}, {wide} {2 ** (8 * size - 1) - 1}")
                    for place, stop in ((left, middle), (right, end))
                    for inside in [code.op(f"icmp slt i64 {place}, {stop}")]
                    for entry in [code.load(wide, code.at(source, wide, place), 8)]
                )
                least = code.call(wide, f"llvm.smin.{wide}", (wide, a), (wide, b))
                code.store(wide, least, code.at(target, wide, turn.index), 8)
                step = code.op(f"zext i1 {code.op(f'icmp slt {wide} {a}, {b}')} to i64")
                turn.next = [code.whole("add", left, step), code.whole("sub", code.whole("add", right, 1), step)]
        level.next = [target, source]
    return level.carried[0]
