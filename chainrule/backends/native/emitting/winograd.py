"""The machine code of a convolution by Winograd's algorithm: the walk over tiles. What it is: `passes/winograd.py`.

A part of the work is some *strips*, which are rows of tiles, or a stretch of one, and some panels of channels out, as
wide as the register tile. Everything that it makes stays in the second cache:

    for 64 channels in at a time:
        the weights' new form                        16 planes of (channel in, panel)
        for a group of tiles, as many as one register tile or two have rows:
            the image's new form                     16 planes of (tile, channel in)
            a product for each, added up             16 planes of (tile, channel out)
            at the last channels the results         a block of (pixel, channel out)
    the block is handed to what follows

The products are done by the same register tile as all others. A group's image is brought into its new form while the
products of the group before are made, a tile with each plane, so that waiting for memory costs little. Parts are as
large as the second cache allows, for each of them makes the new forms of its weights and its image again. The order of
every sum does not depend on them, nor on the number of threads.

An infinity, or a NaN, would spread over its tile, where the plain sum has it only within the kernel's reach; and what
is nearly too large for a float32 can be too large in the new form. So each part looks whether all its results are
finite. If one is not, it computes its block again by the plain sum. (So which numbers beside an infinity are rounded in
which way is a question of the parts.)
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

from chainrule.backends.native.emitting.numbers import Offset, Slot
from chainrule.backends.native.emitting.tile import Tile, call_tile, most_rows
from chainrule.backends.native.emitting.transforms import emit_image, emit_kernel, emit_result
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.elementary import ELEMENTS
from chainrule.backends.native.lowering.winograd import Winograd
from chainrule.backends.native.run.processor import processor
from chainrule.backends.passes.winograd import PIECE, STEP, tiles_of

#: Places of a tile's new form, and of a kernel.
PLANES, TAPS = PIECE * PIECE, 9
#: So many channels in at a time.
CHANNELS = 64
#: About how many cycles it takes to bring a vector of a kernel, an image and a result into its other form. Most of that
#: is waiting: kernels come from the third cache or from memory, and all planes are in the second.
KERNEL, IMAGE, RESULT = 200, 50, 30
#: The piece of image of so many tiles further on is fetched while one changes its form.
AHEAD = 16
#: Bytes by which planes are further apart than they need to be: else they fall into the same few sets of a cache.
LINE = 64

FIELDS = (
    "image_slot", "image_offset", "image_image", "image_row", "image_pixel",
    "weight_slot", "weight_offset", "weight_row", "weight_column", "weight_step",
    "channels", "columns", "panels", "high", "wide", "strips", "out_high", "out_wide",
    "strips_each", "across", "panels_each", "strip_parts", "stretches",
    "image_plane", "image_tile", "kernel_plane", "result_plane", "result_group", "block_row",
    "pieces_at", "segments_at", "seen_at", "image_at", "kernel_at", "result_at", "block_at",
    "finish", "finish_numbers",
)  # fmt: skip


class Parts(NamedTuple):
    """How the work is divided: a part's strips, its tiles of each strip, its panels, and its groups of tiles.

    `rows` is how many tiles change form together, and `times` how many register tiles these are.
    """

    strips: int
    across: int
    panels: int
    rows: int
    times: int = 1

    @property
    def tiles(self) -> int:
        """Tiles of a part, filled up to whole groups."""
        return -(-self.strips * self.across // self.rows) * self.rows


class PartWriter:
    """What a function that does one part is written with, here and for the gradient in the weight."""

    def __init__(self, tile: Tile, name: str) -> None:
        self.tile, self.lanes = tile, tile.lanes
        self.width = tile.vectors * tile.lanes.lanes
        arguments = [("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch")]
        self.code = Code("void", name, arguments)
        #: The function's numbers by their names.
        self.n: dict[str, str] = {}

    def do(self, name: str, x: Any, y: Any) -> str:
        """An operation on two i64."""
        return self.code.whole(name, x, y)

    def moved(self, place: str, *steps: tuple[str, Any]) -> str:
        """An address, so many times so many bytes further on."""
        for count, size in steps:
            place = self.code.at(place, "i8", self.do("mul", count, size))
        return place

    def base(self, name: str) -> str:
        """Where a factor begins."""
        memory = self.code.load("ptr", self.code.at("%bases", "ptr", self.n[name + "_slot"]))
        return self.code.at(memory, "i8", self.n[name + "_offset"])


class Walk(PartWriter):
    """Writes the function that does one part."""

    def __init__(self, tile: Tile, times: int) -> None:
        super().__init__(tile, f"winograd_{tile.name}_{times}")
        self.times, self.rows = times, tile.rows * times

    def emit(self) -> Code:
        """The whole function."""
        code = self.code
        n = self.n = {name: code.load("i64", code.at("%n", "i64", str(i))) for i, name in enumerate(FIELDS)}
        self.images, self.weights = self.base("image"), self.base("weight")
        places = ("image", "kernel", "result", "block", "segments", "seen", "pieces")
        self.image, self.kernel, self.result, self.block, self.segments, self.seen, self.pieces = (
            code.at("%scratch", "i8", n[f"{name}_at"]) for name in places
        )
        stretch, part = self.do("urem", "%part", n["stretches"]), self.do("udiv", "%part", n["stretches"])
        strip_part, column_part = self.do("urem", part, n["strip_parts"]), self.do("udiv", part, n["strip_parts"])
        self.first = self.do("mul", strip_part, n["strips_each"])
        self.strips = self.code.least(self.do("sub", n["strips"], self.first), n["strips_each"])
        self.left = self.do("mul", stretch, n["across"])
        self.across = self.code.least(self.do("sub", n["wide"], self.left), n["across"])
        self.tiles = self.do("mul", self.strips, self.across)
        first_panel = self.do("mul", column_part, n["panels_each"])
        self.panels = self.code.least(self.do("sub", n["panels"], first_panel), n["panels_each"])
        self.column = self.do("mul", first_panel, self.width)
        self._multiply()
        self._check()
        self._finish()
        code.do("ret void")
        return code

    # ------------------------------------------------------------------------------------- the products

    def _multiply(self) -> None:
        """16 products, so many channels at a time, of a group of tiles."""
        code, n, rows, kind = self.code, self.n, self.rows, self.lanes.text
        panel_size = self.width * self.tile.size
        with code.loop("0", str(rows)) as row:
            self._put_address(row.index, self.moved(self.image, (row.index, n["image_tile"])))
        self._find_pieces()
        code.store("i64", "0", code.at(self.segments, "i64", "0"))
        code.store("i64", "0", code.at(self.segments, "i64", "1"))
        code.store(kind, "zeroinitializer", self.seen, self.tile.size)
        with code.loop("0", n["channels"], str(CHANNELS)) as c:
            count = self.code.least(self.do("sub", n["channels"], c.index), str(CHANNELS))
            again = code.op(f"icmp ne i64 {c.index}, 0")
            last = code.op(f"icmp eq i64 {self.do('add', c.index, count)}, {n['channels']}")
            self._new_kernels(c.index, count)
            with code.loop("0", self.code.least(self.tiles, str(rows))) as tile:
                self._new_image(tile.index, tile.index, "0", c.index, count)
            with code.loop("0", self.tiles, str(rows)) as tile:
                tiles = self.code.least(self.do("sub", self.tiles, tile.index), str(rows))
                group = self.do("udiv", tile.index, rows)
                result = self.moved(self.result, (group, n["result_group"]))
                side = self.do("mul", self.do("and", group, 1), PLANES)
                with code.loop("0", str(PLANES)) as plane:
                    move = self.do("mul", self.do("add", plane.index, side), n["image_plane"])
                    with code.loop("0", self.panels) as panel:
                        b = self.moved(self.kernel, (self.do("mul", panel.index, PLANES), n["kernel_plane"]))
                        b = self.moved(b, (plane.index, n["kernel_plane"]))
                        to = self.moved(result, (plane.index, n["result_plane"]), (panel.index, panel_size))
                        for first in range(0, rows, self.tile.rows):
                            self._call_tile(
                                str(first), "1", count, b, str(panel_size), self._row(to, str(first)), again, move
                            )  # fmt: skip
                    following = self.do("add", self.do("add", tile.index, rows), plane.index)
                    is_there = code.op(f"icmp slt i64 {following}, {self.tiles}")
                    is_next = code.op(f"icmp slt i64 {plane.index}, {rows}")
                    with code.when(code.op(f"and i1 {is_there}, {is_next}")):
                        other = self.do("sub", PLANES, side)
                        self._new_image(following, plane.index, other, c.index, count)
                with code.when(last):
                    self._results(tile.index, tiles, result)

    def _put_address(self, row: str, place: str) -> None:
        self.code.store("ptr", place, self.code.at("%scratch", "ptr", row))

    def _row(self, place: str, row: str) -> str:
        return self.moved(place, (row, self.n["block_row"]))

    def _call_tile(
        self, row: str, segments: str, run: str, b: str, b_step: str, c: str, again: str, a_move: str
    ) -> None:
        a, block_row = self.code.at("%scratch", "ptr", row), self.n["block_row"]
        call_tile(
            self.code, self.tile, a, "0", segments, self.segments, run, b, b_step, c, block_row, again, a_move
        )  # fmt: skip

    # ------------------------------------------------------------------------------------- the three changes of form

    def _call(self, name: str, pointers: list[str], numbers: list[str], *more: str) -> None:
        given = [*(f"ptr {x}" for x in pointers), *(f"i64 {x}" for x in numbers), *(f"ptr {x}" for x in more)]
        self.code.do(f"call void @winograd_{name}_{self.lanes.mangled}({', '.join(given)})")

    def _new_kernels(self, channel: str, count: str) -> None:
        code, n = self.code, self.n
        with code.loop("0", self.panels) as panel:
            column = self.do("add", self.column, self.do("mul", panel.index, self.width))
            place = self.moved(self.weights, (channel, n["weight_step"]), (column, self.tile.size))
            to = self.moved(self.kernel, (self.do("mul", panel.index, PLANES), n["kernel_plane"]))
            left = self.do("sub", n["columns"], column)
            steps = [n["weight_row"], n["weight_column"], n["weight_step"], n["kernel_plane"]]
            self._call(f"kernel{self.tile.vectors}", [place, to], [count, left, *steps])

    def _corner(self, strip: str) -> str:
        """Where a strip of the image begins."""
        n = self.n
        image, row = self.do("udiv", strip, n["high"]), self.do("urem", strip, n["high"])
        return self.moved(self.images, (image, n["image_image"]), (self.do("mul", row, STEP), n["image_row"]))

    def _find_pieces(self) -> None:
        """The table of where the pieces of the part's tiles begin; behind the last one that one again."""
        code, last = self.code, self.do("sub", self.tiles, 1)
        with code.loop("0", self.do("add", self.tiles, AHEAD)) as loop:
            tile = self.code.least(loop.index, last)
            strip, x = self.do("udiv", tile, self.across), self.do("urem", tile, self.across)
            column = self.do("mul", self.do("add", self.left, x), STEP)
            place = self.moved(self._corner(self.do("add", self.first, strip)), (column, self.n["image_pixel"]))
            code.store("ptr", place, code.at(self.pieces, "ptr", loop.index))

    def _new_image(self, tile: str, row: str, side: str, channel: str, count: str) -> None:
        """The new form of a tile's piece of the image, as a row of its group."""
        code, n = self.code, self.n
        entry = code.at(self.pieces, "ptr", tile)
        piece, ahead = code.load("ptr", entry), code.load("ptr", code.at(entry, "ptr", str(AHEAD)))
        piece, ahead = (self.moved(place, (channel, self.tile.size)) for place in (piece, ahead))
        to = self.moved(self.image, (side, n["image_plane"]), (row, n["image_tile"]))
        self._call("image", [piece, to], [count, n["image_row"], n["image_pixel"], n["image_plane"]], ahead)

    def _results(self, first: str, tiles: str, result: str) -> None:
        """Some tiles of the block of the result."""
        code, n = self.code, self.n
        columns = self.do("mul", self.panels, self.width)
        line = self.do("mul", self.across, STEP)
        with code.loop("0", tiles) as row:
            tile = self.do("add", first, row.index)
            strip, x = self.do("udiv", tile, self.across), self.do("urem", tile, self.across)
            pixel = self.do("add", self.do("mul", self.do("mul", strip, line), STEP), self.do("mul", x, STEP))
            numbers = [columns, self.do("mul", line, n["block_row"]), n["block_row"], n["result_plane"]]
            self._call("result", [self._row(result, row.index), self._row(self.block, pixel)], numbers, self.seen)

    # ------------------------------------------------------------------------------------- the plain sum

    def _check(self) -> None:
        """If a result is not finite: the block by the plain sum over the kernel's places and the channels."""
        code, n, rows, kind = self.code, self.n, self.tile.rows, self.lanes.text
        wrong = code.op(f"fcmp uno {kind} {code.load(kind, self.seen, self.tile.size)}, zeroinitializer")
        any_wrong = f"llvm.vector.reduce.or.v{self.lanes.lanes}i1"
        with code.when(code.call("i1", any_wrong, (self.lanes.of("i1").text, wrong))):
            pixels = self.do("mul", self.tiles, STEP * STEP)
            register_tiles = self.do("udiv", self.do("add", pixels, rows - 1), rows)
            last = self.do("sub", pixels, 1)  # beyond the last pixel that one is read again
            with code.loop("0", self.do("mul", register_tiles, rows)) as pixel:
                self._put_address(pixel.index, self._place_of_pixel(self.code.least(pixel.index, last)))
            with code.loop("0", str(TAPS)) as tap:
                i, j = self.do("udiv", tap.index, 3), self.do("urem", tap.index, 3)
                for k, name in enumerate(("image", "weight")):
                    steps = n["image_pixel"] if name == "image" else n["weight_column"]
                    move = self.do("add", self.do("mul", i, n[name + "_row"]), self.do("mul", j, steps))
                    pair = self.do("add", self.do("mul", tap.index, 2), k)
                    code.store("i64", move, code.at(self.segments, "i64", pair))
            with code.loop("0", self.panels) as panel, code.loop("0", register_tiles) as tile:
                column = self.do("mul", panel.index, self.width)
                b = self.moved(self.weights, (self.do("add", self.column, column), self.tile.size))
                row = self.do("mul", tile.index, rows)
                to = self.moved(self._row(self.block, row), (column, self.tile.size))
                self._call_tile(row, str(TAPS), n["channels"], b, n["weight_step"], to, "false", "0")

    def _place_of_pixel(self, pixel: str) -> str:
        """Where the window of a pixel of the block begins."""
        line, wide = self.do("mul", self.across, STEP), self.n["image_pixel"]
        row, column = self.do("udiv", pixel, line), self.do("urem", pixel, line)
        corner = self._corner(self.do("add", self.first, self.do("udiv", row, STEP)))
        column = self.do("add", self.do("mul", self.left, STEP), column)
        return self.moved(corner, (self.do("urem", row, STEP), self.n["image_row"]), (column, wide))

    # ------------------------------------------------------------------------------------- what follows

    def _finish(self) -> None:
        """Hand the block to what follows, a row of pixels at a time."""
        code, n = self.code, self.n
        finish = code.op(f"inttoptr i64 {n['finish']} to ptr")
        numbers = code.op(f"inttoptr i64 {n['finish_numbers']} to ptr")
        line, low = self.do("mul", self.across, STEP), self.do("mul", self.left, STEP)
        count = self.code.least(line, self.do("sub", n["out_wide"], low))
        columns = self.code.least(self.do("mul", self.panels, self.width), self.do("sub", n["columns"], self.column))
        with code.loop("0", self.strips) as strip:
            number = self.do("add", self.first, strip.index)
            image, top = self.do("udiv", number, n["high"]), self.do("mul", self.do("urem", number, n["high"]), STEP)
            with code.loop("0", self.code.least(str(STEP), self.do("sub", n["out_high"], top))) as i:
                row = self.do("add", self.do("mul", image, n["out_high"]), self.do("add", top, i.index))
                first = self.do("add", self.do("mul", row, n["out_wide"]), low)
                here = self.do("add", self.do("mul", strip.index, STEP), i.index)
                block = self._row(self.block, self.do("mul", here, line))
                code.do(
                    f"call void {finish}(ptr {numbers}, ptr %bases, ptr {block}, i64 {first}, i64 {count}, "
                    f"i64 {self.column}, i64 {columns}, i64 {n['block_row']})"
                )


