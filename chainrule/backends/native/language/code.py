"""Writing LLVM's language: one function at a time, as text.

LLVM IR is an assembler with types in which every name is given once (static single assignment). Text is the quickest
way to make it from Python, and the most readable: a template looks like what it becomes. `Code` keeps the names, and
writes loops, whose running values would otherwise need phi nodes by hand.

>>> code = Code("void", "twice", [("ptr", "%x"), ("i64", "%n")])
>>> with code.loop("0", "%n") as loop:
...     place = code.at("%x", "float", loop.index)
...     code.store("float", code.op(f"fadd float {(v := code.load('float', place))}, {v}"), place)
>>> code.do("ret void")
>>> print(code.text())  # doctest: +ELLIPSIS
define void @twice(ptr %x, i64 %n) ... {
entry:
  br label %head1
...
"""

from __future__ import annotations

import functools
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple


class Lanes(NamedTuple):
    """A vector type: so many entries of one LLVM type, one in each lane.

    >>> Lanes("float", 16).text, Lanes("float", 16).mangled
    ('<16 x float>', 'v16f32')
    """

    element: str
    lanes: int

    @property
    def text(self) -> str:
        """The type as LLVM writes it."""
        return f"<{self.lanes} x {self.element}>"

    @property
    def mangled(self) -> str:
        """The type as it stands in the names of intrinsics."""
        return f"v{self.lanes}{MANGLED[self.element]}"

    @property
    def bits(self) -> int:
        """The size of one entry in bits."""
        return BITS[self.element]

    def of(self, element: str) -> Lanes:
        """As many lanes of another element type."""
        return Lanes(element, self.lanes)

    def splat(self, value: float) -> str:
        """A constant with the same number in every lane."""
        return f"splat ({self.element} {number(self.element, value)})"


