"""Entries of A and B as the registers of AMX take them: bfloat16 as they are, float32 as the sum of three of them.

A float32 is taken apart by rounding to the nearest bfloat16, and cutting off what is left after 8 bits; both
subtractions are exact:

    x = hi + mid + lo        |mid| ≤ 2⁻⁸·|x|, |lo| ≤ 2⁻¹⁵·|x|

What is left out of a product, mid · lo and lo · lo, has the sign of mid · mid, so it leans to no side.

That holds as long as lo is not below 2⁻¹²⁶, which AMX takes as 0, and nothing overflows. AMX takes products below 2⁻¹²⁶
as 0 too, and the smallest that are added up are 2⁻¹⁵ of the whole and less. So sizes are watched on the way: where one
that is not 0 lies outside of `LEAST` … `MOST`, or the least of A times the least of B is below `LEAST_PRODUCT`, the
plain tile multiplies (`amx_walk.py`). A size is seen in hi; of a number so small that hi is 0, lo has more than 8 bits.

Which entry of k lies where within 32 is free, as long as A and B agree: bfloat16 lie as they do in memory, k beside
k + 1; float32 k beside k + 16, so that vectors of A become lines of registers without a change of lanes.
"""

from __future__ import annotations

from chainrule.backends.native.emitting.amx import ROWS
from chainrule.backends.native.language.code import Code, Lanes

#: A line of the cache as halves, as pairs of them, as float32.
HALVES, WORDS, SINGLES = Lanes("i16", 32), Lanes("i32", 16), Lanes("float", 16)
#: The bits of 2⁻¹⁰⁰ and of 2⁶⁰ as bfloat16.
LEAST, MOST = (127 - 100) << 7, (127 + 60) << 7
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
        code, vector = self.code, Lanes("i16", ROWS)
        low = code.load(vector.text, first, 2)
        high = code.load(vector.text, second, 2) if second else "zeroinitializer"
        return [_joined(code, vector, low, high, [n for i in range(ROWS) for n in (i, i + ROWS)])]

    def sizes(self) -> list[str]:
        """What was seen of the sizes: nothing."""
        return []


class SingleEntries(HalfEntries):
    """Loads float32 and takes them apart. Only what is wanted is looked at."""

    planes, size = 3, 4

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        #: Of the first parts the largest size and the least but 1 (0 counts as the largest of all), and what remains.
        self.seen = [
            (HALVES.text, "zeroinitializer"), (HALVES.text, HALVES.splat(-1)), (WORDS.text, "zeroinitializer"),
        ]  # fmt: skip

    def along(self, place: str, left: str) -> list[str]:
        """See above. Entry k lies beside entry k + 16, so that nothing has to change its lane."""
        more = self.code.whole("sub", left, ROWS) if left else ""
        lines = self.beside(self.load(place, left), self.load(self.code.at(place, "float", str(ROWS)), more))
        return [self.code.op(f"bitcast {WORDS.text} {line} to {HALVES.text}") for line in lines]

    def pairs(self, first: str, second: str, left: str) -> list[str]:
        """See above."""
        return self.beside(self.load(first, left), self.load(second, left))

    def beside(self, first: str, second: str) -> list[str]:
        """hi, mid and lo of two vectors of 16 entries side by side."""
        lines = []
        for low, high in zip(self._parts(first), self._parts(second), strict=True):
            down = self.code.op(f"lshr {WORDS.text} {low[0]}, {WORDS.splat(16)}")
            lines.append(self.code.op(f"or {WORDS.text} {down}, {high[1]}"))
            last = low[1], high[1]
        self._look(lines[0], *last)
        return lines

    def _parts(self, bits: str) -> list[tuple[str, str]]:
        """hi, mid and lo of 16 entries: as words whose upper halves count, and as such whose lower halves are 0."""
        code, parts = self.code, []
        for part in ("hi", "mid"):
            rounded = code.op(f"add {WORDS.text} {bits}, {WORDS.splat(0x8000)}") if part == "hi" else bits
            upper = code.op(f"and {WORDS.text} {rounded}, {WORDS.splat(-0x10000)}")
            whole, known = (code.op(f"bitcast {WORDS.text} {x} to {SINGLES.text}") for x in (bits, upper))
            rest = code.op(f"fsub {SINGLES.text} {whole}, {known}")
            bits = code.op(f"bitcast {SINGLES.text} {rest} to {WORDS.text}")
            parts.append((rounded, upper))
        return [*parts, (bits, bits)]

    def load(self, place: str, left: str) -> str:
        """16 entries, of which `left` are wanted; the others are 0."""
        code = self.code
        if not left:
            return code.load(WORDS.text, place, 4)
        short = code.op(f"trunc i64 {code.least(code.most(left, '0'), str(ROWS))} to i32")
        numbers = ", ".join(f"i32 {i}" for i in range(ROWS))
        mask = code.op(f"icmp slt {WORDS.text} <{numbers}>, {code.spread(WORDS, short)}")
        return code.load_some(WORDS, place, mask, 4)

    def _look(self, line: str, *last: str) -> None:
        """See how large first parts are, and whether last parts have lower halves, as the smallest do."""
        code, vector = self.code, HALVES.text
        line = code.op(f"bitcast {WORDS.text} {line} to {vector}")
        size = code.op(f"and {vector} {line}, {HALVES.splat(0x7FFF)}")
        less = code.op(f"add {vector} {size}, {HALVES.splat(-1)}")
        (_, most), (_, least), (_, rest) = self.seen
        most = code.call(vector, f"llvm.umax.{HALVES.mangled}", (vector, most), (vector, size))
        least = code.call(vector, f"llvm.umin.{HALVES.mangled}", (vector, least), (vector, less))
        for bits in last:
            rest = code.op(f"or {WORDS.text} {rest}, {bits}")
        self.seen = [(vector, most), (vector, least), (WORDS.text, rest)]

    def sizes(self) -> list[str]:
        """The bits of the largest size, of the least but one bit (of zeros alone 0, and all bits), and what remains."""
        pairs = zip(("umax", "umin", "or"), self.seen, (HALVES, HALVES, WORDS), strict=True)
        found = [
            (self.code.call(lanes.element, f"llvm.vector.reduce.{name}.{lanes.mangled}", seen), lanes)
            for name, seen, lanes in pairs
        ]
        return [x if lanes is WORDS else self.code.op(f"zext i16 {x} to i32") for x, lanes in found]


