"""The machine code of attention: the forward kernel, and what both are called with.

A part has some blocks of queries of one head; see `attention_blocks.py` for what is done with each.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

from chainrule.backends.native.emitting.attention_blocks import TABLE, Blocks, Style, style_of
from chainrule.backends.native.emitting.attention_few import emit_few, few_style, scratch_of
from chainrule.backends.native.emitting.attention_gradient import backward
from chainrule.backends.native.emitting.numbers import Kernel, Offset, Slot
from chainrule.backends.native.emitting.tile import Tile
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.instructions import compare, intrinsic, minus, over, plus, select, times
from chainrule.backends.native.language.vector_math import logarithm, small_exponential
from chainrule.backends.native.lowering.attention import Attention, keys_of_a_piece

#: A part of the forward kernel has about so many operations: enough to make taking it cheap.
PART = 2**21


class Forward(Blocks):
    """The kernel of the result: each part has some blocks of queries of one head."""

    def emit(self) -> Code:
        """The whole function."""
        code, style = self.code, self.style
        self.n(
            "scale",
            "queries",
            "keys",
            "width",
            "values",
            "width_row",
            "value_row",
            "padded",
            "blocks",
            "each",
            "shares",
        )
        share, number = (code.whole(op, "%part", self["shares"]) for op in ("urem", "udiv"))
        digits = self.digits(number)
        names = ["q", "k", "v", "output", "logsumexp", "rest"] + ["bias"] * bool(style.bias) + ["kept"] * style.drops
        bases = {name: self.base(name, digits) for name in names}
        self.n(*["bias_column"] * bool(style.bias), *["factor"] * style.drops)
        code.store("<2 x i64>", "zeroinitializer", "%scratch", 8)
        row = style.queries * style.size
        self.keys_table = code.at("%scratch", "i8", str(TABLE))
        self.packed = self.behind(self.keys_table, self.mul(self["padded"], 8))
        self.weights = self.behind(self.packed, self.mul(self["width_row"], row))
        self.result = self.behind(self.weights, self.mul(self.add(self["padded"], 2), row))
        self.factors = self.behind(self.result, self.mul(self["value_row"], 2 * row))
        self.dropping = self.behind(self.factors, str(row)) if style.drops else ""
        self.table(bases["k"], self["k_row"], self["padded"], self.sub(self["keys"], 1), self.keys_table)
        low = self.mul(share, self["each"])
        with code.loop(low, self.code.least(self.add(low, self["each"]), self["blocks"])) as block:
            self._block(self.mul(block.index, style.queries), bases)
        code.do("ret void")
        return code

    def _block(self, first: str, bases: dict[str, str]) -> None:
        style, keys = self.style, self["keys"]
        if style.causal:
            keys = self.code.least(keys, self.add(first, style.queries))
        padded = self.up(keys, style.key_rows)
        last = self.sub(self["queries"], 1)
        queries = self.row("q", bases["q"], first)
        self.pack(queries, self["q_row"], self.sub(last, first), self["width"], self.packed, self.number("scale"))
        self.scores(self.keys_table, self.packed, self["width"], self.weights, padded)
        if style.bias:
            self.add_bias(bases["bias"], first, last, "0", keys, self.weights)
        self.forbid(self.weights, first, "0", keys, padded)
        if style.drops:
            self.turn_factors(bases["kept"], first, last, "0", keys, padded)
        valid = self.code.least(self.sub(self["queries"], first), str(style.queries))
        self._softmax(padded, bases, first, valid)
        c_row = self.mul(self["value_row"], style.size)
        tile = style.by_query(style.values)
        self.by_query(tile, self.weights, keys, bases["v"], self["v_row"], self["values"], self.result, c_row)
        self._write(bases["output"], first, valid, c_row)

    def _softmax(self, padded: str, bases: dict[str, str], first: str, valid: str) -> None:
        """Exponentials in the place of the scores; their sums' inverses, and the logarithms of the sums."""
        code, lanes, style = self.code, self.lanes, self.style

        def look(row: str, known: list[str]) -> list[str]:
            read = [self.load(place) for place in self.places(self.weights, row)]
            return [_larger(code, lanes, x, y) for x, y in zip(known, read, strict=True)]

        lowest = lanes.splat(-math.inf)
        tops = self.together(self.each(padded, [lowest] * style.block, look), _larger)
        tops = [select(code, lanes, compare(code, lanes, "oeq", x, lowest), "zeroinitializer", x) for x in tops]

        def weigh(row: str, known: list[str]) -> list[str]:
            sums = []
            factors = self.places(self.dropping, row) if style.drops else [""] * style.block
            for x, top, place, factor in zip(known, tops, self.places(self.weights, row), factors, strict=True):
                weight = small_exponential(code, lanes, minus(code, lanes, self.load(place), top))
                self.store(times(code, lanes, weight, self.load(factor)) if factor else weight, place)
                sums.append(plus(code, lanes, x, weight))
            return sums

        sums = self.together(self.each(padded, ["zeroinitializer"] * style.block, weigh), plus)
        for half, (top, total) in enumerate(zip(tops, sums, strict=True)):
            # The largest entry counts 1, so a total below 1 is 0: nothing to read.
            at_least = select(code, lanes, compare(code, lanes, "olt", total, lanes.splat(1)), lanes.splat(1), total)
            place = code.at(self.factors, lanes.element, str(half * lanes.lanes))
            self.store(over(code, lanes, lanes.splat(1), at_least), place)
            log = logarithm(code, lanes, total)
            summed = plus(code, lanes, top, log)
            rest = plus(code, lanes, minus(code, lanes, top, summed), log)
            size = intrinsic("fabs")(code, lanes, summed)
            finite = compare(code, lanes, "olt", size, lanes.splat(math.inf))
            rest = select(code, lanes, finite, rest, "zeroinitializer")
            for name, vector in (("logsumexp", summed), ("rest", rest)):
                move = self.add(first, half * lanes.lanes)
                code.store_some(lanes, vector, self.row(name, bases[name], move), self.mask(half, valid), style.size)

    def _write(self, output: str, first: str, valid: str, c_row: str) -> None:
        """The result, divided by the sums."""
        code, lanes = self.code, self.lanes
        with code.loop("0", valid) as row:
            factor = code.load(lanes.element, code.at(self.factors, lanes.element, row.index), self.style.size)
            self.write_row(
                code.at(self.result, "i8", self.mul(row.index, c_row)),
                self.row("output", output, self.add(first, row.index)), self["values"], code.spread(lanes, factor),
            )  # fmt: skip


