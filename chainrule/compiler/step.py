"""A traced step bound to a program: which tensors its cells are, and how a run delivers what it computed.

The program itself (`program/`) knows no tensor, and the backend (`backends/`) only arrays and homes. Here a run brings
the cells' values home, hands over the arguments, and shows afterwards what has changed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends import Home, Runnable
from chainrule.backends.home import home_of, settle
from chainrule.compiler.compare import same_program
from chainrule.compiler.debug import all_finite, blame
from chainrule.compiler.devices import delivered, given, where_of
from chainrule.compiler.failure import explain
from chainrule.compiler.guards import reshaped_cells, same_form
from chainrule.compiler.keeping import is_cheap_to_keep
from chainrule.compiler.origins import Argument, Cell, Gradient, Setting, Step
from chainrule.compiler.sharing import Plan, Returned, view_of
from chainrule.compiler.taking import Taken
from chainrule.distributed.exchange import same_program_of
from chainrule.errors import DeviceError, TraceError
from chainrule.forking import LockAcrossForks
from chainrule.primitives.placed import Placed
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Array, Form, Symbol, Value
from chainrule.primitives.window import Windows
from chainrule.program.graph import Graph
from chainrule.program.program import Program, Slot
from chainrule.tape import Leaf


class OtherFormError(Exception):
    """A tensor outside has another shape or data type than when the program was made."""


class Parts(NamedTuple):
    """A traced step taken apart: a program, and what its slots are bound to.

    Attributes:
        given: for each input that is no cell where its array comes from.
        cells: the tensor or the leaf of each cell.
        targets: for each result whom it is for: None for one of the step's own results, else what gets the numbers.
        cleared: leaves without a gradient afterwards.
        made: leaves with the number of the cell in which the step makes their gradient.
    """

    program: Program
    given: list[Argument | Setting]
    cells: list[Cell | Gradient]
    targets: list[Any]
    cleared: list[Leaf]
    made: list[tuple[Leaf, int]]


def parts_of(step: Step, unkept: set[Leaf], exact: bool = False, in_place: bool = False) -> Parts:
    """The program of a step; gradients of the leaves in `unkept` are used up and not stored.

    With `in_place` the program writes into the arrays of arguments that the step changes; else what they get is a
    result.
    """
    cells: dict[int, tuple[int, Cell | Gradient]] = {}

    def cell(origin: Cell | Gradient) -> Slot:
        thing = origin.tensor if isinstance(origin, Cell) else origin.leaf
        number, _ = cells.setdefault(id(thing), (len(cells), origin))
        return Slot("cell", number, names.get(id(thing), ""))

    graph = step.graph()
    names, used = _names(step, graph), graph.used()
    inputs: list[tuple[Symbol, Slot]] = []
    given: list[Argument | Setting] = []
    firsts: dict[Any, Symbol] = {}
    renamed: dict[Symbol, Symbol] = {}
    for symbol, origin in step.inputs:
        if symbol not in used:
            continue
        if isinstance(origin, Argument):
            slot = Slot("argument", origin.number)
        elif isinstance(origin, Setting):
            slot = Slot("setting", len(given), origin.name)
        else:
            slot = cell(origin)
        first = firsts.setdefault(slot[:2], symbol)
        if first is not symbol:
            renamed[symbol] = first
            continue
        if isinstance(origin, Argument | Setting):
            given.append(origin)
        inputs.append((symbol, slot))
    reads = set(cells)
    read = {slot.number: (symbol, slot) for symbol, slot in inputs if in_place and slot.kind == "argument"}
    reshaped = set(map(id, reshaped_cells(step)))
    ends: list[tuple[Any, Slot]] = []
    targets: list[Any] = []

    def result(x: Any, target: Any) -> None:
        ends.append((x, Slot("result", len(targets))))
        targets.append(target)

    for x in step.results:
        result(x, None)
    for origin, x in step.writes:
        known = read.get(origin.number) if isinstance(origin, Argument) else None
        if isinstance(origin, Cell) and id(origin.tensor) not in reshaped:
            ends.append((x, cell(origin)))
        elif known is not None and same_form(known[0], x):
            ends.append((x, known[1]))
        else:
            result(x, origin)
    cleared, made = [], []
    for leaf, x in step.gradients:
        if x is None or leaf in unkept:
            cleared.append(leaf)
        elif id(leaf) in reads and leaf not in step.added:
            result(x, Gradient(leaf))  # what was collected before is used: it is another tensor
        else:
            ends.append((x, cell(Gradient(leaf))))
            if leaf not in step.added:
                made.append((leaf, ends[-1][1].number))
    graph = Graph([symbol for symbol, _ in inputs], graph.equations, [x for x, _ in ends])
    program = Program(graph.rename(renamed), [slot for _, slot in inputs], [slot for _, slot in ends], exact)
    return Parts(program, given, [origin for _, origin in cells.values()], targets, cleared, made)


def _names(step: Step, graph: Graph) -> dict[int, str]:
    """The path of the module that first used a tensor from outside."""
    first: dict[Any, str] = {}
    for e in graph.equations:
        for x in e.inputs:
            if isinstance(x, Symbol):
                first.setdefault(x, e.path.partition("/")[0])
    return {id(o.tensor): first.get(symbol, "") for symbol, o in step.inputs if isinstance(o, Cell)}


class Compiled:
    """One program bound to its tensors, and how to run it.

    Attributes:
        step: what was traced.
        program: the program, without tensors: it can be pickled.
        runnable: what the backend made of it.
        same: what is compared with the other processes before each run, if the program exchanges something with them.
        is_new: whether it was made for this program: one of the others may do the same to other tensors.
    """

    def __init__(
        self, step: Step, plan: Plan, debug: bool, backend: Any, others: Iterable[Compiled], exact: bool
    ) -> None:
        self.step, self.plan, self.debug, self.backend = step, plan, debug, backend
        started = time.perf_counter()
        self.changed = step.changed()
        self.unkept = set() if is_cheap_to_keep(step) else step.spent
        simple = [place.origin for place in step.returned] == list(range(len(step.results)))
        rearranged = step.wanted or step.grown or step.given
        self.plain = simple and not rearranged and all(place.steps is None for place in step.returned)
        parts = parts_of(step, self.unkept, exact, in_place=backend == "native" and not debug)
        self.where = where_of(step, parts.cells)
        if self.where.place is not None:
            parts = parts_of(step, self.unkept, exact)  # arrays on a device never change
        self.program, self.given, cells, self.targets, self.cleared, made = parts
        updated = self.program.written("argument")
        #: Which of the arrays of a run are written to, and the number of each one's argument.
        self.updated = [
            (place, origin.number)
            for place, origin in enumerate(self.given)
            if isinstance(origin, Argument) and origin.number in updated
        ]
        self.same = same_program_of(self.program)
        if self.same is not None and backend not in ("native", "numpy"):
            raise DeviceError(
                "a step compiled for XLA cannot exchange numbers with other processes: compile it for "
                'backend="native", or compute gradients in the step and average them after it.'
            )
        if self.same is not None and debug:
            raise TraceError(
                "debug=True does a step again to find what made a NaN, and this one exchanges numbers with other "
                "processes. Look for it in one process, or with autograd.set_detect_anomaly(True) in eager code."
            )
        homes = [_home_for(origin, form) for origin, form in zip(cells, self.program.cells(), strict=True)]
        alike = (o for o in others if o.where == self.where and same_program(o.program, self.program))
        known = next((other.runnable for other in alike), None)
        self.is_new = known is None
        self.runnable: Runnable = (
            self.where.build(backend, self.program, homes, debug) if known is None else known.with_homes(homes)
        )
        self.added = [leaf for leaf in step.added if leaf not in self.cleared]
        self.lost = [leaf for leaf in step.added if leaf in self.cleared]
        self._settle(cells, made)
        self.seconds = time.perf_counter() - started

    def _settle(self, cells: Sequence[Cell | Gradient], made: Sequence[tuple[Leaf, int]]) -> None:
        """Cells live where the backend says, from now on for other programs too."""
        homes = self.runnable.homes
        written, numbers = self.program.written(), {number for _, number in made}
        #: Cells with their homes, and whether a run writes there; gradients that the step makes are apart. The tensor
        #: of a cell is named first: it stays the same, as what a leaf collects in does not.
        self.bindings: list[tuple[Any, Cell | Gradient, Home, bool]] = []
        self.states: dict[int, Home] = {}
        guards, mine = set(), LockAcrossForks(rank=1)
        for number, (origin, home) in enumerate(zip(cells, homes, strict=True)):
            if home is None:
                continue
            thing = origin.tensor if isinstance(origin, Cell) else origin.leaf
            guards.add(settle(thing, home, mine))
            self.states[id(thing)] = home
            if number not in numbers:
                tensor = origin.tensor if isinstance(origin, Cell) else None
                self.bindings.append((tensor, origin, home, number in written))
        self.made = [(leaf, home) for leaf, number in made if (home := homes[number]) is not None]
        self.guards = sorted(guards, key=id)

    @property
    def executable(self) -> Any:
        """The native code. Raises TraceError for another backend."""
        executable = getattr(self.runnable, "executable", None)
        if executable is None:
            raise TraceError("this program was made for a backend without machine code; only native ones have that.")
        return executable

    def explain(self) -> str:
        """The program in words: see the backend's own text."""
        return self.runnable.explain()

    def __repr__(self) -> str:
        return repr(self.program)

    # ------------------------------------------------------------------------------------- running

    def has_other_forms(self) -> bool:
        """Whether a tensor outside has another form than when the program was made, or has become a view."""
        cells = [(symbol, origin.tensor) for symbol, origin in self.step.inputs if isinstance(origin, Cell)]
        return any(tensor._base is not None or not same_form(symbol, tensor._value.array) for symbol, tensor in cells)

    def run(self, arguments: list[Any], further: list[Any]) -> list[Any]:
        """Run the program on these arguments and the cells as they are now.

        `further` are inputs that were found while tracing; they come behind all others.
        """
        if self.step.added or self.changed:
            arguments = self._complete(arguments)
        arguments = [*arguments, *further]
        if self.same is not None:
            self.same.check()
        there = self.where.place is not None
        arrays = [
            np.array(origin.number())
            if isinstance(origin, Setting)
            else given(arguments[origin.number].value.array)
            if there
            else arguments[origin.number].array
            for origin in self.given
        ]
        with ExitStack() as stack:
            for guard in self.guards:  # one program at a time with a cell
                stack.enter_context(guard)
            return self._run(arguments, arrays)

    def _run(self, arguments: list[Any], arrays: list[Array]) -> list[Any]:
        for tensor, origin, home, written in self.bindings:
            # Most cells are at home, their values held by the home, the tensor and the count alone.
            if tensor is None or tensor._value is not home.value or (written and not home.is_unseen(3)):
                _bind(origin, home, written)
        others = self._room_for_gradients()
        taken = []
        try:
            for place, number in self.updated:
                arrays[place] = _NO_ARRAY  # nobody but the tensor holds it now
                taken.append(Taken(arguments[number]))
                arrays[place] = taken[-1].array
            if self.where.place is not None:
                fresh = self._run_there(arrays)
            else:
                fresh = self._run_watched(arrays) if self.debug else self.runnable.run(arrays)
        except BaseException as error:
            for one in taken:
                one.give_back(changed=False)
            if not isinstance(error, Exception):
                raise
            explain(self.step, arguments, error)
        for one in taken:
            one.give_back(changed=True)
        return self._deliver(arguments, fresh, others)

    def _run_there(self, arrays: list[Any]) -> list[Any]:
        """Run on a device: results stay there, if the step has made them there."""
        if self.debug:
            raise DeviceError("debug=True looks at numbers after each operation, on the CPU: move the tensors there.")
        fresh = self.runnable.run_there(arrays)  # type: ignore[attr-defined]
        return [delivered(x, place).array for x, place in zip(fresh, self._target_places(), strict=True)]

    def _target_places(self) -> list[Any]:
        """Where each result goes: those of the step's own are listed, others are written to tensors that are there."""
        own = iter(self.step.places)
        return [next(own) if target is None else self.where.place for target in self.targets]

    def _room_for_gradients(self) -> list[tuple[Leaf, Home]]:
        """Memory for the gradients that the step makes: the last ones', unless somebody holds or looks at these.

        The answer says which leaves get another tensor: for the others it is the same one with new numbers.
        """
        others, count = [], sys.getrefcount
        for leaf, home in self.made:
            tensor = leaf.gradient
            if (
                tensor is None
                or tensor._value is not home.value
                or count(tensor) > _HELD
                or not home.is_unseen(3)  # the value is held by the home, the gradient and the count itself
            ):
                others.append((leaf, home))
                if tensor is None and home.value is not None and home.is_unseen(2):
                    continue
                home.renew()
        return others

    def _complete(self, arguments: list[Any]) -> list[Any]:
        """The arguments, and the tensors that joined ones are parts of; or a TraceError that says what cannot be."""
        for leaf in self.lost:
            tensor = leaf.gradient
            if tensor is not None and sys.getrefcount(tensor) > _HELD:
                raise TraceError(
                    "a gradient to which the step adds, and which it clears afterwards, is held outside of the step as "
                    "well, where the sum would be missing. Clear it before the step adds to it, or hold a clone()."
                )
        gradients = {id(leaf.gradient) for leaf in self.step.added}
        for number, argument in enumerate(arguments):
            if id(argument.root) in gradients:
                raise TraceError(
                    f"argument {number} is a gradient (or a view of one) to which the step adds. Pass a clone() of it, "
                    "or clear the gradient in the step first."
                )
            if number in self.step.exchanged and argument._base is not None:
                raise TraceError(f"the step exchanges the data of argument {number}, which is a view. Pass a clone().")
            if number in self.changed and any(step.primitive in (Broadcast, Windows) for step in argument._steps):
                argument.put_value(argument.value)  # an error if several of its entries are one place
        return [*arguments, *self.plan.hidden_roots(arguments)]

    def _run_watched(self, arrays: list[Array]) -> list[Array]:
        """Run, and if that made a NaN or an infinity, put everything back and say which operation it was."""
        homes = [home for home in self.runnable.homes if home is not None]
        before = [np.array(home.array) for home in homes]
        given = iter(arrays)
        now = [self._entries(slot.number) if slot.kind == "cell" else next(given) for slot in self.program.inputs]
        known = {symbol: np.array(x) for symbol, x in zip(self.program.graph.inputs, now, strict=True)}
        fresh = self.runnable.run(arrays)
        if all_finite([*fresh, *(home.array for home in homes)]):
            return fresh
        for home, array in zip(homes, before, strict=True):
            home.fill(array)
        blame(self.program.graph.equations, known)
        return self.runnable.run(arrays)

    def _entries(self, number: int) -> Array:
        home = self.runnable.homes[number]
        return np.zeros(0) if home is None else home.array

    def _deliver(self, arguments: list[Any], fresh: list[Any], others: list[tuple[Leaf, Home]]) -> list[Any]:
        """Show the new values: cells hold them already, results and gradients become tensors."""
        for leaf in self.cleared:
            leaf.gradient, leaf.spent = None, leaf in self.unkept
        for leaf, home in others:
            leaf.gradient, leaf.spent = Primitive.make_tensor(home.show()), False
        for leaf in self.added:
            home = self.states[id(leaf)]
            if leaf.gradient is not None and leaf.gradient._value is not home.value:
                leaf.gradient.set_value(home.show())
        results = []
        for origin, array in zip(self.targets, fresh, strict=True):
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

        for origin, wanted in self.step.wanted:
            _find(origin, arguments).requires_grad_(wanted)
        for origin, number in self.step.grown:
            _find(origin, arguments).grad = made[number]
        for leaf, place in self.step.given:
            leaf.gradient, leaf.spent = fetch(place), False
        return [fetch(place) for place in self.step.returned]