@functools.lru_cache(maxsize=64)
def emit_winograd(tile: Tile, times: int) -> list[Code]:
    """The walk over parts around so many register tiles, and the functions that it calls beside that."""
    lanes = tile.lanes
    return [Walk(tile, times).emit(), emit_image(lanes), emit_kernel(lanes, tile.vectors), emit_result(lanes)]


def tile_of_winograd(vector_bits: int, product: Winograd, parts: Parts) -> Tile:
    """The register tile."""
    kind = Lanes(ELEMENTS[product.dtype.name], vector_bits // (8 * product.dtype.itemsize))
    vectors = _vectors(product.weight.shape[3], vector_bits)
    return Tile("rows", parts.rows // parts.times, vectors, kind, product.dtype, product.dtype)


def _vectors(columns: int, vector_bits: int) -> int:
    """How wide a register tile is: one vector, or two, or four where these fill as well: that needs fewer loads."""
    found = -(-columns // (vector_bits // 32))
    return 1 if found == 1 else 4 if vector_bits == 512 and -(-found // 4) * 4 == -(-found // 2) * 2 else 2


def numbers_of_winograd(
    product: Winograd, finish: Any, finish_numbers: Any, tile: Tile, parts: Parts
) -> tuple[list[Any], int, int]:
    """The arguments of the walk, the number of its parts, and the scratch memory that a part takes."""
    size, width = tile.size, tile.vectors * tile.lanes.lanes
    (images, _, _, channels), columns = product.image.shape, product.weight.shape[3]
    high, wide = tiles_of(product.size)
    panels, some = -(-columns // width), min(channels, CHANNELS)
    some = -(-some // tile.lanes.lanes) * tile.lanes.lanes
    n: dict[str, Any] = {
        "image_slot": Slot(product.a[0]), "image_offset": Offset(product.a[0], product.a[1] * size),
        "weight_slot": Slot(product.b[0]), "weight_offset": Offset(product.b[0], product.b[1] * size),
        "channels": channels, "columns": columns, "panels": panels, "high": high, "wide": wide, "strips": images * high,
        "out_high": product.size[0], "out_wide": product.size[1], "strips_each": parts.strips, "across": parts.across,
        "panels_each": parts.panels, "strip_parts": -(-images * high // parts.strips),
        "stretches": -(-wide // parts.across), "finish": finish, "finish_numbers": finish_numbers,
    }  # fmt: skip
    for name, view in ("image", product.image), ("weight", product.weight):
        steps = ("image", "row", "pixel") if name == "image" else ("row", "column", "step")
        n.update({f"{name}_{step}": stride * size for step, stride in zip(steps, view.strides, strict=False)})
    n["image_tile"], n["block_row"] = some * size, parts.panels * width * size
    n["image_plane"] = parts.rows * n["image_tile"] + LINE
    n["kernel_plane"] = some * width * size + LINE
    n["result_plane"] = parts.rows * n["block_row"] + LINE
    n["result_group"] = PLANES * n["result_plane"] * (channels > CHANNELS)  # else nothing is kept for other channels
    pixels = STEP * STEP * parts.strips * parts.across + parts.rows
    space = {
        "addresses": 8 * pixels, "segments": 2 * TAPS * 8, "seen": tile.lanes.lanes * size,
        "pieces": 8 * (parts.strips * parts.across + AHEAD),
        "kernel": parts.panels * PLANES * n["kernel_plane"], "image": 2 * PLANES * n["image_plane"],
        "result": PLANES * n["result_plane"] + n["result_group"] * (parts.tiles // parts.rows - 1),
        "block": pixels * n["block_row"],
    }  # fmt: skip
    end = 0
    for name, need in space.items():
        n[f"{name}_at"] = end
        end += -(-need // 64) * 64
    count = n["strip_parts"] * n["stretches"] * -(-panels // parts.panels)
    return [n[name] for name in FIELDS], count, end + 256


@functools.lru_cache(maxsize=1024)
def parts_of(images: int, size: tuple[int, int], channels: int, columns: int, vector_bits: int) -> Parts:
    """Strips, tiles and panels of a part: they stay in the cache, and threads finish together.

    The choice looks at 2, 4 and 8 threads at once: the parts must not depend on their number.
    """
    high, wide = tiles_of(size)
    lanes = vector_bits // 32
    vectors = _vectors(columns, vector_bits)
    times = 2 if vectors > 2 else 1
    # While a plane's products are made, one tile of the next group changes its form: so it has no more of them.
    panels, most = -(-columns // (vectors * lanes)), min(most_rows(vector_bits, vectors) * times, PLANES)
    room = processor().cache(2, 2**20) * 7 // 8
    best: tuple[float, Parts] = (math.inf, Parts(1, 1, 1, 1))
    for panels_each in {min(panels, p) for p in (1, 2, 3, 4)}:
        for across in sorted({-(-wide // k) for k in range(1, wide + 1)}):
            strips = range(1, images * high + 1) if across == wide else (1,)
            for strips_each in strips:
                tiles = strips_each * across
                rows = -(-tiles // -(-tiles // most))
                parts = Parts(strips_each, across, panels_each, -(-rows // times) * times, times)
                if _bytes(parts, channels, vectors * lanes) > room and tiles > 1:
                    break
                count = -(-images * high // strips_each) * -(-wide // across) * -(-panels // panels_each)
                each = _cost(parts, channels, lanes, vectors)
                cost = sum(threads * -(-count // threads) * each for threads in (2, 4, 8)) + count * each
                best = min(best, (cost, parts))
    return best[1]


def _bytes(parts: Parts, channels: int, width: int) -> int:
    """What a part has in the cache."""
    columns, some = parts.panels * width, min(channels, CHANNELS)
    kept = parts.tiles if channels > CHANNELS else parts.rows
    each = 2 * parts.rows * some + kept * columns + some * columns
    return 4 * (PLANES * each + STEP * STEP * parts.tiles * columns)


def _cost(parts: Parts, channels: int, lanes: int, vectors: int) -> float:
    """About how many cycles a part takes: its products, and what changes form, a vector of which takes so many."""
    columns = vectors * parts.panels  # in vectors
    tiles = parts.strips * parts.across
    calls = PLANES * parts.panels * (parts.tiles // parts.rows * parts.times) * -(-channels // CHANNELS)
    products = PLANES * parts.tiles * columns * channels / 2 + 60 * calls
    return products + KERNEL * channels * columns + tiles * (IMAGE * channels / lanes + RESULT * columns) + 2000