def _larger(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """The larger of two; of a NaN and a number x, whichever it is: the weight will be NaN all the same."""
    return select(code, lanes, compare(code, lanes, "ogt", y, x), y, x)


@functools.lru_cache(maxsize=64)
def _forward(style: Style) -> tuple[Code, list[str]]:
    """The function and the names of its numbers."""
    kernel = Forward(style)
    return kernel.emit(), kernel.names


def numbers_of(kernel: Attention, style: Style) -> tuple[dict[str, Any], int, int]:
    """What its numbers are by name, how many parts it has, and the scratch memory that one takes."""
    size, lanes = style.size, style.lanes.lanes
    blocks = -(-kernel.queries // style.queries)
    keys = keys_of_a_piece(kernel) if kernel.gradient else kernel.keys
    padded = max(-(-keys // n) * n for n in (style.key_rows, lanes))
    width_row, value_row = (
        -(-n // (lanes * vectors)) * lanes * vectors
        for n, vectors in ((kernel.width, style.width), (kernel.values, style.values))
    )
    work = 2 * style.queries * kernel.keys * (kernel.width + kernel.values)
    each = 1 if kernel.gradient else max(1, min(blocks, PART // work))
    shares = kernel.pieces if kernel.gradient else -(-blocks // each)
    n: dict[str, Any] = {
        "width_row": width_row, "value_row": value_row, "padded": padded, "blocks": blocks, "each": each,
        "shares": shares, "piece": keys, "apart": kernel.apart * size, **_common_numbers(kernel, size),
    }  # fmt: skip
    row = style.queries * size
    scratch = TABLE + 4 * 8 * padded + 2 * (padded + 2) * row + 2 * (width_row + value_row) * row + 8 * row
    scratch += (padded + 2 * style.queries) * (width_row + value_row) * size + 20 * 64
    scratch += (padded + 2) * row * style.drops
    return n, kernel.count * shares, scratch


def _common_numbers(kernel: Attention, size: int) -> dict[str, Any]:
    """What all kernels are called with: sizes, and where every matrix lies."""
    n: dict[str, Any] = {
        "queries": kernel.queries, "keys": kernel.keys, "width": kernel.width, "values": kernel.values,
        "batch1": kernel.batch[1], "batch2": kernel.batch[2],
        "scale": _bits(kernel.scale, size), "factor": _bits(1 / kernel.keep, size),
    }  # fmt: skip
    for name, at in kernel.rows.items():
        size = at.buffer.dtype.itemsize
        n[f"{name}_slot"], n[f"{name}_offset"] = Slot(at.buffer), Offset(at.buffer, at.offset * size)
        n.update({f"{name}_{i}": stride * size for i, stride in enumerate(at.batch)})
        n[f"{name}_row"], n[f"{name}_column"] = at.row * size, at.column * size
    return n


def _bits(value: float, size: int) -> int:
    """A number as the whole number of the same bits."""
    real, whole = ("<f", "<i") if size == 4 else ("<d", "<q")
    return int(struct.unpack(whole, struct.pack(real, value))[0])


def emit_attention(kernel: Attention, bits: int) -> tuple[Kernel, list[Tile], int]:
    """The function of a kernel with its numbers, the tiles that it calls, and the scratch memory that it takes."""
    if kernel.few:
        few = few_style(kernel, bits)
        code, names = emit_few(few)
        numbers = _common_numbers(kernel, few.size)
        return Kernel(code, [numbers[name] for name in names], kernel.count), [], scratch_of(kernel, few)
    style = style_of(kernel, bits)
    code, names = backward(style) if kernel.gradient else _forward(style)
    numbers, parts, scratch = numbers_of(kernel, style)
    return Kernel(code, [numbers[name] for name in names], parts), style.tiles(), scratch
