"""Noting a computation instead of doing it: the same applications, on symbols.

While a :class:`Trace` is current, every primitive runs its shape rule only and its application is noted as an
:class:`~chainrule.program.graph.Equation`. What comes from outside of the traced function (a weight it uses, a result
computed before) is made explicit as a *capture*: an input of the noted graph. Single numbers stay in the equations as
they are.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import TraceError
from chainrule.forking import LockAcrossForks
from chainrule.primitives import placed
from chainrule.primitives.placed import is_number, place_of
from chainrule.primitives.refusal import refusal
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import Equation
from chainrule.state import current_state
from chainrule.tape import Leaf

if TYPE_CHECKING:
    from chainrule.cell import TensorCell
    from chainrule.primitives.primitive import Primitive


#: Where our own files lie.
_OURS = str(Path(__file__).parents[1])
_COMMAND = str(Path(__file__).parents[1] / "cli")


class Trace:
    """The equations noted so far, the values captured from outside, and the cells that were written to.

    Attributes:
        asked: whether what was traced does something else where numbers are known (`known_numbers`).
        notes_calls: whether it wants to know of each use of a block, with its arguments (`enter_block`).
    """

    notes_calls = False

    def __init__(self) -> None:
        self.outer = current_state().trace
        self.asked = False
        self.equations: list[Equation] = []
        self.captures: dict[int, tuple[Value, Value]] = {}
        self._own: dict[Symbol, Value | None] = {}
        self._writes: dict[int, tuple[weakref.ref[TensorCell], Value]] = {}

    def new_input(self, shape: tuple[int, ...], dtype: Any, differentiable: bool, place: Any = None) -> Value:
        """A symbol that stands for an input; with a leaf where its gradient will be asked for."""
        symbol = Symbol(shape, dtype)
        symbol.place = place
        value = self._own[symbol] = Value(symbol, (Leaf(), 0) if differentiable else None)
        return value

    def value_of(self, symbol: Symbol) -> Value:
        """The value of a symbol that an application has used, with where it came from on the tape."""
        value = self._own[symbol]
        assert value is not None, "nothing has used this symbol"
        return value

    def given_for(self, stand_in: Any) -> Any:
        """The argument that a tensor of the trace stands for; None for other tensors."""
        return None if self.outer is None else self.outer.given_for(stand_in)

    def adopt(self, cell: TensorCell) -> None:
        """See a cell from outside for the first time. A trace within another leaves that to the outer one."""
        if self.outer is not None:
            self.outer.adopt(cell)

    def lift_tensors(self, tensors: Sequence[TensorCell]) -> list[Value]:
        """The values of tensors as this trace knows them."""
        for tensor in tensors:
            root = tensor if tensor._base is None else tensor.root
            if not isinstance(root._value.array, Symbol):
                self.adopt(root)
        return self.lift([tensor.value for tensor in tensors])

    def numbers_in(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Numbers from outside by name; the outermost trace makes inputs of those that change between runs."""
        return settings if self.outer is None else self.outer.numbers_in(settings)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Compute for real in between, on what was there before; only the outermost trace can."""
        with self.outer.suspended() if self.outer is not None else nullcontext():
            yield

    def array_input(self, array: Array) -> Any:
        """A tensor for a NumPy array from outside, so that it is read anew in every run; None where it is not one."""
        return None if self.outer is None else self.outer.array_input(array)

    def further_argument(self, tensor: TensorCell) -> Any:
        """What stands for a further input; only the outermost trace has such."""
        raise TraceError("only the trace of a compiled step can take further inputs.")

    def note_made(self, tensor: TensorCell) -> None:
        """A tensor was made; the outermost trace wants to know which of them outlive it."""
        if self.outer is not None:
            self.outer.note_made(tensor)

    def note_view(self, view: TensorCell) -> None:
        """A view was made: the outermost trace is told."""
        if self.outer is not None:
            self.outer.note_view(view)

    def made_here(self, tensor: TensorCell) -> bool:
        """Whether the traced code has made this tensor; the outermost trace knows."""
        return self.outer is not None and self.outer.made_here(tensor)

    def check_exchange(self, tensor: TensorCell, new: TensorCell) -> None:
        """`tensor.data = new` on a tensor from outside: the outermost trace says whether it can follow that."""
        if self.outer is not None:
            self.outer.check_exchange(tensor, new)

    def check_record(self, record: Any) -> None:
        """A backward pass goes through this record; the outermost trace says whether it was made in the step."""
        if self.outer is not None:
            self.outer.check_record(record)

    def note_module(self, module: Any) -> None:
        """A module was made: the outermost trace is told."""
        if self.outer is not None:
            self.outer.note_module(module)

    def has_made(self, module: Any) -> bool:
        """Whether the traced code has made this module; the outermost trace knows."""
        return self.outer is not None and self.outer.has_made(module)

    def note_leaf_change(self, tensor: TensorCell) -> None:
        """A tensor is about to require a gradient, or to do so no longer: the outermost trace is told."""
        if self.outer is not None:
            self.outer.note_leaf_change(tensor)

    def note_leaf(self, leaf: Leaf) -> None:
        """A leaf was made: the outermost trace is told."""
        if self.outer is not None:
            self.outer.note_leaf(leaf)

    def note_gradient(self, leaf: Leaf, event: str) -> None:
        """A leaf's gradient is read, added to ("add"), replaced ("set") or used up by an optimiser ("spent")."""
        if self.outer is not None:
            self.outer.note_gradient(leaf, event)

    def numbers_of(self, cell: TensorCell) -> Any:
        """Python reads the numbers of a tensor: its array, or its symbol. The outermost trace wants to know."""
        if self.outer is not None:
            return self.outer.numbers_of(cell)
        array = cell.value.array
        outside = (value.array for value, inside in self.captures.values() if inside.array is array)
        return next(outside, array)

    def constant_of(self, symbol: Symbol) -> Any:
        """The array that a symbol stands for in every run, as far as that is known already; else None."""
        return None if self.outer is None else self.outer.constant_of(symbol)

    def lift(self, values: list[Value]) -> list[Value]:
        """The inputs of an application as this trace knows them: outside values become captures."""
        return [self._lift_one(value) for value in values]

    def _lift_one(self, value: Value) -> Value:
        array = value.array
        if isinstance(array, Symbol):
            if array in self._own:
                if value.source is not None or self._own[array] is None:
                    self._own[array] = value
                return value
        elif array.size == 1 and value.source is None and place_of(array) is None:
            return value
        known = self.captures.get(id(value))
        if known is None:
            inside = self.new_input(array.shape, array.dtype, value.source is not None, place_of(array))
            inside.array.number = inside.array.place is None and is_number(array)
            known = self.captures[id(value)] = (value, inside)
        return known[1]

    def note_write(self, cell: TensorCell) -> None:
        """Remember what a cell held before it was first written to."""
        self._writes.setdefault(id(cell), (weakref.ref(cell), cell._value))

    def take_back_writes(self, results: Sequence[TensorCell] = ()) -> list[TensorCell]:
        """Put the old values back into all cells that outlive the trace, and answer with them.

        A cell that the traced code made itself is gone by now, unless it is one of the results.
        """
        outside = []
        for reference, value in self._writes.values():
            cell = reference()
            if cell is None or not self._has_made(cell._value.array):
                continue
            if all(cell is not result for result in results):
                cell._value = value
                outside.append(cell)
        return outside

    def _has_made(self, x: Any) -> bool:
        """Whether this is a symbol of this trace, and not of an outer one, whose cells hold symbols too."""
        return isinstance(x, Symbol) and x in self._own

    def note(self, primitive: type[Primitive], values: list[Value], parameters: dict[str, Any], forms: Any) -> Any:
        """Note one application and give symbols for its results: one, or a list of them, as the forms are."""
        several = type(forms) is list
        outputs = [Symbol(*form) for form in (forms if several else [forms])]
        self._own.update(dict.fromkeys(outputs))
        inputs = tuple(value.array for value in values)
        if placed.in_use:
            place, numbers = (
                next((x.place for x in inputs if place_of(x) is not None), None),
                all(map(is_number, inputs)),
            )
            for symbol in outputs:
                symbol.place, symbol.number = place, place is None and numbers
        state = current_state()
        equation = Equation(
            primitive, inputs, parameters, tuple(outputs), forms, state.path, state.module, state.block, users_line()
        )
        self.equations.append(equation)
        return outputs if several else outputs[0]


