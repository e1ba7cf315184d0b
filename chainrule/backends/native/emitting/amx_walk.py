"""The walk around the tile of AMX (`amx.py`): it lays a part's rows of A and panels of B out as registers take them."""

from __future__ import annotations

import functools

from chainrule.backends.native.emitting.amx import A_PARTS, B_PARTS, DEEP, LINE, ROWS, SUMS, registers_of
from chainrule.backends.native.emitting.product import Walk
from chainrule.backends.native.emitting.tile import Tile
from chainrule.backends.native.language.code import Code, Lanes

#: A line of the cache as halves, as pairs of them and as bytes.
_HALVES, _WORDS, _BYTES = Lanes("i16", 32), Lanes("i32", 16), Lanes("i8", LINE)


@functools.lru_cache(maxsize=256)
def emit_amx_walk(tile: Tile) -> Code:
    """The walk over blocks around a tile of AMX."""
    return AmxWalk(tile).emit()


class AmxWalk(Walk):
    """The walk around a tile of AMX: it says how registers are divided, and lays A and B out for them."""

    def emit(self) -> Code:
        """The whole function."""
        # Space for the configuration is taken before anything else, so that no loop takes it again.
        self.configuration = self.code.op(f"alloca [{LINE} x i8], align {LINE}")
        return super().emit()

    def _scratch(self) -> None:
        super()._scratch()
        code, n = self.code, self.n
        depth = self.mul(n["segment_block"], n["run_block"])
        lines = code.whole("ashr", self.add(depth, str(DEEP - 1)), 5)
        self.row = self.mul(self.add(lines, "1"), LINE)
        self.packed = self._behind(self.block, self.mul(self.mul(self.tiles, self.rows), self.block_row))
        self.panel = self._behind(self.packed, self.mul(self.mul(self.tiles, self.rows), self.row))
        size = self.mul(lines, ROWS * LINE * self.kind.vectors)
        self.b_places = self._behind(self.panel, size)
        self.a_places = self._behind(self.b_places, self.mul(self.add(depth, "1"), 8))

    def _multiply(self) -> None:
        code, n = self.code, self.n
        self._configure()
        with code.loop("0", self.segments, n["segment_block"]) as segment:
            count = code.least(self.sub(self.segments, segment.index), n["segment_block"])
            table = code.at(self.table, "i64", code.whole("shl", segment.index, 1))
            with code.loop("0", n["run"], n["run_block"]) as run:
                length = code.least(self.sub(n["run"], run.index), n["run_block"])
                again = code.op(f"icmp ne i64 {code.whole('or', segment.index, run.index)}, 0")
                depth = self.mul(count, length)
                self._find(table, count, run.index, length)
                if self.mode == "rows":
                    self._rows_of_a(table, count, self.mul(run.index, n["a_step"]), length, depth)
                else:
                    self._turned_rows_of_a(depth)
                steps = code.whole("ashr", self.add(depth, str(DEEP - 1)), 5)
                with code.loop("0", self.panels) as panel:
                    number = self.add(self.first_panel, panel.index)
                    self._panel_of_b(code.at(self.b, "i8", self.mul(number, self.b_width)), depth)
                    with code.loop("0", self.tiles) as tile:
                        first = self.mul(tile.index, self.rows)
                        a = code.at(self.packed, "i8", self.mul(first, self.row))
                        move = self.add(self.mul(first, self.block_row), self.mul(panel.index, self.width))
                        c = code.at(self.block, "i8", move)
                        code.do(
                            f"call void @tile_{self.kind.name}(ptr {a}, i64 {self.row}, ptr {self.panel}, i64 {steps}, "
                            f"ptr {c}, i64 {self.block_row}, i1 {again})"
                        )
        code.call("void", "llvm.x86.tilerelease")

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

    def _find(self, table: str, count: str, first: str, length: str) -> None:
        """Write down how far each k of a piece lies from the first, in B and, where it lies across rows, in A."""
        code, n = self.code, self.n
        sides = [("b", self.b_places, 1)] + [("a", self.a_places, 0)] * (self.mode == "columns")
        for side, places, which in sides:
            step = n[f"{side}_step"]
            with code.loop("0", count) as s:
                pair = self.add(code.whole("shl", s.index, 1), str(which))
                start = self.add(code.load("i64", code.at(table, "i64", pair)), self.mul(first, step))
                here = code.at(places, "i64", self.mul(s.index, length))
                with code.loop("0", length, carried=[("i64", start)]) as k:
                    code.store("i64", k.carried[0], code.at(here, "i64", k.index))
                    k.next = [self.add(k.carried[0], step)]

    def _rows_of_a(self, table: str, count: str, move: str, length: str, depth: str) -> None:
        """Copy rows in which k is contiguous: segment after segment, then zeros.

        Vectors are written whole: what stands behind a segment is written over by the next, or by the zeros.
        """
        code = self.code
        with code.loop("0", self.mul(self.tiles, self.rows)) as row:
            source = code.load("ptr", code.at(self.addresses, "ptr", row.index))
            target = code.at(self.packed, "i8", self.mul(row.index, self.row))
            with code.loop("0", count) as s:
                offset = code.load("i64", code.at(table, "i64", code.whole("shl", s.index, 1)))
                here = code.at(source, "i8", self.add(offset, move))
                there = code.at(target, "i16", self.mul(s.index, length))
                with code.loop("0", length, str(DEEP)) as k:
                    bits = code.load(_HALVES.text, code.at(here, "i16", k.index), 2)
                    code.store(_HALVES.text, bits, code.at(there, "i16", k.index), 2)
            code.store(_HALVES.text, "zeroinitializer", code.at(target, "i16", depth), 2)

    def _turned_rows_of_a(self, depth: str) -> None:
        """Copy rows that lie side by side for each k: 32 of k at a time are turned in registers.

        Behind the last k it is read again, and zeros are written over what came of it.
        """
        code = self.code
        last = self.sub(depth, 1)
        with code.loop("0", self.tiles) as tile:
            source = code.load("ptr", code.at(self.addresses, "ptr", tile.index))
            target = code.at(self.packed, "i8", self.mul(self.mul(tile.index, self.rows), self.row))
            with code.loop("0", depth, str(DEEP)) as k:
                places = [code.least(self.add(k.index, str(i)), last) for i in range(DEEP)]
                moves = [code.load("i64", code.at(self.a_places, "i64", place)) for place in places]
                there = code.at(target, "i16", k.index)
                for first, rows in registers_of(self.kind):
                    block = [
                        code.load(f"<{ROWS} x i16>", code.at(code.at(source, "i8", move), "i16", str(first * ROWS)), 2)
                        for move in moves
                    ]
                    pairs = [_in_pairs(code, ROWS, *block[i : i + 2])[0] for i in range(0, DEEP, 2)]
                    for i, line in enumerate(turned(code, pairs)[:rows]):
                        place = code.at(there, "i8", self.mul(self.row, first * ROWS + i))
                        code.store(_WORDS.text, line, place, LINE)
            with code.loop("0", str(self.rows)) as row:
                place = code.at(code.at(target, "i8", self.mul(row.index, self.row)), "i16", depth)
                code.store(_HALVES.text, "zeroinitializer", place, 2)

    def _panel_of_b(self, source: str, depth: str) -> None:
        """Copy the columns of a panel, two of k side by side; zeros in the place of the second of an odd last one."""
        code, vectors = self.code, self.kind.vectors
        lanes = ROWS * vectors

        def load(k: str) -> str:
            move = code.load("i64", code.at(self.b_places, "i64", k))
            return code.load(f"<{lanes} x i16>", code.at(source, "i8", move), 2)

        def write(pair: str, first: str, second: str) -> None:
            there = code.at(self.panel, "i8", self.mul(pair, LINE * vectors))
            for j, line in enumerate(_in_pairs(code, lanes, first, second)):
                code.store(_WORDS.text, line, code.at(there, "i8", str(j * LINE)), LINE)

        whole = code.whole("ashr", depth, 1)
        with code.loop("0", whole) as pair:
            k = code.whole("shl", pair.index, 1)
            write(pair.index, load(k), load(self.add(k, "1")))
        with code.when(code.op(f"trunc i64 {depth} to i1")):
            write(whole, load(self.sub(depth, 1)), "zeroinitializer")
        every = code.whole("and", self.add(depth, str(DEEP - 1)), -DEEP)
        with code.loop(code.whole("ashr", self.add(depth, "1"), 1), code.whole("ashr", every, 1)) as pair:
            there = code.at(self.panel, "i8", self.mul(pair.index, LINE * vectors))
            for j in range(vectors):
                code.store(_WORDS.text, "zeroinitializer", code.at(there, "i8", str(j * LINE)), LINE)


