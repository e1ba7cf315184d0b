"""Entries of A and B as the registers of AMX take them: bfloat16 as they are, float32 as the sum of three of them.

A float32 is taken apart by rounding to the nearest bfloat16, and what is left again; both subtractions are exact:

    x = hi + mid + lo        |mid| ≤ 2⁻⁸·|x|, |lo| ≤ 2⁻¹⁶·|x|

That holds as long as lo is not below 2⁻¹²⁶, which AMX takes as 0, and nothing overflows. AMX takes products below 2⁻¹²⁶
as 0 too, and the smallest that are added up are 2⁻¹⁶ of the whole and less. So sizes are watched on the way: where one
that is not 0 lies outside of `LEAST` … `MOST`, or the least of A times the least of B is below `LEAST_PRODUCT`, the
plain tile multiplies (`amx_walk.py`).
"""

from __future__ import annotations

from chainrule.backends.native.emitting.amx import DEEP, ROWS
from chainrule.backends.native.language.code import Code, Lanes

#: A line of the cache as halves, as pairs of them, as float32.
HALVES, WORDS, SINGLES = Lanes("i16", 32), Lanes("i32", 16), Lanes("float", 16)
#: The bits of 2⁻¹⁰⁰ and of 2⁶⁰.
LEAST, MOST = (127 - 100) << 23, (127 + 60) << 23
#: The exponents of two factors added up, as their bits have them, for a product of 2⁻⁹⁹.
LEAST_PRODUCT = 2 * 127 - 99


class HalfEntries:
    """Loads bfloat16. What stands behind the last entry of a row or column is loaded with it, and not used."""

    planes, size = 1, 2

    def __init__(self, code: Code) -> None:
        self.code = code
        #: What is known of the sizes so far: nothing.
        self.seen: list[tuple[str, str]] = []

    def along(self, place: str, left: str) -> list[str]:
        """32 entries of a row, of which `left` are wanted (all, if that is not said), a line for each plane."""
        return [self.code.load(HALVES.text, place, 2)]

    def pairs(self, first: str, second: str, left: str) -> list[str]:
        """16 entries at one place and as many at another side by side; no second place is zeros."""
        code, vector = self.code, f"<{ROWS} x i16>"
        low = code.load(vector, first, 2)
        high = code.load(vector, second, 2) if second else "zeroinitializer"
        return [_joined(code, vector, low, high, [n for i in range(ROWS) for n in (i, i + ROWS)])]

    def sizes(self) -> list[str]:
        """What was seen of the sizes: nothing."""
        return []


class SingleEntries(HalfEntries):
    """Loads float32 and takes them apart. Only what is wanted is looked at."""

    planes, size = 3, 4

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        #: The largest size, and the least size but 1: 0 counts as the largest of all.
        self.seen = [(WORDS.text, "zeroinitializer"), (WORDS.text, WORDS.splat(-1))]

    def along(self, place: str, left: str) -> list[str]:
        """See above."""
        code = self.code
        more = code.whole("sub", left, ROWS) if left else ""
        low = self._parts(place, left)
        high = self._parts(code.at(place, "float", str(ROWS)), more)
        order = [2 * i + 1 for i in range(DEEP)]  # a part is the upper half of its word
        lines = []
        for a, b in zip(low, high, strict=True):
            a, b = (code.op(f"bitcast {WORDS.text} {x} to {HALVES.text}") for x in (a, b))
            lines.append(code.op(f"bitcast {WORDS.text} {_joined(code, HALVES.text, a, b, order)} to {HALVES.text}"))
        return lines

    def pairs(self, first: str, second: str, left: str) -> list[str]:
        """See above."""
        code = self.code
        low = self._parts(first, left)
        high = self._parts(second, left) if second else ["zeroinitializer"] * 3
        down = [code.op(f"lshr {WORDS.text} {part}, {WORDS.splat(16)}") for part in low]
        return [code.op(f"or {WORDS.text} {a}, {b}") for a, b in zip(down, high, strict=True)]

    def _parts(self, place: str, left: str) -> list[str]:
        """hi, mid and lo of 16 entries as words whose lower halves are 0."""
        code = self.code
        bits = self._load(place, left)
        self._look(bits)
        parts = []
        for last in (False, False, True):
            if not last:
                up = code.op(f"add {WORDS.text} {bits}, {WORDS.splat(0x8000)}")
                part = code.op(f"and {WORDS.text} {up}, {WORDS.splat(-0x10000)}")
                whole, known = (code.op(f"bitcast {WORDS.text} {x} to {SINGLES.text}") for x in (bits, part))
                rest = code.op(f"fsub {SINGLES.text} {whole}, {known}")
                bits = code.op(f"bitcast {SINGLES.text} {rest} to {WORDS.text}")
            else:
                part = bits
            parts.append(part)
        return parts

    def _load(self, place: str, left: str) -> str:
        code = self.code
        if not left:
            return code.load(WORDS.text, place, 4)
        short = code.op(f"trunc i64 {code.least(code.most(left, '0'), str(ROWS))} to i32")
        numbers = ", ".join(f"i32 {i}" for i in range(ROWS))
        mask = code.op(f"icmp slt {WORDS.text} <{numbers}>, {code.spread(WORDS, short)}")
        return code.load_some(WORDS, place, mask, 4)

    def _look(self, bits: str) -> None:
        code, vector = self.code, WORDS.text
        size = code.op(f"and {vector} {bits}, {WORDS.splat(0x7FFFFFFF)}")
        less = code.op(f"add {vector} {size}, {WORDS.splat(-1)}")
        (_, most), (_, least) = self.seen
        most = code.call(vector, f"llvm.umax.{WORDS.mangled}", (vector, most), (vector, size))
        least = code.call(vector, f"llvm.umin.{WORDS.mangled}", (vector, least), (vector, less))
        self.seen = [(vector, most), (vector, least)]

    def sizes(self) -> list[str]:
        """The bits of the largest size, and of the least but one bit; of zeros alone 0, and all bits."""
        pairs = zip(("umax", "umin"), self.seen, strict=True)
        return [self.code.call("i32", f"llvm.vector.reduce.{name}.{WORDS.mangled}", seen) for name, seen in pairs]