#: Those seen so far: every operation of a trace walks through ten frames of them and more.
_our_files: set[str] = set()


def users_line() -> tuple[str, int] | None:
    """The file and the line of the code that is running and is not ours: what asked for the operation.

    None where the command line asked: what is further out then is the library that reads flags, and nobody's line.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name not in _our_files:
            if not name.startswith(_OURS):
                return name, frame.f_lineno
            if name.startswith(_COMMAND):
                return None
            _our_files.add(name)
        frame = frame.f_back
    return None


def outside_of_trace() -> Any:
    """What is computed within this context is not part of a traced step but done at once, before it."""
    trace = current_state().trace
    return nullcontext() if trace is None else trace.suspended()


#: While a thread traces a step, tensors that it shares with other threads hold its symbols: one thread at a time.
_one_thread_traces = LockAcrossForks(rank=2)


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Note everything that this thread computes within the block, instead of evaluating it."""
    state = current_state()
    with _one_thread_traces:
        before = state.trace
        state.trace = trace
        try:
            yield trace
        finally:
            state.trace = before


def settled(tensors: Sequence[TensorCell]) -> bool:
    """Wait until no other thread traces; whether the tensors hold arrays then."""
    with _one_thread_traces:
        return not any(isinstance(tensor.value.array, Symbol) for tensor in tensors)


def known_numbers(tensor: TensorCell) -> Array | None:
    """The entries of a tensor, for what is computed in another way where they are known; None where they are not."""
    array = tensor.value.array
    if isinstance(array, np.ndarray):
        return array
    trace = current_state().trace
    if trace is not None:
        trace.asked = True
    return None


def refuse_symbol(array: Any, what: str = "") -> None:
    """Raise a TraceError if the entries of a symbol are asked for; `what` for, if the function does not say it."""
    if isinstance(array, Symbol):
        raise TraceError(refusal(what))


def array_input(array: Any) -> Any:
    """What stands for a NumPy array that a traced step finds outside; None for any other, and outside of traces."""
    trace = current_state().trace
    return None if trace is None else trace.array_input(array)
