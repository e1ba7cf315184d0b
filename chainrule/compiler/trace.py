"""Tracing a step: the Python function runs once, on symbols, and leaves the equations of all that it computes.

Every tensor that existed before is a *cell*: an input of the program, and an output if the step changed it. While the
trace runs, a cell that is touched holds a symbol, so its views follow by themselves; afterwards it holds its old value
again. An array that the step itself puts into a cell (`zeros`, `fill_`) is a constant, the same in every run.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.tape import Leaf
from chainrule.cell import TensorCell
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Equation, Trace, tracing
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state


class Cell(NamedTuple):
    """The origin of an input: a tensor that lives outside of the step."""

    tensor: Any


class Gradient(NamedTuple):
    """The origin of an input: what a leaf has collected before the step."""

    leaf: Leaf


class Argument(NamedTuple):
    """The origin of an input: a tensor among the step's arguments, by its number."""

    number: int


class Setting(NamedTuple):
    """The origin of an input: a setting of an optimiser's group, or one of the numbers in it (β₁ and β₂)."""

    group: dict[str, Any]
    name: str
    position: int | None = None

    def number(self) -> float:
        """What it is now."""
        value = self.group[self.name]
        return float(value if self.position is None else value[self.position])


Origin = Cell | Gradient | Argument | Setting


class Program(NamedTuple):
    """What a trace found.

    Attributes:
        equations: in the order in which they were noted.
        inputs: symbols and where they come from.
        results: symbols or arrays that the function returned, in the order of its structure.
        writes: what each changed origin holds afterwards.
        gradients: what each leaf has collected afterwards: a symbol or array, or None.
        empty: leaves that must have (True) or must not have (False) no gradient when the program starts.
        numbers: tensors from outside whose numbers Python read, with the values they had.
        leaves_behind: the step made tensors that outlive it (an optimiser's memory); it runs once in this form.
        first: these tensors, and what they held when they were made: a symbol or array.
    """

    equations: list[Equation]
    inputs: list[tuple[Symbol, Origin]]
    results: list[Any]
    writes: list[tuple[Origin, Any]]
    gradients: list[tuple[Leaf, Any]]
    empty: list[tuple[Leaf, bool]]
    numbers: list[tuple[Any, Value]]
    leaves_behind: bool
    first: list[tuple[Any, Any]]

    def __repr__(self) -> str:
        lines = [f"{symbol!r} = {type(origin).__name__.lower()}" for symbol, origin in self.inputs]
        return "\n".join([*lines, *map(repr, self.equations), f"return {self.results!r}"])


class _Adopted(NamedTuple):
    cell: weakref.ref[TensorCell]
    before: Value
    inside: Value | None


