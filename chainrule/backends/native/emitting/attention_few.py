"""Attention of a few queries, as when a text is written token by token: its time is that of reading keys and values.

Tiles of registers are for many queries, whose scores lie side by side; of one query they would fill a single lane. Here
vectors lie along a key: it is multiplied with the query entry by entry, and the sums of as many keys as a vector has
lanes are added up together, by turning a square of registers over. Then come softmax along the scores and the sum of
the values, one row of theirs after the other.

Keys behind the last that the bias lets the query read are never looked at, so what is kept for later tokens costs
nothing. Heads of queries that share keys find them in the cache, where the first of them has brought them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainrule.backends.native.emitting.attention_blocks import Blocks
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import ELEMENTS, count
from chainrule.backends.native.language.halves import is_half, widened
from chainrule.backends.native.language.instructions import compare, fma, intrinsic, minus, over, plus, select, times
from chainrule.backends.native.language.vector_math import logarithm, small_exponential
from chainrule.backends.native.lowering.attention import Attention
from chainrule.primitives.value import DataType

#: The sums of the values take about so many registers.
REGISTERS = 8


class FewStyle(NamedTuple):
    """What the text of a kernel depends on.

    Attributes:
        width, values: vectors of a query and of a row of values.
        ragged: whether the last vector of a key has lanes that are not the key's.
        stored: the data type of keys and values in memory; halves are widened as they are read.
    """

    dtype: DataType
    lanes: Lanes
    width: int
    values: int
    ragged: bool
    causal: bool
    bias: str
    stored: DataType

    @property
    def size(self) -> int:
        """Bytes of an entry."""
        return self.dtype.itemsize

    @property
    def ways(self) -> int:
        """Rows of values that are added up side by side: an addition waits some cycles for the one before."""
        return min(max(1, REGISTERS // self.values), self.lanes.lanes)


def few_style(kernel: Attention, bits: int) -> FewStyle:
    """How the kernel is written for vectors of so many bits."""
    lanes = bits // (8 * kernel.dtype.itemsize)
    width, values = (-(-n // lanes) for n in (kernel.width, kernel.values))
    return FewStyle(
        kernel.dtype, Lanes(ELEMENTS[kernel.dtype.name], lanes), width, values, kernel.width % lanes > 0,
        kernel.causal, kernel.bias, kernel.rows["k"].buffer.dtype,
    )  # fmt: skip


class Few(Blocks):
    """The kernel; each part has the queries of one head."""

    style: FewStyle  # type: ignore[assignment]

    def emit(self) -> Code:
        """The whole function."""
        code, style = self.code, self.style
        self.n("scale", "queries", "keys", "width", "values")
        digits = self.digits("%part")
        names = ["q", "k", "v", "output", "logsumexp", "rest"] + ["bias"] * bool(style.bias)
        bases = {name: self.base(name, digits) for name in names}
        with code.loop("0", self["queries"]) as query:
            at = {name: self.row(name, base, query.index) for name, base in bases.items() if name not in ("k", "v")}
            keys = self["keys"]
            if style.causal:
                keys = code.least(keys, self.add(query.index, 1))
            if style.bias:
                keys = self._last_read(at["bias"], keys)
            self._scores(at, bases["k"], keys)
            top = self._across(self._along(keys, self.lanes.splat(-math.inf), self._look), _larger)
            top = select(code, self.lanes, self._is_lowest(top), "zeroinitializer", top)
            total = self._across(self._along(keys, "zeroinitializer", lambda p, x: self._weigh(p, x, top)), plus)
            self._output(at["output"], bases["v"], keys, total)
            self._sums(at, top, total)
        code.do("ret void")
        return code

    # ------------------------------------------------------------------------------------- walks along the keys

    def _valid(self, first: str, keys: str) -> str:
        """Which lanes of a vector of keys are keys that are read."""
        whole = self.lanes.of("i64")
        return self.code.op(f"icmp slt {whole.text} {count(whole)}, {self.code.spread(whole, self.sub(keys, first))}")

    def _along(self, keys: str, start: str, visit: Callable[[str, str], str]) -> str:
        """Walk along the scores in scratch memory, a vector at a time."""
        with self.code.loop("0", keys, str(self.lanes.lanes), [(self.lanes.text, start)]) as loop:
            place = self.code.at("%scratch", self.lanes.element, loop.index)
            loop.next = [visit(place, loop.carried[0])]
        return loop.carried[0]

    def _across(self, vector: str, join: Callable[..., str]) -> str:
        """All lanes joined, halves with halves; the answer is in every lane."""
        code, lanes = self.code, self.lanes
        distance = lanes.lanes // 2
        while distance:
            other = code.shuffle(lanes, [i ^ distance for i in range(lanes.lanes)], vector)
            vector = join(code, lanes, vector, other)
            distance //= 2
        return vector

    def _is_lowest(self, vector: str) -> str:
        return compare(self.code, self.lanes, "oeq", vector, self.lanes.splat(-math.inf))

    def _last_read(self, bias: str, keys: str) -> str:
        """How many keys there are up to the last whose bias is not −∞."""
        code, lanes, whole = self.code, self.lanes, self.lanes.of("i64")
        with code.loop("0", keys, str(lanes.lanes), [(whole.text, "zeroinitializer")]) as loop:
            numbers = code.load_some(
                lanes, code.at(bias, lanes.element, loop.index), self._valid(loop.index, keys), self.style.size,
                lanes.splat(-math.inf),
            )  # fmt: skip
            behind = code.op(f"add {whole.text} {count(whole)}, {code.spread(whole, self.add(loop.index, 1))}")
            lowest = self._is_lowest(numbers)
            loop.next = [code.op(f"select {lanes.of('i1').text} {lowest}, {whole.text} {loop.carried[0]}, "
                                 f"{whole.text} {behind}")]  # fmt: skip
        return code.call("i64", f"llvm.vector.reduce.smax.v{lanes.lanes}i64", (whole.text, loop.carried[0]))

    # ------------------------------------------------------------------------------------- scores

    def _scores(self, at: dict[str, str], k: str, keys: str) -> None:
        """The scores of the keys in scratch memory; −∞ behind the last."""
        code, lanes, style = self.code, self.lanes, self.style
        scale = self.number("scale")
        query = [times(code, lanes, x, scale) for x in self._row_of_width(at["q"], style.dtype)]
        last = self.sub(keys, 1)
        with code.loop("0", keys, str(lanes.lanes)) as loop:
            sums = []
            for lane in range(lanes.lanes):  # behind the last key it comes again
                row = self.row("k", k, code.least(self.add(loop.index, lane), last))
                products = self._row_of_width(row, style.stored)
                total = times(code, lanes, query[0], products[0])
                for x, y in zip(query[1:], products[1:], strict=True):
                    total = fma(code, lanes, x, y, total)
                sums.append(total)
            scores = self._sums_of_lanes(sums)
            valid = self._valid(loop.index, keys)
            if style.bias:
                place = code.at(at["bias"], lanes.element, loop.index)
                scores = plus(code, lanes, scores, code.load_some(lanes, place, valid, style.size))
            scores = select(code, lanes, valid, scores, lanes.splat(-math.inf))
            self.store(scores, code.at("%scratch", lanes.element, loop.index))

    def _row_of_width(self, row: str, stored: DataType) -> list[str]:
        """A query or a key, in vectors; 0 where a lane is none of its entries."""
        last = self.style.width - 1
        mask = self._valid(str(last * self.lanes.lanes), self["width"]) if self.style.ragged else ""
        return [self._read(row, i, stored, mask if i == last else "") for i in range(last + 1)]

    def _read(self, row: str, number: int, stored: DataType, mask: str = "") -> str:
        """A vector of a row; with a mask 0 in other lanes."""
        code, lanes = self.code, self.lanes
        kind = lanes.of("i16") if is_half(stored) else lanes
        place = code.at(row, kind.element, str(number * lanes.lanes))
        size = stored.itemsize
        vector = code.load_some(kind, place, mask, size) if mask else code.load(kind.text, place, size)
        return widened(code, stored, lanes.lanes, vector) if is_half(stored) else vector

    def _sums_of_lanes(self, vectors: Sequence[str]) -> str:
        """Lane i of the answer is the sum of all lanes of vector i.

        Two vectors become one that holds the sums of halves of both, until there is one.
        """
        code, lanes, count = self.code, self.lanes, self.lanes.lanes
        distance = count // 2
        while distance:
            lower = [i if not i & distance else i - distance + count for i in range(count)]
            upper = [i + distance if not i & distance else i + count for i in range(count)]
            half = len(vectors) // 2
            vectors = [
                plus(code, lanes, code.shuffle(lanes, lower, x, y), code.shuffle(lanes, upper, x, y))
                for x, y in zip(vectors[:half], vectors[half:], strict=True)
            ]
            distance //= 2
        return vectors[0]

    # ------------------------------------------------------------------------------------- softmax and the result

    def _look(self, place: str, known: str) -> str:
        return _larger(self.code, self.lanes, known, self.load(place))

    def _weigh(self, place: str, known: str, top: str) -> str:
        weight = small_exponential(self.code, self.lanes, minus(self.code, self.lanes, self.load(place), top))
        self.store(weight, place)
        return plus(self.code, self.lanes, known, weight)

    def _output(self, output: str, v: str, keys: str, total: str) -> None:
        """The sum of the values by their weights, divided by the sum of these."""
        code, lanes, style = self.code, self.lanes, self.style
        last = self.sub(keys, 1)
        start = [(lanes.text, "zeroinitializer")] * (style.ways * style.values)
        with code.loop("0", keys, str(style.ways), start) as loop:
            loop.next = []
            for way in range(style.ways):  # behind the last key nothing is added
                key = self.add(loop.index, way)
                number = code.load(lanes.element, code.at("%scratch", lanes.element, key), style.size)
                weight = code.spread(lanes, number)
                row, there = self.row("v", v, code.least(key, last)), code.op(f"icmp sle i64 {key}, {last}")
                for i in range(style.values):
                    values, before = self._read(row, i, style.stored), loop.carried[way * style.values + i]
                    after = fma(code, lanes, weight, values, before)  # of an infinite value and weight 0: NaN
                    loop.next.append(code.op(f"select i1 {there}, {lanes.text} {after}, {lanes.text} {before}"))
        # The largest entry counts 1, so a total below 1 is 0: nothing to read.
        at_least = select(code, lanes, compare(code, lanes, "olt", total, lanes.splat(1)), lanes.splat(1), total)
        for i in range(style.values):
            ways = loop.carried[i :: style.values]
            summed = functools.reduce(lambda x, y: plus(code, lanes, x, y), ways)
            place = code.at(output, lanes.element, str(i * lanes.lanes))
            mask = self._valid(str(i * lanes.lanes), self["values"])
            code.store_some(lanes, over(code, lanes, summed, at_least), place, mask, style.size)

    def _sums(self, at: dict[str, str], top: str, total: str) -> None:
        """The logarithm of the sum that softmax divides by, and what rounding took from it."""
        code, lanes = self.code, self.lanes
        log = logarithm(code, lanes, total)
        summed = plus(code, lanes, top, log)
        rest = plus(code, lanes, minus(code, lanes, top, summed), log)
        finite = compare(code, lanes, "olt", intrinsic("fabs")(code, lanes, summed), lanes.splat(math.inf))
        rest = select(code, lanes, finite, rest, "zeroinitializer")
        for name, vector in (("logsumexp", summed), ("rest", rest)):
            number = code.op(f"extractelement {lanes.text} {vector}, i64 0")
            code.store(lanes.element, number, at[name], self.style.size)


def _larger(code: Code, lanes: Lanes, x: str, y: str) -> str:
    """The larger of two; of a NaN and a number x, whichever it is: the weight will be NaN all the same."""
    return select(code, lanes, compare(code, lanes, "ogt", y, x), y, x)


@functools.lru_cache(maxsize=64)
def emit_few(style: FewStyle) -> tuple[Code, list[str]]:
    """The function and the names of its numbers."""
    kernel = Few(style)  # type: ignore[arg-type]
    return kernel.emit(), kernel.names


def scratch_of(kernel: Attention, style: FewStyle) -> int:
    """The scratch memory that a part takes: a score for each key."""
    return (kernel.keys + 2 * style.lanes.lanes + style.ways) * style.size + 64
