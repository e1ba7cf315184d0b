"""Keeping everything that a function computes: its equations, with the numbers of every value, and how it was taped.

While a :class:`Recording` is at work operations are computed as always, and each is noted as an equation of the one
graph (`program/graph.py`). So branches on numbers, in-place changes, backward passes and steps of optimisers are
recorded as they happen. What the function writes into tensors and gradients from outside is taken back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from chainrule.changes import Group, WatchedDict, put_back
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import users_line
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import BlockUse, Equation
from chainrule.state import current_state
from chainrule.tape import Leaf, Node, Record


class Phase(BlockUse):
    """A stretch of a step that is no part of the model: a backward pass, the step of an optimiser."""

    __slots__ = ()


class Taped(NamedTuple):
    """What belongs to a record of the tape: an equation, or a use of a block that has a gradient of its own.

    Attributes:
        number: of the equation; for a block None.
        use: of the block, which the equations within it name; for an equation None.
        inputs: the symbols of the tensors that went in, None for an argument that is no tensor.
        outputs: the symbols of the results.
    """

    number: int | None
    use: BlockUse | None
    inputs: Sequence[Symbol | None]
    outputs: Sequence[Symbol]


class Opaque(NamedTuple):
    """Stands for the primitive of an equation whose parts nobody saw: a Function that computes by other means."""

    name: str
    latex: str = r"f(x)"
    arguments: tuple[str, ...] = ("x",)
    variadic: str = ""
    rules: Mapping[str, Any] = {}


class Recording:
    """What was computed, in order.

    Attributes:
        equations: with a symbol for every value, those from outside too.
        arrays: the entries of every symbol.
        taped: for a record of the tape what was recorded.
        outside: the symbols that were there before, with their values.
        asked: where inputs come from whose gradients only the explanation asks for.
    """

    def __init__(self, roots: Mapping[int, str] | None = None) -> None:
        self.equations: list[Equation] = []
        self.arrays: dict[Symbol, Array] = {}
        self.taped: dict[Record, Taped] = {}
        self.outside: dict[Symbol, Value] = {}
        self.asked: set[Node] = set()
        self._symbols: dict[int, Symbol] = {}
        self._roots = roots or {}
        self._prefixes: dict[str, str] = {}
        self._cells: dict[int, tuple[Any, Value, tuple[Any, ...]]] = {}
        self._leaves: dict[Leaf, tuple[Any, Any, bool]] = {}
        self._tables: dict[int, tuple[Any, dict[Any, Any] | None]] = {}

    # ------------------------------------------------------------------------------------- told by what runs

    def knows(self, array: Array) -> bool:
        """Whether an array is a value of the recording."""
        return id(array) in self._symbols

    def note(
        self,
        primitive: type[Primitive],
        values: Sequence[Value],
        parameters: dict[str, Any],
        forms: Any,
        result: Any,
        record: Record | None,
    ) -> Any:
        """One operation has been computed. Answers its result, anew where it is an array that was there before."""
        several = type(forms) is list
        results = [array.view() if self.knows(array) else array for array in (result if several else (result,))]
        inputs = tuple([self.symbol(value) for value in values])
        outputs = tuple([self._new(array) for array in results])
        if record is not None:
            self.taped[record] = Taped(len(self.equations), None, inputs, outputs)
        state = current_state()
        path = self._full_path(state.path, state.paths)
        self.equations.append(
            Equation(primitive, inputs, parameters, outputs, forms, path, state.module, state.block, users_line())
        )
        return results if several else results[0]

    def note_composite(
        self, record: Record, use: BlockUse | None, inputs: Sequence[Value | None], outputs: Sequence[Array]
    ) -> None:
        """A block with its own gradient has been computed and recorded as one."""
        known = [None if value is None else self.symbol(value) for value in inputs]
        if all(self.knows(array) for array in outputs):
            self.taped[record] = Taped(None, use, known, [self._symbols[id(array)] for array in outputs])
            return
        made = [self._new(array.view()) if self.knows(array) else self._new(array) for array in outputs]
        self.taped[record] = Taped(len(self.equations), None, known, made)
        state = current_state()
        given = tuple(x for x in known if x is not None)
        primitive: Any = Opaque(record.operation.name)
        path = self._full_path(state.path, state.paths)
        self.equations.append(
            Equation(primitive, given, {}, tuple(made), record.forms, path, state.module, state.block, users_line())
        )

    def phase(self, name: str) -> Phase:
        """A phase begins: what is computed now, until the block of before is put back."""
        return Phase(name, current_state().block)

    def wanted(self, record: Record, onward: list[bool]) -> list[bool]:
        """Which gradients a backward pass of the function computes: not those of inputs that did not ask for any."""
        return [
            is_wanted and source is not None and source[0] not in self.asked
            for source, is_wanted in zip(record.sources, onward, strict=True)
        ]

    def note_write(self, cell: Any) -> None:
        """A tensor is about to hold another value."""
        self._cells.setdefault(id(cell), (cell, cell._value, (cell._base, cell._steps, cell._seen, cell._own)))

    def note_leaf(self, leaf: Leaf) -> None:
        """A gradient is about to be added to, replaced or cleared."""
        if leaf not in self._leaves:
            gradient = leaf.gradient
            self._leaves[leaf] = gradient, None if gradient is None else gradient._value, leaf.spent

    def note_table(self, table: Any) -> None:
        """A table is about to change: an optimiser's memory, say, or a module's buffers.

        Not the settings of a group: they go with what a schedule counts in Python, and stay as that does.
        """
        if isinstance(table, WatchedDict) and not isinstance(table, Group):
            self._tables.setdefault(id(table), (table, dict(table)))

    def note_new_table(self, table: Any) -> None:
        """A table has been made: what the function puts into it stays, since somebody may keep what it belongs to."""
        self._tables[id(table)] = table, None

    # ------------------------------------------------------------------------------------- the symbols

    def symbol(self, value: Value) -> Symbol:
        """What stands for a value; one that is met for the first time came from outside."""
        known = self._symbols.get(id(value.array))
        if known is None:
            known = self._new(value.array)
            self.outside[known] = value
        return known

    def _new(self, array: Array) -> Symbol:
        symbol = self._symbols[id(array)] = Symbol(array.shape, array.dtype)
        self.arrays[symbol] = array
        return symbol

    def _full_path(self, path: str, paths: dict[int, str] | None) -> str:
        """The path with the name of the root module in front, where the function uses several."""
        if not self._roots:
            return path
        own = path.partition("/")[0]
        if paths is not None:
            self._prefixes[own] = prefix = self._roots.get(id(paths), "")
        else:  # in the backward pass: that of the module which was there last
            prefix = self._prefixes.get(own, "")
        return f"{prefix}.{path}" if prefix and own else prefix + path

    # ------------------------------------------------------------------------------------- the end

    def drop_unused(self, outputs: Sequence[Symbol]) -> None:
        """Forget the operations within blocks whose results nothing uses: what a block makes and does not need."""
        used = {*outputs, *(x for taped in self.taped.values() for x in taped.outputs if taped.number is None)}
        kept = []
        for number in reversed(range(len(self.equations))):
            equation = self.equations[number]
            if not _in_block(equation.block) or not used.isdisjoint(equation.outputs):
                kept.append(number)
                used.update(equation.inputs)
        place = {number: i for i, number in enumerate(reversed(kept))}
        self.equations = [self.equations[number] for number in place]
        for record, taped in self.taped.items():
            if taped.number is not None:
                self.taped[record] = taped._replace(number=place.get(taped.number))

    def parts(self) -> dict[BlockUse, list[int]]:
        """The numbers of the equations within each use of a block, and within the blocks in it."""
        parts: dict[BlockUse, list[int]] = {}
        for number, equation in enumerate(self.equations):
            use = equation.block
            while use is not None:
                parts.setdefault(use, []).append(number)
                use = use.outer
        return parts

    def written(self) -> list[Any]:
        """The tensors from outside that were written to."""
        return [cell for cell, _, _ in self._cells.values()]

    def collecting(self) -> list[Leaf]:
        """The ends of the tape whose gradients were added to, replaced or cleared."""
        return list(self._leaves)

    def tables(self) -> list[WatchedDict]:
        """The tables that were changed."""
        return [table for table, entries in self._tables.values() if entries is not None]

    def take_back(self) -> None:
        """Tensors, gradients and tables from outside hold again what they held before."""
        for table, entries in self._tables.values():
            if entries is not None:
                put_back(table, entries)
        for leaf, (gradient, value, spent) in self._leaves.items():
            leaf.gradient, leaf.spent = gradient, spent
            if gradient is not None:
                gradient._value = value
        for cell, value, view in self._cells.values():
            cell._value = value
            cell._base, cell._steps, cell._seen, cell._own = view


def _in_block(use: BlockUse | None) -> bool:
    """Whether this is a block of the forward pass: what it writes nobody sees but through its results."""
    inside = use is not None
    while use is not None:
        inside = inside and not isinstance(use, Phase)
        use = use.outer
    return inside


@contextmanager
def recorded(recording: Recording) -> Iterator[Recording]:
    """Keep everything that this thread computes within the block, and take back what it writes.

    Backward passes within it keep what they used, so that they can be walked again.
    """
    state = current_state()
    before = state.recording, state.keeping
    state.recording, state.keeping = recording, True
    try:
        yield recording
    finally:
        state.recording, state.keeping = before
        recording.take_back()
