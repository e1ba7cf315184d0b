"""The machine code of contractions: the walk over blocks around the register tile (`tile.py`).

Everything is shared: extents and strides are arguments, so there is one tile and one walk for each mode and each pair
of data types.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from chainrule.backends.native.emitting.amx import DEEP, PIECE, amx_bytes
from chainrule.backends.native.emitting.digits import digits_of, next_digits
from chainrule.backends.native.emitting.numbers import Offset, Slot
from chainrule.backends.native.emitting.packing import Packing, apart, packed_bytes
from chainrule.backends.native.emitting.tile import Tile, call_tile
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.lowering.contract import Product

#: Steps along k that one pass over a block takes, where A is read along k: fewer passes add to the sums less often.
DEPTH = 640
#: And where A is read across k: what the panels of a part share of A stays in the second cache (in entries; in pairs,
#: where the tile reads such).
SHARED, LEAST_DEPTH, MOST_DEPTH = 2**15, 128, 256
#: And where the rows of A are packed, which takes memory for each of them.
PACKED_DEPTH = 320

#: What a walk is called with.
ARGUMENTS = (("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch"))
FIELDS = [
    "a_slot",
    "a_offset",
    "b_slot",
    "b_offset",
    "batch0",
    "batch1",
    "batch_a0",
    "batch_a1",
    "batch_b0",
    "batch_b1",
    "groups",
    "group_a",
    "group_b",
    "row1",
    "row2",
    "row3",
    "a_row0",
    "a_row1",
    "a_row2",
    "a_row3",
    "rows",
    "run_rows",
    "runs",
    "tiles_per_run",
    "segment1",
    "segment2",
    "segment3",
    "a_segment0",
    "a_segment1",
    "a_segment2",
    "a_segment3",
    "b_segment0",
    "b_segment1",
    "b_segment2",
    "b_segment3",
    "segments",
    "segment_block",
    "run",
    "run_block",
    "a_step",
    "b_step",
    "columns",
    "panels",
    "row_parts",
    "column_parts",
    "splits",
    "finish",
    "finish_numbers",
]
#: And where A is numbers with scales.
SCALE_FIELDS = ["scale_slot", "scale_offset", "scale_row", "scale_segment"]
#: And where B lies ready for the registers: where that is, and in how many pieces of k.
LAID_FIELDS = ["laid_slot", "laid_offset", "pieces"]


class Walk:
    """Writes the function that does one part of a contraction: its rows, its columns, its share of k."""

    def __init__(self, tile: Tile) -> None:
        self.kind, self.mode, self.rows = tile, tile.mode, tile.rows
        self.code = Code("void", f"contract_{tile.name}", ARGUMENTS)
        #: Bytes of an entry of A, and of the columns of a tile in B and in the block.
        self.a_size, columns = tile.a.itemsize, tile.vectors * tile.lanes.lanes
        self.columns, self.b_width, self.width = columns, columns * tile.b.itemsize, columns * tile.size

    def mul(self, x: str, y: Any) -> str:
        """x · y."""
        return self.code.op(f"mul i64 {x}, {y}")

    def add(self, *terms: str) -> str:
        """The sum."""
        total = terms[0]
        for term in terms[1:]:
            total = self.code.op(f"add i64 {total}, {term}")
        return total

    def sub(self, x: str, y: Any) -> str:
        """x − y."""
        return self.code.op(f"sub i64 {x}, {y}")

    def digits(self, x: str, *bases: str) -> list[str]:
        """x as mixed-radix digits, the first without a bound."""
        return digits_of(self.code, x, bases)

    def share(self, count: str, part: str, parts: str) -> tuple[str, str]:
        """The first thing of a part, and how many it has, when things are dealt out evenly."""
        first = self.code.op(f"udiv i64 {self.mul(count, part)}, {parts}")
        behind = self.code.op(f"udiv i64 {self.mul(count, self.add(part, '1'))}, {parts}")
        return first, self.sub(behind, first)

    def offset(self, digits: list[str], name: str) -> str:
        """Σ digit · stride."""
        return self.add(*[self.mul(digit, self.n[f"{name}{i}"]) for i, digit in enumerate(digits)])

    def emit(self) -> Code:
        """The whole function."""
        code = self.code
        fields = fields_of(self.kind)
        n = self.n = {name: code.load("i64", code.at("%n", "i64", str(i))) for i, name in enumerate(fields)}
        self.packing = Packing(code, self.kind, n)
        batch, row_part, column_part, split = self.digits("%part", n["row_parts"], n["column_parts"], n["splits"])
        batch, self.group = self.digits(batch, n["groups"])
        batch_digits = self.digits(batch, n["batch1"])
        self.a = self._base("a", self.add(self.offset(batch_digits, "batch_a"), self.mul(self.group, n["group_a"])))
        self.b = self._base("b", self.add(self.offset(batch_digits, "batch_b"), self.mul(self.group, n["group_b"])))
        tiles = self.mul(n["tiles_per_run"], n["runs"])
        self.first_tile, self.tiles = self.share(tiles, row_part, n["row_parts"])
        self.first_panel, self.panels = self.share(n["panels"], column_part, n["column_parts"])
        each = code.op(f"udiv i64 {self.sub(self.add(n['segments'], n['splits']), 1)}, {n['splits']}")
        self.first_segment = self.mul(split, each)
        self.segments = self.sub(self.code.least(self.add(self.first_segment, each), n["segments"]), self.first_segment)
        self._scratch()
        self._tables()
        self._multiply()
        self._finish(self.add(self.mul(split, self.mul(n["batch0"], n["batch1"])), batch))
        code.do("ret void")
        return code

    def _base(self, name: str, move: str) -> str:
        memory = self.code.load("ptr", self.code.at("%bases", "ptr", self.n[name + "_slot"]))
        return self.code.op(f"getelementptr i8, ptr {memory}, i64 {self.add(self.n[name + '_offset'], move)}")

    def _scratch(self) -> None:
        """In the scratch memory: addresses of rows, the table of segments, and the block of the result."""
        count = self.mul(self.tiles, self.rows) if self.mode == "rows" else self.tiles
        self.addresses = "%scratch"
        self.table = self._behind("%scratch", self.mul(count, 8))
        self.block = self._behind(self.table, self.mul(self.segments, 16))
        self.block_row = self.mul(self.panels, self.width)
        if self.kind.packs:
            self.packed_rows, self.packed_table = self.block, self._behind(self.block, self.mul(count, 8))
            self.packed = self._behind(self.packed_table, self.mul(self.n["segment_block"], 16))
            space = self.mul(count, self.packing.row_bytes())
            self.block = self._behind(self.packed, self.add(space, str(16 * self.kind.lanes.lanes)))

    def _behind(self, place: str, size: str) -> str:
        whole = self.code.op(f"and i64 {self.add(size, '63')}, -64")
        return self.code.op(f"getelementptr i8, ptr {place}, i64 {whole}")

    def _tables(self) -> None:
        code, n = self.code, self.n
        if self.mode == "rows":  # beyond the last row the last one is read again
            first = self.mul(self.first_tile, self.rows)
            left = self.sub(self.sub(n["rows"], first), 1)
            bases = [n[f"row{i}"] for i in (1, 2, 3)]
            digits = self.digits(first, *bases)
            with code.loop("0", self.mul(self.tiles, self.rows), carried=[("i64", x) for x in digits]) as loop:
                place = code.at(self.a, "i8", self.offset(loop.carried, "a_row"))
                code.store("ptr", place, code.at(self.addresses, "ptr", loop.index))
                more = code.op(f"zext i1 {code.op(f'icmp slt i64 {loop.index}, {left}')} to i64")
                loop.next = next_digits(code, loop.carried, bases, more)
        else:  # tiles begin anew at each run of contiguous rows
            with code.loop("0", self.tiles) as loop:
                run, tile = self.digits(self.add(self.first_tile, loop.index), n["tiles_per_run"])
                move = self.offset(self.digits(run, n["row1"], n["row2"]), "a_row")
                move = self.add(move, self.mul(tile, self.rows * self.a_size))
                code.store("ptr", code.at(self.a, "i8", move), code.at(self.addresses, "ptr", loop.index))
        if self.kind.packs:
            count = self.mul(self.tiles, self.rows) if self.mode == "rows" else self.tiles
            longest = self.packing.row_bytes()
            with code.loop("0", count) as loop:
                place = code.at(self.packed, "i8", self.mul(loop.index, longest))
                code.store("ptr", place, code.at(self.packed_rows, "ptr", loop.index))
        self._segment_table()

    def _segment_table(self) -> None:
        """For each segment, how far it lies from the first in A and in B."""
        code, n = self.code, self.n
        with code.loop("0", self.segments) as loop:
            digits = self.digits(self.add(self.first_segment, loop.index), n["segment1"], n["segment2"], n["segment3"])
            pair = code.op(f"shl i64 {loop.index}, 1")
            code.store("i64", self.offset(digits, "a_segment"), code.at(self.table, "i64", pair))
            code.store("i64", self.offset(digits, "b_segment"), code.at(self.table, "i64", self.add(pair, "1")))

    def _multiply(self) -> None:
        """For each piece of k: all tiles of the block."""
        code, n = self.code, self.n
        with code.loop("0", self.segments, n["segment_block"]) as segment:
            count = self.code.least(self.sub(self.segments, segment.index), n["segment_block"])
            table = code.at(self.table, "i64", code.op(f"shl i64 {segment.index}, 1"))
            with code.loop("0", n["run"], n["run_block"]) as run:
                length = self.code.least(self.sub(n["run"], run.index), n["run_block"])
                started = code.op(f"or i64 {segment.index}, {run.index}")
                again = code.op(f"icmp ne i64 {started}, 0")
                a_move, b_move = self.mul(run.index, n["a_step"]), self.mul(run.index, n["b_step"])
                if self.kind.packs:
                    self._pack(segment.index, table, count, length, a_move)
                with code.loop("0", self.panels) as panel, code.loop("0", self.tiles) as tile:
                    number = self.add(self.first_panel, panel.index)
                    b = code.at(self.b, "i8", self.add(self.mul(number, self.b_width), b_move))
                    row = self.mul(self.mul(tile.index, self.rows), self.block_row)
                    c = code.at(self.block, "i8", self.add(row, self.mul(panel.index, self.width)))
                    self._call_tile(tile.index, table, count, length, a_move, b, c, again)

    def _pack(self, segment: str, table: str, count: str, length: str, a_move: str) -> None:
        """Lay a piece of A out as the tile reads it."""
        each = self.rows if self.mode == "rows" else 1
        self.packing.emit(
            self.addresses, self.mul(self.tiles, each), self.mul(self.first_tile, each),
            self.add(self.first_segment, segment), table, count, length, self.packed, self.packed_table, a_move,
        )  # fmt: skip

    def _call_tile(
        self, tile: str, table: str, count: str, length: str, a_move: str, b: str, c: str, again: str
    ) -> None:
        code, n, addresses, a_step = self.code, self.n, self.addresses, self.n["a_step"]
        if self.kind.packs:
            addresses, table, a_move, a_step = self.packed_rows, self.packed_table, "0", str(apart(self.kind))
        if self.mode == "rows":
            a = code.at(addresses, "ptr", self.mul(tile, self.rows))
        else:
            a = code.load("ptr", code.at(addresses, "ptr", tile))
        call_tile(
            code, self.kind, a, a_step, count, table, length, b, n["b_step"], c, self.block_row, again, a_move
        )  # fmt: skip

    def _finish(self, outermost: str) -> None:
        """Hand the block to what follows: the nest behind the contraction."""
        code, n = self.code, self.n
        finish = code.op(f"inttoptr i64 {n['finish']} to ptr")
        numbers = code.op(f"inttoptr i64 {n['finish_numbers']} to ptr")
        column = self.mul(self.first_panel, self.columns)
        columns = self.code.least(self.sub(n["columns"], column), self.mul(self.panels, self.columns))
        before = self.mul(outermost, n["rows"])
        low = self.add(self.mul(self.group, n["columns"]), column)

        def hand(row: str, count: str, block: str) -> None:
            first = self.add(before, row)
            code.do(
                f"call void {finish}(ptr {numbers}, ptr %bases, ptr {block}, i64 {first}, i64 {count}, i64 {low}, "
                f"i64 {columns}, i64 {self.block_row})"
            )

        if self.mode == "rows":
            row = self.mul(self.first_tile, self.rows)
            hand(row, self.code.least(self.sub(n["rows"], row), self.mul(self.tiles, self.rows)), self.block)
            return
        with code.loop("0", self.tiles) as tile:
            run, within = self.digits(self.add(self.first_tile, tile.index), n["tiles_per_run"])
            start = self.mul(within, self.rows)
            count = self.code.least(self.sub(n["run_rows"], start), str(self.rows))
            block = code.at(self.block, "i8", self.mul(self.mul(tile.index, self.rows), self.block_row))
            hand(self.add(self.mul(run, n["run_rows"]), start), count, block)


def fields_of(tile: Tile) -> list[str]:
    """The names of a walk's numbers, in their order."""
    return FIELDS + SCALE_FIELDS * bool(tile.scaled) + LAID_FIELDS * tile.laid


