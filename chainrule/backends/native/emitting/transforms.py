"""The changes of form of Winograd's algorithm (`passes/winograd.py`): of a piece of image, a weight, a tile.

And those of the weight's gradient: of a piece of the result's gradient, and of the sums of products. Each is a small
matrix from the left and from the right, such as Bᵀ·d·B, G·g·Gᵀ and Aᵀ·m·A, on entries that are vectors along the
channels: additions of vectors in registers. The 16 entries of the new form lie in 16 *planes*, a distance apart.

>>> emit_image(Lanes("float", 16)).text().split("(")[0]
'define void @winograd_image_v16f32'
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.passes.winograd import IMAGE, KERNEL, PIECE, RESULT, STEP

#: The weights of so many channels further on are fetched while those of one change their form.
FETCH = 16

Grid = Sequence[Sequence[str]]


def _sum(code: Code, lanes: Lanes, coefficients: Sequence[float], vectors: Sequence[str]) -> str:
    """Σ coefficient · vector, of which all coefficients that are not 0 have the same size."""
    terms = [(float(c), v) for c, v in zip(coefficients, vectors, strict=True) if c]
    terms.sort(key=lambda term: term[0] < 0)  # begin with one that is added
    (size, total), kind = terms[0], lanes.text
    for c, vector in terms[1:]:
        total = code.op(f"{'fadd' if c > 0 else 'fsub'} {kind} {total}, {vector}")
    return total if size == 1 else code.op(f"fmul {kind} {total}, {lanes.splat(size)}")


def both_ways(code: Code, lanes: Lanes, matrix: Any, grid: Grid) -> list[list[str]]:
    """matrix · grid · matrixᵀ, whose entries are vectors."""
    left = [[_sum(code, lanes, row, column) for column in zip(*grid, strict=True)] for row in matrix]
    return [[_sum(code, lanes, row, entries) for row in matrix] for entries in left]


class _Form:
    """A function that changes the form of vectors side by side, under its name and with its arguments."""

    def __init__(self, name: str, lanes: Lanes, arguments: str) -> None:
        pairs = [(kind, "%" + name) for kind, name in (argument.split() for argument in arguments.split(", "))]
        self.code = Code("void", f"winograd_{name}_{lanes.mangled}", pairs, "nounwind noinline")
        self.lanes, self.size = lanes, lanes.bits // 8

    def moved(self, place: str, steps: Sequence[tuple[int, str]]) -> str:
        """An address, so many times so many bytes further on."""
        for count, size in steps:
            if count:
                place = self.code.at(place, "i8", self.code.whole("mul", size, count))
        return place

    def put_planes(self, entries: Grid, place: str) -> None:
        """Write the entries to their planes."""
        for number, vector in enumerate(v for row in entries for v in row):
            self.code.store(self.lanes.text, vector, self.moved(place, [(number, "%plane")]), self.size)

    def put_seen(self, results: Sequence[str], places: Sequence[str], seen: str) -> str:
        """Write results to their places; the answer is `seen` + Σ 0 · result: 0 as long as all are finite, then NaN."""
        code, kind = self.code, self.lanes.text
        for vector, place in zip(results, places, strict=True):
            code.store(kind, vector, place, self.size)
            numbers = (kind, vector), (kind, "zeroinitializer"), (kind, seen)
            seen = code.call(kind, f"llvm.fma.{self.lanes.mangled}", *numbers)
        return seen


@functools.cache
def emit_image(lanes: Lanes) -> Code:
    """Bᵀ·d·B for the pixels from `from` on, `row` and `pixel` bytes apart, of so many channels.

    What is new in the piece at `ahead` is fetched.
    """
    form = _Form("image", lanes, "ptr from, ptr to, i64 channels, i64 row, i64 pixel, i64 plane, ptr ahead")
    code = form.code
    with code.loop("0", "%channels", str(lanes.lanes)) as c:
        here, there = (code.at(x, lanes.element, c.index) for x in ("%from", "%to"))
        later = code.at("%ahead", lanes.element, c.index)
        for i in range(STEP):
            for j in range(STEP):
                code.fetch(form.moved(later, [(STEP + i, "%row"), (STEP + j, "%pixel")]))
        rows = [form.moved(here, [(i, "%row")]) for i in range(PIECE)]
        grid = [
            [code.load(lanes.text, form.moved(row, [(j, "%pixel")]), form.size) for j in range(PIECE)] for row in rows
        ]
        form.put_planes(both_ways(code, lanes, IMAGE, grid), there)
    code.do("ret void")
    return code


@functools.cache
def emit_kernel(lanes: Lanes, vectors: int) -> Code:
    """G·g·Gᵀ for one or two vectors of channels out, and so many channels in, `step` bytes apart.

    The vectors lie side by side in a plane, one channel in behind the other, as a tile reads them. Of the channels out
    so many are `left`; behind them are zeros.
    """
    arguments = "ptr from, ptr to, i64 channels, i64 left, i64 row, i64 column, i64 step, i64 plane"
    form = _Form(f"kernel{vectors}", lanes, arguments)
    code, numbers = form.code, lanes.of("i32")
    masks = []
    for v in range(vectors):
        left = code.op(f"trunc i64 {code.whole('sub', '%left', v * lanes.lanes)} to i32")
        limit = code.spread(numbers, left)
        masks.append(code.op(f"icmp slt {numbers.text} {elementary.count(numbers)}, {limit}"))

    with code.loop("0", "%channels") as c:
        here = code.at("%from", "i8", code.whole("mul", c.index, "%step"))
        there = code.at("%to", "i8", code.whole("mul", c.index, vectors * lanes.lanes * form.size))
        for v, mask in enumerate(masks):
            first, to = (code.at(x, lanes.element, str(v * lanes.lanes)) for x in (here, there))
            size = len(KERNEL[0])
            rows = [form.moved(first, [(i, "%row")]) for i in range(size)]
            grid = [
                [code.load_some(lanes, form.moved(row, [(j, "%column")]), mask, form.size) for j in range(size)]
                for row in rows
            ]
            for row in rows:
                for j in range(size):
                    code.fetch(form.moved(row, [(j, "%column"), (FETCH, "%step")]))
            form.put_planes(both_ways(code, lanes, KERNEL, grid), to)
    code.do("ret void")
    return code


@functools.cache
def emit_upstream(lanes: Lanes) -> Code:
    """A·y·Aᵀ for 2×2 pixels of a result's gradient, `row` and `pixel` bytes apart, of so many channels.

    Of these so many are `left`; behind them are zeros. The piece at `ahead` is fetched.
    """
    arguments = "ptr from, ptr to, i64 channels, i64 left, i64 row, i64 pixel, i64 plane, ptr ahead"
    form = _Form("upstream", lanes, arguments)
    code, numbers = form.code, lanes.of("i32")
    with code.loop("0", "%channels", str(lanes.lanes)) as c:
        left = code.op(f"trunc i64 {code.whole('sub', '%left', c.index)} to i32")
        mask = code.op(f"icmp slt {numbers.text} {elementary.count(numbers)}, {code.spread(numbers, left)}")
        here, there, later = (code.at(x, lanes.element, c.index) for x in ("%from", "%to", "%ahead"))
        grid = []
        for i in range(STEP):
            steps = [[(i, "%row"), (j, "%pixel")] for j in range(STEP)]
            for step in steps:
                code.fetch(form.moved(later, step))
            grid.append([code.load_some(lanes, form.moved(here, step), mask, form.size) for step in steps])
        form.put_planes(both_ways(code, lanes, RESULT.T, grid), there)
    code.do("ret void")
    return code


@functools.cache
def emit_sums(lanes: Lanes) -> Code:
    """Gᵀ·m·G for so many columns: the nine places of a kernel, `tap` bytes apart. `seen` as of `emit_result`."""
    form = _Form("sums", lanes, "ptr from, ptr to, i64 columns, i64 plane, i64 tap, ptr seen")
    code, kind = form.code, lanes.text
    fma = f"llvm.fma.{lanes.mangled}"

    def back(m: Sequence[str]) -> list[str]:
        """Gᵀ·m: m₀ + ½(m₁ + m₂), ½(m₁ − m₂) and ½(m₁ + m₂) + m₃."""
        half = lanes.splat(0.5)
        both, apart = (code.op(f"{op} {kind} {m[1]}, {m[2]}") for op in ("fadd", "fsub"))
        ends = [code.call(kind, fma, (kind, both), (kind, half), (kind, end)) for end in (m[0], m[3])]
        return [ends[0], code.op(f"fmul {kind} {apart}, {half}"), ends[1]]

    with code.loop("0", "%columns", str(lanes.lanes), [(kind, code.load(kind, "%seen", form.size))]) as c:
        here, there = (code.at(x, lanes.element, c.index) for x in ("%from", "%to"))
        planes = [
            [code.load(kind, form.moved(here, [(i * PIECE + j, "%plane")]), form.size) for i in range(PIECE)]
            for j in range(PIECE)
        ]
        taps = [vector for row in zip(*[back(column) for column in planes], strict=True) for vector in back(row)]
        places = [form.moved(there, [(i, "%tap")]) for i in range(len(taps))]
        c.next = [form.put_seen(taps, places, c.carried[0])]
    code.store(kind, c.carried[0], "%seen", form.size)
    code.do("ret void")
    return code


@functools.cache
def emit_result(lanes: Lanes) -> Code:
    """Aᵀ·m·A for so many columns: the tile's pixels, `pixel` and `row` bytes apart. `seen` adds up 0 · result.

    That is 0 as long as all results are finite, and NaN from then on.
    """
    form = _Form("result", lanes, "ptr from, ptr to, i64 columns, i64 row, i64 pixel, i64 plane, ptr seen")
    code, kind = form.code, lanes.text
    with code.loop("0", "%columns", str(lanes.lanes), [(kind, code.load(kind, "%seen", form.size))]) as c:
        here, there = (code.at(x, lanes.element, c.index) for x in ("%from", "%to"))
        planes = [
            [code.load(kind, form.moved(here, [(i * PIECE + j, "%plane")]), form.size) for j in range(PIECE)]
            for i in range(PIECE)
        ]
        pixels = [vector for row in both_ways(code, lanes, RESULT, planes) for vector in row]
        places = [form.moved(there, [(i, "%row"), (j, "%pixel")]) for i in range(STEP) for j in range(STEP)]
        c.next = [form.put_seen(pixels, places, c.carried[0])]
    code.store(kind, c.carried[0], "%seen", form.size)
    code.do("ret void")
    return code
