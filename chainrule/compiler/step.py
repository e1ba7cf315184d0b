"""A traced step as a native program: how it is lowered, and how a run binds arguments and cells to its memory."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.autodiff.tape import Leaf
from chainrule.compiler.debug import all_finite, blame, check_bounds
from chainrule.compiler.executable import Executable, describe, padded_copy
from chainrule.compiler.expand import expand
from chainrule.compiler.lower import Write, lower, state_view, wished_orders
from chainrule.compiler.plan import SLACK
from chainrule.compiler.run.pool import aligned
from chainrule.compiler.simplify import simplify
from chainrule.compiler.trace import Argument, Cell, Gradient, Program, Setting
from chainrule.compiler.views import Buffer, View, row_major
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Array, Symbol, Value


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

    def __init__(self, program: Program, debug: bool) -> None:
        self.debug = debug
        self.program = program
        started = time.perf_counter()
        self._lower()
        self.seconds = time.perf_counter() - started

    def _lower(self) -> None:
        program = self.program
        ends = [*program.results, *(x for _, x in program.writes), *(x for _, x in program.gradients if x is not None)]
        equations, ends = simplify(expand(program.equations), ends)
        self.equations = equations
        used = {x for e in equations for x in e.inputs if isinstance(x, Symbol)} | {
            x for x in ends if isinstance(x, Symbol)
        }
        answer = iter(ends)
        results = [next(answer) for _ in program.results]
        writes = [(origin, next(answer)) for origin, _ in program.writes]
        gradients = [(leaf, None if x is None else next(answer)) for leaf, x in program.gradients]
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
        targets = [Write(x, self._state(origin, x, wishes)) for origin, x in writes if not isinstance(origin, Argument)]
        self.gradients: list[tuple[Leaf, State | None]] = []
        for leaf, x in gradients:
            state = None
            if x is not None:
                view = self._state(Gradient(leaf), x, wishes)
                targets.append(Write(x, view))
                state = self.states[id(leaf)][1]
            self.gradients.append((leaf, state))
        self.outputs: list[tuple[View, int | None]] = []
        returned = [(x, None) for x in results] + [(x, o.number) for o, x in writes if isinstance(o, Argument)]
        for x, number in returned:
            view = View(Buffer(x.dtype, max(x.size, 1), "output"), tuple(x.shape), row_major(tuple(x.shape)))
            self.outputs.append((view, number))
            targets.append(Write(x, view))
        self.written = {id(t.view.buffer) for t in targets}
        self.changed = [origin.number for origin, _ in writes if isinstance(origin, Argument)]
        self.lowering = lower(equations, inputs, targets, wishes)
        if self.debug:
            check_bounds(self.lowering.groups)
        self.executable = Executable(self.lowering)
        slots = self.executable.slots
        self.bindings = [(origin, state, slots.get(state.view.buffer)) for origin, state in self.states.values()]

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

    def fits(self) -> bool:
        """Whether gradients are there, or missing, and numbers that Python read are what they were."""
        return all((leaf.gradient is None) == empty for leaf, empty in self.program.empty) and all(
            _holds(cell.value, value) for cell, value in self.program.numbers
        )

    def has_other_forms(self) -> bool:
        """Whether a tensor outside has another shape or data type than when the program was made."""
        cells = [
            (symbol, origin.tensor.value.array) for symbol, origin in self.program.inputs if isinstance(origin, Cell)
        ]
        return any((symbol.shape, symbol.dtype) != (array.shape, array.dtype) for symbol, array in cells)

    def run(self, arguments: list[Any]) -> list[Any]:
        """Run the program on these arguments and the cells as they are now."""
        if self.changed:
            self._refuse_shared(arguments)
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
        fresh = []
        for view, _ in self.outputs:
            memory = aligned(view.buffer.bytes + SLACK)
            fresh.append(np.ndarray(view.shape, view.dtype, memory))
            if view.buffer in slots:
                bases[slots[view.buffer]] = memory.ctypes.data
        if self.debug:
            self._run_watched(arguments, fresh)
        else:
            ex.run()
        return self._deliver(arguments, fresh)

    def _refuse_shared(self, arguments: list[Any]) -> None:
        """Arguments are changed behind the run, so nothing else that the step uses may be the same tensor."""
        roots = [id(t if t._base is None else t._base) for t in arguments]
        for number in self.changed:
            if roots.count(roots[number]) > 1 or roots[number] in self.states:
                raise TraceError(
                    f"the step changes argument {number} in place, and uses the same tensor (or a view of it) as "
                    "another argument or from outside. Pass a clone(), or use it in one of these ways only."
                )

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

    def _deliver(self, arguments: list[Any], fresh: list[Array]) -> list[Any]:
        """Show the new values: cells hold them already, results and gradients become tensors."""
        for leaf, state in self.gradients:
            if state is None:
                leaf.gradient = None
            elif leaf.gradient is None or leaf.gradient._value is not state.value:
                state.value = Value(state.array)
                if leaf.gradient is None:
                    leaf.gradient = Primitive.make_tensor(state.value)
                else:
                    leaf.gradient.set_value(state.value)
        results = []
        for (_, number), array in zip(self.outputs, fresh, strict=True):
            if number is None:
                results.append(Primitive.make_tensor(Value(array)))
            else:
                _change(arguments[number], array)
        return results


def _change(argument: Any, array: Array) -> None:
    """Give an argument the numbers that the step has left in it; what it is a view of gets them too."""
    if argument._base is None:
        argument.set_value(Value(array, argument.value.source))
        return
    with no_grad():
        argument.assign(Primitive.make_tensor(Value(array)))


def _holds(now: Value, value: Value) -> bool:
    """Whether a value is this one, or has the same bits."""
    if now is value:
        return True
    a, b = now.array, value.array
    if not isinstance(a, np.ndarray) or (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    return a.tobytes() == b.tobytes()


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
