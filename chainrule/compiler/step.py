"""A traced step as a native program: how it is lowered, and how a run binds arguments and cells to its memory."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from chainrule.compiler.debug import all_finite, blame, check_bounds
from chainrule.compiler.executable import Executable, describe, padded_copy
from chainrule.compiler.expand import expand
from chainrule.compiler.failure import explain
from chainrule.compiler.guards import reshaped_cells, same_form
from chainrule.compiler.keeping import is_cheap_to_keep
from chainrule.compiler.lower import Write, lower, state_view, wished_orders
from chainrule.compiler.plan import SLACK
from chainrule.compiler.run.pool import aligned
from chainrule.compiler.sharing import Plan, Returned, view_of
from chainrule.compiler.simplify import simplify
from chainrule.compiler.trace import Argument, Cell, Gradient, Program, Setting
from chainrule.compiler.views import Buffer, View, row_major
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.primitives.window import Windows
from chainrule.tape import Leaf


class State:
    """The memory a program keeps for a cell, and the value that shows it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.memory = np.zeros(0, np.uint8)
        self.array: Array = np.zeros(0)
        self.value: Value | None = None

    def renew(self) -> None:
        """Take fresh memory: somebody else still looks at the old."""
        size = self.view.buffer.bytes
        self.memory = aligned(size + SLACK)
        entries = self.memory[:size].view(self.view.dtype)
        strides = [s * self.view.dtype.itemsize for s in self.view.strides]
        self.array = np.ndarray(self.view.shape, self.view.dtype, entries, 0, strides)
        self.value = None
        # Every view of the array refers to the memory at the bottom, so its count tells who looks.
        self.owner: Array = self.memory.base  # type: ignore[assignment]
        del entries
        self.holders = sys.getrefcount(self.owner)


class OtherFormError(Exception):
    """A tensor outside has another shape or data type than when the program was made."""


