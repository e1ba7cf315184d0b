"""A compiled program: its table of calls, its memory, and how a call of the Python function becomes a run of it."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.memory import SLACK, address_of, aligned, span_of
from chainrule.backends.native.builder import Builder, Call, Function, Private, Table
from chainrule.backends.native.emitting.numbers import Check, Offset, Slot
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.loops import Row, flattened
from chainrule.backends.native.lowering.nest import Block, Load, Number
from chainrule.backends.native.lowering.place import View
from chainrule.backends.native.lowering.winograd import Winograd, WinogradWeight
from chainrule.backends.native.plan import place_buffers, scheduled
from chainrule.backends.native.run.arenas import FEW, Arena, borrow, give_back
from chainrule.backends.native.run.driver import BARRIER, BEGIN, CALL_WORDS, END, FRAME_WORDS, STOP
from chainrule.backends.native.run.functions import functions
from chainrule.backends.native.run.machine import vector_bits
from chainrule.backends.native.run.pool import run_calls
from chainrule.errors import IndexRangeError
from chainrule.primitives.value import Array

#: Programs of fewer operations than this run on one thread: waking others would take longer. With vectors of 512 bits;
#: of narrower ones fewer operations take as long.
SMALL = 2_000_000
#: Programs of fewer operations are compiled in a quarter of the time, and run a few microseconds longer.
LITTLE = 4_000


class CheckError(IndexRangeError):
    """A kernel found numbers that it must not use; :func:`~chainrule.compiler.failure.explain` says which and why."""

    def __init__(self, path: str) -> None:
        place = f"{path}: " if path else ""
        super().__init__(f"{place}a number is outside of the range that it must be in. Nothing was changed.")


class Kernel(NamedTuple):
    """What is known of a row of the table once its code is made: the loops that it was made from are forgotten.

    Attributes:
        title: what it computes, its loops, and the module path.
        stage, times, depth: see :class:`~chainrule.backends.native.lowering.loops.Row`.
        parts: how many parts its work has; 0 for what NumPy does.
        operations, bytes: of a product, and of all buffers that it touches, in a whole run.
        loop: "begin" or "end" for the rows around a loop's body.
    """

    title: str
    stage: int
    times: int
    depth: int
    parts: int
    operations: int
    bytes: int
    loop: str


class Executable:
    """What a lowering became. Buffers outside of the arena get their addresses before each run.

    Attributes:
        calls: the rows of the table; None for what NumPy does.
        kernels: the same in words and numbers.
        slots: where the address of each buffer outside of the arena stands.
        bound: the addresses of cells that are there, a list of whoever has last run it.
        watch: where the times of a run go (`profile.py`), if somebody wants them; `clock` counts as the code does.
        arena: its working memory, or what it has last worked in.
    """

    def __init__(self, at: Lowering, exact: bool) -> None:
        groups, when = scheduled(at.groups)
        offsets, size = place_buffers(groups, when, at.buffers)
        rows = flattened(groups, when)
        self.arena_bytes = size
        touched = {buffer for row in rows for buffer in row.group.reads | row.group.writes}
        touched |= {moved.buffer for row in rows if row.group.loop is not None for moved in row.group.loop.moving}
        outside = sorted(touched - set(offsets), key=id)
        self.slots = {buffer: i + 2 for i, buffer in enumerate(outside)}
        self.offsets = offsets
        self.status = aligned(64).view(np.int64)
        self.bases = np.zeros(len(outside) + 2, np.int64)
        self.arena = Arena(size) if size <= FEW else borrow(size)
        self.bases[0], self.bases[1] = self.status.ctypes.data, self.arena.address
        self.held: list[Any] = []
        self.bound: list[int] | None = None
        self.watch: Array | None = None
        self.clock: Callable[[], int] = int
        for buffer, slot in self.slots.items():
            if isinstance(buffer.origin, np.ndarray):
                self.held.append(padded_copy(np.ascontiguousarray(buffer.origin)))
                self.bases[slot] = self.held[-1].ctypes.data
        self._assemble(rows, Builder(exact))
        if size > FEW:
            give_back(self.arena)

    def _assemble(self, rows: Sequence[Row], builder: Builder) -> None:
        """Emit all kernels, compile what is new, and write the table."""
        self.builder = builder
        self.calls = [self._call(builder, row) for row in rows]
        operations = sum(row.times * estimated_operations(row.group) for row in rows if row.group.call is None)
        self.small = operations * 512 < SMALL * vector_bits()
        builder.little = operations < LITTLE
        self.functions = functions(builder.texts())
        self.private = -(-builder.scratch // 64) * 64
        loops = max((row.depth + 1 for row in rows if row.group.loop is not None), default=0)
        self.scratch = self.private + loops * self._frame
        resolved: list[Array] = [np.zeros(max(len(n), 1), np.int64) for n in builder.numbers]
        for array, numbers in zip(resolved, builder.numbers, strict=True):
            for i, number in enumerate(numbers):
                array[i] = self._resolve(number, resolved, builder)
        self.resolved = resolved
        self.table = aligned(max(len(self.calls), 1) * CALL_WORDS * 8).view(np.int64)
        for i, (call, row) in enumerate(zip(self.calls, rows, strict=True)):
            if call is None:
                continue
            flags, group = 0, row.group
            if group.ends:
                flags = BARRIER | END
            elif group.loop is not None:
                flags = BEGIN
            elif i + 1 == len(rows) or rows[i + 1].stage != row.stage or rows[i + 1].group.loop is not None:
                flags = BARRIER
            address = self.functions[call.function].address if call.function else 0
            words = [address, resolved[call.numbers].ctypes.data, call.parts, flags, row.body]
            self.table[i * CALL_WORDS : i * CALL_WORDS + 5] = words
        self.table_at, self.bases_at = address_of(self.table), (address_of(self.bases), len(self.bases))
        self._stop_after_checks(rows)
        self._count_groups(rows)
        self.kernels = [_kernel(row, call) for row, call in zip(rows, self.calls, strict=True)]
        self.segments = _segments(rows)

    @property
    def _frame(self) -> int:
        """How many bytes a thread keeps for each loop that it is in."""
        return 8 * (FRAME_WORDS + len(self.bases))

    @staticmethod
    def _call(builder: Builder, row: Row) -> Call | None:
        if row.group.call is not None:
            return None
        return builder.kernel(row.group) if row.group.loop is None else builder.loop(row)

    def _stop_after_checks(self, rows: Sequence[Row]) -> None:
        """The barrier behind the last check, before anything outside is written, is where a failed one ends the run."""
        checking = [i for i, row in enumerate(rows) if row.group.checks and row.group.call is None]
        if not checking:
            return
        end = checking[-1]
        # Not in the middle of a loop: there the next time round may fail while others look whether this one did.
        while end + 1 < len(rows) and (not self.table[end * CALL_WORDS + 3] & BARRIER or rows[end].depth):
            end += 1
        self.table[end * CALL_WORDS + 3] |= BARRIER | STOP

    def _count_groups(self, rows: Sequence[Row]) -> None:
        """Write into each row how far below it its group ends, and how many parts the group has.

        A group's rows have one barrier, behind the last of them, and are done equally often: it does not reach beyond
        the end of a loop, nor beyond what NumPy does.
        """
        table = self.table.reshape(-1, CALL_WORDS)
        group: list[int] = []
        for i, (call, row) in enumerate(zip(self.calls, rows, strict=True)):
            if call is None or (row.group.loop is not None and not row.group.ends):
                group = []
                continue
            group.append(i)
            if table[i, 3] & BARRIER:
                table[group, 5] = i - np.array(group)
                table[group, 6] = sum(int(table[k, 2]) for k in group if table[k, 0])
                group = []

    def _resolve(self, number: Any, resolved: list[Array], builder: Builder) -> int:
        if type(number) is int:
            return number
        if isinstance(number, Slot):
            return self.slots.get(number.buffer, 1)
        if isinstance(number, Offset):
            return self.offsets.get(number.buffer, 0) + number.bytes
        if isinstance(number, Private):
            return self.private + number.depth * self._frame
        if isinstance(number, Check):
            return builder.check(number.path)
        if isinstance(number, Function):
            return self.functions[number.name].address
        if isinstance(number, Table):
            return int(resolved[number.numbers].ctypes.data)
        return int(number)

    # ------------------------------------------------------------------------------------- running

    def address(self, view: View) -> int:
        """Where a view begins."""
        slot = self.slots.get(view.buffer, 1)
        return int(self.bases[slot]) + self.offsets.get(view.buffer, 0) + view.offset * view.dtype.itemsize

    def array(self, view: View) -> Array:
        """The entries of a view as they are now, as a NumPy array on the same memory."""
        strides = [s * view.dtype.itemsize for s in view.strides]
        span = [(n - 1) * s for n, s in zip(view.shape, strides, strict=True)]
        low = sum(s for s in span if s < 0)
        size = sum(abs(s) for s in span) + view.dtype.itemsize
        raw = _bytes(max(size, 1)).from_address(self.address(view) + low)
        return np.ndarray(view.shape, view.dtype, raw, -low, strides)  # type: ignore[arg-type]

    def run(self) -> None:
        """Run the program on what the bases point to now. Raises CheckError if a check of numbers failed."""
        if self.arena_bytes <= FEW:
            self._run()
            return
        self.arena = borrow(self.arena_bytes)
        self.bases[1] = self.arena.address
        try:
            self._run()
        finally:
            give_back(self.arena)

    def _run(self) -> None:
        self.status[:] = 0
        for start, stop, call in self.segments:
            if call is None:
                run_calls(self.table_at, start, stop, self.bases_at, self.scratch, small=self.small, profile=self.watch)
                if self.status[0]:
                    raise CheckError(self.builder.checks[int(self.status[0]) - 1])
            elif self.watch is None:
                self._call_numpy(*call)
            else:
                begun = self.clock()
                self._call_numpy(*call)
                ended = self.clock()
                self.watch[start, :3] = self.watch[start, 0] + ended - begun, begun, ended

    def _call_numpy(self, equation: Any, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        arrays = [self.array(view) for view in inputs]
        for view, part in zip(outputs, equation.evaluate(arrays), strict=True):
            self.array(view)[...] = part


#: The type of so many bytes. Each is a class, and classes are expensive to make.
_bytes = functools.lru_cache(maxsize=1024)(ctypes.c_char.__mul__)


def rows_of(at: Lowering) -> list[Row]:
    """The rows of the table that a lowering becomes."""
    return flattened(*scheduled(at.groups))


def _segments(rows: Sequence[Row]) -> list[tuple[int, int, Any]]:
    """Native stretches (start, stop, None) and, between them, operations that NumPy does."""
    segments: list[tuple[int, int, Any]] = []
    for native, run in itertools.groupby(enumerate(rows), key=lambda pair: pair[1].group.call is None):
        indices = [i for i, _ in run]
        if native:
            segments.append((indices[0], indices[-1] + 1, None))
        else:
            segments += [(i, i + 1, rows[i].group.call) for i in indices]
    return segments


def _kernel(row: Row, call: Call | None) -> Kernel:
    """What is kept of a row."""
    group = row.group
    operations = row.times * _operations(group)
    touched = 0 if group.loop is not None else row.times * sum(buffer.bytes for buffer in group.reads | group.writes)
    loop = "" if group.loop is None else "end" if group.ends else "begin"
    parts = 0 if call is None else call.parts
    return Kernel(describe(group), row.stage, row.times, row.depth, parts, operations, touched, loop)


def _operations(group: Group) -> int:
    """What a group's contraction or a kernel of its own kind multiplies and adds."""
    work = group.product if group.product is not None else group.own
    return 0 if work is None else int(work.operations)


