"""Products of bfloat16 by AMX: the register tile that is a unit of its own, and what lies ready for it.

Such a processor has eight registers of 16 rows × 64 bytes and one instruction for the product of two of them: 16 rows
of A with 32 entries of k, times as much of B, added to 16 × 16 sums, 16,384 operations in 16 cycles, eight times what
the dot products of vectors do. Four registers hold 32 × 32 sums; each step of 32 entries of k loads two of A and two
of B.

    A, row after row:       64 bytes are 32 entries of k        B, pair after pair:     64 bytes are 16 columns,
    ┌ k k+1 k+2 … k+31 ┐ row i                                  ┌ (k, k+1) of column j, of j+1 … ┐    k and k+1 of each
    └ k k+1 k+2 … k+31 ┘ row i+1                                └ (k+2, k+3) …                   ┘

In memory neither lies so, but for a few products, so a part copies its rows of A and then panel after panel of B into
its scratch memory, where lines of registers are lines of the cache (a line that lies across two costs six times as
much). All segments lie one behind the other; behind the last entry of k stand zeros, in A and in B, since 0 · ∞ is NaN.

Sums are float32. A step adds its even and its odd products up by themselves, rounding to the nearest, then both to the
sum, and takes numbers below 2⁻¹²⁶ as 0: the bound of the error is that of pairs.
"""

from __future__ import annotations

from chainrule.backends.native.emitting.tile import Tile
from chainrule.backends.native.language.code import Code

#: What one register holds: rows, bytes of a row, entries of k in a row of A.
ROWS, LINE, DEEP = 16, 64, 32
#: So many entries of k are laid out at a time: a panel of B then stays in the first cache.
PIECE = 512
#: Which registers hold the sums (two rows of registers, two columns), A (its two rows) and B (its two columns).
SUMS, A_PARTS, B_PARTS = ((0, 1), (2, 3)), (4, 5), (6, 7)


def row_bytes(depth: int) -> int:
    """From row to row of A, for so many entries of k: with zeros behind, and not a multiple of a page."""
    return -(-depth // DEEP) * LINE + LINE


def amx_bytes(tile: Tile, tiles: int, depth: int) -> int:
    """The scratch memory for the rows of so many tiles, one panel of B, and where each k lies, for so many k."""
    rows = tiles * tile.rows * row_bytes(depth)
    panel = -(-depth // DEEP) * ROWS * LINE * tile.vectors
    return rows + panel + 2 * (depth + 1) * 8 + 4 * LINE


def registers_of(tile: Tile) -> list[tuple[int, int]]:
    """(number, rows) of each register that holds a part of A."""
    return [(n, min(tile.rows - n * ROWS, ROWS)) for n in range(-(-tile.rows // ROWS))]


def emit_amx_tile(tile: Tile) -> Code:
    """C[i, j] (+)= Σ A(i, k) · B(k, j) over so many steps of 32 entries of k."""
    arguments = [
        ("ptr", "%a"), ("i64", "%a_row"), ("ptr", "%b"), ("i64", "%steps"), ("ptr", "%c"), ("i64", "%c_row"),
        ("i1", "%add"),
    ]  # fmt: skip
    code = Code("void", f"tile_{tile.name}", arguments, "nounwind noinline")
    rows, columns = [n for n, _ in registers_of(tile)], range(tile.vectors)
    a_rows, c_rows = [
        [code.op(f"getelementptr i8, ptr {base}, i64 {code.whole('mul', step, n * ROWS)}") for n in rows]
        for base, step in (("%a", "%a_row"), ("%c", "%c_row"))
    ]
    sums = [(SUMS[i][j], code.at(c_rows[i], "i8", str(j * LINE))) for i in rows for j in columns]
    again, new, start, done = (code.label(name) for name in ("again", "new", "start", "done"))
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
    b_step = ROWS * LINE * tile.vectors
    with code.loop("0", "%steps") as k:
        move = code.whole("mul", k.index, LINE)
        b = code.at("%b", "i8", code.whole("mul", k.index, b_step))
        for j in columns:
            _load(code, B_PARTS[j], code.at(b, "i8", str(j * LINE)), str(LINE * tile.vectors))
        for i in rows:
            _load(code, A_PARTS[i], code.at(a_rows[i], "i8", move), "%a_row")
            for j in columns:
                numbers = [("i8", str(register)) for register in (SUMS[i][j], A_PARTS[i], B_PARTS[j])]
                code.call("void", "llvm.x86.tdpbf16ps", *numbers)
    for register, place in sums:
        code.call("void", "llvm.x86.tilestored64", ("i8", str(register)), ("ptr", place), ("i64", "%c_row"))
    code.jump(done)
    code.start(done)
    code.do("ret void")
    return code


def _load(code: Code, register: int, place: str, row: str) -> None:
    code.call("void", "llvm.x86.tileloadd64", ("i8", str(register)), ("ptr", place), ("i64", row))
