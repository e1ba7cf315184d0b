"""The register tile of a contraction: what kind it is, and its machine code.

A tile keeps a block of the result in registers while it runs along k: 6 rows × 4 vectors, 9 × 3 or 14 × 2, whichever
takes the least time for its rows and columns (`_cycles`). 28 sums, 2 vectors of B and one entry of A fill the 32
registers of AVX-512, and per step 28 multiply–adds need only 16 loads. Results of a single vector have tiles of 28 × 1,
with a load for each multiply–add.

What lies in memory need not be what is in registers. B is widened as it is loaded, a vector at a time. A is read entry
by entry, so a part widens its rows of A once, into its scratch memory (`packing.py`). Where the processor multiplies
bfloat16 in *pairs*, nothing is widened: one instruction adds two products to each float32 sum. Rows of A in which k is
contiguous are pairs as they lie, and are read there. Where the processor has AMX, large products of bfloat16 have a
tile of its registers (`amx.py`).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import ELEMENTS
from chainrule.backends.native.language.halves import is_half, widened
from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.run.processor import vector_registers
from chainrule.primitives.value import DataType

#: How many steps of k ahead the vectors of B are fetched: its rows lie too far apart for the processor to foresee. In
#: mode "columns" both factors are, further ahead: they are read but a few times, so they come from far away.
AHEAD = {"rows": 10, "columns": 20}
#: A product of fewer operations than this takes so little time that its tile may do more than is needed.
SMALL = 2**23
#: With fewer rows, or less to add up, laying B out for AMX takes longer than its product saves.
AMX_ROWS, AMX_DEPTH = 16, 32
#: And the columns and the depth that are enough for float32 where B is laid out but once, before all parts or a loop.
LAID_COLUMNS, LAID_DEPTH = 128, 128
#: Rows of a tile of AMX: two registers of 16. With fewer in each than this, reading them where they lie gains nothing.
MOST_AMX_ROWS, LEAST_DIRECT = 32, 12
#: Bytes of a line of the cache.
LINE = 64
#: Rows of the tile that takes the place of one of AMX where that cannot multiply.
PLAIN_ROWS = 8
#: What the function of a tile is called with.
ARGUMENTS = (
    ("ptr", "%a"), ("i64", "%a_step"), ("i64", "%segments"), ("ptr", "%table"), ("i64", "%run"), ("ptr", "%b"),
    ("i64", "%b_step"), ("ptr", "%c"), ("i64", "%c_row"), ("i1", "%add"), ("i64", "%a_move"),
)  # fmt: skip


class Tile(NamedTuple):
    """A kind of register tile.

    Attributes:
        mode: "rows" or "columns", as of the product.
        rows, vectors: of the result, in registers.
        lanes: the vectors of the result.
        a, b: the data types in memory.
        scaled: "int8" or "int4" where A is numbers of so many bits with scales.
        pairs: whether two products of bfloat16 are one instruction.
        amx: whether its registers are those of AMX (`amx.py`), which take 32 of k at a time.
        laid: whether B lies ready for these.
        direct: whether these read A where it lies.
    """

    mode: str
    rows: int
    vectors: int
    lanes: Lanes
    a: DataType
    b: DataType
    scaled: str = ""
    pairs: bool = False
    amx: bool = False
    laid: bool = False
    direct: bool = False

    @property
    def name(self) -> str:
        """What is in the names of its functions."""
        stored = "" if self._plain else f"_{self.scaled or self.a.name}_{self.b.name}"
        way = "_pairs" * self.pairs + "_amx" * self.amx + "_laid" * self.laid + "_direct" * self.direct
        return f"{self.mode}_{self.rows}x{self.vectors}_{self.lanes.mangled}{stored}{way}"

    @property
    def _plain(self) -> bool:
        """Whether the entries of A in memory are what is added up."""
        return ELEMENTS[self.a.name] == self.lanes.element

    @property
    def packs(self) -> bool:
        """Whether A is not in memory as the tile reads it (for AMX nothing is, which its walk sees to)."""
        return not self.amx and not self._plain and not (self.pairs and self.mode == "rows")

    @property
    def woven(self) -> bool:
        """Whether two rows of B become pairs a line at a time."""
        return self.pairs and self.vectors == 2

    @property
    def unrolled(self) -> int:
        """How many steps of k (pairs of them) are written out, one row after the other.

        A tile of one vector has more rows than the processor has registers for addresses, so each row's is looked up.
        A vector of B for each step must find a register beside the sums; AVX-512 needs none for the entry of A.
        """
        if self.mode == "columns" or self.vectors > 1:
            return 1
        return 2 if self.pairs else 4 if self.lanes.lanes * self.lanes.bits == 512 else 2

    @property
    def size(self) -> int:
        """Bytes of an entry of the result."""
        return self.lanes.bits // 8


def most_rows(vector_bits: int, vectors: int = 2) -> int:
    """Rows of a tile for which the registers last: their sums, the vectors of B, an entry of A.

    Of one vector it has twice as many as of two, so that either finds the same work done in as many steps.

    >>> [most_rows(512, vectors) for vectors in (1, 2, 3, 4)]
    [28, 14, 9, 6]
    """
    if vectors == 1:
        return 2 * most_rows(vector_bits)
    return (vector_registers(vector_bits) - 1 - vectors) // vectors


def tile_of(vector_bits: int, product: Product, pairs: bool, amx: bool = False) -> Tile:
    """The tile for a product: all tiles of a run of rows are about equally full.

    A small product has the tallest one, which other products have too: so it needs no function of its own.
    `pairs`, `amx`: whether this processor multiplies bfloat16 in pairs, and by AMX.
    """
    a, b, result = product.a[0].dtype, product.b[0].dtype, product.dtype
    lanes = vector_bits // (8 * result.itemsize)
    extents = [n for n, _ in product.rows]
    run = extents[-1] if product.mode == "columns" else math.prod(extents)
    plain = product.mode == "rows" and a == b == result and not product.scaled
    vectors, small = 2 if product.columns > lanes else 1, product.operations < SMALL
    if plain and vectors == 2 and vector_bits == 512 and not small:
        vectors = min((2, 3, 4), key=lambda v: _cycles(product, run, v, most_rows(vector_bits, v), lanes))
    most = most_rows(vector_bits, vectors)
    tall = plain and small and run > most // 2
    rows = most if tall else -(-run // -(-run // most))
    kind = Lanes(ELEMENTS[result.name], lanes)
    both = pairs and vector_bits == 512 and a.name == b.name == "bfloat16"
    if amx and vector_bits == 512 and not product.scaled and _is_for_amx(product, run):
        most = -(-run // -(-run // MOST_AMX_ROWS))
        rows = most if both else -(-most // PLAIN_ROWS) * PLAIN_ROWS
        laid, half = product.laid is not None, direct_rows(product) if both else 0
        rows, direct = 2 * half or rows, bool(half)
        return Tile(product.mode, rows, min(vectors, 2), kind, a, b, pairs=both, amx=True, laid=laid, direct=direct)
    return Tile(product.mode, rows, vectors, kind, a, b, product.scaled, both)


def _cycles(product: Product, run: int, vectors: int, most: int, lanes: int) -> float:
    """About how long a step of k takes in all tiles of so many vectors in mode "rows"; the last may not be full.

    In a cycle a processor makes two multiply–adds or two loads: of each row its address and its entry, of each vector
    of B itself and the one that is fetched. So with wide tiles the multiply–adds decide, with narrow ones the loads:
    14 × 2 take 16 cycles for 14 of work, 6 × 4 take 12 for 12. (Where rows lie side by side, in mode "columns", 14 × 2
    need no addresses and take 14 cycles; wider tiles use less of each line of A that they read.)
    """
    tiles, panels = -(-run // most), -(-product.columns // (vectors * lanes))
    rows = -(-run // tiles)
    return tiles * panels * max(rows * vectors, 2 * rows + 2 * vectors) / 2


def direct_rows(product: Product) -> int:
    """How many rows of A a register of AMX reads where they lie; 0 where they have to be laid out.

    Its rows must lie evenly, each a line of the cache or several, and few of them in the same place of the first cache.
    So do the pixels of a row of an image, whose channels fill lines.
    """
    (buffer, offset), (extent, stride) = product.a, product.rows[-1]
    steps = [offset, product.run[0], product.groups[1], *(step for _, step in product.rows)]
    steps += [step for _, step, _ in (*product.segments, *product.batch)]
    entries = LINE // buffer.dtype.itemsize
    lines = product.run[1] == 1 and buffer.origin is None and not any(step % entries for step in steps)
    if product.mode != "rows" or not lines or not stride % (32 * entries):
        return 0
    return next((count for count in range(MOST_AMX_ROWS // 2, LEAST_DIRECT - 1, -1) if not extent % count), 0)


def _is_for_amx(product: Product, run: int) -> bool:
    """Whether laying the factors out for AMX is worth while."""
    kinds = {product.a[0].dtype.name, product.b[0].dtype.name}
    if kinds == {"float32"} and product.mode == "rows" and len(product.segments) and product.run[0] % 32:
        return False  # a row's segments would have to lie one behind the other
    if kinds == {"bfloat16"}:
        return run >= AMX_ROWS and product.depth >= AMX_DEPTH
    if product.laid is not None and kinds == {"float32"}:
        return run >= AMX_ROWS and product.columns >= LAID_COLUMNS and product.depth >= LAID_DEPTH
    # A float32 takes longer to lay out: enough rows and columns of a part have to share that.
    rows = math.prod(n for n, _ in product.rows)
    columns = 128 if product.splits > 1 or (product.mode == "rows" and rows >= 1024) else 192
    enough = run >= AMX_ROWS and rows >= 96 and product.columns >= columns and product.depth >= 128
    return kinds == {"float32"} and enough


@functools.cache
def multiplies_pairs() -> bool:
    """Whether this processor has AVX-512's dot products of bfloat16."""
    from chainrule.backends.native.run.machine import host

    return "+avx512bf16" in host()[-1].split(",")