MANGLED = {
    "float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16",
    "i1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64",
}  # fmt: skip
BITS = {"float": 32, "double": 64, "half": 16, "bfloat": 16, "i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64}


def number(element: str, value: float) -> str:
    """A number as LLVM writes it: floating-point ones by their bits, so that nothing is rounded on the way.

    >>> number("float", 1.0), number("i32", 7), number("i1", True)
    ('0x3FF0000000000000', '7', 'true')
    """
    if element == "i1":
        return "true" if value else "false"
    if element.startswith("i"):
        return str(int(value))
    if element == "float":  # written as the double of the same value
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return f"0x{bits:016X}"


class Loop:
    """A loop being written.

    Attributes:
        index: the running number.
        carried: the values that go round, as they are at the start of a turn; after the loop, as they are at its end.
        next: set within the loop: what they are in the next turn.
    """

    def __init__(self, index: str, carried: list[str]) -> None:
        self.index = index
        self.carried = carried
        self.next: Sequence[str] = carried


class Finished(NamedTuple):
    """A function as it is compiled.

    Attributes:
        name: of the function; instead of "kernel" a name made from its contents, so that equal code is one function.
        text: all of it.
        declared: lines for what it calls from outside.
        called: other functions of ours that it calls.
    """

    name: str
    text: str
    declared: frozenset[str]
    called: tuple[str, ...]


class Code:
    """One LLVM function: `op` writes an instruction and gives the name of its result, `do` one without a result."""

    def __init__(
        self, result: str, name: str, arguments: Iterable[tuple[str, str]], attributes: str = "nounwind"
    ) -> None:
        self.name = name
        self.intrinsics: set[str] = set()
        self._head = f"define {result} @{name}({', '.join(f'{t} {n}' for t, n in arguments)}) {attributes} {{\nentry:"
        self._lines: list[str] = []
        self._names = 0
        self._block = "entry"

    def text(self) -> str:
        """The whole function."""
        return "\n".join([self._head, *self._lines, "}", ""])

    @functools.cached_property
    def finished(self) -> Finished:
        """The function, when nothing more is written."""
        text, name = self.text(), self.name
        if name == "kernel":
            name = "k" + hashlib.sha256(text.encode()).hexdigest()[:20]
            text = text.replace("@kernel(", f"@{name}(", 1)
        called = dict.fromkeys(re.findall(r"call [^@\n]*@(\w+)\(", text))
        return Finished(name, text, frozenset(self.intrinsics), tuple(called))

    # ------------------------------------------------------------------------------------- instructions

    def op(self, instruction: str) -> str:
        """Write an instruction; the answer is the name of its result."""
        self._names += 1
        name = f"%v{self._names}"
        self._lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Write an instruction that has no result."""
        self._lines.append(f"  {instruction}")

    def call(self, result: str, intrinsic: str, *arguments: tuple[str, str]) -> str:
        """Call a function from outside of this one, declaring it; arguments are (type, value)."""
        self.intrinsics.add(f"declare {result} @{intrinsic}({', '.join(t for t, _ in arguments)})")
        text = f"call {result} @{intrinsic}({', '.join(f'{t} {v}' for t, v in arguments)})"
        if result == "void":
            self.do(text)
            return ""
        return self.op(text)

    def whole(self, name: str, x: object, y: object) -> str:
        """An operation on two i64, such as `add`, `mul` or `udiv`."""
        return self.op(f"{name} i64 {x}, {y}")

    def least(self, x: str, y: str) -> str:
        """The smaller of two i64."""
        return self.call("i64", "llvm.smin.i64", ("i64", x), ("i64", y))

    def most(self, x: str, y: str) -> str:
        """The larger of two i64."""
        return self.call("i64", "llvm.smax.i64", ("i64", x), ("i64", y))

    def at(self, base: str, element: str, index: str) -> str:
        """The address of base[index]."""
        return self.op(f"getelementptr {element}, ptr {base}, i64 {index}")

    def load(self, kind: str, address: str, align: int = 0) -> str:
        """Read from memory."""
        return self.op(f"load {kind}, ptr {address}" + (f", align {align}" if align else ""))

    def store(self, kind: str, value: str, address: str, align: int = 0) -> None:
        """Write to memory."""
        self.do(f"store {kind} {value}, ptr {address}" + (f", align {align}" if align else ""))

    def load_some(self, lanes: Lanes, address: str, mask: str, align: int, other: str = "zeroinitializer") -> str:
        """Read those lanes of a vector that a mask names; the others are those of `other`."""
        return self.call(
            lanes.text, f"llvm.masked.load.{lanes.mangled}.p0",
            ("ptr", address), ("i32", str(align)), (lanes.of("i1").text, mask), (lanes.text, other),
        )  # fmt: skip

    def store_some(self, lanes: Lanes, value: str, address: str, mask: str, align: int) -> None:
        """Write those lanes of a vector that a mask names."""
        self.call(
            "void", f"llvm.masked.store.{lanes.mangled}.p0",
            (lanes.text, value), ("ptr", address), ("i32", str(align)), (lanes.of("i1").text, mask),
        )  # fmt: skip

    def fetch(self, address: str) -> None:
        """Ask for a line of memory that will be read soon."""
        self.call("void", "llvm.prefetch.p0", ("ptr", address), ("i32", "0"), ("i32", "3"), ("i32", "1"))

    def spread(self, lanes: Lanes, value: str) -> str:
        """One number in every lane."""
        one = self.op(f"insertelement {lanes.text} poison, {lanes.element} {value}, i64 0")
        if lanes.lanes == 1:
            return one
        return self.op(f"shufflevector {lanes.text} {one}, {lanes.text} poison, <{lanes.lanes} x i32> zeroinitializer")

    def shuffle(self, lanes: Lanes, order: Sequence[int], x: str, y: str = "poison") -> str:
        """These lanes of two vectors of a kind, counted through both; the result has as many as are named."""
        places = ", ".join(f"i32 {i}" for i in order)
        return self.op(f"shufflevector {lanes.text} {x}, {lanes.text} {y}, <{len(order)} x i32> <{places}>")

    # ------------------------------------------------------------------------------------- control

    def block(self, name: str) -> str:
        """Start a new block; its label is made unique and given back without the leading %."""
        label = self.label(name)
        self.start(label)
        return label

    def label(self, name: str) -> str:
        """A unique name for a block that starts later."""
        self._names += 1
        return f"{name}{self._names}"

    def start(self, label: str) -> None:
        """Start the block of this label."""
        self._lines.append(f"{label}:")
        self._block = label

    def jump(self, label: str) -> None:
        """Go on at a block."""
        self.do(f"br label %{label}")

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """Go on at one of two blocks."""
        self.do(f"br i1 {condition}, label %{then}, label %{otherwise}")

    @contextmanager
    def loop(self, start: str, stop: str, step: str = "1", carried: Sequence[tuple[str, str]] = ()) -> Iterator[Loop]:
        """for index = start; index < stop; index += step. `carried` are the (type, first value) of what goes round."""
        head, body, done = self.label("head"), self.label("body"), self.label("done")
        before = self._block
        self.jump(head)
        self.start(head)
        position = len(self._lines)
        self._names += 1
        index = f"%i{self._names}"
        names = [f"{index}.{i}" for i in range(len(carried))]
        more = self.op(f"icmp slt i64 {index}, {stop}")
        self.branch(more, body, done)
        self.start(body)
        loop = Loop(index, names)
        yield loop
        following = self.op(f"add i64 {index}, {step}")
        last = self._block
        self.jump(head)
        phis = [f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{last} ]"]
        for name, (kind, first), onward in zip(names, carried, loop.next, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {onward}, %{last} ]")
        self._lines[position:position] = phis
        self.start(done)
        loop.carried = names

    @contextmanager
    def when(self, condition: str) -> Iterator[Callable[[], None]]:
        """What is written within runs only if the condition holds; behind a call of what is given, only if not."""
        then, other, done = self.label("then"), self.label("other"), self.label("done")
        self.branch(condition, then, other)
        self.start(then)

        def otherwise() -> None:
            self.jump(done)
            self.start(other)

        yield otherwise
        if other + ":" not in self._lines:
            otherwise()
        self.jump(done)
        self.start(done)


def module_of(function: Finished, called: Sequence[Finished]) -> str:
    """The text of a module: a function, and those that it calls, which are known only there."""
    declared = sorted(function.declared.union(*[other.declared for other in called]))
    own = [other.text.replace("define ", "define internal ", 1) for other in called]
    return "\n".join([*declared, *own, function.text])


def module(functions: Iterable[Code]) -> str:
    """The text of a module: the functions and the declarations of what they call."""
    written = list(functions)
    own = {code.name for code in written}
    declared = sorted({line for code in written for line in code.intrinsics})
    outside = [line for line in declared if line.split("@")[1].split("(")[0] not in own]
    return "\n".join([*outside, *[code.text() for code in written]])
