"""`compile`: a Python function of tensors becomes one native program for each way in which it is called.

The first call traces the function, compiles what it did, and runs that; later calls bind the new arguments and the
cells and run it again. What shaped the trace without being a tensor is remembered as facts; when one of them has
changed, the function is traced anew, and the log says why.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Set
from contextlib import suppress
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.autodiff.tape import Leaf
from chainrule.compiler.debug import all_finite, blame, check_bounds
from chainrule.compiler.executable import Executable, describe, padded_copy
from chainrule.compiler.expand import expand
from chainrule.compiler.facts import Facts, facts_of
from chainrule.compiler.lower import Write, lower, state_view, wished_orders
from chainrule.compiler.plan import SLACK
from chainrule.compiler.profile import Profile, measure
from chainrule.compiler.run.pool import aligned
from chainrule.compiler.simplify import simplify
from chainrule.compiler.structure import put_together, take_apart
from chainrule.compiler.trace import Argument, Cell, Gradient, Setting, trace_step
from chainrule.compiler.views import Buffer, View, row_major
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.state import current_state

log = logging.getLogger("chainrule.compile")
#: So many programs are kept for one form of arguments: a step that reads another number in each run makes more.
KEPT = 32


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


class _OtherFormError(Exception):
    """A tensor outside has another shape or data type than when the program was made."""


class Compiled:
    """One program: the traced step, compiled, and how to run it."""

    def __init__(
        self, call: Callable[[list[Any]], list[Any]], arguments: list[Any], moving: Set[tuple[int, str]], debug: bool
    ) -> None:
        self.debug = debug
        started = time.perf_counter()
        self.program = trace_step(call, arguments, moving)
        traced = time.perf_counter()
        self._lower()
        self.seconds = traced - started, time.perf_counter() - traced

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

    def size_and_seconds(self) -> tuple[int, float, float]:
        """How many kernels it has, and how long tracing and compiling took."""
        return len(self.executable.groups), *self.seconds

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
            raise _OtherFormError
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


class CompiledFunction:
    """What `compile` makes of a function: it is called as the function is.

    Attributes:
        programs: for each form of arguments (shapes, data types, plain values) the programs made so far.
    """

    def __init__(self, function: Callable[..., Any], debug: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"compile takes a function, a method or a module, got {type(function).__name__}.")
        self.function = function
        self.debug = debug
        self.name = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__name__ = self.name
        self.programs: dict[Any, list[tuple[Facts, Compiled, Any]]] = {}
        self._once: list[Any] = []
        self._last: Compiled | None = None
        self._moving: set[tuple[int, str]] = set()
        self._lock = threading.RLock()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: compiled for each instance anew, since the instance is part of what shapes the trace."""
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for arguments like these; the first time, make it."""
        if current_state().trace is not None:
            return self.function(*args, **kwargs)  # within another compiled function it is part of that one
        leaves: list[Any] = []
        form = take_apart((args, kwargs), leaves)
        key = (
            form,
            tuple((t.value.array.shape, t.value.array.dtype, t.value.source is None) for t in leaves),
            current_state().gradients,
        )
        with self._lock:  # a program has one memory
            known = self.programs.setdefault(key, [])
            for facts, compiled, shape in known:
                if facts.hold() and compiled.fits():
                    self._last = compiled
                    with suppress(_OtherFormError):  # nothing has run yet
                        return put_together(shape[0], compiled.run(leaves))
            self._explain_why(key, known)
            return self._compile(form, key, leaves)

    def _explain_why(self, key: Any, known: list[tuple[Facts, Compiled, Any]]) -> None:
        if known:
            self._moving |= known[-1][0].changed_settings()
            why = known[-1][0].change() or "a gradient came or went, numbers that Python read are others, or a shape"
            log.info("%s is compiled again: %s.", self.name, why)
        elif len(self.programs) > 1:
            log.info("%s is compiled again: arguments of another form, %s.", self.name, key[1])

    def _compile(self, form: Any, key: Any, leaves: list[Any]) -> Any:
        shape: list[Any] = []

        def call(stand_ins: list[Any]) -> list[Any]:
            again, named = put_together(form, stand_ins)
            answer: list[Any] = []
            shape[:] = [take_apart(self.function(*again, **named), answer)]
            return answer

        try:
            compiled = Compiled(call, leaves, self._moving, self.debug)
        except TraceError:
            if not self._moving:
                raise
            self._moving.clear()  # a rule decides by one of them in Python: each of its values gets a program
            compiled = Compiled(call, leaves, self._moving, self.debug)
        log.info("%s: %d kernels, traced in %.2f s, compiled in %.2f s.", self.name, *compiled.size_and_seconds())
        if not compiled.program.leaves_behind:
            self.programs[key].append((facts_of(self.function, self._moving), compiled, shape))
            del self.programs[key][:-KEPT]
        else:
            self._once.append(form)
            if self._once.count(form) > 2:
                raise TraceError(
                    f"{self.name} leaves tensors behind in Python every time it runs (in an attribute, a list). A "
                    "compiled step is not Python any more: return them, or write into tensors that exist already."
                )
        self._last = compiled
        return put_together(shape[0], compiled.run(leaves))

    @property
    def program(self) -> Compiled:
        """The program that ran last. Raises TraceError if the function has not been called yet."""
        if self._last is None:
            raise TraceError(f"{self.name} has no program yet: the first call makes it.")
        return self._last

    def explain(self) -> str:
        """What the last program does, one kernel in a line; see :meth:`Compiled.explain`."""
        return self.program.explain()

    def profile(self, *args: Any, runs: int = 10, **kwargs: Any) -> Profile:
        """Run the step some times with these arguments and measure each kernel. The runs count: a step trains."""
        self(*args, **kwargs)
        executable = self.program.executable
        return measure(executable, lambda: self(*args, **kwargs), runs)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledFunction, (self.function, self.debug)  # a copy makes programs of its own

    def __repr__(self) -> str:
        return f"<compiled {self.name}>"


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    debug: bool = False,
    disable: bool = False,
) -> Any:
    """Make one native program of a function of tensors (a decorator), for instance of a whole training step.

    The step is written as always; nothing in it has to change:

        @chainrule.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

    Tensors from outside (parameters, running statistics, the optimiser's memory, random states) are read anew in every
    call and changed in place. The learning rate is read anew too, and so is any other setting of an optimiser once it
    has changed (a schedule's momentum). Training mode, settings and other plain values around the function are
    remembered; when one changes, the step is compiled again and the log (`chainrule.compile`, level INFO) says why.
    Gradients are gone after the step unless it leaves them for the next one. Results are detached.

    A Python branch on a tensor's value, `.item()` or `.numpy()` of a computed tensor raise a TraceError. An index out
    of range raises an IndexRangeError, and nothing has been changed then.

    With `debug=True` the program is checked before it runs (a BoundsError means a mistake in the compiler), and a step
    that makes a NaN or an infinity raises an AnomalyError that names the first operation and module to do so; nothing
    has been changed then either. That copies all state in every run: it is for searching.

    A module becomes a :class:`~chainrule.compiler.module.CompiledModule`: native where no gradients are recorded, the
    module itself while it learns. PyTorch's settings are taken: with `disable` the answer is what was given;
    `fullgraph`, `dynamic`, `backend`, `mode` and `options` change nothing, since there is one way to compile, always
    the whole function, for each size anew.

    >>> import chainrule
    >>> double = chainrule.compile(lambda x: x * 2)
    >>> double(chainrule.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    if model is None:
        return functools.partial(compile, debug=debug, disable=disable)
    if disable:
        return model
    from chainrule.compiler.module import CompiledModule
    from chainrule.nn.module import Module

    return CompiledModule(model, debug) if isinstance(model, Module) else CompiledFunction(model, debug)