def describe(group: Group) -> str:
    """A kernel in a line: what it computes, its loops, and the module path."""
    if group.loop is not None:
        return "… and again" if group.ends else f"{group.loop.count} times"
    if group.call is not None:
        return f"{group.call[0].primitive.name} in NumPy  {group.call[0].path}".rstrip()
    if group.nest.sorting is not None:
        rows, length = group.nest.extents
        return f"sort {rows} rows of {length}  {group.nest.path}".rstrip()
    if group.own is not None:
        return f"{group.own.title}  {group.nest.path}".rstrip()
    ops = [n.op for n in group.nest.nodes if not isinstance(n, Load | Number | Block)]
    shape = "×".join(map(str, group.nest.extents))
    reduced = f" over {sorted(group.nest.reduced)}" if group.nest.reduced else ""
    product = ""
    if isinstance(group.product, Winograd | WinogradWeight):
        product = f"{group.product.title} → "
    elif group.product is not None:
        p = group.product
        rows = math.prod(n for n, *_ in (*p.batch, *p.rows))
        depth = p.run[0] * math.prod(n for n, *_ in p.segments)
        pieces = f" in {p.splits} sums" if p.splits > 1 else ""
        groups = f" in {p.groups[0]} groups" if p.groups[0] > 1 else ""
        kind = f" of {p.scaled}" if p.scaled else ""
        product = f"product {rows}×{p.columns}×{depth}{kind}{groups}{pieces} → "
    ops += ["Check"] * any(operand.reports for _, operand in group.nest.stores)
    listed = " ".join(ops[:6]) + (" …" if len(ops) > 6 else "")
    return f"{product}[{shape}]{reduced} {listed or 'copy'}  {group.nest.path}".rstrip()


def padded_copy(array: Array) -> Array:
    """The entries in aligned memory with room behind them, as they lie."""
    if not array.nbytes:
        return np.zeros_like(array)
    memory = aligned(span_of(array.shape, array.strides) - 1 + array.itemsize + SLACK, zero=False)
    copy = np.ndarray(array.shape, array.dtype, memory, strides=array.strides)
    copy[...] = array
    return copy


def estimated_operations(group: Group) -> int:
    """About how much work a kernel is: what its contraction multiplies, and a few operations for each entry.

    A sum of products counts like a product.
    """
    if group.loop is not None:  # its body stands in the table as well
        return 0
    size = 1
    for extent in group.nest.extents:
        size *= extent
    products = any(node.op == "Sum" and node.inputs[0].op == "Multiply" for node in group.nest.nodes)
    return size * (2 if products else 4) + _operations(group)