def _in_pairs(code: Code, lanes: int, first: str, second: str) -> list[str]:
    """Entries of two rows side by side, as vectors of 16 pairs."""
    vector, lines = f"<{lanes} x i16>", []
    for start in range(0, lanes, ROWS):
        order = ", ".join(f"i32 {i}, i32 {i + lanes}" for i in range(start, start + ROWS))
        both = code.op(f"shufflevector {vector} {first}, {vector} {second}, <{2 * ROWS} x i32> <{order}>")
        lines.append(code.op(f"bitcast {_HALVES.text} {both} to {_WORDS.text}"))
    return lines


def turned(code: Code, lines: list[str]) -> list[str]:
    """16 vectors of 16 words as the columns of what they are the rows of.

    In each of four turns the square is four squares, of which those beside the diagonal change places: first of 8 × 8
    words, then within each of 4 × 4, and so on.
    """
    size = len(lines)
    half = size // 2
    while half:
        low = [i if i & half == 0 else i - half + size for i in range(size)]
        high = [i + half if i & half == 0 else i + size for i in range(size)]
        for i in range(size):
            if i & half == 0:
                pair = f"{_WORDS.text} {lines[i]}, {_WORDS.text} {lines[i + half]}"
                lines[i], lines[i + half] = (
                    code.op(f"shufflevector {pair}, <{size} x i32> <{', '.join(f'i32 {n}' for n in order)}>")
                    for order in (low, high)
                )
        half //= 2
    return lines
