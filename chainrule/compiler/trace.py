"""Tracing a step: the Python function runs once, on symbols, and leaves the equations of all that it computes.

Every tensor that existed before is a *cell*: an input of the program, and an output if the step changed it. While the
trace runs, a cell that is touched holds a symbol, so its views follow by themselves; afterwards it holds its old value
again. An array that the step itself puts into a cell (`zeros`, `fill_`) is a constant, the same in every run.
Which tensors share memory is said by `sharing.py`.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.cell import TensorCell, change_of_leaf
from chainrule.compiler.sharing import APART, Plan, Returned, check_joined, repeated, steps_to, view_of
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, Graph
from chainrule.state import current_state
from chainrule.tape import Leaf, Node


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


class Step(NamedTuple):
    """What a trace found.

    Attributes:
        equations: in the order in which they were noted.
        inputs: symbols and where they come from.
        results: symbols or arrays that are made for the function's results, each once.
        returned: for each result of the function where it is found, in the order of its structure.
        writes: what each changed origin holds afterwards.
        gradients: what each leaf has collected afterwards: a symbol or array, or None.
        given: leaves whose gradient is afterwards a tensor that was there before: an argument, one from outside.
        added: leaves whose gradient stays the same tensor and gets another value.
        spent: leaves whose gradient the step clears first, makes, and gives to an optimiser, in this order.
        wanted: tensors that require a gradient afterwards (or no longer), unlike before.
        grown: of these the gradients that they have collected, by the numbers of results.
        held: leaves whose gradient before is a view, which has to be the same one.
        views: views from outside that the step used, with what they are views of and how.
        exchanged: numbers of arguments whose memory was exchanged (`x.data = y`).
        own_leaves: numbers of arguments with the leaf that each must have, since its gradient is used.
        empty: leaves that must have (True) or must not have (False) no gradient when the program starts.
        numbers: tensors from outside whose numbers Python read, with the values they had.
        leaves_behind: the step made tensors that outlive it (an optimiser's memory); it runs once in this form.
        first: these tensors, and what they held when they were made: a symbol or array.
    """

    equations: list[Equation]
    inputs: list[tuple[Symbol, Origin]]
    results: list[Any]
    returned: list[Returned]
    writes: list[tuple[Origin, Any]]
    gradients: list[tuple[Leaf, Any]]
    given: list[tuple[Leaf, Returned]]
    added: list[Leaf]
    spent: set[Leaf]
    wanted: list[tuple[Origin, bool]]
    grown: list[tuple[Origin, int]]
    held: list[tuple[Leaf, Any]]
    views: list[tuple[Any, Any, Any]]
    exchanged: set[int]
    own_leaves: list[tuple[int, Leaf]]
    empty: list[tuple[Leaf, bool]]
    numbers: list[tuple[Any, Value]]
    leaves_behind: bool
    first: list[tuple[Any, Any]]

    def __repr__(self) -> str:
        lines = [f"{symbol!r} = {type(origin).__name__.lower()}" for symbol, origin in self.inputs]
        return "\n".join([*lines, *map(repr, self.equations), f"return {self.results!r}"])

    def graph(self) -> Graph:
        """All equations that something outside of the step depends on, as a graph."""
        ends = [*self.results, *[x for _, x in self.writes], *[x for _, x in self.gradients if x is not None]]
        return Graph([symbol for symbol, _ in self.inputs], self.equations, ends)

    def changed(self) -> set[int]:
        """The numbers of the arguments that the step writes to."""
        return {origin.number for origin, _ in self.writes if isinstance(origin, Argument)}

    def cells(self) -> tuple[set[int], set[int]]:
        """The identities of tensors outside that are read or written, and of those that are written."""
        written = {id(origin.tensor) for origin, _ in self.writes if isinstance(origin, Cell)}
        return written | {id(origin.tensor) for _, origin in self.inputs if isinstance(origin, Cell)}, written


class _Adopted(NamedTuple):
    cell: weakref.ref[TensorCell]
    before: Value
    inside: Value | None


class StepTrace(Trace):
    """A trace that knows cells. See the text of this file."""

    def __init__(self, moving: Set[tuple[int, str]] = frozenset(), observer: Any = None) -> None:
        super().__init__()
        self.moving, self.observer = moving, observer
        self.adopted: list[_Adopted] = []
        self.known: dict[int, weakref.ref[TensorCell]] = {}
        self.constants: dict[Symbol, Any] = {}
        self.origins: dict[Symbol, Origin] = {}
        self.leaves: dict[Leaf, tuple[Any, str]] = {}
        self.stand_ins: dict[int, Argument] = {}
        self.arguments: list[tuple[Any, Value]] = []
        self.given: list[Any] = []
        self.views_made: dict[int, weakref.ref[TensorCell]] = {}
        self.views_used: dict[int, tuple[weakref.ref[TensorCell], Any, Any]] = {}
        self.required: dict[int, tuple[Any, bool, bool]] = {}
        self.exchanged: set[int] = set()
        self.beginning = Node().order
        self.groups: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.spent: set[Leaf] = set()
        self.spent_before: dict[Leaf, bool] = {}
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

    def stand_in_for(self, arguments: list[Any], plan: Plan) -> list[Any]:
        """What stands for the arguments. Behind them in the list stand tensors that joined ones are parts of."""
        self.given = arguments
        firsts = repeated(arguments) or range(len(arguments))
        within = {number: group for group in plan.joined for number in group}
        made: dict[int, Any] = {}
        for number, first in enumerate(firsts):
            argument = arguments[number]
            if number in plan.itself:
                made[number] = argument
            elif first != number:
                made[number] = made[first]
            elif number not in within or argument is argument.root:
                made[number] = self.new_argument(number, argument)
        for number in range(len(arguments)):
            if number not in made:
                root = arguments[number].root
                check_joined(number, arguments[number], root)
                base = made[next(i for i, argument in enumerate(arguments) if argument is root)]
                made[number] = self._view_for(number, arguments[number], base)
        return [made[number] for number in range(len(arguments))]

    def _view_for(self, number: int, argument: Any, base: Any) -> Any:
        view = Primitive.make_tensor(base._value)
        view._base, view._steps, view._leaf, view._own = base, argument._steps, argument._leaf, argument._own
        self.stand_ins[id(view)] = Argument(number)
        self.arguments.append((view, base._value))
        return view

    def new_argument(self, number: int, argument: TensorCell) -> Any:
        """What stands for an argument: a tensor of its own that holds a symbol."""
        value = argument.value
        symbol = Symbol(value.array.shape, value.array.dtype)
        self._own[symbol] = Value(symbol, value.source)
        self.origins[symbol] = Argument(number)
        stand_in = Primitive.make_tensor(self.value_of(symbol))
        if type(argument) is not type(stand_in):  # a parameter, say
            stand_in.__class__ = type(argument)  # type: ignore[assignment]
        stand_in._leaf = argument._leaf
        self.known[id(stand_in)] = weakref.ref(stand_in)
        self.stand_ins[id(stand_in)] = Argument(number)
        self.arguments.append((stand_in, stand_in._value))
        return stand_in

    def further_argument(self, tensor: TensorCell) -> Any:
        """What stands for an input that was found while tracing: it comes behind the arguments that there are."""
        self.given = [*self.given, tensor]
        return self.new_argument(len(self.given) - 1, tensor)

    def array_input(self, array: Any) -> Any:
        """A tensor for a NumPy array that the step finds outside, an input; None if the step has made it itself."""
        return None if self.observer is None else self.observer.array_input(array)

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
        (self.spent.add if event == "spent" else self.spent.discard)(leaf)
        if leaf not in self.leaves:
            self.leaves[leaf] = leaf.gradient, event
            self.spent_before[leaf] = leaf.spent
            if leaf.gradient is not None:
                self.gradient_of[id(leaf.gradient)] = leaf

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

    def note_view(self, view: TensorCell) -> None:
        """Remember a view that the step made."""
        self.views_made[id(view)] = weakref.ref(view)

    def made_here(self, tensor: TensorCell) -> bool:
        """Whether the step has made this tensor."""
        return _is_in(self.made, tensor) or _is_in(self.views_made, tensor)

    def from_outside(self, tensor: Any) -> bool:
        """Whether a tensor was there before the step, and is no argument."""
        if id(tensor) in self.stand_ins or self.made_here(tensor):
            return False
        return tensor._base is not None or not isinstance(tensor._value.array, Symbol) or _is_in(self.known, tensor)

    def lift_tensors(self, tensors: Sequence[TensorCell]) -> list[Value]:
        """The values of tensors as this trace knows them. What a view from outside is a view of must stay so."""
        for tensor in tensors:
            view: Any = tensor
            while view._base is not None:
                if id(view) not in self.views_used and self.from_outside(view):
                    self.views_used[id(view)] = weakref.ref(view), view._base, view._steps
                view = view._base
        return super().lift_tensors(tensors)

    def check_exchange(self, tensor: Any, new: Any) -> None:
        """`tensor.data = new`: the step can put a new value there, but not make two tensors one that outlive it."""
        argument, root = self.stand_ins.get(id(tensor)), new.root
        if argument is None and not self.from_outside(tensor):
            return
        if tensor._base is not None or (root is not tensor and (self.from_outside(root) or id(root) in self.stand_ins)):
            raise TraceError(
                "x.data = y makes x and y share memory from now on. Within a compiled step that goes only if y is "
                "computed in the step and x is nobody's view; write x.copy_(y), or do it outside of the step."
            )
        if argument is not None:
            self.exchanged.add(argument.number)

    def check_record(self, record: Any) -> None:
        """Refuse to go back into what was computed before the step: another call would come with another tape."""
        if record.order < self.beginning:
            raise TraceError(
                f"backward() in a compiled step reaches {record.operation.name}, which was computed outside of it. "
                "Compute it in the step, or pass its detach() and go on from there outside."
            )

    def note_leaf_change(self, tensor: TensorCell) -> None:
        """Remember whether a tensor from outside required a gradient before the step."""
        if id(tensor) not in self.required and (id(tensor) in self.stand_ins or self.from_outside(tensor)):
            if tensor._base is None:
                self.lift_tensors([tensor])
            self.required[id(tensor)] = tensor, tensor.requires_grad, tensor._own

    def left_behind(self, known: list[Any]) -> list[Any]:
        """Tensors of the step that somebody still holds now, besides its results and what these are views of."""
        kept = _with_bases(known) | {id(leaf.gradient) for leaf in self.inner}
        if self._alive(kept):
            gc.collect()  # what is in a cycle of references is held by nobody else
        return self._alive(kept)

    def _alive(self, kept: set[int]) -> list[Any]:
        alive = [t for reference in self.made.values() if (t := reference()) is not None]
        return [t for t in alive if id(t) not in kept and isinstance(t._value.array, Symbol)]

    def _settle_view(self, tensor: Any) -> bool:
        """Whether a tensor that was left behind is a view of something outside, or of an argument, which it follows."""
        place = None if tensor._base is None else self._place_of(tensor)
        if place is None:
            tensor._base, tensor._steps, tensor._seen, tensor._own = None, (), None, False
            return False
        base = place.origin.tensor if isinstance(place.origin, Cell) else None
        if isinstance(place.origin, Argument):
            base = self.given[place.origin.number]
        if base is None:
            return False
        view = view_of(base, place.steps or ())
        tensor._value, tensor._base, tensor._steps, tensor._own = view._value, view._base, view._steps, False
        return True

    def _forget_tape(self, results: list[Any]) -> None:
        """Let go of the tape of the step: tensors that only it holds (a checkpoint's arguments) are not left behind."""
        self._own.clear()
        for result in results:
            tensor = result
            while tensor is not None and not (id(tensor) in self.stand_ins or self.from_outside(tensor)):
                tensor._value, tensor._seen = Value(tensor._value.array), None
                tensor = tensor._base

    def numbers_in(self, group: dict[str, Any]) -> dict[str, Any]:
        """The learning rate, and settings that were seen to change, as 0-d tensors: inputs of the program."""
        answer = dict(group)
        self.groups.setdefault(id(group), (group, dict(group)))
        for name, value in group.items():
            if name != "lr" and (id(group), name) not in self.moving:
                continue
            if isinstance(value, tuple):
                answer[name] = tuple([self._setting(Setting(group, name, i)) for i in range(len(value))])
            elif isinstance(value, int | float):
                answer[name] = self._setting(Setting(group, name))
        return answer

    def _check_settings(self) -> None:
        """Raise a TraceError if the step has changed the settings of an optimiser that it uses."""
        for group, before in self.groups.values():
            for name, value in group.items():
                if type(value) in (int, float) and type(before.get(name)) in (int, float) and value != before[name]:
                    raise TraceError(
                        f"a compiled step changes group[{name!r}] of an optimiser: that is Python, which runs while "
                        "the step is traced and not again. Change it after the compiled step, which reads it anew."
                    )

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
        views: list[Any] = [view for reference, _, _ in self.views_used.values() if (view := reference()) is not None]
        seen = [(view, view._value, view._seen) for view in views]
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
            for view, value, base in seen:  # so that the step need not look again
                view._value, view._seen = value, base

    # ------------------------------------------------------------------------------------- the end

    def finish(self, results: list[Any]) -> Step:
        """All that the step did, after the cells hold their old values again."""
        self._check_settings()
        self._check_tape()
        made, returned = self._find(results)
        grown = self._grown(made)
        answers = [value.array for value in self.lift_tensors(made)]
        after = self._gradients_after()
        changed = [(o, t._value.array) for o, t in self._changed_arguments()]
        wanted = self._leaf_changes()
        self._restore_leaves()
        writes = self._restore(_with_bases(results))
        held = self._restore_gradients(after, {o.leaf: x for o, x in writes if isinstance(o, Gradient)})
        self._forget_tape(results)
        left = self.left_behind(results)
        cells = [(Cell(tensor), tensor._value.array) for tensor in left if not self._settle_view(tensor)]
        equations = [e._replace(inputs=tuple(map(self.filled, e.inputs))) for e in self.equations]
        kept = [(o, x) for o, x in writes if not isinstance(o, Gradient)]
        return Step(
            equations=equations,
            inputs=[(s, o) for s, o in self.origins.items() if s not in self.constants],
            results=[self.filled(x) for x in answers],
            returned=returned,
            writes=[(o, self.filled(x)) for o, x in (*kept, *cells, *changed)],
            gradients=[(leaf, self.filled(x)) for leaf, x in held if not isinstance(x, Returned)],
            given=[(leaf, x) for leaf, x in held if isinstance(x, Returned)],
            added=[o.leaf for o, _ in writes if isinstance(o, Gradient)],
            spent=self._used_up(held, returned),
            wanted=wanted,
            grown=grown,
            held=[
                (leaf, g)
                for leaf, (g, first) in self.leaves.items()
                if first != "set" and g is not None and g._base is not None
            ],
            views=[(v, b, s) for reference, b, s in self.views_used.values() if (v := reference()) is not None],
            exchanged=self.exchanged,
            own_leaves=[
                (origin.number, leaf)
                for stand_in, value in self.arguments
                for origin in [self.stand_ins[id(stand_in)]]
                if value.source is not None and isinstance(leaf := value.source[0], Leaf) and leaf in self.leaves
            ],
            empty=[(leaf, before is None) for leaf, (before, first) in self.leaves.items() if first != "set"],
            numbers=[(cell, value) for reference, value in self.numbers if (cell := reference()) is not None],
            leaves_behind=bool(left),
            first=[(o.tensor, self.filled(self.first[id(o.tensor)])) for o, _ in cells],
        )

    def _find(self, results: list[Any]) -> tuple[list[Any], list[Returned]]:
        """The tensors that the program has to make for the results, and where each result is found after a run."""
        places = {id(tensor): self._place_of(tensor) for tensor in results}
        own = {id(tensor): tensor for tensor in results if places[id(tensor)] is None}
        sharing = Counter(id(tensor.root) for tensor in own.values())
        made: list[Any] = []
        for tensor in own.values():
            base = tensor if sharing[id(tensor.root)] == 1 else tensor.root
            if all(base is not other for other in made):
                made.append(base)
            number = next(i for i, other in enumerate(made) if other is base)
            places[id(tensor)] = Returned(number, None if base is tensor else steps_to(tensor, base))
        return made, [places[id(tensor)] for tensor in results]  # type: ignore[misc]

    def _place_of(self, tensor: Any) -> Returned | None:
        """Where a tensor is found that is there without the program, or is a view of such a one."""
        gradients = {id(leaf.gradient): leaf for leaf in self.leaves if leaf.gradient is not None}
        base = tensor
        while base is not None:
            steps = None if base is tensor else steps_to(tensor, base)
            if id(base) in self.stand_ins:
                return Returned(self.stand_ins[id(base)], steps)
            if id(base) in gradients:
                return Returned(Gradient(gradients[id(base)]), steps)
            if self.from_outside(base) and id(base) not in self.gradient_of:
                return Returned(Cell(base), steps)
            base = base._base
        return None

    def _grown(self, made: list[Any]) -> list[tuple[Origin, int]]:
        """Gradients of tensors from outside that did not require one before: further results."""
        grown: list[tuple[Origin, int]] = []
        for tensor, _, _ in self.required.values():
            leaf = tensor._leaf
            if leaf in self.inner and leaf.gradient is not None:
                grown.append((self.stand_ins.get(id(tensor), Cell(tensor)), len(made)))
                made.append(leaf.gradient)
        return grown

    def _gradients_after(self) -> dict[Leaf, Any]:
        """What leaves have collected in the end: None, a symbol or array, or where the tensor is found."""
        first = {id(leaf.gradient): leaf for leaf in reversed(self.leaves)}
        return {
            leaf: self._gradient_after(leaf.gradient)
            if leaf.gradient is None or first[id(leaf.gradient)] is leaf
            else Returned(Gradient(first[id(leaf.gradient)]))
            for leaf in self.leaves
        }

    def _gradient_after(self, gradient: Any) -> Any:
        if gradient is None:
            return None
        if id(gradient) not in self.gradient_of and (id(gradient) in self.stand_ins or self.from_outside(gradient)):
            return Returned(self.stand_ins.get(id(gradient), Cell(gradient)))
        return self.lift_tensors([gradient])[0].array

    def _used_up(self, held: list[tuple[Leaf, Any]], returned: list[Returned]) -> set[Leaf]:
        """Leaves whose gradient nobody needs any more, unless somebody looks at it."""
        places = [*returned, *[x for _, x in held if isinstance(x, Returned)]]
        shown = {place.origin.leaf for place in places if isinstance(place.origin, Gradient)}
        made = {leaf for leaf, x in held if x is not None and not isinstance(x, Returned)}
        return {leaf for leaf in self.spent & made - shown if self.leaves[leaf][1] == "set"}

    def _check_tape(self) -> None:
        """Refuse in-place changes, recorded by the step, of what was computed with a gradient before it."""
        held = [(cell, a.before) for a in self.adopted if (cell := a.cell()) is not None]
        for tensor, before in [*held, *self.arguments]:
            source = tensor._value.source
            frozen = source is None and before.source is not None and isinstance(before.source[0], Leaf)
            if before.source is None or tensor._base is not None or source == before.source or frozen:
                continue
            argument = self.given_for(tensor)
            if argument is not None and argument.root.is_leaf:
                raise change_of_leaf("a view of a leaf tensor that requires a gradient")
            raise TraceError(
                "a compiled step changes a tensor in place that was computed with a gradient outside of it, whose "
                "gradient would then be another. Compute it in the step, or pass a detach()."
            )

    def given_for(self, stand_in: Any) -> Any:
        """The argument that a tensor stands for; None for other tensors."""
        origin = self.stand_ins.get(id(stand_in))
        return self.given[origin.number] if origin is not None and origin.number < len(self.given) else None

    def _changed_arguments(self) -> list[tuple[Argument, Any]]:
        """Stand-ins that hold something else than in the beginning."""
        return [
            (self.stand_ins[id(stand_in)], stand_in)
            for stand_in, before in self.arguments
            if stand_in._base is None and stand_in._value.array is not before.array
        ]

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
            changed = cell is not None and cell._value.array is not (a.inside or a.before).array
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

    def _leaf_changes(self) -> list[tuple[Origin, bool]]:
        """Tensors that require a gradient now and did not before, or the other way round."""
        return [
            (self.stand_ins.get(id(tensor), Cell(tensor)), not before)
            for tensor, before, _ in self.required.values()
            if tensor.is_leaf and tensor.requires_grad is not before
        ]

    def _restore_leaves(self) -> None:
        """Tensors from outside are leaves, or not, as before."""
        for tensor, _, own in self.required.values():
            if tensor._leaf in self.inner:
                tensor._leaf.gradient = None
            if tensor._base is not None:
                tensor._own, tensor._seen = own, None

    def _restore_gradients(self, after: dict[Leaf, Any], changed: dict[Leaf, Any]) -> list[tuple[Leaf, Any]]:
        """Leaves hold what they had collected before the step; the answer is what they are to hold."""
        gradients: list[tuple[Leaf, Any]] = []
        for leaf, (before, _) in self.leaves.items():
            same, leaf.gradient = leaf.gradient is before, before
            leaf.spent = self.spent_before[leaf]
            if not same or before is None:
                gradients.append((leaf, after.get(leaf)))
            elif leaf in changed:
                gradients.append((leaf, changed[leaf]))
        return gradients


def _is_in(cells: dict[int, weakref.ref[TensorCell]], cell: TensorCell) -> bool:
    """Whether a cell is among these. The identity alone could be that of another one, which is gone."""
    reference = cells.get(id(cell))
    return reference is not None and reference() is cell


def _with_bases(tensors: list[Any]) -> set[int]:
    """The identities of tensors and of what they are views of."""
    found = set()
    for tensor in tensors:
        while tensor is not None:
            found.add(id(tensor))
            tensor = tensor._base
    return found


def trace_step(
    function: Callable[[list[Any]], list[Any]],
    arguments: list[Any],
    moving: Set[tuple[int, str]] = frozenset(),
    plan: Plan = APART,
    observer: Any = None,
) -> Step:
    """Run a function of tensors on symbols. It gets stand-ins for its arguments and answers the tensors it returns.

    `moving` names settings of optimisers, (the group's identity, name), that become inputs as the learning rate does;
    `plan` says which arguments share memory. The observer is asked about NumPy arrays; what it finds may become further
    arguments.
    """
    if current_state().trace is not None:
        raise TraceError("a compiled function was called while another is being traced; call the plain one instead.")
    trace = StepTrace(moving, observer)
    try:
        with tracing(trace):
            return trace.finish(function(trace.stand_in_for(arguments, plan)))
    except BaseException:
        trace._restore()
        trace._restore_leaves()
        trace._restore_gradients({}, {})
        raise
