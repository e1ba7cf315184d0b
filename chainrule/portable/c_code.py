"""A native program as one LLVM module that needs nothing of Python: its kernels, its table of calls, and its weights.

What `Executable` keeps in arrays, addresses included, becomes constants here, whose addresses the linker fills in. The
driver that walks the table is the one that all programs have, with one thread. A call gets a *workspace* from its
caller in which everything lies that is written to, so calls may run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.memory import ALIGNMENT, SLACK
from chainrule.backends.native import Native
from chainrule.backends.native.builder import Function, Table
from chainrule.backends.native.executable import CheckError, Executable
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.run.driver import CALL_WORDS, driver_text, words_to_count
from chainrule.backends.native.run.waiting import FIELDS, POOL_WORDS
from chainrule.errors import TraceError
from chainrule.primitives.value import Symbol

#: Weights are part of the library's text; more bytes than this would take minutes to write.
MOST_BYTES = 2**28
_ESCAPED = [f"\\{byte:02X}" for byte in range(256)]


class Data:
    """Constant bytes, each piece beginning at a multiple of the alignment and with room to read beyond its end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, content: bytes) -> int:
        """Take in a piece; the answer is its place."""
        place = self.size
        padded = content + bytes(-(len(content) + SLACK) % ALIGNMENT + SLACK)
        self.pieces.append(padded)
        self.size += len(padded)
        return place

    def text(self) -> str:
        """All of it as a constant of LLVM's language."""
        content = b"".join(self.pieces)
        letters = "".join(map(_ESCAPED.__getitem__, content))
        return f'@data = internal constant [{len(content)} x i8] c"{letters}", align {ALIGNMENT}\n'


