"""A part's rows of A as the register tile reads them, where they are something else in memory.

Halves become float32, numbers of 8 and 4 bits become float32 times their scales: a vector at a time, for one piece of
k, into the scratch memory of the part, which stays in the cache. So no copy of the whole of A is ever written, and
the widening is done once for all columns of the part. For a tile that multiplies in pairs, entries of neighbouring k
are laid side by side, and zeros behind an odd last one.

    mode "rows":     row after row; within it (segment, k)
    mode "columns":  tile after tile; within it (segment, k, row)

All that is packed has 32 bits: a float32 or a pair. Vectors are written whole: what stands behind a row is written
over by the next.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.native.emitting.tile import Tile, in_pairs
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.language.halves import widened
from chainrule.backends.native.language.small_numbers import FOURS, four
from chainrule.primitives.low_bits import GROUP

#: Bytes of a float32 and of a pair.
UNIT = 4


def packed_bytes(tile: Tile, tiles: int, segments: int, run: int) -> int:
    """The scratch memory for so many tiles' rows along a piece of k."""
    if not tile.packs:
        return 0
    steps = -(-run // 2) if tile.pairs else run
    return tiles * tile.rows * segments * steps * UNIT + UNIT * 4 * tile.lanes.lanes


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
        """From row to row in mode "rows", from tile to tile in mode "columns": room for the longest piece of k."""
        longest = self.whole("mul", self.n["segment_block"], self.steps(self.n["run_block"]))
        return self.whole("mul", longest, UNIT * (1 if self.tile.mode == "rows" else self.tile.rows))

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
        code, rows = self.code, 1 if self.tile.mode == "rows" else self.tile.rows
        each = self.whole("mul", self.steps(length), UNIT * rows)
        apart = self.row_bytes()
        with code.loop("0", segments) as s:
            pair = self.whole("shl", s.index, 1)
            behind = self.whole("add", pair, 1)
            code.store("i64", self.whole("mul", s.index, each), code.at(packed_table, "i64", pair))
            code.store("i64", code.load("i64", code.at(table, "i64", behind)), code.at(packed_table, "i64", behind))
        with code.loop("0", count) as row:
            source = code.load("ptr", code.at(sources, "ptr", row.index))
            target = code.at(to, "i8", self.whole("mul", row.index, apart))
            with code.loop("0", segments) as s:
                offset = code.load("i64", code.at(table, "i64", self.whole("shl", s.index, 1)))
                here = code.at(source, "i8", self.whole("add", offset, move))
                there = code.at(target, "i8", self.whole("mul", s.index, each))
                if self.tile.scaled:
                    number = self.whole("add", first, row.index)
                    self._scaled(here, there, length, self._scale(number, self.whole("add", segment, s.index)))
                elif self.tile.mode == "rows":
                    self._along(here, there, length)
                else:
                    self._across(here, there, length)

    # ------------------------------------------------------------------------------------- halves

    def _widened(self, bits: str) -> str:
        return widened(self.code, self.tile.a, self.lanes.lanes, bits)

    def _along(self, source: str, target: str, length: str) -> None:
        """A row whose k are contiguous."""
        code, lanes = self.code, self.lanes.lanes
        size = 2 if self.tile.pairs else UNIT
        with code.loop("0", length, str(lanes)) as k:
            bits = code.load(self.lanes.of("i16").text, code.at(source, "i16", k.index), 2)
            kind = self.lanes.of("i16") if self.tile.pairs else self.lanes
            value = bits if self.tile.pairs else self._widened(bits)
            code.store(kind.text, value, code.at(target, "i8", self.whole("mul", k.index, size)), size)
        if self.tile.pairs:  # behind an odd last one
            with code.when(code.op(f"trunc i64 {length} to i1")):
                code.store("i16", "0", code.at(target, "i16", length), 2)

    def _across(self, source: str, target: str, length: str) -> None:
        """The rows of a tile, which are contiguous, for each k."""
        code, tile, a_step = self.code, self.tile, self.n["a_step"]
        short = self.lanes.of("i16")

        def one(k: str, pair: bool) -> None:
            here = code.at(source, "i8", self.whole("mul", k, self.whole("shl", a_step, 1) if tile.pairs else a_step))
            there = code.at(target, "i8", self.whole("mul", k, tile.rows * UNIT))
            for v in range(-(-tile.rows // self.lanes.lanes)):
                bits = code.load(short.text, code.at(here, "i16", str(v * self.lanes.lanes)), 2)
                place = code.at(there, "i32", str(v * self.lanes.lanes))
                if not tile.pairs:
                    code.store(self.lanes.text, self._widened(bits), place, UNIT)
                    continue
                next_one = code.at(code.at(here, "i8", a_step), "i16", str(v * self.lanes.lanes))
                other = code.load(short.text, next_one, 2) if pair else ""
                code.store(self.lanes.of("i32").text, in_pairs(code, self.lanes.lanes, bits, other), place, UNIT)

        whole = self.whole("ashr", length, 1) if tile.pairs else length
        with code.loop("0", whole) as k:
            one(k.index, True)
        if tile.pairs:
            with code.loop(whole, self.steps(length)) as k:
                one(k.index, False)

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