def unfit(code: Code, a: list[str], b: list[str]) -> str:
    """Whether factors with such sizes cannot be multiplied so. 0 can."""
    most = code.call("i32", "llvm.umax.i32", ("i32", a[0]), ("i32", b[0]))
    least = code.call("i32", "llvm.umin.i32", ("i32", a[1]), ("i32", b[1]))
    exponents = code.op(f"add i32 {code.op(f'lshr i32 {a[1]}, 7')}, {code.op(f'lshr i32 {b[1]}, 7')}")
    rest = code.op(f"and i32 {code.op(f'or i32 {a[2]}, {b[2]}')}, 65535")
    checks = [f"ugt i32 {most}, {MOST}", f"ult i32 {least}, {LEAST - 1}", f"ult i32 {exponents}, {LEAST_PRODUCT}"]
    large, small, product, under = (code.op(f"icmp {check}") for check in [*checks, f"ne i32 {rest}, 0"])
    return code.op(f"or i1 {code.op(f'or i1 {large}, {under}')}, {code.op(f'or i1 {small}, {product}')}")


def _joined(code: Code, vector: Lanes, first: str, second: str, order: list[int]) -> str:
    """Chosen entries of two vectors of halves, as words."""
    return code.op(f"bitcast {HALVES.text} {code.shuffle(vector, order, first, second)} to {WORDS.text}")


def turned(code: Code, place: str) -> list[str]:
    """16 lines of 16 words in memory as the columns of the square that they are the rows of."""
    return [column for four in range(4) for column in turned_four(code, code.at(place, "i8", str(16 * four)))]


def turned_four(code: Code, place: str) -> list[str]:
    """Four columns of such a square, of which `place` is the first's first word.

    Four quarters of lines make one line when they are loaded; then squares of 4 × 4 words are turned within quarters.
    """
    quarter, half = Lanes("i32", 4), Lanes("i32", 8)

    def of_quarters(*order: int) -> list[int]:
        return [4 * lane + i for lane in range(4) for i in order]

    lines = []
    for first in range(4):  # these words of lines first, first + 4, first + 8, first + 12
        moves = [(first + 4 * i) * ROWS * 4 for i in range(4)]
        parts = [code.load(quarter.text, code.at(place, "i8", str(move)), 16) for move in moves]
        halves = [code.shuffle(quarter, range(8), *parts[i : i + 2]) for i in (0, 2)]
        lines.append(code.shuffle(half, range(16), *halves))
    low = [code.shuffle(WORDS, of_quarters(0, 16, 1, 17), *lines[i : i + 2]) for i in (0, 2)]
    high = [code.shuffle(WORDS, of_quarters(2, 18, 3, 19), *lines[i : i + 2]) for i in (0, 2)]
    orders = (0, 1, 16, 17), (2, 3, 18, 19)
    return [code.shuffle(WORDS, of_quarters(*order), *pair) for pair in (low, high) for order in orders]