@functools.cache
def multiplies_by_amx() -> bool:
    """Whether this processor has AMX's product of bfloat16, and this process may use it.

    What it multiplies is laid out with AVX-512: where that is hidden, so is AMX.
    """
    from chainrule.backends.native.run.machine import host

    return multiplies_pairs() and {"+amx-tile", "+amx-bf16"} <= set(host()[-1].split(","))


def call_tile(code: Code, tile: Tile, *given: str) -> None:
    """Write the call of a tile's function, with a value for each of ARGUMENTS."""
    arguments = ", ".join(f"{kind} {value}" for (kind, _), value in zip(ARGUMENTS, given, strict=True))
    code.do(f"call void @tile_{tile.name}({arguments})")


@functools.lru_cache(maxsize=256)
def emit_tile(tile: Tile) -> Code:
    """C[i, j] (+)= Σ A(i, k) · B(k, j) over some segments of k.

    In mode "rows", `a` is a table of the addresses of the rows; in mode "columns", the address of the first row.
    """
    code = Code("void", f"tile_{tile.name}", ARGUMENTS, "nounwind noinline")
    vector = tile.lanes.text
    zeros = [(vector, "zeroinitializer")] * (tile.rows * tile.vectors)
    with code.loop("0", "%segments", carried=zeros) as segment:
        pair = code.op(f"shl i64 {segment.index}, 1")
        a_offset = code.load("i64", code.at("%table", "i64", pair))
        b_offset = code.load("i64", code.at("%table", "i64", code.op(f"add i64 {pair}, 1")))
        step = _Step(code, tile, code.op(f"add i64 {a_offset}, %a_move"), b_offset)
        sums = segment.carried
        whole, first = code.op("ashr i64 %run, 1") if tile.pairs else "%run", "0"
        if tile.unrolled > 1:
            first = code.op(f"and i64 {whole}, {-tile.unrolled}")
            with code.loop("0", first, str(tile.unrolled), carried=[(vector, x) for x in sums]) as k:
                k.next = step.write_several(k.index, k.carried)
            sums = k.carried
        with code.loop(first, whole, carried=[(vector, x) for x in sums]) as k:
            k.next = step.write(k.index, k.carried)
        sums = k.carried
        if tile.pairs:  # a last entry without a partner
            every = code.op(f"add i64 {whole}, {code.op('and i64 %run, 1')}")
            with code.loop(whole, every, carried=[(vector, x) for x in sums]) as k:
                k.next = step.write(k.index, k.carried, alone=True)
            sums = k.carried
        segment.next = sums
    _write_block(code, tile, segment.carried)
    code.do("ret void")
    return code


