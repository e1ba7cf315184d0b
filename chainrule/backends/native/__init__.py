"""Programs as machine code: the graph is lowered to loops, these are fused, written in LLVM's language, and run.

What a run has to do here is little: say where the arguments, the cells and the results lie.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.backends.home import Home, of_kind
from chainrule.backends.memory import ALIGNMENT, SLACK, address_of, has_room, span_of
from chainrule.backends.native.bounds import check_bounds
from chainrule.backends.native.builder import layout
from chainrule.backends.native.executable import Executable, padded_copy
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.lower import Write, lower, wished_orders
from chainrule.backends.native.lowering.place import Buffer, View, row_major
from chainrule.backends.passes import rewritten
from chainrule.primitives.value import Array, Room, Shape, Symbol
from chainrule.program.program import Program, Slot


class Native:
    """A program as machine code. See :class:`~chainrule.backends.Runnable`.

    Args:
        program: what it computes.
        homes: those that cells have already.
        debug: check graphs and kernels first.
        given: for each argument the strides, in entries, of what lies otherwise than row by row; None for the others.
        made: the same for the results.
    """

    def __init__(
        self,
        program: Program,
        homes: Sequence[Home | None],
        debug: bool,
        given: Sequence[Shape | None] = (),
        made: Sequence[Shape | None] = (),
    ) -> None:
        self.graph = rewritten(program.graph, debug, program.exact)
        self.program = program
        self.strides = {"argument": given, "result": made}
        used = self.graph.used()
        self.needed = [symbol in used for symbol in program.graph.inputs]
        forms = program.cells()
        self.homes: list[Home | None] = of_kind(homes, Home) + [None] * (len(forms) - len(homes))
        self._find_homes(forms)
        self._lower(debug)

    def _find_homes(self, forms: list[Any]) -> None:
        """Choose how the cells lie that have no home yet. A home that lies as no product can use it is left."""
        cells = self.program.symbols("cell")
        chosen = {cells[i]: home.order for i, home in enumerate(self.homes) if home is not None and i in cells}
        self.wishes = wished_orders(self.graph.equations, list(cells.values()), chosen)
        inputs = zip(self.program.inputs, self.needed, strict=True)
        asked = {slot.number for slot, needed in inputs if needed and slot.kind == "cell"} | self.program.written()
        ends = zip(self.program.outputs, self.graph.outputs, strict=True)
        ends_of = {slot.number: x for slot, x in ends if slot.kind == "cell"}
        for number, (shape, dtype) in enumerate(forms):
            if number not in asked:
                self.homes[number] = None
                continue
            x = cells.get(number, ends_of.get(number))
            order = self.wishes.get(x) if isinstance(x, Symbol) else None
            home = self.homes[number]
            if home is None or (order is not None and home.order != order):
                self.homes[number] = Home(shape, dtype, order or tuple(range(len(shape))))

    def _lower(self, debug: bool) -> None:
        lowering, given, views, outputs = self._lowered()
        if debug:
            check_bounds(lowering.groups)
        self.executable = Executable(lowering, self.program.exact)
        slots = self.executable.slots
        self.given = [None if buffer is None else slots.get(buffer) for buffer in given]
        self.lying = [strides is not None for strides in self.strides["argument"]] or [False] * len(given)
        self.made = [(view, slots.get(view.buffer)) for view in outputs]
        self.bytes_apart = [tuple([stride * view.dtype.itemsize for stride in view.strides]) for view in outputs]
        self.slots = [(i, slots[view.buffer]) for i, view in views.items() if view.buffer in slots]
        self._bind_homes()

    def lowered(self) -> Lowering:
        """The loops that the code was made from, made again: they are large, and wanted only to be looked at."""
        return self._lowered()[0]

    def _lowered(self) -> tuple[Lowering, list[Buffer | None], dict[int, View], list[View]]:
        """The loops, and the buffers of the arguments and the views of cells and results that they refer to."""
        program, graph = self.program, self.graph
        views = {i: _view(home, Slot("cell", i)) for i, home in enumerate(self.homes) if home is not None}
        inputs: list[tuple[Symbol, View]] = []
        given: list[Buffer | None] = []
        arguments: dict[int, View] = {}
        updated = program.written("argument")
        for slot, symbol, needed in zip(program.inputs, program.graph.inputs, self.needed, strict=True):
            if slot.kind == "cell":
                if needed:
                    inputs.append((symbol, views[slot.number]))
                continue
            view = self._memory_of(slot, symbol)
            needed = needed or (slot.kind == "argument" and slot.number in updated)
            given.append(view.buffer if needed else None)
            if needed:
                inputs.append((symbol, view))
            if slot.kind == "argument":
                arguments[slot.number] = view
        outputs: list[View] = []
        targets = []
        for slot, x in zip(program.outputs, graph.outputs, strict=True):
            if slot.kind != "result":
                targets.append(Write(x, (views if slot.kind == "cell" else arguments)[slot.number]))
                continue
            view = self._memory_of(slot, x, "output")
            outputs.append(view)
            targets.append(Write(x, view))
        return lower(graph.equations, inputs, targets, self.wishes, layout(program.exact)), given, views, outputs

    def _memory_of(self, slot: Slot, x: Any, origin: Any = None) -> View:
        """The array of an argument or a result, row by row where nothing else is said."""
        known = self.strides.get(slot.kind, ())
        shape: Shape = tuple(x.shape)
        strides = known[slot.number] if slot.number < len(known) else None
        if strides is None:
            return View(Buffer(x.dtype, max(x.size, 1), origin or slot), shape, row_major(shape))
        return View(Buffer(x.dtype, span_of(shape, strides), origin or slot), shape, strides)

    def _bind_homes(self) -> None:
        """Where the address of each home goes, and which is there: none yet."""
        self.bound = [(home, slot) for i, slot in self.slots if (home := self.homes[i]) is not None]
        self.addresses: list[int] = []

    @property
    def size(self) -> int:
        """How many kernels there are."""
        return sum(not kernel.loop for kernel in self.executable.kernels)

    def with_homes(self, homes: Sequence[Home | None]) -> Native:
        """The same code for other cells, which must lie as these do."""
        twin = copy.copy(self)
        known = [*of_kind(homes, Home), *[None] * (len(self.homes) - len(homes))]
        twin.homes = [mine and _like(mine, home) for mine, home in zip(self.homes, known, strict=True)]
        twin._bind_homes()
        return twin

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Bind the addresses and run."""
        bases, keep = self.executable.bases, []
        for slot, array, lies in zip(self.given, arrays, self.lying, strict=True):
            if slot is not None:
                array, bases[slot] = _readable(array, lies)
                keep.append(array)
        addresses = [home.address for home, _ in self.bound]
        # Otherwise the code has last run on these cells, which are where they were.
        if self.executable.bound is not self.addresses or addresses != self.addresses:
            self.executable.bound = None  # an interrupt may come between
            for (_, slot), address in zip(self.bound, addresses, strict=True):
                bases[slot] = address
            self.executable.bound = self.addresses = addresses
        fresh = []
        for (view, slot), apart in zip(self.made, self.bytes_apart, strict=True):
            memory = Room(view.buffer.bytes + SLACK + ALIGNMENT, np.uint8)
            begin = address_of(memory)
            start = -begin % ALIGNMENT
            fresh.append(np.ndarray(view.shape, view.dtype, memory, start, apart))
            if slot is not None:
                bases[slot] = begin + start
        self.executable.run()
        return fresh

    def explain(self) -> str:
        """Each kernel's loops, operations and module; what NumPy computes is marked."""
        ex = self.executable
        lines = [
            f"{self.size} kernels in {max((kernel.stage for kernel in ex.kernels), default=-1) + 1} stages, "
            f"{len(ex.builder.functions)} functions, "
            f"{ex.arena_bytes / 2**20:.1f} MB of working memory" + (", on one thread" if ex.small else "")
        ]
        lines += [f"{kernel.stage:4d}  {'  ' * kernel.depth}{kernel.title}" for kernel in ex.kernels]
        return "\n".join(lines)


def _like(mine: Home, home: Home | None) -> Home:
    """A home in which entries lie as in mine."""
    if home is not None and home.strides == mine.strides:
        return home
    return Home(mine.shape, mine.dtype, mine.order, mine.apart)


def _view(home: Home, slot: Slot) -> View:
    """A home as the lowering sees it."""
    return View(Buffer(home.dtype, home.size, slot), home.shape, home.strides)


def _readable(array: Array, as_it_lies: bool = False) -> tuple[Array, int]:
    """The entries, row by row or as they lie, and where they are.

    They are copied if reading a vector beyond the end could leave the page.
    """
    if not (as_it_lies or array.flags.c_contiguous):
        array = np.ascontiguousarray(array)
    address = address_of(array)
    if not has_room(array, address):
        array = padded_copy(array)
        address = address_of(array)
    return array, address


def build(program: Program, homes: Sequence[Home | None], debug: bool) -> Native:
    """The program as machine code; with `debug` graphs and kernels are checked first."""
    return Native(program, homes, debug)
