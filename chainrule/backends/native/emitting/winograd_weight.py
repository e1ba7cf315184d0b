"""The machine code of a convolution's gradient in its weight by Winograd's algorithm. What it is: `passes/winograd.py`.

A part of the work is some channels of the image, some panels of channels of the result, and a share of all tiles of
2×2 results. Everything that it makes stays in the second cache:

    for 64 tiles at a time:
        the image's new form                         16 planes of (tile, channel of the image)
        the result's gradient's new form             16 planes of (tile, channel of the result)
        a product for each, added up                 16 planes of (channel of the image, channel of the result)
    the sums' last change of form                    a block of (place of the kernel, channel, channel)
    the block is handed to what follows

The products are done by the same register tile as all others. How sums are cut follows from the shape and the length of
vectors; the second cache says only how many columns a part has, which is in no sum.

As in `winograd.py` each part looks whether all its results are finite, and computes its block again by the plain sum if
one is not: else an infinity, or a NaN, would be in other places than eager code has it.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from chainrule.backends.native.emitting.digits import digits_of, next_digits
from chainrule.backends.native.emitting.numbers import Offset, Slot
from chainrule.backends.native.emitting.tile import Tile, call_tile, most_rows
from chainrule.backends.native.emitting.transforms import emit_image, emit_sums, emit_upstream
from chainrule.backends.native.emitting.winograd import PartWriter
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import ELEMENTS
from chainrule.backends.native.lowering.winograd import WinogradWeight
from chainrule.backends.native.run.processor import processor
from chainrule.backends.passes.winograd import PIECE, STEP, WEIGHT_CHANNELS, WEIGHT_PARTS, WEIGHT_TILES, tiles_of

#: Places of a tile's new form, and of a kernel.
PLANES, TAPS = PIECE * PIECE, 9
#: The pieces of so many tiles further on are fetched while those of one change their form.
AHEAD = 16
#: Bytes by which planes are further apart than they need to be: else they fall into the same few sets of a cache.
LINE = 64

FIELDS = (
    "image_slot", "image_offset", "image_image", "image_row", "image_pixel",
    "upstream_slot", "upstream_offset", "upstream_image", "upstream_row", "upstream_pixel",
    "channels", "columns", "panels", "high", "wide", "tiles",
    "channels_each", "panels_each", "tiles_each", "together", "channel_parts", "column_parts",
    "image_plane", "image_tile", "upstream_plane", "upstream_tile", "sum_plane", "tap",
    "places_at", "segments_at", "seen_at", "image_at", "upstream_at", "sum_at", "block_at", "finish", "finish_numbers",
)  # fmt: skip


class Parts(NamedTuple):
    """How the work is divided: channels and panels of a part, its tiles, and how many of them change form together."""

    channels: int
    panels: int
    tiles: int
    together: int


class Walk(PartWriter):
    """Writes the function that does one part."""

    def __init__(self, tile: Tile) -> None:
        super().__init__(tile, f"winograd_weight_{tile.name}")

    def emit(self) -> Code:
        """The whole function."""
        code = self.code
        n = self.n = {name: code.load("i64", code.at("%n", "i64", str(i))) for i, name in enumerate(FIELDS)}
        names = ("image", "upstream", "sum", "block", "segments", "seen", "places")
        self.image, self.upstream, self.sums, self.block, self.segments, self.seen, self.places = (
            code.at("%scratch", "i8", n[f"{name}_at"]) for name in names
        )
        self.share, column_part, channel_part = digits_of(code, "%part", [n["column_parts"], n["channel_parts"]])
        self.channel = self.do("mul", channel_part, n["channels_each"])
        self.channels = code.least(self.do("sub", n["channels"], self.channel), n["channels_each"])
        panel = self.do("mul", column_part, n["panels_each"])
        self.panels = code.least(self.do("sub", n["panels"], panel), n["panels_each"])
        self.column = self.do("mul", panel, self.width)
        self.left = self.do("sub", n["columns"], self.column)
        self.first = self.do("mul", self.share, n["tiles_each"])
        self.tiles = code.least(self.do("sub", n["tiles"], self.first), n["tiles_each"])
        self.groups = self.do("udiv", self.do("add", self.channels, self.tile.rows - 1), self.tile.rows)
        self.images = self.moved(self.base("image"), (self.channel, self.tile.size))
        self.upstreams = self.moved(self.base("upstream"), (self.column, self.tile.size))
        self._multiply()
        self._results()
        self._check()
        self._finish()
        code.do("ret void")
        return code

    # ------------------------------------------------------------------------------------- the products

    def _multiply(self) -> None:
        """16 products, of so many tiles at a time."""
        code, n = self.code, self.n
        code.store("i64", "0", code.at(self.segments, "i64", "0"))
        code.store("i64", "0", code.at(self.segments, "i64", "1"))
        with code.loop("0", self.tiles, n["together"]) as some:
            count = code.least(self.do("sub", self.tiles, some.index), n["together"])
            self._find_places(self.do("add", self.first, some.index), self.do("add", count, AHEAD))
            with code.loop("0", count) as tile:
                self._new_forms(tile.index)
            again = code.op(f"icmp ne i64 {some.index}, 0")
            with code.loop("0", str(PLANES)) as plane:
                a = self.moved(self.image, (plane.index, n["image_plane"]))
                b = self.moved(self.upstream, (plane.index, n["upstream_plane"]))
                to = self.moved(self.sums, (plane.index, n["sum_plane"]))
                self._products(a, n["image_tile"], "1", count, b, n["upstream_tile"], to, again)

    def _products(self, a: str, a_step: str, segments: str, run: str, b: str, b_step: str, to: str, again: str) -> None:
        """A product of all channels of the part with all its panels."""
        code, wide, high = self.code, self.width * self.tile.size, self.tile.rows * self.tile.size
        with code.loop("0", self.panels) as panel, code.loop("0", self.groups) as group:
            rows, columns = self.moved(a, (group.index, high)), self.moved(b, (panel.index, wide))
            row = self.do("mul", group.index, self.tile.rows)
            place = self.moved(to, (row, self.n["upstream_tile"]), (panel.index, wide))
            call_tile(
                code, self.tile, rows, a_step, segments, self.segments, run, columns, b_step, place,
                self.n["upstream_tile"], again, "0",
            )  # fmt: skip

    def _find_places(self, first: str, count: str) -> None:
        """The table of where some tiles begin in the image and in the result's gradient, in bytes."""
        code, n = self.code, self.n
        bases = [n["high"], n["wide"]]
        digits = [("i64", digit) for digit in digits_of(code, first, bases)]
        with code.loop("0", count, carried=digits) as loop:
            for i, name in enumerate(("image", "upstream")):
                steps = (n[name + "_image"], n[name + "_row"], n[name + "_pixel"])
                moves = [self.do("mul", d, step) for d, step in zip(loop.carried, steps, strict=True)]
                inside = self.do("mul", self.do("add", moves[1], moves[2]), STEP)
                place = code.at(self.places, "i64", self.do("add", self.do("shl", loop.index, 1), i))
                code.store("i64", self.do("add", moves[0], inside), place)
            loop.next = next_digits(code, loop.carried, bases)

    def _place(self, tile: str, which: int, base: str) -> str:
        """Where a tile begins."""
        entry = self.code.at(self.places, "i64", self.do("add", self.do("shl", tile, 1), which))
        return self.code.at(base, "i8", self.code.load("i64", entry))

    def _new_forms(self, tile: str) -> None:
        """The new form of a tile's piece of the image, and of its piece of the result's gradient."""
        n, later = self.n, self.do("add", tile, AHEAD)
        pieces = self._place(tile, 0, self.images), self.moved(self.image, (tile, n["image_tile"]))
        numbers = [self.channels, n["image_row"], n["image_pixel"], n["image_plane"]]
        self._call("image", list(pieces), numbers, self._place(later, 0, self.images))
        pieces = self._place(tile, 1, self.upstreams), self.moved(self.upstream, (tile, n["upstream_tile"]))
        columns = self.do("mul", self.panels, self.width)
        numbers = [columns, self.left, n["upstream_row"], n["upstream_pixel"], n["upstream_plane"]]
        self._call("upstream", list(pieces), numbers, self._place(later, 1, self.upstreams))

    def _call(self, name: str, pointers: list[str], numbers: list[str], *more: str) -> None:
        given = [*(f"ptr {x}" for x in pointers), *(f"i64 {x}" for x in numbers), *(f"ptr {x}" for x in more)]
        self.code.do(f"call void @winograd_{name}_{self.lanes.mangled}({', '.join(given)})")

    # ------------------------------------------------------------------------------------- what becomes of the sums

    def _results(self) -> None:
        """The sums as entries of the weight."""
        code, n = self.code, self.n
        code.store(self.lanes.text, "zeroinitializer", self.seen, self.tile.size)
        columns = self.do("mul", self.panels, self.width)
        with code.loop("0", self.channels) as channel:
            row = (channel.index, n["upstream_tile"])
            pointers = [self.moved(self.sums, row), self.moved(self.block, row)]
            self._call("sums", pointers, [columns, n["sum_plane"], n["tap"]], self.seen)

    def _check(self) -> None:
        """If a result is not finite: the block by the plain sum over the pixels of the tiles."""
        code, n, kind = self.code, self.n, self.lanes.text
        wrong = code.op(f"fcmp uno {kind} {code.load(kind, self.seen, self.tile.size)}, zeroinitializer")
        any_wrong = f"llvm.vector.reduce.or.v{self.lanes.lanes}i1"
        with (
            code.when(code.call("i1", any_wrong, (self.lanes.of("i1").text, wrong))),
            code.loop("0", self.tiles, n["together"]) as some,
        ):
            count = code.least(self.do("sub", self.tiles, some.index), n["together"])
            self._find_places(self.do("add", self.first, some.index), count)
            with code.loop("0", count) as tile, code.loop("0", str(STEP)) as line:
                segment = self.do("add", self.do("mul", tile.index, STEP), line.index)
                for which, name in enumerate(("image", "upstream")):
                    table = self.do("add", self.do("shl", tile.index, 1), which)
                    move = self.do("mul", line.index, n[name + "_row"])
                    move = self.do("add", code.load("i64", code.at(self.places, "i64", table)), move)
                    pair = self.do("add", self.do("shl", segment, 1), which)
                    code.store("i64", move, code.at(self.segments, "i64", pair))
            again = code.op(f"icmp ne i64 {some.index}, 0")
            segments = self.do("mul", count, STEP)
            with code.loop("0", str(TAPS)) as tap:
                i, j = self.do("udiv", tap.index, 3), self.do("urem", tap.index, 3)
                a = self.moved(self.images, (i, n["image_row"]), (j, n["image_pixel"]))
                b, to = self.upstreams, self.moved(self.block, (tap.index, n["tap"]))
                self._products(a, n["image_pixel"], segments, str(STEP), b, n["upstream_pixel"], to, again)

    def _finish(self) -> None:
        """Hand the block to what follows, a place of the kernel at a time."""
        code, n = self.code, self.n
        finish = code.op(f"inttoptr i64 {n['finish']} to ptr")
        numbers = code.op(f"inttoptr i64 {n['finish_numbers']} to ptr")
        columns = code.least(self.do("mul", self.panels, self.width), self.left)
        with code.loop("0", str(TAPS)) as tap:
            before = self.do("add", self.do("mul", self.share, TAPS), tap.index)
            first = self.do("add", self.do("mul", before, n["channels"]), self.channel)
            code.do(
                f"call void {finish}(ptr {numbers}, ptr %bases, ptr {self.moved(self.block, (tap.index, n['tap']))}, "
                f"i64 {first}, i64 {self.channels}, i64 {self.column}, i64 {columns}, i64 {n['upstream_tile']})"
            )


