"""A part's rows of A as the register tile reads them, where they are something else in memory.

Halves become float32, numbers of 8 and 4 bits become float32 times their scales: a vector at a time, for one piece of
k, into the scratch memory of the part, which stays in the cache. So no copy of the whole of A is ever written, and
the widening is done once for all columns of the part. For a tile that multiplies in pairs, entries of neighbouring k
are laid side by side where they do not lie so already ("columns"), and zeros behind an odd last one.

    mode "rows":     row after row; within it (segment, k)
    mode "columns":  tile after tile; within it (segment, k, row)

All that is packed has 32 bits: a float32 or a pair. Vectors are written whole: what stands behind a row is written
over by the next.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.native.emitting.tile import LINE, Tile, in_pairs
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.language.halves import widened
from chainrule.backends.native.language.small_numbers import FOURS, four
from chainrule.primitives.low_bits import GROUP

#: Bytes of a float32 and of a pair. What lies across k begins at multiples of a line: a vector written then is one.
UNIT = 4
#: So many units of k are packed for one tile, then for the next.
TOGETHER = 8


def apart(tile: Tile) -> int:
    """Bytes from one unit of k to the next."""
    return UNIT if tile.mode == "rows" else -(-tile.rows * UNIT // LINE) * LINE


def packed_bytes(tile: Tile, tiles: int, segments: int, run: int) -> int:
    """The scratch memory for so many tiles' rows along a piece of k."""
    if not tile.packs:
        return 0
    steps = -(-run // 2) if tile.pairs else run
    each, more = (tile.rows, 0) if tile.mode == "rows" else (1, LINE)
    return tiles * each * (segments * steps * apart(tile) + more) + UNIT * 4 * tile.lanes.lanes


class Packing:
    """Writes the code that packs: `n` are the names of the walk's numbers."""

    def __init__(self, code: Code, tile: Tile, n: dict[str, str]) -> None:
        self.code, self.tile, self.n = code, tile, n
        self.lanes = tile.lanes

    def whole(self, name: str, x: str, y: Any) -> str:
        """An operation on two i64."""
        return self.code.op(f"{name} i64 {x}, {y}")

    def steps(self, run: str) -> str:
        """How many units a run of k takes."""
        return self.whole("ashr", self.whole("add", run, 1), 1) if self.tile.pairs else run

    def row_bytes(self) -> str:
        """From row to row in mode "rows", from tile to tile in mode "columns": room for the longest piece of k.

        Tiles lie a line further apart, else they would fall into the same few sets of the cache.
        """
        longest = self.whole("mul", self.n["segment_block"], self.steps(self.n["run_block"]))
        room = self.whole("mul", longest, apart(self.tile))
        return room if self.tile.mode == "rows" else self.whole("add", room, LINE)

    def emit(
        self, sources: str, count: str, first: str, segment: str, table: str, segments: str, length: str, to: str,
        packed_table: str, move: str,
    ) -> None:  # fmt: skip
        """Pack a piece of k.

        Args:
            sources, count: the table of addresses of rows (of tiles, in mode "columns"), and how many there are.
            first: the number of the first of them.
            segment, table, segments: the first segment of the piece, where its table begins, how many there are.
            length, move: steps of k in each segment, and how many bytes of A come before them.
            to, packed_table: where the packed entries go, and the table of their segments for the tile.
        """
        code = self.code
        each, longest = self.whole("mul", self.steps(length), apart(self.tile)), self.row_bytes()
        with code.loop("0", segments) as s:
            pair = self.whole("shl", s.index, 1)
            behind = self.whole("add", pair, 1)
            code.store("i64", self.whole("mul", s.index, each), code.at(packed_table, "i64", pair))
            code.store("i64", code.load("i64", code.at(table, "i64", behind)), code.at(packed_table, "i64", behind))
        if self.tile.mode == "columns":
            with code.loop("0", segments) as s:
                offset = code.load("i64", code.at(table, "i64", self.whole("shl", s.index, 1)))
                there = code.at(to, "i8", self.whole("mul", s.index, each))
                self._across(sources, count, self.whole("add", offset, move), there, length)
            return
        with code.loop("0", count) as row:
            source = code.load("ptr", code.at(sources, "ptr", row.index))
            target = code.at(to, "i8", self.whole("mul", row.index, longest))
            with code.loop("0", segments) as s:
                offset = code.load("i64", code.at(table, "i64", self.whole("shl", s.index, 1)))
                here = code.at(source, "i8", self.whole("add", offset, move))
                there = code.at(target, "i8", self.whole("mul", s.index, each))
                if self.tile.scaled:
                    number = self.whole("add", first, row.index)
                    self._scaled(here, there, length, self._scale(number, self.whole("add", segment, s.index)))
                else:
                    self._along(here, there, length)

    # ------------------------------------------------------------------------------------- halves

    def _widened(self, bits: str) -> str:
        return widened(self.code, self.tile.a, self.lanes.lanes, bits)

    def _along(self, source: str, target: str, length: str) -> None:
        """A row whose k are contiguous."""
        code, lanes = self.code, self.lanes.lanes
        with code.loop("0", length, str(lanes)) as k:
            bits = code.load(self.lanes.of("i16").text, code.at(source, "i16", k.index), 2)
            place = code.at(target, "i8", self.whole("mul", k.index, UNIT))
            code.store(self.lanes.text, self._widened(bits), place, UNIT)

    def _across(self, sources: str, count: str, move: str, target: str, length: str) -> None:
        """The rows of all tiles for a few k, and for the next few: what is read lies together, and what is written."""
        code, tile, longest = self.code, self.tile, self.row_bytes()
        step = self.whole("shl", self.n["a_step"], int(tile.pairs))
        whole = self.whole("ashr", length, 1) if tile.pairs else length

        def rows(low: str, high: str, pair: bool) -> None:
            with code.loop("0", count) as row:
                here = code.at(code.load("ptr", code.at(sources, "ptr", row.index)), "i8", move)
                there = code.at(target, "i8", self.whole("mul", row.index, longest))
                with code.loop(low, high) as k:
                    from_k = code.at(here, "i8", self.whole("mul", k.index, step))
                    to_k = code.at(there, "i8", self.whole("mul", k.index, apart(tile)))
                    for v in range(-(-tile.rows // self.lanes.lanes)):
                        self._vector(from_k, to_k, v, pair)

        with code.loop("0", whole, str(TOGETHER)) as k:
            rows(k.index, code.least(self.whole("add", k.index, TOGETHER), whole), True)
        if tile.pairs:
            with code.when(code.op(f"trunc i64 {length} to i1")):
                rows(whole, self.steps(length), False)

    def _vector(self, here: str, there: str, v: int, pair: bool) -> None:
        """A vector of a tile's rows at one place of k, or at two side by side. `pair`: whether the second is there."""
        code, lanes = self.code, self.lanes.lanes
        short, place = self.lanes.of("i16"), code.at(there, "i32", str(v * lanes))
        bits = code.load(short.text, code.at(here, "i16", str(v * lanes)), 2)
        if not self.tile.pairs:
            code.store(self.lanes.text, self._widened(bits), place, UNIT)
            return
        if pair:
            second = code.load(short.text, code.at(code.at(here, "i8", self.n["a_step"]), "i16", str(v * lanes)), 2)
            both = self._side_by_side(bits, second)
        else:
            both = in_pairs(code, lanes, bits, "")
        code.store(self.lanes.of("i32").text, both, place, UNIT)

    def _side_by_side(self, first: str, second: str) -> str:
        """As `in_pairs`, by one instruction that takes a register for the order: there are enough here."""
        code, lanes = self.code, self.lanes.lanes
        order = [place for i in range(lanes) for place in (i, i + lanes)]
        both = code.shuffle(self.lanes.of("i16"), order, first, second)
        return code.op(f"bitcast <{2 * lanes} x i16> {both} to {self.lanes.of('i32').text}")

    # ------------------------------------------------------------------------------------- numbers with scales

    def _scale(self, row: str, segment: str) -> str:
        """The scale of a row's segment, in every lane. Beyond the last row stands the last one again."""
        code, n = self.code, self.n
        last = self.whole("sub", n["rows"], 1)
        row = code.least(row, last)
        memory = code.load("ptr", code.at("%bases", "ptr", n["scale_slot"]))
        move = self.whole("add", self.whole("mul", row, n["scale_row"]), self.whole("mul", segment, n["scale_segment"]))
        place = code.at(memory, "i8", self.whole("add", n["scale_offset"], move))
        return code.spread(self.lanes, code.load("float", place, 4))

    def _scaled(self, source: str, target: str, length: str, scale: str) -> None:
        """Numbers of 8 bits, or a group of numbers of 4, times their scale."""
        code, lanes, short = self.code, self.lanes.lanes, self.lanes.of("i8")
        fours = self.tile.scaled == "int4"
        with code.loop("0", str(GROUP // 2) if fours else length, str(lanes)) as k:
            byte = code.load(short.text, code.at(source, "i8", k.index), 1)
            kind = self.lanes.of("i32") if fours else short
            parts = [four(code, op, lanes, byte) for op in FOURS] if fours else [byte]
            for i, part in enumerate(parts):
                value = code.op(f"sitofp {kind.text} {part} to {self.lanes.text}")
                value = code.op(f"fmul {self.lanes.text} {value}, {scale}")
                place = code.at(target, "float", self.whole("add", k.index, i * GROUP // 2))
                code.store(self.lanes.text, value, place, UNIT)
