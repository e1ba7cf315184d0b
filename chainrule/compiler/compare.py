"""Whether two traces are one program: the same equations from the same inputs, and where they differ, if they do."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.compiler.guards import same_form
from chainrule.compiler.numbers import Number
from chainrule.compiler.observe import ArrayAt
from chainrule.compiler.origins import Argument, Cell, Gradient, Setting, Step
from chainrule.compiler.places import Place
from chainrule.primitives.control import Backward
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, Graph
from chainrule.program.program import Program, Slot


class _DifferentError(Exception):
    """Two traces differ; the text says where."""


def difference(first: Step, second: Step) -> str:
    """In words, where the second trace is another program than the first; "" if it is the same."""
    try:
        _Comparison().programs(first, second)
    except _DifferentError as found:
        return str(found)
    return ""


def same_program(first: Program, second: Program) -> bool:
    """Whether two programs are the same code: whichever tensors, arguments and settings their slots are bound to.

    A parameter was replaced, say, or a whole model: then the code of the first can be run on those of the second.
    """
    comparison = _Comparison()
    try:
        comparison.code(first, second)
    except _DifferentError:
        return False
    return True


def same_structure(first: Any, second: Any) -> bool:
    """Whether two forms of results, or places with what was left there, are the same."""
    return _Comparison().alike(first, second)


class _Comparison:
    """Two traces, with the symbols of the first that stand for those of the second."""

    def __init__(self) -> None:
        self.names: dict[Any, Any] = {}

    def programs(self, a: Step, b: Step) -> None:
        ours, others = _used_inputs(a), _used_inputs(b)
        self._length("inputs", ours, others)
        theirs = {self._key(origin): symbol for symbol, origin in others}
        for symbol, origin in ours:
            other = theirs.get(self._key(origin))
            if other is None or not same_form(symbol, other):
                raise _DifferentError(f"an input is another one: {_origin(origin)}")
            self.names[symbol] = other
        for i, (x, y) in enumerate(zip(a.equations, b.equations, strict=False)):
            self._equation(i, x, y)
        self._length("operations", a.equations, b.equations)
        self._length("results", a.results, b.results)
        for x, y in zip(a.results, b.results, strict=True):
            self._need(self.alike(x, y), "a result is another value")
        self._ends("writes", [(self._key(o), x) for o, x in a.writes], [(self._key(o), x) for o, x in b.writes])
        self._ends("gradients", _gradients(a), _gradients(b))
        for what in ("returned", "given", "added", "wanted", "grown", "exchanged"):
            self._need(self.alike(getattr(a, what), getattr(b, what)), f"what is {what} is something else")

    def code(self, a: Program, b: Program) -> None:
        self._need(a.exact == b.exact, "one is to be exact")
        for what, ours, theirs in ("inputs", a.inputs, b.inputs), ("outputs", a.outputs, b.outputs):
            self._need(_roles(a, ours) == _roles(b, theirs), f"{what} are others")
        for x, y in zip(a.graph.inputs, b.graph.inputs, strict=True):
            self._need(same_form(x, y), "an input has another form")
            self.names[x] = y
        self._length("operations", a.graph.equations, b.graph.equations)
        for i, (e, f) in enumerate(zip(a.graph.equations, b.graph.equations, strict=True)):
            self._need(e.path == f.path, "an operation is another module's")  # which `explain` names
            self._equation(i, e, f)
        self._need(self._sequences(a.graph.outputs, b.graph.outputs), "an output is another value")

    def _need(self, true: bool, text: str) -> None:
        if not true:
            raise _DifferentError(text)

    def _length(self, what: str, a: Any, b: Any) -> None:
        self._need(len(a) == len(b), f"it has {len(b)} {what} where it had {len(a)}")

    def _key(self, origin: Any) -> Any:
        if isinstance(origin, Cell):
            return "cell", id(origin.tensor)
        if isinstance(origin, Gradient):
            return "gradient", id(origin.leaf)
        if isinstance(origin, Setting):
            return "setting", id(origin.group), origin.name, origin.position
        return ("argument", origin.number) if isinstance(origin, Argument) else origin

    def _ends(self, what: str, a: list[Any], b: list[Any]) -> None:
        self._length(what, a, b)
        theirs = dict(b)
        for key, x in a:
            self._need(key in theirs and self.alike(x, theirs[key]), f"{what}: another value, or another place")

    def _equation(self, i: int, a: Equation, b: Equation) -> None:
        theirs = b.parameters
        if not (
            a.primitive is b.primitive
            and self._sequences(a.inputs, b.inputs)
            and a.parameters.keys() == theirs.keys()
            and all(self.alike(x, theirs[name]) for name, x in a.parameters.items())
            and self.alike(a.forms, b.forms)
        ):
            self._look_for_difference(i, a, b)
        self.names.update(zip(a.outputs, b.outputs, strict=True))

    def _look_for_difference(self, i: int, a: Equation, b: Equation) -> None:
        """Say what of an operation is different, if anything is: a parameter that is None may as well not be there."""
        place = f"operation {i}" + (f" in {b.path}" if b.path else "")
        self._need(a.primitive is b.primitive, f"{place} is {b.primitive.name} where it was {a.primitive.name}")
        self._need(len(a.inputs) == len(b.inputs), f"{place} ({b.primitive.name}) has other inputs")
        for x, y in zip(a.inputs, b.inputs, strict=True):
            if not self.alike(x, y):
                numbers = isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.size == y.size == 1
                shown = f": {y.item()} where it was {x.item()}" if numbers else ""
                raise _DifferentError(f"{place} ({b.primitive.name}) has another input{shown}")
        for name in a.parameters.keys() | b.parameters.keys():
            x, y = a.parameters.get(name), b.parameters.get(name)
            self._need(self.alike(x, y), f"{place} ({b.primitive.name}) has {name}={y!r:.60} where it had {x!r:.60}")
        self._need(self.alike(a.forms, b.forms), f"{place} ({b.primitive.name}) has another form")

    def alike(self, a: Any, b: Any) -> bool:
        """Whether two values within the traces are the same, with symbols standing for each other."""
        if isinstance(a, Symbol):
            return self.names.get(a, a) is b
        if a is b:
            return True
        if type(a) is not type(b):
            return False
        compare = _comparison_of(type(a))  # type: ignore[arg-type]  # mypy doubts that a type has a hash
        return bool(a == b) if compare is None else compare(self, a, b)

    def _arrays(self, a: Any, b: Any) -> bool:
        return same_form(a, b) and bool(a.tobytes() == b.tobytes())

    def _sequences(self, a: Any, b: Any) -> bool:
        return len(a) == len(b) and all(map(self.alike, a, b))

    def _dictionaries(self, a: Any, b: Any) -> bool:
        return list(a) == list(b) and all(self.alike(x, b[key]) for key, x in a.items())

    def _graphs(self, a: Graph, b: Graph) -> bool:
        inner = _Comparison()
        inner.names = dict(self.names)
        if len(a.inputs) != len(b.inputs) or len(a.equations) != len(b.equations):
            return False
        inner.names.update(zip(a.inputs, b.inputs, strict=True))
        try:
            for i, (x, y) in enumerate(zip(a.equations, b.equations, strict=True)):
                inner._equation(i, x, y)
        except _DifferentError:
            return False
        self.names.update(inner.names)
        return inner._sequences(a.outputs, b.outputs)

    def _numbers(self, a: Number, b: Number) -> bool:
        if a.place is not None or b.place is not None:
            return a.place is not None and b.place is not None and a.place.identity == b.place.identity
        return a.function is b.function and self._sequences(list(a.arguments), list(b.arguments))


#: How things of a kind are compared; anything else by ==.
_COMPARISONS: list[tuple[Any, Callable[..., bool]]] = [
    (np.ndarray, _Comparison._arrays),
    (TensorCell, lambda self, a, b: False),
    (float, lambda self, a, b: repr(a) == repr(b)),
    (Place, lambda self, a, b: a.identity == b.identity),
    (ArrayAt, lambda self, a, b: a.array is b.array or (a.place is not None and self.alike(a.place, b.place))),
    (Number, _Comparison._numbers),
    (Graph, _Comparison._graphs),
    (Backward, lambda self, a, b: True),  # what was used of it is among the operations
    (Value, lambda self, a, b: self.alike(a.array, b.array)),
    ((tuple, list), _Comparison._sequences),
    (dict, _Comparison._dictionaries),
    ((types.FunctionType, type), lambda self, a, b: False),
]


@functools.cache
def _comparison_of(kind: type) -> Callable[..., bool] | None:
    return next((compare for kinds, compare in _COMPARISONS if issubclass(kind, kinds)), None)


def _roles(program: Program, slots: Sequence[Slot]) -> list[tuple[str, int]]:
    """What slots are for the code. Arrays of arguments and settings are given in their order, whatever their number."""
    order = {slot[:2]: place for place, slot in enumerate(program.inputs)}
    return [(kind, number if kind in ("cell", "result") else order[kind, number]) for kind, number, _ in slots]


def _used_inputs(program: Step) -> list[tuple[Symbol, Any]]:
    """The inputs that something depends on, or that are written to."""
    used = {x for equation in program.equations for x in equation.inputs if isinstance(x, Symbol)}
    ends = [*program.results, *[x for _, x in program.writes], *[x for _, x in program.gradients]]
    used |= {x for x in ends if isinstance(x, Symbol)}
    return [(symbol, origin) for symbol, origin in program.inputs if symbol in used]


def arguments_used(program: Step) -> set[int]:
    """The numbers of the arguments that something depends on, or that are written to."""
    written = {origin.number for origin, _ in program.writes if isinstance(origin, Argument)}
    return written | {origin.number for _, origin in _used_inputs(program) if isinstance(origin, Argument)}


def _gradients(program: Step) -> list[tuple[int, Any]]:
    """What leaves have collected afterwards; that there is nothing where nothing was, is no difference."""
    return [(id(leaf), x) for leaf, x in program.gradients if x is not None or leaf.gradient is not None]


def _origin(origin: Any) -> str:
    if isinstance(origin, Setting):
        return f"the setting {origin.name}"
    if isinstance(origin, Argument):
        return f"argument {origin.number}"
    if isinstance(origin, Cell):
        return f"a tensor of shape {tuple(origin.tensor.shape)}"
    return "a gradient"