class _Step:
    """What a tile does at one place of k, or at a pair of places."""

    def __init__(self, code: Code, tile: Tile, a_offset: str, b_offset: str) -> None:
        self.code, self.tile, self.a_offset = code, tile, a_offset
        self.b = code.op(f"getelementptr i8, ptr %b, i64 {b_offset}")
        self.a = code.op(f"getelementptr i8, ptr %a, i64 {a_offset}") if tile.mode == "columns" else ""
        self.b_step = code.op("shl i64 %b_step, 1") if tile.pairs else "%b_step"
        #: What a lane of A holds as it is read.
        self.element = "i32" if tile.pairs else tile.lanes.element

    def write(self, k: str, sums: list[str], alone: bool = False) -> list[str]:
        """All sums with one more product each, or a pair of them. `alone`: the second of the pair is not there."""
        code, tile = self.code, self.tile
        here = code.op(f"getelementptr i8, ptr {self.b}, i64 {code.op(f'mul i64 {k}, {self.b_step}')}")
        self._fetch(here)
        row_b = self._row_of_b(here, alone)
        if tile.mode == "rows":
            move = code.op(f"add i64 {self.a_offset}, {code.op(f'mul i64 {k}, {tile.size}')}")
        else:
            start = code.op(f"getelementptr i8, ptr {self.a}, i64 {code.op(f'mul i64 {k}, %a_step')}")
            if not tile.packs:
                ahead = code.at(start, "i8", code.op(f"mul i64 %a_step, {AHEAD[tile.mode]}"))
                code.fetch(ahead)
                code.fetch(code.at(ahead, "i8", str(tile.rows * tile.size - 1)))
        sums = list(sums)
        for i in range(tile.rows):
            if tile.mode == "rows":
                row = code.load("ptr", code.at("%a", "ptr", str(i)))
                place = code.op(f"getelementptr i8, ptr {row}, i64 {move}")
            else:
                place = code.at(start, self.element, str(i))
            entry = self._load_a(place, alone)
            for j in range(tile.vectors):
                n = i * tile.vectors + j
                sums[n] = self._multiply(entry, row_b[j], sums[n])
        return sums

    def write_several(self, k: str, sums: list[str]) -> list[str]:
        """The products of several places of k: each row's address is looked up once for all of them."""
        code, tile = self.code, self.tile
        here = code.op(f"getelementptr i8, ptr {self.b}, i64 {code.op(f'mul i64 {k}, {self.b_step}')}")
        b = []
        for _ in range(tile.unrolled):
            self._fetch(here)
            b.append(self._load_b(here, 0, False))
            here = code.op(f"getelementptr i8, ptr {here}, i64 {self.b_step}")
        move = code.op(f"add i64 {self.a_offset}, {code.op(f'mul i64 {k}, {tile.size}')}")
        sums = list(sums)
        for i in range(tile.rows):
            row = code.load("ptr", code.at("%a", "ptr", str(i)))
            place = code.op(f"getelementptr i8, ptr {row}, i64 {move}")
            for later in range(tile.unrolled):
                entry = self._load_a(code.at(place, self.element, str(later)), False)
                sums[i] = self._multiply(entry, b[later], sums[i])
        return sums

    def _load_a(self, place: str, alone: bool) -> str:
        """An entry of A, or a pair of them, in every lane. `alone`: with 0 in the place of the second of a pair."""
        code, tile = self.code, self.tile
        if alone and not tile.packs:  # what is packed has zeros there
            entry = code.op(f"zext i16 {code.load('i16', place, 2)} to i32")
        else:
            entry = code.load(self.element, place, tile.size if tile.packs else tile.a.itemsize)
        return code.spread(tile.lanes.of(self.element), entry)

    def _fetch(self, here: str) -> None:
        code, tile = self.code, self.tile
        ahead = code.op(f"getelementptr i8, ptr {here}, i64 {code.op(f'mul i64 {self.b_step}, {AHEAD[tile.mode]}')}")
        rows = [ahead, code.at(ahead, "i8", "%b_step")] if tile.pairs else [ahead]
        for row in rows:  # a line of the cache has 64 bytes
            for move in range(0, tile.vectors * tile.lanes.lanes * tile.b.itemsize, 64):
                code.fetch(code.at(row, "i8", str(move)))

    def _row_of_b(self, here: str, alone: bool) -> list[str]:
        """The vectors of B at one place of k, or at a pair of places."""
        if self.tile.woven:
            return self._woven(here, alone)
        return [self._load_b(here, j, alone) for j in range(self.tile.vectors)]

    def _load_b(self, here: str, j: int, alone: bool) -> str:
        """A vector of B as it is multiplied: widened, or in each lane two entries, one of k and one of k + 1."""
        code, tile = self.code, self.tile
        move = str(j * tile.lanes.lanes * tile.b.itemsize)
        place = code.at(here, "i8", move)
        if not is_half(tile.b):
            return code.load(tile.lanes.text, place, tile.size)
        short = tile.lanes.of("i16")
        first = code.load(short.text, place, 2)
        if not tile.pairs:
            return widened(code, tile.b, tile.lanes.lanes, first)
        if alone:
            return in_pairs(code, tile.lanes.lanes, first, "")
        return in_pairs(code, tile.lanes.lanes, first, code.load(short.text, code.at(place, "i8", "%b_step"), 2))

    def _woven(self, here: str, alone: bool) -> list[str]:
        """Two vectors of pairs from whole lines of two rows of B, by one instruction each.

        That leaves the columns out of order: of every eight, four are in the first vector, four in the second.
        """
        code, lanes = self.code, self.tile.lanes.lanes
        line, whole = Lanes("i16", 2 * lanes), self.tile.lanes.of("i32")
        first = code.load(line.text, here, 2)
        second = "zeroinitializer" if alone else code.load(line.text, code.at(here, "i8", "%b_step"), 2)
        vectors = []
        for half in (0, 4):
            columns = [8 * eight + half + i for eight in range(lanes // 4) for i in range(4)]
            pairs = [place for column in columns for place in (column, column + 2 * lanes)]
            vectors.append(code.op(f"bitcast {line.text} {code.shuffle(line, pairs, first, second)} to {whole.text}"))
        return vectors

    def _multiply(self, a: str, b: str, total: str) -> str:
        code, vector = self.code, self.tile.lanes.text
        if not self.tile.pairs:
            fma = f"llvm.fma.{self.tile.lanes.mangled}"
            return code.call(vector, fma, (vector, a), (vector, b), (vector, total))
        whole, halves = self.tile.lanes.of("i32").text, Lanes("bfloat", 2 * self.tile.lanes.lanes).text
        a, b = (code.op(f"bitcast {whole} {x} to {halves}") for x in (a, b))
        dot = "llvm.x86.avx512bf16.dpbf16ps.512"
        return code.call(vector, dot, (vector, total), (halves, b), (halves, a))


def in_pairs(code: Code, lanes: int, first: str, second: str) -> str:
    """Two vectors of 16 bits as one of 32: the first in the lower halves; no second is zeros."""
    short, whole = Lanes("i16", lanes), Lanes("i32", lanes)
    low = code.op(f"zext {short.text} {first} to {whole.text}")
    if not second:
        return low
    high = code.op(f"shl {whole.text} {code.op(f'zext {short.text} {second} to {whole.text}')}, {whole.splat(16)}")
    return code.op(f"or {whole.text} {low}, {high}")


def _write_block(code: Code, tile: Tile, sums: list[str]) -> None:
    """Write the sums into the block of the result, or add them to what is there."""
    vector, size = tile.lanes.text, tile.size
    add, put, done = code.label("add"), code.label("put"), code.label("done")
    code.branch("%add", add, put)
    for label in (add, put):
        code.start(label)
        for i in range(tile.rows):
            row = code.op(f"getelementptr i8, ptr %c, i64 {code.op(f'mul i64 %c_row, {i}')}")
            values = sums[i * tile.vectors : (i + 1) * tile.vectors]
            for j, value in enumerate(_in_order(code, tile, values) if tile.woven else values):
                place = code.at(row, tile.lanes.element, str(j * tile.lanes.lanes))
                if label == add:
                    value = code.op(f"fadd {vector} {value}, {code.load(vector, place, size)}")
                code.store(vector, value, place, size)
        code.jump(done)
    code.start(done)


def _in_order(code: Code, tile: Tile, sums: list[str]) -> list[str]:
    """The two vectors of a row as columns follow each other: what `_Step` took apart."""
    lanes = tile.lanes.lanes
    fours = [four + v * lanes for four in range(0, lanes, 4) for v in (0, 1)]
    order = [four + i for four in fours for i in range(4)]
    return [code.shuffle(tile.lanes, order[:lanes], *sums), code.shuffle(tile.lanes, order[lanes:], *sums)]