def unfit(code: Code, a: list[str], b: list[str]) -> str:
    """Whether factors with such sizes cannot be multiplied so. 0 can."""
    most = code.call("i32", "llvm.umax.i32", ("i32", a[0]), ("i32", b[0]))
    least = code.call("i32", "llvm.umin.i32", ("i32", a[1]), ("i32", b[1]))
    exponents = code.op(f"add i32 {code.op(f'lshr i32 {a[1]}, 23')}, {code.op(f'lshr i32 {b[1]}, 23')}")
    checks = [f"ugt i32 {most}, {MOST}", f"ult i32 {least}, {LEAST - 1}", f"ult i32 {exponents}, {LEAST_PRODUCT}"]
    large, small, product = (code.op(f"icmp {check}") for check in checks)
    return code.op(f"or i1 {large}, {code.op(f'or i1 {small}, {product}')}")


def _joined(code: Code, vector: str, first: str, second: str, order: list[int]) -> str:
    """Chosen entries of two vectors of halves, as words."""
    listed = ", ".join(f"i32 {i}" for i in order)
    halves = code.op(f"shufflevector {vector} {first}, {vector} {second}, <{len(order)} x i32> <{listed}>")
    return code.op(f"bitcast {HALVES.text} {halves} to {WORDS.text}")


def turned(code: Code, place: str) -> list[str]:
    """16 lines of 16 words in memory as the columns of the square that they are the rows of.

    Four quarters of lines make one line when they are loaded; then squares of 4 × 4 words are turned within quarters.
    """
    quarter, half = "<4 x i32>", "<8 x i32>"

    def joined(kind: str, parts: list[str], order: list[int]) -> str:
        listed = ", ".join(f"i32 {i}" for i in order)
        return code.op(f"shufflevector {kind} {parts[0]}, {kind} {parts[1]}, <{len(order)} x i32> <{listed}>")

    def of_quarters(*order: int) -> list[int]:
        return [4 * lane + i for lane in range(4) for i in order]

    columns = []
    for four in range(4):
        lines = []
        for first in range(4):  # words 4·four … of lines first, first + 4, first + 8, first + 12
            moves = [((first + 4 * i) * ROWS + 4 * four) * 4 for i in range(4)]
            parts = [code.load(quarter, code.at(place, "i8", str(move)), 16) for move in moves]
            halves = [joined(quarter, parts[i : i + 2], list(range(8))) for i in (0, 2)]
            lines.append(joined(half, halves, list(range(16))))
        low = [joined(WORDS.text, lines[i : i + 2], of_quarters(0, 16, 1, 17)) for i in (0, 2)]
        high = [joined(WORDS.text, lines[i : i + 2], of_quarters(2, 18, 3, 19)) for i in (0, 2)]
        for pair in (low, high):
            columns += [joined(WORDS.text, pair, of_quarters(*order)) for order in ((0, 1, 16, 17), (2, 3, 18, 19))]
    return columns