class StepTrace(Trace):
    """A trace that knows cells. See the text of this file."""

    def __init__(self, moving: Set[tuple[int, str]] = frozenset()) -> None:
        super().__init__()
        self.moving = moving
        self.adopted: list[_Adopted] = []
        self.known: dict[int, weakref.ref[TensorCell]] = {}
        self.constants: dict[Symbol, Any] = {}
        self.origins: dict[Symbol, Origin] = {}
        self.leaves: dict[Leaf, tuple[Any, str]] = {}
        self.last_event: dict[Leaf, str] = {}
        self.inputs: dict[tuple[int, str, int | None], Any] = {}
        self.gradient_of: dict[int, Leaf] = {}
        self.inner: set[Leaf] = set()
        self.made: dict[int, weakref.ref[TensorCell]] = {}
        self.first: dict[int, Any] = {}
        self.numbers: list[tuple[weakref.ref[TensorCell], Value]] = []

    def adopt(self, cell: TensorCell) -> None:
        """From now on the cell holds a symbol."""
        before = cell._value
        if isinstance(before.array, Symbol):
            return
        symbol = Symbol(before.array.shape, before.array.dtype)
        inside = cell._value = self._own[symbol] = Value(symbol, before.source)
        if _is_in(self.known, cell):  # the step has put this array there itself
            self.constants[symbol] = before.array
            return
        self._remember(cell, before, inside)
        leaf = self.gradient_of.get(id(cell))
        self.origins[symbol] = Gradient(leaf) if leaf is not None else Cell(None)

    def _remember(self, cell: TensorCell, before: Value, inside: Value | None) -> None:
        self.known[id(cell)] = weakref.ref(cell)
        self.adopted.append(_Adopted(self.known[id(cell)], before, inside))

    def new_argument(self, number: int, argument: TensorCell) -> Any:
        """What stands for an argument: a tensor of its own that holds a symbol."""
        value = argument.value
        symbol = Symbol(value.array.shape, value.array.dtype)
        self._own[symbol] = Value(symbol, value.source)
        self.origins[symbol] = Argument(number)
        stand_in = Primitive.make_tensor(self.value_of(symbol))
        stand_in._leaf = argument._leaf
        self.known[id(stand_in)] = weakref.ref(stand_in)
        return stand_in

    def note_write(self, cell: TensorCell) -> None:
        """A cell gets another value; if it was not known yet, remember what it holds now."""
        if not isinstance(cell._value.array, Symbol) and not _is_in(self.known, cell):
            self._remember(cell, cell._value, None)

    def note_leaf(self, leaf: Leaf) -> None:
        """A leaf was made by the step; what it collects is the step's own."""
        self.inner.add(leaf)

    def note_gradient(self, leaf: Leaf, event: str) -> None:
        """Remember what a leaf had collected before the step, and what happened to it last."""
        if leaf in self.inner:
            return
        if leaf not in self.leaves:
            self.leaves[leaf] = leaf.gradient, event
            if leaf.gradient is not None:
                self.gradient_of[id(leaf.gradient)] = leaf
        self.last_event[leaf] = event

    def numbers_of(self, cell: TensorCell) -> Any:
        """Python reads a tensor's numbers. If it comes from outside, the program holds for these numbers only."""
        array = cell.value.array
        if isinstance(array, Symbol):
            for a in self.adopted:
                if a.inside is not None and a.inside.array is array and isinstance(self.origins[array], Cell):
                    self.numbers.append((a.cell, a.before))
                    return a.before.array
            return self.constants.get(array, array)
        if not _is_in(self.known, cell):
            self.numbers.append((weakref.ref(cell), cell.value))
        return array

    def constant_of(self, symbol: Symbol) -> Any:
        """What a tensor of the step that is gone held, or one that the step has filled with an array."""
        named = (a for a in self.adopted if a.inside is not None and a.inside.array is symbol)
        return self.constants.get(symbol, next((a.before.array for a in named if a.cell() is None), None))

    def note_made(self, tensor: TensorCell) -> None:
        """Remember a tensor that the step made, without keeping it."""
        self.made[id(tensor)] = weakref.ref(tensor)
        self.first[id(tensor)] = tensor._value.array

    def left_behind(self, known: list[Any]) -> list[Any]:
        """Tensors of the step that somebody still holds now, besides its results and what these are views of."""
        kept = _with_bases(known) | {id(leaf.gradient) for leaf in self.inner}
        alive = [t for reference in self.made.values() if (t := reference()) is not None]
        return [t for t in alive if id(t) not in kept and isinstance(t._value.array, Symbol)]

    def settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """The learning rate, and settings that were seen to change, as 0-d tensors: inputs of the program."""
        answer = dict(group)
        for name, value in group.items():
            if name != "lr" and (id(group), name) not in self.moving:
                continue
            if isinstance(value, tuple):
                answer[name] = tuple([self._setting(Setting(group, name, i)) for i in range(len(value))])
            elif isinstance(value, int | float):
                answer[name] = self._setting(Setting(group, name))
        return answer

    def _setting(self, origin: Setting) -> Any:
        key = id(origin.group), origin.name, origin.position
        if key not in self.inputs:
            symbol = Symbol((), np.dtype(np.float64))
            value = self._own[symbol] = Value(symbol)
            self.origins[symbol] = origin
            self.inputs[key] = Primitive.make_tensor(value)
        return self.inputs[key]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Compute for real in between: all cells hold their old values meanwhile."""
        state = current_state()
        current = [(cell, cell._value) for a in self.adopted if (cell := a.cell()) is not None]
        for a in reversed(self.adopted):
            cell = a.cell()
            if cell is not None:
                cell._value = a.before
        trace, state.trace = state.trace, None
        try:
            yield
        finally:
            state.trace = trace
            for cell, value in current:
                cell._value = value

    # ------------------------------------------------------------------------------------- the end

    def finish(self, results: list[Any]) -> Program:
        """All that the step did, after the cells hold their old values again."""
        answers = [self.lift_tensors([tensor])[0].array for tensor in results]
        writes = self._restore(_with_bases(results))
        gradients, empty = self._restore_gradients(writes)
        left = [(Cell(tensor), tensor._value.array) for tensor in self.left_behind(results)]
        equations = [e._replace(inputs=tuple(map(self.filled, e.inputs))) for e in self.equations]
        inputs = [(s, o) for s, o in self.origins.items() if s not in self.constants]
        final = [(o, self.filled(x)) for o, x in (*writes, *left)]
        answers = [self.filled(x) for x in answers]
        held = [(leaf, self.filled(x)) for leaf, x in gradients]
        numbers = [(cell, value) for reference, value in self.numbers if (cell := reference()) is not None]
        first = [(origin.tensor, self.filled(self.first[id(origin.tensor)])) for origin, _ in left]
        return Program(equations, inputs, answers, final, held, empty, numbers, bool(left), first)

    def filled(self, x: Any) -> Any:
        """What a symbol stands for, if that is a constant."""
        return self.constants.get(x, x) if isinstance(x, Symbol) else x

    def _restore(self, returned: Set[int] = frozenset()) -> list[tuple[Origin, Any]]:
        """Give cells their old values; the answer is what they were to hold.

        What a tensor of the step held at first is a constant, if the tensor is gone, returned or changed. One that
        somebody keeps as it was made (a table made at the first call) is like one from outside.
        """
        writes: list[tuple[Origin, Any]] = []
        for a in self.adopted:
            cell = a.cell()
            changed = cell is not None and cell._value is not a.inside and cell._value is not a.before
            of_the_step = cell is None or (_is_in(self.made, cell) and (changed or id(cell) in returned))
            if of_the_step and a.inside is not None:
                self.constants[a.inside.array] = a.before.array
            if cell is None or (of_the_step and changed):
                continue
            if a.inside is not None and isinstance(self.origins[a.inside.array], Cell):
                self.origins[a.inside.array] = Cell(cell)
            origin = self.origins[a.inside.array] if a.inside is not None else self._origin(cell)
            if changed:
                writes.append((origin, cell._value.array))
            cell._value = a.before
        return writes

    def _origin(self, cell: Any) -> Origin:
        leaf = self.gradient_of.get(id(cell))
        return Gradient(leaf) if leaf is not None else Cell(cell)

    def _restore_gradients(self, writes: list[Any]) -> tuple[list[tuple[Leaf, Any]], list[tuple[Leaf, bool]]]:
        """What leaves have collected. A gradient that was only read since it was made is of no use any more."""
        gradients: list[tuple[Leaf, Any]] = []
        empty = []
        changed = {origin.leaf: x for origin, x in writes if isinstance(origin, Gradient)}
        for leaf, (before, first) in self.leaves.items():
            after = leaf.gradient
            leaf.gradient = before
            if first != "set":
                empty.append((leaf, before is None))
            if after is None:
                gradients.append((leaf, None))
            elif after is not before or leaf in changed:
                dead = self.last_event[leaf] == "read"
                value = changed[leaf] if leaf in changed and after is before else after._value.array
                gradients.append((leaf, None if dead else value))
        writes[:] = [w for w in writes if not isinstance(w[0], Gradient)]
        return gradients, empty


def _is_in(cells: dict[int, weakref.ref[TensorCell]], cell: TensorCell) -> bool:
    """Whether a cell is among these. The identity alone could be that of another one, which is gone."""
    reference = cells.get(id(cell))
    return reference is not None and reference() is cell


def _with_bases(tensors: list[Any]) -> set[int]:
    """The identities of tensors and of what they are views of."""
    return {id(part) for tensor in tensors for part in (tensor, tensor._base)}


def trace_step(
    function: Callable[[list[Any]], list[Any]], arguments: list[Any], moving: Set[tuple[int, str]] = frozenset()
) -> Program:
    """Run a function of tensors on symbols. It gets stand-ins for its arguments and answers the tensors it returns.

    `moving` names settings of optimisers, (the group's identity, name), that become inputs as the learning rate does.
    """
    if current_state().trace is not None:
        raise TraceError("a compiled function was called while another is being traced; call the plain one instead.")
    trace = StepTrace(moving)
    stand_ins = [trace.new_argument(i, argument) for i, argument in enumerate(arguments)]
    before = [stand_in._value for stand_in in stand_ins]
    try:
        with tracing(trace):
            results = function(stand_ins)
            program = trace.finish(results)
    except BaseException:
        trace._restore()
        trace._restore_gradients([])
        raise
    for i, (stand_in, value) in enumerate(zip(stand_ins, before, strict=True)):
        if stand_in._value is not value:
            program.writes.append((Argument(i), trace.filled(stand_in._value.array)))
    return program
