"""Products by AMX whose A is read where it lies: pixels of bfloat16, whose channels fill lines of the cache.

A register of A is some rows that lie evenly, 64 bytes of each. Of such an image these are neighbouring pixels and 32
of their channels, so a convolution needs no copy of what its kernel sees: for each place of the kernel the same rows
begin elsewhere. A tile's two registers have as many rows each, so many that a row of the image is cut evenly
(`tile.direct_rows`): rows of 28 pixels into 14 and 14.
"""

from __future__ import annotations

import functools

from chainrule.backends.native.emitting.amx import ROWS, begin_sums, end_sums, height_of, multiply_add
from chainrule.backends.native.emitting.amx_laid import LaidWalk
from chainrule.backends.native.emitting.amx_walk import AmxWalk, Piece
from chainrule.backends.native.emitting.tile import LINE, Tile
from chainrule.backends.native.language.code import Code


@functools.lru_cache(maxsize=256)
def emit_direct_tile(tile: Tile) -> Code:
    """C[i, j] (+)= Σ A(i, k) · B(k, j) over some segments, each of so many steps of 32 entries of k.

    `%a` and `%a_second` are where its two registers of rows begin; the table says how far each segment lies from there.
    """
    arguments = [
        ("ptr", "%a"), ("ptr", "%a_second"), ("i64", "%a_row"), ("i64", "%segments"), ("ptr", "%table"),
        ("i64", "%steps"), ("ptr", "%b"), ("ptr", "%c"), ("i64", "%c_row"), ("i1", "%add"),
    ]  # fmt: skip
    code = Code("void", f"tile_{tile.name}", arguments, "nounwind noinline")
    sums = begin_sums(code, tile)
    with code.loop("0", "%segments") as segment:
        offset = code.load("i64", code.at("%table", "i64", code.whole("shl", segment.index, 1)))
        first = code.whole("mul", segment.index, "%steps")
        with code.loop("0", "%steps") as k:
            move = code.whole("add", offset, code.whole("mul", k.index, LINE))
            number = code.whole("add", first, k.index)
            b = code.at("%b", "i8", code.whole("mul", number, ROWS * LINE * tile.vectors))
            multiply_add(code, tile, [[code.at(a, "i8", move) for a in ("%a", "%a_second")]], [b])
    end_sums(code, sums)
    return code


class DirectWalk(AmxWalk):
    """The walk that lays B out, and nothing of A."""

    def _rows_of_a(self, piece: Piece) -> list[str]:
        return []

    def _panel_of_c(self, piece: Piece, panel: str, b: str, of_a: list[str], of_b: list[str]) -> None:
        """A panel of the block: tile after tile. A second register without rows reads those of the first again."""
        code, n, half = self.code, self.n, height_of(self.kind)
        block = code.at(self.block, "i8", self.mul(panel, self.width))
        steps, move = code.whole("ashr", piece.length, 5), self.mul(piece.first, n["a_step"])
        with code.loop("0", self.tiles) as tile:
            first = self.mul(tile.index, self.rows)
            second = self.add(first, str(half))
            behind = self.add(self.mul(self.first_tile, self.rows), second)
            there = code.op(f"icmp slt i64 {behind}, {n['rows']}")
            second = code.op(f"select i1 {there}, i64 {second}, i64 {first}")
            a, a_second = (
                code.at(code.load("ptr", code.at(self.addresses, "ptr", row)), "i8", move) for row in (first, second)
            )
            c = code.at(block, "i8", self.mul(first, self.block_row))
            code.do(
                f"call void @tile_{self.kind.name}(ptr {a}, ptr {a_second}, i64 {n['a_row3']}, i64 {piece.segments}, "
                f"ptr {piece.table}, i64 {steps}, ptr {self.panel}, ptr {c}, i64 {self.block_row}, i1 {piece.again})"
            )


class DirectLaidWalk(DirectWalk, LaidWalk):
    """The walk that finds B laid out."""


@functools.lru_cache(maxsize=256)
def emit_direct_walk(tile: Tile) -> Code:
    """The walk over blocks around such a tile."""
    return (DirectLaidWalk if tile.laid else DirectWalk)(tile).emit()