class Workspace:
    """Where in the memory of a call what lies."""

    def __init__(self) -> None:
        self.size = 0

    def room(self, size: int, alignment: int = ALIGNMENT) -> int:
        """Room for so many bytes; the answer is its place."""
        place = -(-self.size // alignment) * alignment
        self.size = place + size
        return place


class Library(NamedTuple):
    """A module and what a caller must know of it: the bytes of a workspace, and what a failed check says."""

    text: str
    workspace: int
    messages: list[str]


def module_for(native: Native, name: str) -> Library:
    """The module, whose function `<name>_in(workspace, inputs…, results…)` runs the program.

    Raises TraceError for a program with operations that only NumPy does, naming them, or with too many weights.
    """
    executable = native.executable
    numpys = sorted({call[0].primitive.name for *_, call in executable.segments if call is not None})
    if numpys:
        raise TraceError(f"{', '.join(numpys)} have no machine code, so no C library can be made of this program.")
    size = sum(home.array.nbytes for home, _ in native.bound)
    if size > MOST_BYTES:
        raise TraceError(f"the weights have {size / 2**20:.0f} MiB; a C library may have {MOST_BYTES / 2**20:.0f}.")
    data, space = Data(), Workspace()
    entry = _Entry(native, name, data, space).text  # first: it fills the data and the workspace
    parts = [_declarations(executable), *_functions(executable), _numbers(executable), _table(executable), data.text()]
    return Library("\n".join([*parts, entry]), space.size, [str(CheckError(p)) for p in executable.builder.checks])


# ------------------------------------------------------------------------------------ functions


def _declarations(executable: Executable) -> str:
    """What is called from outside, each once: LLVM's intrinsics, the C library's functions."""
    functions = executable.builder.functions
    lines = {line for function in functions.values() for line in function.declared}
    lines |= {line for line in driver_text().splitlines() if line.startswith("declare ")}
    lines.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    lines.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    return "\n".join(sorted(line for line in lines if line.split("@")[1].split("(")[0] not in functions))


def _functions(executable: Executable) -> Iterable[str]:
    """Kernels and the driver, known only in the module."""
    for function in executable.builder.functions.values():
        yield function.text.replace("define ", "define internal ", 1)
    lines = [line for line in driver_text().splitlines() if not line.startswith("declare ")]
    yield "\n".join(line.replace("define ", "define internal ", 1) for line in lines)


# ------------------------------------------------------------------------------------ constants


def _numbers(executable: Executable) -> str:
    """The numbers of each kernel; addresses of functions and of other numbers are left to the linker."""
    builder = executable.builder

    def text(number: Any) -> str:
        if isinstance(number, Function):
            return f"i64 ptrtoint (ptr @{number.name} to i64)"
        if isinstance(number, Table):
            return f"i64 ptrtoint (ptr @numbers{number.numbers} to i64)"
        return f"i64 {executable._resolve(number, [], builder)}"

    lines = []
    for i, numbers in enumerate(builder.numbers):
        entries = ", ".join(map(text, numbers or [0]))
        lines.append(f"@numbers{i} = internal constant [{len(numbers or [0])} x i64] [{entries}], align 8")
    return "\n".join(lines)


def _table(executable: Executable) -> str:
    """The table of calls."""
    rows = []
    for i, call in enumerate(executable.calls):
        assert call is not None
        words = executable.table[i * CALL_WORDS : (i + 1) * CALL_WORDS]
        address = f"ptrtoint (ptr @{call.function} to i64)" if call.function else "0"
        entries = [address, f"ptrtoint (ptr @numbers{call.numbers} to i64)", *map(str, words[2:])]
        rows.append(", ".join(f"i64 {entry}" for entry in entries))
    count = max(len(rows), 1) * CALL_WORDS
    entries_text = ", ".join(rows) or ", ".join(["i64 0"] * CALL_WORDS)
    return f"@table = internal constant [{count} x i64] [{entries_text}], align {ALIGNMENT}"


# ------------------------------------------------------------------------------------ the entry


class _Entry:
    """The function that lays the workspace out, brings the inputs in, runs, and takes the results out.

    Attributes:
        code: the function as it is written.
        text: when it is.
    """

    def __init__(self, native: Native, name: str, data: Data, space: Workspace) -> None:
        self.native, self.executable, self.data, self.space = native, native.executable, data, space
        self.symbols = arguments_of(native)
        arguments = [("ptr", "%workspace"), *(("ptr", f"%x{i}") for i in range(len(self.symbols)))]
        arguments += [("ptr", f"%y{i}") for i in range(len(native.made))]
        self.code = Code("i32", f"{name}_in", arguments)
        self.at = {what: space.room(size) for what, size in _sizes(self.executable).items()}
        _fill(self.code, "%workspace", self.at["shares"])  # the pool's words, the status and the addresses begin as 0
        self._bind_constants()
        self._bring_in()
        results = self._room_for_results()
        self._run()
        self._answer(results)
        space.size += SLACK
        self.text = self.code.text()

    def _place(self, offset: int) -> str:
        return self.code.at("%workspace", "i8", str(offset))

    def _whole(self, pointer: str) -> str:
        return self.code.op(f"ptrtoint ptr {pointer} to i64")

    def _bind(self, slot: int, pointer: str) -> None:
        bases = self._place(self.at["bases"])
        self.code.store("i64", self._whole(pointer), self.code.at(bases, "i64", str(slot)))

    def _bind_constants(self) -> None:
        """The status, the working memory, constants and weights."""
        self._bind(0, self._place(self.at["status"]))
        self._bind(1, self._place(self.at["arena"]))
        pieces = [(s, b.origin.tobytes()) for b, s in self.executable.slots.items() if isinstance(b.origin, np.ndarray)]
        pieces += [(slot, _entries(home)) for home, slot in self.native.bound]
        for slot, content in pieces:
            self._bind(slot, self.code.at("@data", "i8", str(self.data.add(content))))

    def _bring_in(self) -> None:
        """Copies of the inputs, as kernels may read beyond an end."""
        for i, (symbol, slot) in enumerate(zip(self.symbols, _given_slots(self.native), strict=True)):
            if slot is not None:
                size = symbol.size * symbol.dtype.itemsize
                copy = self._place(self.space.room(size + SLACK))
                _copy(self.code, copy, f"%x{i}", size)
                self._bind(slot, copy)

    def _room_for_results(self) -> list[tuple[str, str, int]]:
        """Whom each result is for, where it is made, and its bytes."""
        results = []
        for i, (view, slot) in enumerate(self.native.made):
            if slot is not None:
                room = self._place(self.space.room(view.buffer.bytes + SLACK))
                self._bind(slot, room)
                results.append((f"%y{i}", room, math.prod(view.shape) * view.dtype.itemsize))
        return results

    def _run(self) -> None:
        """Hand the table to the driver."""
        code, executable = self.code, self.executable
        pool = self._place(self.at["pool"])
        words = {
            "threads": "1", "count": str(len(executable.calls)), "table": self._whole("@table"),
            "bases": self._whole(self._place(self.at["bases"])), "shares": self._whole(self._place(self.at["shares"])),
            "scratch": self._whole(self._place(self.at["scratch"])), "scratch_bytes": str(executable.scratch),
            "bases_count": str(len(executable.bases)),
        }  # fmt: skip
        for field, value in words.items():
            code.store("i64", value, code.at(pool, "i64", str(FIELDS[field])))
        code.do(f"call void @run(ptr {pool})")

    def _answer(self, results: list[tuple[str, str, int]]) -> None:
        """The results, unless a check failed."""
        code = self.code
        status = code.op(f"trunc i64 {code.load('i64', self._place(self.at['status']))} to i32")
        with code.when(code.op(f"icmp eq i32 {status}, 0")):
            for target, room, size in results:
                _copy(code, target, room, size)
        code.do(f"ret i32 {status}")


def _given_slots(native: Native) -> list[int | None]:
    """For each argument, in order of their numbers, where its address goes."""
    numbers = [slot.number for slot in native.program.inputs if slot.kind == "argument"]
    return [slot for _, slot in sorted(zip(numbers, native.given, strict=True), key=lambda pair: pair[0])]


def arguments_of(native: Native) -> list[Symbol]:
    """The symbols of the arguments, in order."""
    return [symbol for _, symbol in sorted(native.program.symbols("argument").items())]


def _sizes(executable: Executable) -> dict[str, int]:
    """What a call needs, in bytes, besides copies of its inputs and its results; `shares` and on need not be 0."""
    return {
        "pool": 8 * POOL_WORDS,
        "status": 64,
        "bases": 8 * len(executable.bases),
        "shares": 8 * words_to_count(max(len(executable.kernels), 1), 1),
        "scratch": executable.scratch + 192,
        "arena": executable.arena_bytes + SLACK,
    }


def _entries(home: Any) -> bytes:
    """The bytes of a home as they lie, gaps included."""
    size = home.size * home.dtype.itemsize
    content = np.zeros(size, np.uint8)
    strides = [s * home.dtype.itemsize for s in home.strides]
    np.ndarray(home.shape, home.dtype, content, 0, strides)[...] = home.array
    return content.tobytes()


def _copy(code: Code, target: str, source: str, size: int) -> None:
    code.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")


def _fill(code: Code, target: str, size: int) -> None:
    code.do(f"call void @llvm.memset.p0.i64(ptr {target}, i8 0, i64 {size}, i1 false)")