def _home_for(origin: Cell | Gradient, form: Form) -> Home | None:
    """Where a cell lives already, if that is right for what it is now."""
    home = home_of(origin.tensor if isinstance(origin, Cell) else origin.leaf)
    return home if home is not None and home.fits(*form) else None


def _bind(origin: Any, home: Home, written: bool) -> None:
    """Bring a cell's value home, unless it is there already and nobody else looks at what is about to change."""
    tensor = origin.tensor if isinstance(origin, Cell) else origin.leaf.gradient
    held = None if tensor is None else tensor._value
    if held is not None and held is home.value:
        if not written or home.is_unseen(4):  # held by the home, the cell, `held` and the count itself
            return
    elif held is not None and isinstance(held.array, Symbol):
        settled([tensor])  # another thread is tracing with it
        held = tensor._value
    if tensor is not None and tensor._base is not None:
        raise OtherFormError  # it has become a view
    array = None if held is None else held.array
    if isinstance(array, np.ndarray | Placed) and (array.shape, array.dtype) != (home.shape, home.dtype):
        raise OtherFormError
    home.renew()
    if held is None:
        return
    if not isinstance(array, Symbol):  # a symbol: made by the step, it gets its first value now
        home.fill(array)
    if isinstance(origin, Cell):
        tensor._value = home.show(held.source)


def _find(origin: Any, arguments: list[Any]) -> Any:
    """The tensor that an origin names."""
    if isinstance(origin, Argument):
        return arguments[origin.number]
    return origin.tensor if isinstance(origin, Cell) else origin.leaf.gradient


_NO_ARRAY: Array = np.zeros(0)


class _Holder:
    """Counts how often a tensor is held that nobody but one attribute and one variable holds."""

    def __init__(self) -> None:
        self.gradient = object()

    def count(self) -> int:
        tensor = self.gradient
        return sys.getrefcount(tensor)


_HELD = _Holder().count()
