"""What a step touches while it is traced: cells, leaves, views, settings of optimisers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.cell import TensorCell
from chainrule.compiler.origins import Argument, Cell, Gradient, Origin, Setting
from chainrule.compiler.sharing import Plan, check_joined, repeated
from chainrule.errors import TraceError
from chainrule.primitives.placed import symbol_for
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state
from chainrule.tape import Leaf, Node


class _Adopted(NamedTuple):
    cell: weakref.ref[TensorCell]
    before: Value
    inside: Value | None


class Touched(Trace):
    """A trace that knows cells: which tensors from outside a step has touched, and what happened to them."""

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
        self.required: dict[int, tuple[Any, Any, bool]] = {}
        self.exchanged: set[int] = set()
        self.beginning = Node().order
        self.groups: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.spent: set[Leaf] = set()
        self.spent_before: dict[Leaf, bool] = {}
        self.inputs: dict[tuple[int, str, int | None], Any] = {}
        self.gradient_of: dict[int, Leaf] = {}
        self.inner: set[Leaf] = set()
        self.made: dict[int, weakref.ref[TensorCell]] = {}
        self.modules_made: dict[int, weakref.ref[Any]] = {}
        self.first: dict[int, Any] = {}
        self.numbers: list[tuple[weakref.ref[TensorCell], Value]] = []

    def adopt(self, cell: TensorCell) -> None:
        """From now on the cell holds a symbol."""
        before = cell._value
        if isinstance(before.array, Symbol):
            return
        symbol = symbol_for(before.array)
        inside = cell._value = self._own[symbol] = Value(symbol, before.source)
        if is_in(self.known, cell):  # the step has put this array there itself
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
        source = argument.value.source if argument.apart else base._value.source
        view = Primitive.make_tensor(Value(base._value.array, source))
        view._base, view._steps, view._leaf, view._own = base, argument._steps, argument._leaf, argument._own
        self.stand_ins[id(view)] = Argument(number)
        self.arguments.append((view, base._value))
        return view

    def new_argument(self, number: int, argument: TensorCell) -> Any:
        """What stands for an argument: a tensor of its own that holds a symbol."""
        value = argument.value
        symbol = symbol_for(value.array)
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
        if not isinstance(cell._value.array, Symbol) and not is_in(self.known, cell):
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
        if not is_in(self.known, cell):
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

    def note_module(self, module: Any) -> None:
        """Remember a module that the step made, without keeping it."""
        self.modules_made[id(module)] = weakref.ref(module)

    def note_view(self, view: TensorCell) -> None:
        """Remember a view that the step made."""
        self.views_made[id(view)] = weakref.ref(view)

    def made_here(self, tensor: TensorCell) -> bool:
        """Whether the step has made this tensor."""
        return is_in(self.made, tensor) or is_in(self.views_made, tensor)

    def has_made(self, module: Any) -> bool:
        """Whether the step has made this module."""
        return is_in(self.modules_made, module)

    def from_outside(self, tensor: Any) -> bool:
        """Whether a tensor was there before the step, and is no argument."""
        if id(tensor) in self.stand_ins or self.made_here(tensor):
            return False
        return tensor._base is not None or not isinstance(tensor._value.array, Symbol) or is_in(self.known, tensor)

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
        """Remember where a tensor from outside came from on the tape, before the step."""
        if id(tensor) not in self.required and (id(tensor) in self.stand_ins or self.from_outside(tensor)):
            if tensor._base is None:
                self.lift_tensors([tensor])
            self.required[id(tensor)] = tensor, tensor.value.source, tensor._own

    def numbers_in(self, group: dict[str, Any]) -> dict[str, Any]:
        """The learning rate, and settings that were seen to change, as 0-d tensors: inputs of the program."""
        answer = dict(group)
        self.groups.setdefault(id(group), (group, dict(group)))
        for name, value in group.items():
            if self.observer is not None and self.observer.has_written(group, name):
                answer[name] = self.observer.as_written(value)
                continue
            if name != "lr" and ((id(group), name) not in self.moving or not value):
                continue  # with a weight decay or momentum of 0 a rule is another one
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


def is_in(cells: dict[int, weakref.ref[TensorCell]], cell: TensorCell) -> bool:
    """Whether a cell is among these. The identity alone could be that of another one, which is gone."""
    reference = cells.get(id(cell))
    return reference is not None and reference() is cell