@functools.lru_cache(maxsize=256)
def emit_walk(tile: Tile) -> Code:
    """The walk over blocks around a tile."""
    return Walk(tile).emit()


def numbers_of(product: Product, finish: Any, finish_numbers: Any, tile: Tile) -> tuple[list[Any], int, int]:
    """The arguments of a contraction's walk, the number of its parts, and the scratch memory a part takes."""
    rows, columns, a_size, b_size = tile.rows, tile.vectors * tile.lanes.lanes, tile.a.itemsize, tile.b.itemsize
    total = math.prod(n for n, _ in product.rows)
    run_rows = product.rows[-1][0] if product.mode == "columns" else total
    runs = total // run_rows if run_rows else 0
    tiles = -(-run_rows // rows)
    panels = -(-product.columns // columns)
    segments = math.prod(n for n, *_ in product.segments)
    run, a_step, b_step = product.run
    batch = product.count
    tiles_each, panels_each = _blocks(
        tiles * runs, panels, batch * product.splits, product.mode, tile.vectors, tile.amx, tile.laid, tile.direct
    )  # fmt: skip
    row_parts, column_parts = -(-tiles * runs // tiles_each), -(-panels // panels_each)
    along = PACKED_DEPTH if tile.packs else DEPTH
    across = min(max(SHARED // (tiles_each * rows), LEAST_DEPTH), MOST_DEPTH) * (2 if tile.pairs else 1)
    deep = PIECE if tile.amx else along if product.mode == "rows" else across
    run_block = run if run <= deep * 3 // 2 else -(-run // -(-run // deep))
    if tile.amx and run_block < run:
        run_block = -(-run_block // DEEP) * DEEP
    segment_block = max(1, min(deep // run, segments)) if run_block == run else 1
    pad = {
        "batch": _padded(product.batch, 2, 3),
        "row": _padded(product.rows, 4, 2),
        "segment": _padded(product.segments, 4, 3),
    }
    if product.mode == "columns":
        pad["row"] = [*_padded(product.rows[:-1], 3, 2), (1, 0)]
    n: dict[str, Any] = {
        "a_slot": Slot(product.a[0]), "a_offset": Offset(product.a[0], product.a[1] * a_size),
        "b_slot": Slot(product.b[0]), "b_offset": Offset(product.b[0], product.b[1] * b_size),
        "rows": total, "run_rows": run_rows, "runs": runs, "tiles_per_run": tiles, "segments": segments,
        "segment_block": segment_block, "run": run, "run_block": max(run_block, 1), "a_step": a_step * a_size,
        "b_step": b_step * b_size, "groups": product.groups[0], "group_a": product.groups[1] * a_size,
        "group_b": product.groups[2] * b_size, "columns": product.columns, "panels": panels, "row_parts": row_parts,
        "column_parts": column_parts, "splits": product.splits, "finish": finish, "finish_numbers": finish_numbers,
    }  # fmt: skip
    for name, dims in pad.items():
        for i, (extent, *strides) in enumerate(dims):
            n[f"{name}{i}"] = extent
            for which, stride, size in zip("ab", strides, (a_size, b_size), strict=False):
                n[f"{which}_{name}{i}" if name != "batch" else f"batch_{which}{i}"] = stride * size
    if product.scales is not None:
        buffer, offset, row, segment = product.scales
        n.update(scale_slot=Slot(buffer), scale_offset=Offset(buffer, offset * 4), scale_row=row * 4)
        n["scale_segment"] = segment * 4
    if product.laid is not None:
        pieces = -(-segments // segment_block) * -(-run // max(run_block, 1))
        n.update(laid_slot=Slot(product.laid), laid_offset=Offset(product.laid, 0), pieces=pieces)
    parts = batch * row_parts * column_parts * product.splits
    scratch = (tiles_each * rows + 16) * 8 + segments * 16 + tiles_each * rows * panels_each * columns * tile.size
    if tile.packs:
        scratch += tiles_each * rows * 8 + segment_block * 16 + 256
        scratch += packed_bytes(tile, tiles_each, segment_block, max(run_block, 1))
    if tile.amx:
        scratch += amx_bytes(tile, tiles_each, segment_block * max(run_block, 1))
    return [n[name] for name in fields_of(tile)], parts, scratch + 256


def _padded(dims: list[Any], count: int, width: int) -> list[Any]:
    return [(1, *(0,) * (width - 1))] * (count - len(dims)) + list(dims)


@functools.lru_cache(maxsize=4096)
def _blocks(
    tiles: int, panels: int, others: int, mode: str, vectors: int, amx: bool = False, laid: bool = False,
    direct: bool = False,
) -> tuple[int, int]:  # fmt: skip
    """Tiles and panels of one part, so that a part's result stays in the cache and threads finish together.

    The choice looks at 2, 4 and 8 threads at once: the partition must not depend on their number.
    """
    many, wide = (8, 8) if amx else (12, 16) if mode == "rows" else (28, 4)
    if vectors > 2:  # wider tiles have fewer rows: the part is as large
        many, wide = many * vectors // 2, wide * 2 // vectors
    # What reading a row and a column of tiles costs beside a tile: those of AMX are laid out first, which takes long.
    row, column = (0.15, 0.15) if not amx else (0.8, 1.0) if mode == "rows" else (1.1, 1.0)
    row, column = 0.15 if direct else row, 0.15 if laid else column
    best: tuple[float, int, int] = (math.inf, 1, 1)
    for panels_each in {min(panels, p) for p in (1, 2, 4, 8, wide)}:
        if panels_each > wide:
            continue
        for tiles_each in range(1, min(tiles, many) + 1):
            high, wide_parts = -(-tiles // tiles_each), -(-panels // panels_each)
            parts, rows, columns = others * high * wide_parts, tiles / high, panels / wide_parts
            # A part costs its tiles, finding its way (about as much as half a tile), and reading its rows and columns.
            each = rows * columns + 0.5 + row * rows + column * columns
            cost = sum(threads * -(-parts // threads) * each for threads in (2, 4, 8)) + parts * each
            best = min(best, (cost, -tiles_each, -panels_each))
    return -best[1], -best[2]
