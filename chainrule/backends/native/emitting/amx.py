"""Products by AMX: the register tile that is a unit of its own, and what lies ready for it.

Such a processor has eight registers of 16 rows × 64 bytes and one instruction for the product of two of them: 16 rows
of A with 32 entries of k, times as much of B, added to 16 × 16 sums: 16,384 operations in 16 cycles, sixteen times what
multiply–adds of vectors do. Four registers hold 32 × 32 sums; each step of 32 entries of k loads two of A and two of B.

    A, row after row:       64 bytes are 32 entries of k        B, pair after pair:     64 bytes are 16 columns,
    ┌ k k+1 k+2 … k+31 ┐ row i                                  ┌ (k, k+1) of column j, of j+1 … ┐    k and k+1 of each
    └ k k+1 k+2 … k+31 ┘ row i+1                                └ (k+2, k+3) …                   ┘

Entries are bfloat16. A float32 is the sum of three of them, 8 + 8 + 8 of its 24 bits (`amx_entries.py`). Of the nine
products of two such sums the six largest are added up, and the three others are below 2⁻²² of the whole: about what
float32 rounds. So large products of float32 take six of these instructions in the place of 32.

In memory neither lies so, but for a few products, so a part copies its rows of A and then panel after panel of B into
its scratch memory (`amx_walk.py`), where lines of registers are lines of the cache: one that lies across two costs six
times as much. All segments lie one behind the other; behind the last entry of k stand zeros, in A and in B, since
0 · ∞ is NaN.

Sums are float32. A step adds its even and its odd products up by themselves, rounding to the nearest, then both to the
sum, and takes numbers below 2⁻¹²⁶ as 0: the bound of the error is that of pairs.
"""

from __future__ import annotations

import functools

from chainrule.backends.native.emitting.tile import LINE, Tile
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.language.halves import is_half

#: What one register holds: rows of one line of the cache each, and entries of k in a row of A.
ROWS, DEEP = 16, 32
#: Which registers hold the sums (two rows of registers, two columns), A (its two rows) and B (its two columns).
SUMS, A_PARTS, B_PARTS = ((0, 1), (2, 3)), (4, 5), (6, 7)
#: So many entries of k are laid out at a time: what is laid out of A then stays in the second cache.
PIECE = 512
#: Which planes of A and B are multiplied, the smallest products first, and so that few are loaded anew.
PRODUCTS = {1: [(0, 0)], 3: [(2, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 0)]}


def planes_of(tile: Tile) -> int:
    """How many numbers of bfloat16 an entry is the sum of."""
    return 1 if is_half(tile.a) else 3


def panel_bytes(tile: Tile, depth: int) -> int:
    """What one panel of B takes for so many k."""
    return -(-depth // DEEP) * ROWS * LINE * tile.vectors * planes_of(tile)


def amx_bytes(tile: Tile, tiles: int, depth: int) -> int:
    """The scratch memory for the rows of so many tiles, one panel of B, and where each k lies, for so many k."""
    lines, planes = -(-depth // DEEP), planes_of(tile)
    rows = (tiles * tile.rows + -tile.rows % ROWS) * (lines + 1) * LINE * planes
    panel = panel_bytes(tile, depth)
    square = -(-tile.rows // ROWS) * planes * ROWS * LINE
    return rows + panel + 2 * (depth + 1) * 8 + square + 8 * LINE


def registers_of(tile: Tile) -> list[tuple[int, int]]:
    """(number, rows) of each register that holds a part of A."""
    most = height_of(tile)
    return [(n, min(tile.rows - n * most, most)) for n in range(-(-tile.rows // most))]


def height_of(tile: Tile) -> int:
    """How many rows the first register has."""
    return tile.rows // 2 if tile.direct else ROWS


@functools.lru_cache(maxsize=256)
def emit_amx_tile(tile: Tile) -> Code:
    """C[i, j] (+)= Σ A(i, k) · B(k, j) over so many steps of 32 entries of k; planes lie so many bytes apart."""
    arguments = [
        ("ptr", "%a"), ("i64", "%a_row"), ("i64", "%a_plane"), ("ptr", "%b"), ("i64", "%b_plane"), ("i64", "%steps"),
        ("ptr", "%c"), ("i64", "%c_row"), ("i1", "%add"),
    ]  # fmt: skip
    code = Code("void", f"tile_{tile.name}", arguments, "nounwind noinline")
    rows, planes = [n for n, _ in registers_of(tile)], range(planes_of(tile))
    sums = begin_sums(code, tile)
    a = [[code.at("%a", "i8", _sum_of(code, "%a_row", n * ROWS, "%a_plane", p)) for n in rows] for p in planes]
    b = [code.at("%b", "i8", code.whole("mul", "%b_plane", p)) for p in planes]
    with code.loop("0", "%steps") as k:
        a_move = code.whole("mul", k.index, LINE)
        b_move = code.whole("mul", k.index, ROWS * LINE * tile.vectors)
        multiply_add(
            code, tile, [[code.at(place, "i8", a_move) for place in plane] for plane in a],
            [code.at(place, "i8", b_move) for place in b],
        )  # fmt: skip
    end_sums(code, sums)
    return code


def begin_sums(code: Code, tile: Tile) -> list[tuple[int, str]]:
    """Load the sums so far from `%c`, or begin with zeros. Gives (register, place) of each."""
    c_rows = [code.at("%c", "i8", code.whole("mul", "%c_row", n * height_of(tile))) for n, _ in registers_of(tile)]
    sums = [(SUMS[i][j], code.at(c, "i8", str(j * LINE))) for i, c in enumerate(c_rows) for j in range(tile.vectors)]
    again, new, start = (code.label(name) for name in ("again", "new", "start"))
    code.branch("%add", again, new)
    code.start(again)
    for register, place in sums:
        _load(code, register, place, "%c_row")
    code.jump(start)
    code.start(new)
    for register, _ in sums:
        code.call("void", "llvm.x86.tilezero", ("i8", str(register)))
    code.jump(start)
    code.start(start)
    return sums


def multiply_add(code: Code, tile: Tile, a: list[list[str]], b: list[str]) -> None:
    """A step: the registers of A, whose rows lie `%a_row` apart, times those of B, plane by plane."""
    loaded = (-1, -1)
    for of_a, of_b in PRODUCTS[len(b)]:
        if of_b != loaded[1]:
            for j in range(tile.vectors):
                _load(code, B_PARTS[j], code.at(b[of_b], "i8", str(j * LINE)), str(LINE * tile.vectors))
        for i, place in enumerate(a[of_a]):
            if of_a != loaded[0]:
                _load(code, A_PARTS[i], place, "%a_row")
            for j in range(tile.vectors):
                numbers = [("i8", str(register)) for register in (SUMS[i][j], A_PARTS[i], B_PARTS[j])]
                code.call("void", "llvm.x86.tdpbf16ps", *numbers)
        loaded = of_a, of_b


def end_sums(code: Code, sums: list[tuple[int, str]]) -> None:
    """Store the sums, and return."""
    for register, place in sums:
        code.call("void", "llvm.x86.tilestored64", ("i8", str(register)), ("ptr", place), ("i64", "%c_row"))
    code.do("ret void")


def _sum_of(code: Code, x: str, times: int, y: str, more: int) -> str:
    return code.whole("add", code.whole("mul", x, times), code.whole("mul", y, more))


def _load(code: Code, register: int, place: str, row: str) -> None:
    code.call("void", "llvm.x86.tileloadd64", ("i8", str(register)), ("ptr", place), ("i64", row))
