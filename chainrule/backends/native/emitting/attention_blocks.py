"""What both kernels of attention do with a block of queries: packing, products, scores and masks.

Scores lie turned over, a row for each key and the queries of the block side by side in vectors, so that the largest
score of each query, the sum and the logarithm are taken lane by lane. Products are made by the register tile of all
contractions (`tile.py`): scores as rows of keys times the turned block of queries, results as columns of weights times
the rows of another matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from chainrule.backends.native.emitting.digits import digits_of
from chainrule.backends.native.emitting.tile import Tile, call_tile, most_rows
from chainrule.backends.native.emitting.transposing import transposed
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import ELEMENTS, count
from chainrule.backends.native.language.instructions import plus, select, times
from chainrule.backends.native.lowering.attention import Attention
from chainrule.primitives.value import DataType

#: Scratch memory begins with a table of one segment, for the tile.
TABLE = 64


class Style(NamedTuple):
    """What the text of a kernel depends on.

    Attributes:
        lanes: of a vector.
        block: vectors side by side for a block of queries, 1 or 2.
        width, values: vectors of a tile whose columns are those of queries and keys, or of values.
        key_rows, query_rows: rows of the tiles whose rows are keys, and whose rows are queries.
        drops: whether there is a matrix of weights that are kept.
    """

    gradient: bool
    dtype: DataType
    lanes: Lanes
    block: int
    width: int
    values: int
    key_rows: int
    query_rows: tuple[int, int]
    causal: bool
    bias: str
    drops: bool

    @property
    def size(self) -> int:
        """Bytes of an entry."""
        return self.dtype.itemsize

    @property
    def queries(self) -> int:
        """Queries of a block."""
        return self.block * self.lanes.lanes

    @property
    def ways(self) -> int:
        """How many rows of scores are walked side by side."""
        return next(n for n in (4, 3, 2, 1) if self.key_rows % n == 0)

    def rows_of(self, columns: int) -> int:
        """Rows of the tile for a result with a row for each query."""
        return self.query_rows[columns - 1]

    def keys(self) -> Tile:
        """The tile of the scores: keys times queries."""
        return Tile("rows", self.key_rows, self.block, self.lanes, self.dtype, self.dtype)

    def by_query(self, vectors: int) -> Tile:
        """A tile whose rows are queries."""
        return Tile("columns", self.rows_of(vectors), vectors, self.lanes, self.dtype, self.dtype)

    def by_key(self, vectors: int) -> Tile:
        """A tile whose rows are keys and whose sum goes over queries."""
        return Tile("rows", self.key_rows, vectors, self.lanes, self.dtype, self.dtype)

    def tiles(self) -> list[Tile]:
        """All that the kernel calls."""
        made = [self.keys(), self.by_query(self.values)]
        if self.gradient:
            made += [self.by_query(self.width), self.by_key(self.width), self.by_key(self.values)]
        return list(dict.fromkeys(made))


def style_of(kernel: Attention, bits: int) -> Style:
    """How a kernel is written for vectors of so many bits."""
    lanes = bits // (8 * kernel.dtype.itemsize)
    block = 2 if kernel.queries > lanes else 1
    width, values = (2 if n > lanes else 1 for n in (kernel.width, kernel.values))
    # A causal block of 32 queries reads 32, 64, 96 … keys: tiles of 8 rows leave no rest.
    key_rows = 8 if most_rows(bits) >= 8 else 6
    # All tiles of a block of queries are about equally full.
    heights = [-(-block * lanes // -(-block * lanes // (most_rows(bits) * (3 - vectors)))) for vectors in (1, 2)]
    return Style(
        kernel.gradient, kernel.dtype, Lanes(ELEMENTS[kernel.dtype.name], lanes), block, width, values, key_rows,
        (heights[0], heights[1]), kernel.causal, kernel.bias, bool(kernel.keep < 1),
    )  # fmt: skip


class Blocks:
    """What both kernels write: places in scratch memory, packing, products, and the scores of a block of queries."""

    def __init__(self, style: Style) -> None:
        self.style, self.lanes = style, style.lanes
        arguments = [("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch")]
        self.code = Code("void", "kernel", arguments)
        #: The names of the numbers it is called with, in their order.
        self.names: list[str] = []
        self._known: dict[str, str] = {}
        #: Where the factors of the weights are in scratch memory, if some are dropped.
        self.dropping = ""

    # ------------------------------------------------------------------------------------- numbers and places

    def n(self, *names: str) -> None:
        """Read these numbers, at the beginning of the function."""
        for name in names:
            self.names.append(name)
            self._known[name] = self.code.load("i64", self.code.at("%n", "i64", str(len(self.names) - 1)))

    def __getitem__(self, name: str) -> str:
        return self._known[name]

    def mul(self, x: str, y: Any) -> str:
        """x · y."""
        return self.code.whole("mul", x, y)

    def add(self, x: str, y: Any) -> str:
        """x + y."""
        return self.code.whole("add", x, y)

    def sub(self, x: str, y: Any) -> str:
        """x − y."""
        return self.code.whole("sub", x, y)

    def up(self, x: str, to: int) -> str:
        """The next multiple."""
        return self.mul(self.code.whole("udiv", self.add(x, to - 1), to), to)

    def behind(self, place: str, size: str) -> str:
        """The next piece of scratch memory."""
        return self.code.at(place, "i8", self.code.whole("and", self.add(size, 63), -64))

    def base(self, name: str, digits: Sequence[str]) -> str:
        """Where a matrix of this part begins."""
        self.n(*(f"{name}_{x}" for x in ("slot", "offset", "0", "1", "2", "row")))
        memory = self.code.load("ptr", self.code.at("%bases", "ptr", self[f"{name}_slot"]))
        place = self[f"{name}_offset"]
        for i, digit in enumerate(digits):
            place = self.add(place, self.mul(digit, self[f"{name}_{i}"]))
        return self.code.at(memory, "i8", place)

    def row(self, name: str, base: str, index: str) -> str:
        """Where a row begins."""
        return self.code.at(base, "i8", self.mul(index, self[f"{name}_row"]))

    def digits(self, number: str) -> list[str]:
        """Which sample and head, by the dimensions in front."""
        self.n("batch1", "batch2")
        return digits_of(self.code, number, [self["batch1"], self["batch2"]])

    # ------------------------------------------------------------------------------------- walks

    def number(self, name: str) -> str:
        """The scale, or another number of the floating-point type, in every lane."""
        whole = f"i{self.lanes.bits}"
        bits = self[name] if whole == "i64" else self.code.op(f"trunc i64 {self[name]} to {whole}")
        return self.code.spread(self.lanes, self.code.op(f"bitcast {whole} {bits} to {self.lanes.element}"))

    def table(self, memory: str, stride: str, rows: str, last: str, place: str) -> None:
        """Addresses of rows; behind the last one it comes again."""
        code = self.code
        with code.loop("0", rows) as loop:
            row = code.at(memory, "i8", self.mul(self.code.least(loop.index, last), stride))
            code.store("ptr", row, code.at(place, "ptr", loop.index))

    def pack(self, memory: str, stride: str, last: str, columns: str, target: str, factor: str) -> None:
        """Rows of a block of queries, turned over: a row for each column. Behind the last one it comes again."""
        code, lanes, style = self.code, self.lanes, self.style
        rows = [code.at(memory, "i8", self.mul(self.code.least(str(i), last), stride)) for i in range(style.queries)]
        with code.loop("0", columns, str(lanes.lanes)) as loop:
            for half in range(style.block):
                these = rows[half * lanes.lanes : (half + 1) * lanes.lanes]
                read = [code.load(lanes.text, code.at(row, lanes.element, loop.index), style.size) for row in these]
                for i, vector in enumerate(transposed(code, lanes, read)):
                    if factor:
                        vector = times(code, lanes, vector, factor)
                    place = self.add(self.mul(self.add(loop.index, i), style.queries), half * lanes.lanes)
                    code.store(lanes.text, vector, code.at(target, lanes.element, place), style.size)

    def tile(
        self, tile: Tile, a: str, a_step: str, run: str, b: str, b_step: str, c: str, c_row: str, add: str
    ) -> None:
        """A register tile's product."""
        call_tile(self.code, tile, a, a_step, "1", "%scratch", run, b, b_step, c, c_row, add, "0")

    def by_key(self, tile: Tile, table: str, rows: str, run: str, b: str, b_step: str, columns: str, c: str,
               c_row: str, add: str) -> None:  # fmt: skip
        """c (+)= A·B, where the table has the rows of A, and each is one of a key."""
        code, width = self.code, tile.vectors * self.lanes.lanes
        with code.loop("0", columns, str(width)) as panel, code.loop("0", rows, str(tile.rows)) as row:
            move = self.mul(panel.index, self.style.size)
            target = code.at(code.at(c, "i8", self.mul(row.index, c_row)), "i8", move)
            self.tile(
                tile, code.at(table, "ptr", row.index), "0", run, code.at(b, "i8", move), b_step, target, c_row, add
            )

    def by_query(
        self, tile: Tile, weights: str, run: str, b: str, b_step: str, columns: str, c: str, c_row: str
    ) -> None:
        """c = Wᵀ·B for the weights W of a block of queries; the sum goes over the keys."""
        code, width, style = self.code, tile.vectors * self.lanes.lanes, self.style
        with code.loop("0", columns, str(width)) as panel, code.loop("0", str(style.queries), str(tile.rows)) as row:
            move = self.mul(panel.index, style.size)
            target = code.at(code.at(c, "i8", self.mul(row.index, c_row)), "i8", move)
            a = code.at(weights, "i8", self.mul(row.index, style.size))
            step = str(style.queries * style.size)
            self.tile(tile, a, step, run, code.at(b, "i8", move), b_step, target, c_row, "false")

    def places(self, memory: str, row: str) -> list[str]:
        """Where the vectors of a row of scores are."""
        here = self.code.at(memory, "i8", self.mul(row, self.style.queries * self.style.size))
        return [self.code.at(here, self.lanes.element, str(i * self.lanes.lanes)) for i in range(self.style.block)]

    def load(self, place: str) -> str:
        """A vector from scratch memory."""
        return self.code.load(self.lanes.text, place, self.style.size)

    def store(self, value: str, place: str) -> None:
        """A vector to scratch memory."""
        self.code.store(self.lanes.text, value, place, self.style.size)

    def lane_numbers(self, half: int) -> str:
        """The numbers of the queries of a vector within their block, as i64."""
        whole = self.lanes.of("i64")
        return self.code.op(f"add {whole.text} {count(whole)}, {whole.splat(half * self.lanes.lanes)}")

    def mask(self, half: int, valid: str) -> str:
        """Which lanes of a vector are queries that there are."""
        whole = self.lanes.of("i64")
        return self.code.op(f"icmp slt {whole.text} {self.lane_numbers(half)}, {self.code.spread(whole, valid)}")

    def write_row(self, source: str, target: str, columns: str, factor: str) -> None:
        """A row of a result from scratch memory to where it belongs, multiplied by a factor if there is one."""
        code, lanes = self.code, self.lanes
        whole = code.whole("and", columns, -lanes.lanes)

        def entry(column: str) -> str:
            vector = self.load(code.at(source, lanes.element, column))
            return times(code, lanes, vector, factor) if factor else vector

        with code.loop("0", whole, str(lanes.lanes)) as loop:
            self.store(entry(loop.index), code.at(target, lanes.element, loop.index))
        with code.when(code.op(f"icmp slt i64 {whole}, {columns}")):
            mask = self.mask(0, self.sub(columns, whole))
            code.store_some(lanes, entry(whole), code.at(target, lanes.element, whole), mask, self.style.size)

    # ------------------------------------------------------------------------------------- scores

    def scores(self, keys: str, packed: str, run: str, target: str, padded: str) -> None:
        """A row for each key, from a table of rows and the packed queries."""
        step = str(self.style.queries * self.style.size)
        tile = self.style.keys()
        with self.code.loop("0", padded, str(tile.rows)) as row:
            here = self.code.at(target, "i8", self.mul(row.index, step))
            self.tile(tile, self.code.at(keys, "ptr", row.index), "0", run, packed, step, here, step, "false")

    def add_bias(self, bias: str, first: str, last: str, first_key: str, keys: str, scores: str) -> None:
        """What is added to the scores: a number for each key, or rows of the bias turned over."""
        code, style, lanes = self.code, self.style, self.lanes
        if style.bias == "row":
            with code.loop("0", keys) as key:
                place = code.at(bias, "i8", self.mul(self.add(first_key, key.index), self["bias_column"]))
                number = code.spread(lanes, code.load(lanes.element, place, style.size))
                for vector in self.places(scores, key.index):
                    self.store(plus(code, lanes, self.load(vector), number), vector)
            return
        rows = [self.row("bias", bias, self.code.least(self.add(first, i), last)) for i in range(style.queries)]
        with code.loop("0", keys, str(lanes.lanes)) as key:
            column = self.add(first_key, key.index)
            read = [code.load(lanes.text, code.at(row, lanes.element, column), style.size) for row in rows]
            for place, more in self._turned(read, scores, key.index):
                self.store(plus(code, lanes, self.load(place), more), place)

    def turn_factors(self, kept: str, first: str, last: str, first_key: str, keys: str, padded: str) -> None:
        """What the weights are multiplied by, turned over as they are: 1/keep, or 0 for one that is dropped."""
        code, style, lanes, bytes_of = self.code, self.style, self.lanes, self.lanes.of("i8")
        rows = [self.row("kept", kept, self.code.least(self.add(first, i), last)) for i in range(style.queries)]
        with code.loop("0", keys, str(lanes.lanes)) as key:
            column = self.add(first_key, key.index)
            read = [code.load(bytes_of.text, code.at(row, "i8", column), 1) for row in rows]
            read = [code.op(f"uitofp {bytes_of.text} {vector} to {lanes.text}") for vector in read]
            for place, kept_or_not in self._turned(read, self.dropping, key.index):
                self.store(times(code, lanes, kept_or_not, self.number("factor")), place)
        with code.loop(keys, padded) as key:  # behind the last key weights are 0, and stay it
            for place in self.places(self.dropping, key.index):
                self.store("zeroinitializer", place)

    def _turned(self, read: list[str], target: str, first_row: str) -> Iterator[tuple[str, str]]:
        """Rows of a block of queries turned over: vectors of queries, each with its place in a matrix of scores."""
        count = self.lanes.lanes
        for half in range(self.style.block):
            for i, vector in enumerate(transposed(self.code, self.lanes, read[half * count : (half + 1) * count])):
                yield self.places(target, self.add(first_row, i))[half], vector

    def forbid(self, scores: str, first: str, first_key: str, keys: str, padded: str) -> None:
        """−∞ in rows behind the last key, and where a key comes after the query."""
        code, lanes, whole = self.code, self.lanes, self.lanes.of("i64")
        lowest = lanes.splat(-math.inf)
        with code.loop(keys, padded) as key:
            for vector in self.places(scores, key.index):
                self.store(lowest, vector)
        if not self.style.causal:
            return
        before = self.code.most(self.sub(first, first_key), "0")
        with code.loop(before, keys) as key:
            number = code.spread(whole, self.sub(self.add(first_key, key.index), first))
            for half, vector in enumerate(self.places(scores, key.index)):
                after = code.op(f"icmp sgt {whole.text} {number}, {self.lane_numbers(half)}")
                self.store(select(code, lanes, after, lowest, self.load(vector)), vector)

    def each(self, padded: str, start: Sequence[str], visit: Callable[[str, list[str]], list[str]]) -> list[str]:
        """Walk along rows of scores, some side by side; `visit` gets a row and what goes round in its way."""
        code, ways, kind = self.code, self.style.ways, self.lanes.text
        carried = [(kind, x) for _ in range(ways) for x in start]
        with code.loop("0", padded, str(ways), carried) as loop:
            following: list[str] = []
            for way in range(ways):
                known = loop.carried[way * len(start) : (way + 1) * len(start)]
                following += visit(self.add(loop.index, way), known)
            loop.next = following
        return loop.carried

    def together(self, found: Sequence[str], join: Callable[..., str]) -> list[str]:
        """What the ways have found, joined."""
        each = len(found) // self.style.ways
        answer = list(found[:each])
        for way in range(1, self.style.ways):
            answer = [join(self.code, self.lanes, x, y) for x, y in zip(answer, found[way * each :], strict=False)]
        return answer
