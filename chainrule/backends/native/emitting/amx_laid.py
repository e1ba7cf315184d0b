"""B laid out for AMX once, before a loop, and the walk that finds it so: a recurrent network's weights.

Each time round, such a loop multiplies a few rows by the same columns. To lay a panel out takes longer than to multiply
32 rows by it, so that is done for all panels before the loop:

    panel 0: piece 0 of k, piece 1, …;  panel 1: …        of each piece: a line with its sizes, then its planes

A panel is then read once for each tile of rows, from the second cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.emitting.amx import panel_bytes
from chainrule.backends.native.emitting.amx_walk import AmxWalk, Piece
from chainrule.backends.native.emitting.product import ARGUMENTS, fields_of, numbers_of
from chainrule.backends.native.emitting.tile import LINE, Tile, tile_of
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.lowering.place import Buffer

#: Fewer parts and times than this do not pay for a kernel of its own, which all wait for.
SHARED = 4
#: So many bytes are laid out for a single round at most: a large vocabulary's matrix would take twice its memory.
MOST = 2**24


class _Laid(AmxWalk):
    """What both know: where a piece of a panel is laid out."""

    laid: str

    def _laid(self) -> str:
        memory = self.code.load("ptr", self.code.at("%bases", "ptr", self.n["laid_slot"]))
        return self.code.at(memory, "i8", self.n["laid_offset"])

    def _go_to(self, panel: str, piece: Piece) -> str:
        """The address of a piece's sizes; behind them, where `panel` is from now on, lie its planes."""
        code, each = self.code, self.add(self.mul(self.b_plane, self.planes), str(LINE))
        number = self.add(self.mul(panel, self.n["pieces"]), piece.number)
        place = code.at(self.laid, "i8", self.mul(number, each))
        self.panel = code.at(place, "i8", str(LINE))
        return place


class LaidWalk(_Laid):
    """The walk that finds the panels of B laid out, and their sizes beside them."""

    def _scratch(self) -> None:
        super()._scratch()
        self.laid = self._laid()

    def _find_in_b(self, piece: Piece) -> None:
        """Nothing is looked for in B."""

    def _panel_of_b(self, panel: str, piece: Piece) -> list[str]:
        place = self._go_to(panel, piece)
        return [self.code.load("i32", self.code.at(place, "i32", str(i)), 4) for i in range(3 * (self.planes > 1))]


class LayingOut(_Laid):
    """Writes the function that lays a panel out, piece after piece."""

    def __init__(self, tile: Tile) -> None:
        super().__init__(tile)
        self.code = Code("void", f"lay_out_{tile.name}", ARGUMENTS)

    def emit(self) -> Code:
        """The whole function."""
        code = self.code
        n = self.n = {
            name: code.load("i64", code.at("%n", "i64", str(i))) for i, name in enumerate(fields_of(self.kind))
        }
        self.b, self.laid = self._base("b", "0"), self._laid()
        self.segments, self.first_segment = n["segments"], "0"
        self.table = "%scratch"
        self.b_places = self._behind(self.table, self.mul(self.segments, 16))
        self._longest()
        self._segment_table()
        with self._pieces() as piece:
            self._find_in_b(piece)
            place = self._go_to("%part", piece)
            for i, size in enumerate(self._panel_of_b("%part", piece)):
                code.store("i32", size, code.at(place, "i32", str(i)), 4)
        code.do("ret void")
        return code


@functools.lru_cache(maxsize=256)
def emit_laid_walk(tile: Tile) -> Code:
    """The walk over blocks around a tile of AMX for which B lies ready."""
    return LaidWalk(tile).emit()


@functools.lru_cache(maxsize=256)
def emit_laying_out(tile: Tile) -> Code:
    """The function that lays B out."""
    return LayingOut(tile).emit()


def layout_for(bits: int, pairs: bool, amx: bool) -> Callable[[Product, int], int] | None:
    """What says how many bytes all panels of a product's B take that is wanted so many times; None without AMX.

    0 where the tile reads B as it lies, or where too few parts and times would share what is laid out.

    `bits`, `pairs`, `amx`: see :func:`~chainrule.backends.native.emitting.tile.tile_of`.
    """

    def layout(product: Product, times: int) -> int:
        moves = any(n != 1 and step for n, _, step in (*product.batch, product.groups))
        if product.splits != 1 or moves:  # what is laid out is one matrix, and one sum goes along it
            return 0
        laid = replace(product, laid=Buffer(np.dtype(np.uint8), 0))
        tile = tile_of(bits, laid, pairs, amx)
        return _laid_bytes(laid, tile, times) if tile.laid else 0

    return layout if amx else None


def _laid_bytes(product: Product, tile: Tile, times: int) -> int:
    numbers = dict(zip(fields_of(tile), numbers_of(product, 0, 0, tile)[0], strict=True))
    if numbers["row_parts"] * times < SHARED:
        return 0
    each = LINE + panel_bytes(tile, numbers["segment_block"] * numbers["run_block"])
    size = int(numbers["panels"] * numbers["pieces"] * each)
    return size if times > 1 or size <= MOST else 0


def call_of_laying_out(product: Product, tile: Tile) -> tuple[list[Any], int, int]:
    """The arguments of the function that lays B out, the number of its parts, and the scratch memory a part takes."""
    numbers, _, scratch = numbers_of(product, 0, 0, tile)
    return numbers, numbers[fields_of(tile).index("panels")], scratch