@functools.lru_cache(maxsize=64)
def emit_winograd_weight(tile: Tile) -> list[Code]:
    """The walk over parts around a register tile, and the functions that it calls beside that."""
    lanes = tile.lanes
    return [Walk(tile).emit(), emit_image(lanes), emit_upstream(lanes), emit_sums(lanes)]


def tile_of_winograd_weight(vector_bits: int, product: WinogradWeight) -> Tile:
    """The register tile: two vectors wide, or one where that is enough; all tiles of a part are about equally full."""
    kind = Lanes(ELEMENTS[product.dtype.name], vector_bits // (8 * product.dtype.itemsize))
    vectors = 2 if product.columns > kind.lanes else 1
    channels = parts_of_weight(product, vector_bits).channels
    rows = -(-channels // -(-channels // most_rows(vector_bits, vectors)))
    return Tile("columns", rows, vectors, kind, product.dtype, product.dtype)


def parts_of_weight(product: WinogradWeight, vector_bits: int) -> Parts:
    """Channels, panels and tiles of a part: about 64 of each, and no more shares of the tiles than there are sums.

    Twice as many panels where the second cache has room for them, and there is work for all threads still: then the
    image changes its form half as often.
    """
    lanes = vector_bits // (8 * product.dtype.itemsize)
    width = lanes * (2 if product.columns > lanes else 1)
    tiles = -(-product.tiles // product.splits)
    panels, together = -(-product.columns // width), _evenly(tiles, WEIGHT_TILES, 1)
    channels = _evenly(product.channels, WEIGHT_CHANNELS, lanes)

    def parts(columns: int) -> Parts:
        return Parts(channels, _evenly(panels, max(1, columns // width), 1), tiles, together)

    wide = parts(2 * WEIGHT_CHANNELS)
    columns = wide.panels * width
    need = 4 * (PLANES * (together * (channels + columns) + channels * columns) + TAPS * channels * columns)
    count = product.splits * -(-product.channels // channels) * -(-panels // wide.panels)
    fits = need <= processor().cache(2, 2**20) * 7 // 8 and count >= WEIGHT_PARTS
    return wide if fits else parts(WEIGHT_CHANNELS)


def _evenly(count: int, most: int, step: int) -> int:
    """How many each of as few shares as possible has, if none has more than `most`: a multiple of `step`."""
    return -(-count // -(-count // most) // step) * step


def numbers_of_winograd_weight(
    product: WinogradWeight, finish: Any, finish_numbers: Any, tile: Tile, parts: Parts
) -> tuple[list[Any], int, int]:
    """The arguments of the walk, the number of its parts, and the scratch memory that a part takes."""
    size, width = tile.size, tile.vectors * tile.lanes.lanes
    high, wide = tiles_of(product.upstream.shape[1:3])
    panels, rows = -(-product.columns // width), -(-parts.channels // tile.rows) * tile.rows
    n: dict[str, Any] = {
        "channels": product.channels, "columns": product.columns, "panels": panels, "high": high, "wide": wide,
        "tiles": product.tiles, "channels_each": parts.channels, "panels_each": parts.panels,
        "tiles_each": parts.tiles, "together": parts.together,
        "channel_parts": -(-product.channels // parts.channels), "column_parts": -(-panels // parts.panels),
        "finish": finish, "finish_numbers": finish_numbers,
    }  # fmt: skip
    for name, view in ("image", product.image), ("upstream", product.upstream):
        n[f"{name}_slot"], n[f"{name}_offset"] = Slot(view.buffer), Offset(view.buffer, view.offset * size)
        n.update({f"{name}_{step}": s * size for step, s in zip(("image", "row", "pixel"), view.strides, strict=False)})
    n["image_tile"], n["upstream_tile"] = parts.channels * size, parts.panels * width * size
    n["image_plane"], n["upstream_plane"] = (
        parts.together * n[f"{name}_tile"] + LINE for name in ("image", "upstream")
    )
    n["tap"] = rows * n["upstream_tile"]
    n["sum_plane"] = n["tap"] + LINE
    space = {
        "places": 16 * (parts.together + AHEAD), "segments": 16 * STEP * parts.together,
        "seen": tile.lanes.lanes * size, "image": PLANES * n["image_plane"],
        "upstream": PLANES * n["upstream_plane"], "sum": PLANES * n["sum_plane"], "block": TAPS * n["tap"],
    }  # fmt: skip
    end = 0
    for name, need in space.items():
        n[f"{name}_at"] = end
        end += -(-need // 64) * 64
    count = product.splits * n["channel_parts"] * n["column_parts"]
    return [n[name] for name in FIELDS], count, end + 256
