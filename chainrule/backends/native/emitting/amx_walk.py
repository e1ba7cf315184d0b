"""The walk around the tile of AMX (`amx.py`): it lays a part's rows of A and panels of B out as registers take them.

What an entry becomes is said by `amx_entries.py`. Sizes of float32 that cannot be taken apart (infinite ones, say) are
seen on the way; a panel of B with such, or all panels beside such rows of A, are multiplied by the plain tile in place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from chainrule.backends.native.emitting.amx import A_PARTS, B_PARTS, DEEP, ROWS, SUMS, planes_of, registers_of
from chainrule.backends.native.emitting.amx_entries import (
    HALVES,
    WORDS,
    HalfEntries,
    SingleEntries,
    turned,
    turned_four,
    unfit,
)
from chainrule.backends.native.emitting.product import Walk
from chainrule.backends.native.emitting.tile import AHEAD, LINE, PLAIN_ROWS, Tile, call_tile
from chainrule.backends.native.language.code import Code, Lanes, Loop

_BYTES = Lanes("i8", LINE)


def plain_tile(tile: Tile) -> Tile:
    """What multiplies float32 that AMX cannot: it does the rows of a tile of AMX in several turns."""
    return Tile(tile.mode, PLAIN_ROWS, tile.vectors, tile.lanes, tile.a, tile.b)


class Piece(NamedTuple):
    """What a walk does at a time along k.

    Attributes:
        table, segments: where the table of its segments begins, and how many they are.
        first, length: of each segment: the first step of k, and how many there are.
        depth: how many that is in all of them.
        again: whether there was a piece before.
        number: how many pieces there were before.
    """

    table: str
    segments: str
    first: str
    length: str
    depth: str
    again: str
    number: str


class AmxWalk(Walk):
    """The walk around a tile of AMX: it says how registers are divided, and lays A and B out for them."""

    def __init__(self, tile: Tile) -> None:
        super().__init__(tile)
        self.planes = planes_of(tile)
        self.kind_of_entries = HalfEntries if self.planes == 1 else SingleEntries

    def emit(self) -> Code:
        """The whole function."""
        # Space for the configuration is taken before anything else, so that no loop takes it again.
        self.configuration = self.code.op(f"alloca [{LINE} x i8], align {LINE}")
        return super().emit()

    def _scratch(self) -> None:
        super()._scratch()
        depth, lines = self._longest()
        # Behind each plane of a row is a line for what is written beyond its end; rows do not lie a page apart so.
        self.a_plane = self.mul(self.add(lines, "1"), LINE)
        self.row = self.mul(self.a_plane, self.planes)
        rows = self.mul(self.tiles, self.rows)
        self.packed = self._behind(self.block, self.mul(rows, self.block_row))
        self.next_register = self.mul(self.row, ROWS)
        # Where the last tile ends within a register, the rest of that is written too when it is turned.
        self.panel = self._behind(self.packed, self.mul(self.add(rows, str(-self.rows % ROWS)), self.row))
        self.b_places = self._behind(self.panel, self.mul(self.b_plane, self.planes))
        self.a_places = self._behind(self.b_places, self.mul(self.add(depth, "1"), 8))
        self.square = self._behind(self.a_places, self.mul(self.add(depth, "1"), 8))

    def _longest(self) -> tuple[str, str]:
        """How many k the longest piece has, and how many registers they fill. Between planes of a panel lie so many."""
        depth = self.mul(self.n["segment_block"], self.n["run_block"])
        lines = self.code.whole("ashr", self.add(depth, str(DEEP - 1)), 5)
        self.b_plane = self.mul(lines, ROWS * LINE * self.kind.vectors)
        return depth, lines

    @contextmanager
    def _pieces(self) -> Iterator[Piece]:
        """A loop over the pieces of k."""
        code, n = self.code, self.n
        with code.loop("0", self.segments, n["segment_block"]) as segment:
            count = code.least(self.sub(self.segments, segment.index), n["segment_block"])
            table = code.at(self.table, "i64", code.whole("shl", segment.index, 1))
            with code.loop("0", n["run"], n["run_block"]) as run:
                length = code.least(self.sub(n["run"], run.index), n["run_block"])
                again = code.op(f"icmp ne i64 {code.whole('or', segment.index, run.index)}, 0")
                each = code.whole("udiv", self.sub(self.add(n["run"], n["run_block"]), 1), n["run_block"])
                before = self.mul(code.whole("udiv", segment.index, n["segment_block"]), each)
                number = self.add(before, code.whole("udiv", run.index, n["run_block"]))
                yield Piece(table, count, run.index, length, self.mul(count, length), again, number)

    def _multiply(self) -> None:
        self._configure()
        with self._pieces() as piece:
            self._find(piece)
            of_a = self._rows_of_a(piece) if self.mode == "rows" else self._turned_rows_of_a(piece.depth)
            with self.code.loop("0", self.panels) as panel:
                number = self.add(self.first_panel, panel.index)
                of_b = self._panel_of_b(number, piece)
                self._panel_of_c(piece, panel.index, self._columns_of(number), of_a, of_b)
        self.code.call("void", "llvm.x86.tilerelease")

    def _columns_of(self, panel: str) -> str:
        """Where the columns of a panel begin in B."""
        return self.code.at(self.b, "i8", self.mul(panel, self.b_width))

    def _panel_of_c(self, piece: Piece, panel: str, b: str, of_a: list[str], of_b: list[str]) -> None:
        """Multiply A by a panel of B: by AMX, if sizes of both allow that."""
        block = self.code.at(self.block, "i8", self.mul(panel, self.width))
        if self.planes == 1:
            self._tiles(block, piece.depth, piece.again)
            return
        with self.code.when(unfit(self.code, of_a, of_b)) as otherwise:
            self._plain_tiles(b, piece, block)
            otherwise()
            self._tiles(block, piece.depth, piece.again)

    def _tiles(self, block: str, depth: str, again: str) -> None:
        """A panel of the block, by AMX."""
        code = self.code
        steps = code.whole("ashr", self.add(depth, str(DEEP - 1)), 5)
        with code.loop("0", self.tiles) as tile:
            first = self.mul(tile.index, self.rows)
            a = code.at(self.packed, "i8", self.mul(first, self.row))
            c = code.at(block, "i8", self.mul(first, self.block_row))
            code.do(
                f"call void @tile_{self.kind.name}(ptr {a}, i64 {self.row}, i64 {self.a_plane}, ptr {self.panel}, "
                f"i64 {self.b_plane}, i64 {steps}, ptr {c}, i64 {self.block_row}, i1 {again})"
            )

    def _plain_tiles(self, b: str, piece: Piece, block: str) -> None:
        """A panel of the block, from A and B where they lie in memory."""
        code, n, turns = self.code, self.n, self.rows // PLAIN_ROWS
        a_move, b_move = self.mul(piece.first, n["a_step"]), self.mul(piece.first, n["b_step"])
        b = code.at(b, "i8", b_move)
        with code.loop("0", self.mul(self.tiles, turns)) as turn:
            first = self.mul(turn.index, PLAIN_ROWS)
            if self.mode == "rows":
                a = code.at(self.addresses, "ptr", first)
            else:
                tile = code.whole("udiv", turn.index, turns)
                within = self.sub(first, self.mul(tile, self.rows))
                a = code.at(code.load("ptr", code.at(self.addresses, "ptr", tile)), "float", within)
            c = code.at(block, "i8", self.mul(first, self.block_row))
            call_tile(
                code, plain_tile(self.kind), a, n["a_step"], piece.segments, piece.table, piece.length, b, n["b_step"],
                c, self.block_row, piece.again, a_move,
            )  # fmt: skip

    def _configure(self) -> None:
        """Say how many rows, of how many bytes, each register has: Intel's table of 64 bytes, its first byte 1."""
        table = bytearray(LINE)
        table[0] = 1
        a_rows = dict(registers_of(self.kind))
        for i, rows in a_rows.items():
            for j in range(self.kind.vectors):
                table[48 + SUMS[i][j]] = rows
            table[48 + A_PARTS[i]] = rows
        for j in range(self.kind.vectors):
            table[48 + B_PARTS[j]] = ROWS
        for register in range(8):
            table[16 + 2 * register] = LINE if table[48 + register] else 0
        content = ", ".join(f"i8 {byte}" for byte in table)
        self.code.store(_BYTES.text, f"<{content}>", self.configuration, LINE)
        self.code.call("void", "llvm.x86.ldtilecfg", ("ptr", self.configuration))

    def _find(self, piece: Piece) -> None:
        """Write down how far each k of a piece lies from the first, in B and, where it lies across rows, in A."""
        self._find_in_b(piece)
        if self.mode == "columns":
            self._places(piece, self.n["a_step"], 0, self.a_places)

    def _find_in_b(self, piece: Piece) -> None:
        self._places(piece, self.n["b_step"], 1, self.b_places)

    def _places(self, piece: Piece, step: str, which: int, places: str) -> None:
        code = self.code
        with code.loop("0", piece.segments) as s:
            pair = self.add(code.whole("shl", s.index, 1), str(which))
            start = self.add(code.load("i64", code.at(piece.table, "i64", pair)), self.mul(piece.first, step))
            here = code.at(places, "i64", self.mul(s.index, piece.length))
            with code.loop("0", piece.length, carried=[("i64", start)]) as k:
                code.store("i64", k.carried[0], code.at(here, "i64", k.index))
                k.next = [self.add(k.carried[0], step)]

    @contextmanager
    def _loop(self, entries: HalfEntries, start: str, stop: str, step: str = "1") -> Iterator[Loop]:
        """A loop that goes on with what is known of the entries."""
        with self.code.loop(start, stop, step, carried=entries.seen) as loop:
            kinds = [kind for kind, _ in entries.seen]
            entries.seen = list(zip(kinds, loop.carried, strict=True))
            yield loop
            loop.next = [value for _, value in entries.seen]
        entries.seen = list(zip(kinds, loop.carried, strict=True))

    def _rows_of_a(self, piece: Piece) -> list[str]:
        """Copy rows in which k is contiguous: segment after segment, then zeros. Gives the sizes that were seen.

        Vectors are written whole: what stands behind a segment is written over by the next, or by the zeros.
        """
        code, entries = self.code, self.kind_of_entries(self.code)
        length, move = piece.length, self.mul(piece.first, self.n["a_step"])
        with self._loop(entries, "0", self.mul(self.tiles, self.rows)) as row:
            source = code.load("ptr", code.at(self.addresses, "ptr", row.index))
            following = code.load("ptr", code.at(self.addresses, "ptr", self.add(row.index, "1")))
            target = code.at(self.packed, "i8", self.mul(row.index, self.row))
            with self._loop(entries, "0", piece.segments) as s:
                offset = code.load("i64", code.at(piece.table, "i64", code.whole("shl", s.index, 1)))
                here = code.at(source, "i8", self.add(offset, move))
                ahead = code.at(following, "i8", self.add(offset, move))
                there = code.at(target, "i16", self.mul(s.index, length))
                whole = code.whole("and", length, -DEEP)
                for low, high in (("0", whole), (whole, length)):
                    with self._loop(entries, low, high, str(DEEP)) as k:
                        place, next_row = (code.at(row, "i8", self.mul(k.index, entries.size)) for row in (here, ahead))
                        for move_on in range(0, DEEP * entries.size, LINE):
                            code.fetch(code.at(next_row, "i8", str(move_on)))
                        left = "" if high == whole else self.sub(length, k.index)
                        for plane, line in enumerate(entries.along(place, left)):
                            to = code.at(code.at(there, "i16", k.index), "i8", self.mul(self.a_plane, plane))
                            code.store(HALVES.text, line, to, 2)
            if self.planes == 1:
                self._zeros(target, piece.depth)
        return entries.sizes()

    def _zeros(self, row: str, depth: str) -> None:
        """Write zeros behind the last k of a row."""
        self.code.store(HALVES.text, "zeroinitializer", self.code.at(row, "i16", depth), 2)

    def _turned_rows_of_a(self, depth: str) -> list[str]:
        """Copy rows that lie side by side for each k: squares of 32 of k are laid out in pairs, and then turned.

        Behind the last k it is read again, and zeros are written over what came of it.
        """
        code, n, entries = self.code, self.n, self.kind_of_entries(self.code)
        with self._loop(entries, "0", self.tiles) as tile:
            source = code.load("ptr", code.at(self.addresses, "ptr", tile.index))
            target = code.at(self.packed, "i8", self.mul(self.mul(tile.index, self.rows), self.row))
            _, within = self.digits(self.add(self.first_tile, tile.index), n["tiles_per_run"])
            left = self.sub(n["run_rows"], self.mul(within, self.rows))
            with self._loop(entries, "0", depth, str(DEEP)) as k:
                if isinstance(entries, SingleEntries):
                    self._lay_out(entries, source, k.index, depth, left)
                    self._turn_apart(entries, code.at(target, "i16", k.index))
                else:
                    self._lay_in_pairs(entries, source, k.index, self.sub(depth, 1), left)
                    self._turn(code.at(target, "i16", k.index))
            if self.planes == 1:
                with code.loop("0", str(self.rows)) as row:
                    self._zeros(code.at(target, "i8", self.mul(row.index, self.row)), depth)
        return entries.sizes()

    def _lay_out(self, entries: SingleEntries, source: str, first: str, depth: str, left: str) -> None:
        """Copy 32 of k of a tile's rows, whose lines may lie far apart: squares of 16 rows; zeros behind the last."""
        code = self.code
        registers = [n for n, _ in registers_of(self.kind)]

        def lines(k: str) -> list[str]:
            return [code.at(self.square, "i8", self.add(self.mul(k, LINE), str(n * DEEP * LINE))) for n in registers]

        count = code.least(self.sub(depth, first), str(DEEP))
        with code.loop("0", count) as k:
            place = self.add(first, k.index)
            later = code.least(self.add(place, str(DEEP)), self.sub(depth, 1))
            row, later = (
                code.at(source, "i8", code.load("i64", code.at(self.a_places, "i64", x))) for x in (place, later)
            )  # fmt: skip
            for n in registers:
                code.fetch(code.at(later, "i8", str(n * LINE)))
            for n, line in zip(registers, lines(k.index), strict=True):
                here = code.at(row, "i8", str(n * LINE))
                code.store(WORDS.text, entries.load(here, self.sub(left, n * ROWS)), line, LINE)
        with code.loop(count, str(DEEP)) as k:
            for line in lines(k.index):
                code.store(WORDS.text, "zeroinitializer", line, LINE)

    def _turn_apart(self, entries: SingleEntries, target: str) -> None:
        """Turn these squares, four rows at a time, and take their entries apart."""
        code = self.code
        with self._loop(entries, "0", str(self.rows // 4)) as four:
            n, within = code.whole("ashr", four.index, 2), code.whole("and", four.index, 3)
            place = code.at(self.square, "i8", self.add(self.mul(n, DEEP * LINE), self.mul(within, 16)))
            first, second = (turned_four(code, code.at(place, "i8", str(move))) for move in (0, ROWS * LINE))
            row = code.at(target, "i8", self.mul(self.mul(four.index, 4), self.row))
            for i in range(4):
                here = code.at(row, "i8", self.mul(self.row, i))
                for plane, words in enumerate(entries.beside(first[i], second[i])):
                    code.store(WORDS.text, words, code.at(here, "i8", self.mul(self.a_plane, plane)), LINE)

    def _lay_in_pairs(self, entries: HalfEntries, source: str, first: str, last: str, left: str) -> None:
        """Lay 32 of k of a tile's rows out as a panel of B lies: for each register of rows and each plane a square."""
        code = self.code
        with self._loop(entries, "0", str(ROWS)) as pair:
            k = self.add(first, code.whole("shl", pair.index, 1))
            places = [code.least(place, last) for place in (k, self.add(k, "1"))]
            rows = [code.at(source, "i8", code.load("i64", code.at(self.a_places, "i64", place))) for place in places]
            line = code.at(self.square, "i8", self.mul(pair.index, LINE))
            for n, _ in registers_of(self.kind):
                here = [code.at(row, "i8", str(n * ROWS * entries.size)) for row in rows]
                for plane, words in enumerate(entries.pairs(here[0], here[1], self.sub(left, n * ROWS))):
                    place = code.at(line, "i8", str((n * self.planes + plane) * ROWS * LINE))
                    code.store(WORDS.text, words, place, LINE)

    def _turn(self, target: str) -> None:
        """Write the columns of these squares into rows of A."""
        code = self.code
        with code.loop("0", str(len(registers_of(self.kind)) * self.planes)) as square:
            n, plane = self.digits(square.index, str(self.planes))
            move = self.add(self.mul(n, self.next_register), self.mul(plane, self.a_plane))
            place = code.at(self.square, "i8", self.mul(square.index, ROWS * LINE))
            for i, words in enumerate(turned(code, place)):
                code.store(WORDS.text, words, code.at(target, "i8", self.add(move, self.mul(self.row, i))), LINE)

    def _panel_of_b(self, panel: str, piece: Piece) -> list[str]:
        """Copy the columns of a panel, two of k side by side; zeros in the place of the second of an odd last one.

        Gives the sizes that were seen.
        """
        code, entries = self.code, self.kind_of_entries(self.code)
        source, depth = self._columns_of(panel), piece.depth
        left = self.sub(self.n["columns"], self.mul(panel, self.columns))
        steps = code.whole("ashr", self.add(depth, str(DEEP - 1)), 5)
        if isinstance(entries, SingleEntries):
            return self._panel_apart(entries, source, depth, self.mul(steps, ROWS), left)
        whole, every = (code.whole("ashr", self.add(depth, more), 1) for more in ("0", "1"))
        with self._loop(entries, "0", whole) as pair:
            k = code.whole("shl", pair.index, 1)
            later = [self.add(k, str(AHEAD[self.mode] + move)) for move in (0, 1)]
            self._fetch_ahead(source, later, self.sub(depth, 1))
            rows = [self._row_of_b(source, place) for place in (k, self.add(k, "1"))]
            self._pair_of_b(entries, pair.index, rows, left)
        with self._loop(entries, whole, every) as pair:
            self._pair_of_b(entries, pair.index, [self._row_of_b(source, self.sub(depth, 1))], left)
        with code.loop(every, self.mul(steps, ROWS)) as pair:
            for place in self._lines_of_b(pair.index):
                code.store(WORDS.text, "zeroinitializer", place, LINE)
        return entries.sizes()

    def _panel_apart(self, entries: SingleEntries, source: str, depth: str, pairs: str, left: str) -> list[str]:
        """The same of float32, whose k lies beside k + 16; the last is read again behind it, where A has zeros."""
        code, last = self.code, self.sub(depth, 1)
        with self._loop(entries, "0", pairs) as pair:
            k = self.add(pair.index, code.whole("and", pair.index, -ROWS))
            self._fetch_ahead(source, [self.add(k, str(DEEP + move)) for move in (0, ROWS)], last)
            rows = [self._row_of_b(source, code.least(place, last)) for place in (k, self.add(k, str(ROWS)))]
            self._pair_of_b(entries, pair.index, rows, left)
        return entries.sizes()

    def _fetch_ahead(self, source: str, places: list[str], last: str) -> None:
        """Ask for columns at places of k that come soon: rows of B lie too far apart for the processor to foresee."""
        code = self.code
        for place in places:
            row = self._row_of_b(source, code.least(place, last))
            for move in range(0, self.columns * self.kind_of_entries.size, LINE):
                code.fetch(code.at(row, "i8", str(move)))

    def _row_of_b(self, source: str, k: str) -> str:
        """Where the columns begin at a place of k."""
        return self.code.at(source, "i8", self.code.load("i64", self.code.at(self.b_places, "i64", k)))

    def _lines_of_b(self, pair: str) -> list[str]:
        """Where a pair of k lies in the panel: for each register of columns, in each plane."""
        code, vectors = self.code, self.kind.vectors
        there = code.at(self.panel, "i8", self.mul(pair, LINE * vectors))
        planes = [code.at(there, "i8", self.mul(self.b_plane, plane)) for plane in range(self.planes)]
        return [code.at(plane, "i8", str(j * LINE)) for j in range(vectors) for plane in planes]

    def _pair_of_b(self, entries: HalfEntries, pair: str, rows: list[str], left: str) -> None:
        """Lay two rows of B side by side in the panel, or one beside zeros."""
        lines = iter(self._lines_of_b(pair))
        for j in range(self.kind.vectors):
            here = [self.code.at(row, "i8", str(j * ROWS * entries.size)) for row in rows] + [""]
            for words, place in zip(entries.pairs(here[0], here[1], self.sub(left, j * ROWS)), lines, strict=False):
                self.code.store(WORDS.text, words, place, LINE)


@functools.lru_cache(maxsize=256)
def emit_amx_walk(tile: Tile) -> Code:
    """The walk over blocks around a tile of AMX that lays both factors out."""
    return AmxWalk(tile).emit()