class Compiled:
    """One program: the traced step, compiled, and how to run it."""

    def __init__(self, program: Program, plan: Plan, debug: bool) -> None:
        self.debug = debug
        self.program, self.plan = program, plan
        started = time.perf_counter()
        self._note_results()
        self._lower()
        self.seconds = time.perf_counter() - started

    def _note_results(self) -> None:
        """Whether a run has more to do than to give results."""
        self.changed = self.program.changed()
        self.unkept = set() if is_cheap_to_keep(self.program) else self.program.spent
        returned = self.program.returned
        simple = [place.origin for place in returned] == list(range(len(self.program.results)))
        others = self.program.wanted or self.program.grown or self.program.given
        self.plain = simple and not others and all(place.steps is None for place in returned)

    def _lower(self) -> None:
        program = self.program
        gradients = [(leaf, None if leaf in self.unkept else x) for leaf, x in program.gradients]
        ends = [*program.results, *(x for _, x in program.writes), *(x for _, x in gradients if x is not None)]
        equations, ends = simplify(expand(program.equations), ends)
        self.equations = equations
        used = {x for e in equations for x in e.inputs if isinstance(x, Symbol)} | {
            x for x in ends if isinstance(x, Symbol)
        }
        answer = iter(ends)
        results = [next(answer) for _ in program.results]
        writes = [(origin, next(answer)) for origin, _ in program.writes]
        gradients = [(leaf, None if x is None else next(answer)) for leaf, x in gradients]
        cells = [s for s, origin in program.inputs if isinstance(origin, Cell | Gradient)]
        wishes = wished_orders(equations, cells)
        self.states: dict[int, tuple[Any, State]] = {}
        self.arguments: list[tuple[int, Buffer]] = []
        self.settings: list[tuple[Setting, Buffer]] = []
        inputs = []
        for symbol, origin in program.inputs:
            if symbol not in used and not any(_same(origin, o) for o, _ in writes):
                continue
            inputs.append((symbol, self._input(symbol, origin, wishes)))
        reshaped = set(map(id, reshaped_cells(program)))
        here = [(o, x) for o, x in writes if isinstance(o, Cell) and id(o.tensor) not in reshaped]
        apart: list[tuple[Any, Any]] = [
            (o, x) for o, x in writes if not isinstance(o, Cell) or id(o.tensor) in reshaped
        ]
        targets = [Write(x, self._state(origin, x, wishes)) for origin, x in here]
        self.gradients: list[tuple[Leaf, State | None]] = []
        for leaf, x in gradients:
            state = None
            if x is not None and id(leaf) in self.states and leaf not in program.added:
                apart.append((Gradient(leaf), x))  # what was collected before is used: it is another tensor
                continue
            if x is not None:
                view = self._state(Gradient(leaf), x, wishes)
                targets.append(Write(x, view))
                state = self.states[id(leaf)][1]
            self.gradients.append((leaf, state))
        self.outputs: list[tuple[View, Argument | Cell | Gradient | None]] = []
        for target, x in [*[(None, x) for x in results], *apart]:
            view = View(Buffer(x.dtype, max(x.size, 1), "output"), tuple(x.shape), row_major(tuple(x.shape)))
            self.outputs.append((view, target))
            targets.append(Write(x, view))
        self.written = {id(t.view.buffer) for t in targets}
        self.lowering = lower(equations, inputs, targets, wishes)
        if self.debug:
            check_bounds(self.lowering.groups)
        self.executable = Executable(self.lowering)
        slots, added = self.executable.slots, set(program.added)
        self.cleared = [leaf for leaf, state in self.gradients if state is None]
        self.made = [
            (leaf, state, slots.get(state.view.buffer))
            for leaf, state in self.gradients
            if state is not None and leaf not in added
        ]
        apart_from = {id(state) for _, state, _ in self.made}
        self.bindings = [
            (origin, state, slots.get(state.view.buffer))
            for origin, state in self.states.values()
            if id(state) not in apart_from
        ]

    def _input(self, symbol: Symbol, origin: Any, wishes: dict[Any, Any]) -> View:
        if isinstance(origin, Argument):
            buffer = Buffer(symbol.dtype, symbol.size, origin)
            self.arguments.append((origin.number, buffer))
            return View(buffer, symbol.shape, row_major(symbol.shape))
        if isinstance(origin, Setting):
            buffer = Buffer(symbol.dtype, 1, origin)
            self.settings.append((origin, buffer))
            return View(buffer, (), ())
        return self._state(origin, symbol, wishes)

    def _state(self, origin: Any, x: Any, wishes: dict[Any, Any]) -> View:
        key = id(origin.tensor) if isinstance(origin, Cell) else id(origin.leaf)
        if key not in self.states:
            view = state_view(x, origin, wishes.get(x) if isinstance(x, Symbol) else None)
            self.states[key] = origin, State(view)
        return self.states[key][1].view

    def size_and_seconds(self) -> tuple[int, float]:
        """How many kernels it has, and how long compiling took."""
        return len(self.executable.groups), self.seconds

    def explain(self) -> str:
        """The program in words: each kernel's loops, operations and module; what NumPy computes is marked."""
        ex = self.executable
        lines = [
            f"{len(ex.groups)} kernels in {max(ex.when, default=-1) + 1} stages, "
            f"{len(ex.builder.functions)} functions, "
            f"{ex.arena_bytes / 2**20:.1f} MB of working memory" + (", on one thread" if ex.small else "")
        ]
        lines += [f"{stage:4d}  {describe(group)}" for stage, group in zip(ex.when, ex.groups, strict=True)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return repr(self.program._replace(equations=self.equations))

    # ------------------------------------------------------------------------------------- running

    def has_other_forms(self) -> bool:
        """Whether a tensor outside has another form than when the program was made, or has become a view."""
        cells = [(symbol, origin.tensor) for symbol, origin in self.program.inputs if isinstance(origin, Cell)]
        return any(tensor._base is not None or not same_form(symbol, tensor._value.array) for symbol, tensor in cells)

    def run(self, arguments: list[Any], further: list[Any]) -> list[Any]:
        """Run the program on these arguments and the cells as they are now.

        `further` are inputs that were found while tracing; they come behind all others.
        """
        if self.program.added or self.changed:
            arguments = self._complete(arguments)
        arguments = [*arguments, *further]
        ex = self.executable
        slots, bases, keep = ex.slots, ex.bases, []
        for number, buffer in self.arguments:
            if buffer in slots:
                array = _readable(arguments[number].array)
                keep.append(array)
                bases[slots[buffer]] = array.ctypes.data
        for setting, buffer in self.settings:
            if buffer in slots:
                array = np.array([setting.number()])
                keep.append(array)
                bases[slots[buffer]] = array.ctypes.data
        for origin, state, slot in self.bindings:
            if self._bind(origin, state) and slot is not None:
                bases[slot] = state.array.ctypes.data
        others = self._room_for_gradients(bases)
        fresh = []
        for view, _ in self.outputs:
            memory = aligned(view.buffer.bytes + SLACK)
            fresh.append(np.ndarray(view.shape, view.dtype, memory))
            if view.buffer in slots:
                bases[slots[view.buffer]] = memory.ctypes.data
        try:
            if self.debug:
                self._run_watched(arguments, fresh)
            else:
                ex.run()
        except Exception as error:
            explain(self.program, arguments, error)
        return self._deliver(arguments, fresh, others)

    def _room_for_gradients(self, bases: Any) -> list[tuple[Leaf, State]]:
        """Memory for the gradients that the step makes: the last ones', unless somebody holds or looks at these.

        The answer says which leaves get another tensor: for the others it is the same one with new numbers.
        """
        others, count = [], sys.getrefcount
        for leaf, state, slot in self.made:
            tensor = leaf.gradient
            if (
                tensor is None
                or tensor._value is not state.value
                or count(tensor) > _HELD
                or count(state.value) > 3  # held by the state, the gradient and the count itself
                or count(state.array) > 3
                or count(state.owner) > state.holders
            ):
                others.append((leaf, state))
                if tensor is None and state.value is not None and count(state.value) < 3 and _alone(state):
                    continue
                state.renew()
                if slot is not None:
                    bases[slot] = state.array.ctypes.data
        return others

    def _complete(self, arguments: list[Any]) -> list[Any]:
        """The arguments, and the tensors that joined ones are parts of; or a TraceError that says what cannot be."""
        gradients = {id(leaf.gradient) for leaf in self.program.added}
        for number, argument in enumerate(arguments):
            if id(argument.root) in gradients:
                raise TraceError(
                    f"argument {number} is a gradient (or a view of one) to which the step adds. Pass a clone() of it, "
                    "or clear the gradient in the step first."
                )
            if number in self.program.exchanged and argument._base is not None:
                raise TraceError(f"the step exchanges the data of argument {number}, which is a view. Pass a clone().")
            if number in self.changed and any(step.primitive in (Broadcast, Windows) for step in argument._steps):
                argument.put_value(argument.value)  # an error if several of its entries are one place
        return [*arguments, *self.plan.hidden_roots(arguments)]

    def _run_watched(self, arguments: list[Any], fresh: list[Array]) -> None:
        """Run, and if that made a NaN or an infinity, put everything back and say which operation it was."""
        states = [state for _, state in self.states.values()]
        before = [state.array.copy() for state in states]
        known = {symbol: self._input_array(origin, arguments).copy() for symbol, origin in self.program.inputs}
        self.executable.run()
        if all_finite([*fresh, *(state.array for state in states)]):
            return
        for state, array in zip(states, before, strict=True):
            state.array[...] = array
        blame(self.equations, known)
        self.executable.run()

    def _input_array(self, origin: Any, arguments: list[Any]) -> Array:
        """What an input of the program is now."""
        if isinstance(origin, Argument):
            return np.asarray(arguments[origin.number].array)
        if isinstance(origin, Setting):
            return np.array(origin.number())
        state = self.states.get(id(origin.tensor) if isinstance(origin, Cell) else id(origin.leaf))
        return np.zeros(0) if state is None else state[1].array

    def _bind(self, origin: Any, state: State) -> bool:
        """Bring a cell's value into the program's memory, unless it is there already; whether that memory is new."""
        tensor = origin.tensor if isinstance(origin, Cell) else origin.leaf.gradient
        held = None if tensor is None else tensor._value
        if held is not None and held is state.value:
            if id(state.view.buffer) not in self.written or _alone(state):
                return False
        elif held is not None and isinstance(held.array, Symbol):
            settled([tensor])  # another thread is tracing with it
            held = tensor._value
        if tensor is not None and tensor._base is not None:
            raise OtherFormError  # it has become a view
        array = None if held is None else held.array
        if isinstance(array, np.ndarray) and (array.shape, array.dtype) != (state.view.shape, state.view.dtype):
            raise OtherFormError
        state.renew()
        if array is not None:
            if not isinstance(array, Symbol):  # a symbol: made by the step, it gets its first value now
                state.array[...] = array
            if isinstance(origin, Cell):
                state.value = Value(state.array, held.source)  # type: ignore[union-attr]
                tensor._value = state.value
        return True

    def _deliver(self, arguments: list[Any], fresh: list[Any], others: list[tuple[Leaf, State]]) -> list[Any]:
        """Show the new values: cells hold them already, results and gradients become tensors."""
        for leaf in self.cleared:
            leaf.gradient, leaf.spent = None, leaf in self.unkept
        for leaf, state in others:
            state.value = Value(state.array)
            leaf.gradient, leaf.spent = Primitive.make_tensor(state.value), False
        for leaf in self.program.added:
            state = self.states[id(leaf)][1]
            if leaf.gradient is not None and leaf.gradient._value is not state.value:
                state.value = Value(state.array)
                leaf.gradient.set_value(state.value)
        results = []
        for (_, origin), array in zip(self.outputs, fresh, strict=True):
            if origin is None:
                results.append(Primitive.make_tensor(Value(array)))
            else:
                self._change(origin, array, arguments)
        return results if self.plain else self._deliver_others(arguments, results)

    def _change(self, origin: Any, array: Array, arguments: list[Any]) -> None:
        """Give a tensor the numbers that the step has left in it; what it is a view of gets them too."""
        if isinstance(origin, Gradient):
            origin.leaf.gradient, origin.leaf.spent = Primitive.make_tensor(Value(array)), False
            return
        tensor = _find(origin, arguments)
        if tensor._base is None:
            tensor.set_value(Value(array, tensor.value.source))
        else:
            tensor.put_value(Value(array))

    def _deliver_others(self, arguments: list[Any], made: list[Any]) -> list[Any]:
        """Results that were there before, or are views; gradients and leaves that the step has rearranged."""
        known: dict[int, Any] = {}

        def fetch(place: Returned) -> Any:
            if id(place) not in known:
                base = made[place.origin] if isinstance(place.origin, int) else _find(place.origin, arguments)
                known[id(place)] = base if place.steps is None else view_of(base, place.steps)
            return known[id(place)]

        for origin, wanted in self.program.wanted:
            _find(origin, arguments).requires_grad_(wanted)
        for origin, number in self.program.grown:
            _find(origin, arguments).grad = made[number]
        for leaf, place in self.program.given:
            leaf.gradient, leaf.spent = fetch(place), False
        return [fetch(place) for place in self.program.returned]


def _find(origin: Any, arguments: list[Any]) -> Any:
    """The tensor that an origin names."""
    if isinstance(origin, Argument):
        return arguments[origin.number]
    return origin.tensor if isinstance(origin, Cell) else origin.leaf.gradient


class _Holder:
    """Counts how often a tensor is held that nobody but one attribute and one variable holds."""

    def __init__(self) -> None:
        self.gradient = object()

    def count(self) -> int:
        tensor = self.gradient
        return sys.getrefcount(tensor)


_HELD = _Holder().count()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Cell) and isinstance(b, Cell):
        return a.tensor is b.tensor
    return isinstance(a, Gradient) and isinstance(b, Gradient) and a.leaf is b.leaf


def _alone(state: State) -> bool:
    """Whether nobody but the cell and the program holds the value or looks at its array."""
    # The value is held by the state, the cell, the caller's variable and the count itself; the array by the state, the
    # value and the count.
    held = sys.getrefcount(state.value), sys.getrefcount(state.array), sys.getrefcount(state.owner)
    return held[0] <= 4 and held[1] <= 3 and held[2] <= state.holders


def _readable(array: Array) -> Array:
    """The entries row by row; copied if reading a vector beyond the end could leave the memory page."""
    array = np.ascontiguousarray(array)
    end = array.ctypes.data + array.nbytes
    return array if -end % 4096 >= 128 else padded_copy(array)
