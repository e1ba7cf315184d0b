"""Simplifying the equations: the same meaning with fewer operations.

Each rule looks at one equation whose inputs have been simplified already. Equal equations are one; what nothing uses
is dropped at the end.

>>> import chainrule
>>> from chainrule.compiler.trace import trace_step
>>> graph = trace_step(lambda tensors: [tensors[0].T.T * 1 + tensors[0] / 1], [chainrule.ones(2, 3)]).graph()
>>> [e.primitive.name for e in graph.equations]
['Permute', 'Permute', 'Broadcast', 'Multiply', 'Broadcast', 'Divide', 'Add']
>>> [e.primitive.name for e in simplify(graph).equations]
['Add']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.primitives.elementwise import Cast, Multiply
from chainrule.primitives.shape import Broadcast, Permute
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation, Graph


class Simplifier:
    """Rewrites equations one after the other, keeping what each symbol was made by, and who reads it."""

    def __init__(self, graph: Graph) -> None:
        self.readers: dict[Any, list[Equation | None]] = {x: [None] for x in graph.outputs if isinstance(x, Symbol)}
        for e in graph.equations:
            for x in e.inputs:
                if isinstance(x, Symbol):
                    self.readers.setdefault(x, []).append(e)
        self.equations: list[Equation] = []
        self.same: dict[Any, Any] = {}
        self.made_by: dict[Symbol, Equation] = {}
        self.known: dict[Any, tuple[Symbol, ...]] = {}

    def current(self, x: Any) -> Any:
        """What stands for a value now."""
        while isinstance(x, Symbol) and x in self.same:
            x = self.same[x]
        return x

    def add(self, equation: Equation) -> None:
        """Take an equation in, unless it turns out to be something known."""
        equation = equation._replace(inputs=tuple(self.current(x) for x in equation.inputs))
        for rule in RULES.get(equation.primitive.name, ()):
            answer = rule(self, equation)
            if answer is None:
                continue
            if isinstance(answer, Equation):
                equation = answer
                continue
            self.same[equation.outputs[0]] = answer
            return
        key = _key(equation)
        if key is not None and key in self.known:
            self.same.update(zip(equation.outputs, self.known[key], strict=True))
            return
        if key is not None:
            self.known[key] = equation.outputs
        self.equations.append(equation)
        for symbol in equation.outputs:
            self.made_by[symbol] = equation

    def maker(self, x: Any, name: str) -> Equation | None:
        """The equation that made a value, if it is of this primitive."""
        equation = self.made_by.get(x) if isinstance(x, Symbol) else None
        return equation if equation is not None and equation.primitive.name == name else None

    def number(self, x: Any) -> float | None:
        """The number that a value is everywhere, if it is one."""
        if not isinstance(x, Symbol):
            return x.reshape(-1)[0] if x.size == 1 else None
        broadcast = self.maker(x, "Broadcast") or self.maker(x, "Reshape")
        return self.number(broadcast.inputs[0]) if broadcast else None


def _key(equation: Equation) -> Any:
    """Equal keys mean equal results; None where that cannot be told."""
    parameters = []
    for name, value in equation.parameters.items():
        try:
            hash(value)
        except TypeError:
            return None
        parameters.append((name, value))
    inputs = tuple(
        x if isinstance(x, Symbol) else (x.dtype, x.shape, x.tobytes() if x.size <= 64 else id(x))
        for x in equation.inputs
    )
    return equation.primitive, inputs, tuple(parameters)


def _copy(_: Simplifier, e: Equation) -> Any:
    """An operation that changes nothing."""
    x, z = e.inputs[0], e.outputs[0]
    if e.primitive is Permute:
        unmoved = e.parameters["order"] == tuple(range(len(x.shape)))
    else:
        unmoved = tuple(x.shape) == tuple(z.shape) and x.dtype == z.dtype
    return x if unmoved else None


def _permute_twice(at: Simplifier, e: Equation) -> Any:
    """Two permutations are one, or none."""
    before = at.maker(e.inputs[0], "Permute")
    if before is None:
        return None
    first, second = before.parameters["order"], e.parameters["order"]
    order = tuple(first[i] for i in second)
    if order == tuple(range(len(order))):
        return before.inputs[0]
    return e._replace(inputs=before.inputs, parameters={"order": order})


def _reshape_twice(at: Simplifier, e: Equation) -> Any:
    """The first of two reshapes does not matter."""
    before = at.maker(e.inputs[0], "Reshape")
    if before is None:
        return None
    x = before.inputs[0]
    return x if tuple(x.shape) == tuple(e.parameters["to"]) else e._replace(inputs=(x,))


def _not_twice(at: Simplifier, e: Equation) -> Any:
    """¬¬x = x, and −(−x) = x."""
    before = at.maker(e.inputs[0], e.primitive.name)
    return None if before is None else before.inputs[0]


def _square(at: Simplifier, e: Equation) -> Any:
    """x² = x·x, which costs nothing."""
    if at.number(e.inputs[1]) == 2 and e.inputs[0].dtype.kind == "f":
        return e._replace(primitive=Multiply, inputs=(e.inputs[0], e.inputs[0]))
    return at.current(e.inputs[0]) if at.number(e.inputs[1]) == 1 else None


def _times_one(at: Simplifier, e: Equation) -> Any:
    """x·1 = x."""
    x, y = e.inputs
    if at.number(y) == 1:
        return x
    return y if e.primitive is Multiply and at.number(x) == 1 else None


def _fold_cast(at: Simplifier, e: Equation) -> Any:
    """A literal in another data type is another literal."""
    x = e.inputs[0]
    if isinstance(x, Symbol) or x.size != 1:
        return None
    return e.evaluate([x])[0]


def _cast_back(at: Simplifier, e: Equation) -> Any:
    """What is widened and then rounded to what it was is itself."""
    before = at.maker(e.inputs[0], "Cast")
    x = None if before is None else before.inputs[0]
    if x is None or x.dtype != e.outputs[0].dtype:
        return None
    wider = e.inputs[0].dtype.itemsize > x.dtype.itemsize and all(y.dtype.kind in "fV" for y in (x, e.inputs[0]))
    return x if wider else None


def _cast_parts(at: Simplifier, e: Equation) -> Any:
    """A joined value that is only wanted in another type is joined of parts in that type: each is made in it."""
    x = e.inputs[0]
    joined = at.maker(x, "Concatenate")
    if joined is None:
        return None
    dtype, parts = e.outputs[0].dtype, []
    if any(r is None or r.primitive is not Cast or r.outputs[0].dtype != dtype for r in at.readers.get(x, ())):
        return None
    for part in joined.inputs:
        cast = Symbol(part.shape, dtype)
        at.add(e._replace(inputs=(part,), outputs=(cast,), forms=(part.shape, dtype)))
        parts.append(at.current(cast))
    return joined._replace(inputs=tuple(parts), outputs=e.outputs, forms=e.forms)


def _fold_literal(at: Simplifier, e: Equation) -> Any:
    """A small literal can be rearranged at once."""
    x = e.inputs[0]
    if isinstance(x, Symbol) or e.primitive is Broadcast:
        return None
    return np.asarray(e.primitive.evaluate(x, **e.parameters), order="C")


def _check_once(at: Simplifier, e: Equation) -> Any:
    """Numbers that are the same in every run are checked now; if they are wrong, each run will say so."""
    if any(isinstance(x, Symbol) for x in e.inputs[1:]):
        return None
    try:
        return e.primitive.evaluate(*e.inputs, **e.parameters)
    except Exception:  # whatever the rule raises, it raises again when the step runs
        return None


RULES: dict[str, Sequence[Callable[[Simplifier, Equation], Any]]] = {
    "Permute": (_fold_literal, _permute_twice, _copy),
    "Reshape": (_fold_literal, _reshape_twice, _copy),
    "Broadcast": (_copy,),
    "Cast": (_fold_cast, _copy, _cast_back, _cast_parts),
    "Check": (_check_once,),
    "BitwiseNot": (_not_twice,),
    "Negate": (_not_twice,),
    "Power": (_square,),
    "Multiply": (_times_one,),
    "Divide": (_times_one,),
}


def simplify(graph: Graph) -> Graph:
    """Fewer equations of the same meaning.

    >>> import numpy as np
    >>> from chainrule.primitives.shape import Permute
    >>> x, y, z = Symbol((2, 3), np.dtype("f4")), Symbol((3, 2), np.dtype("f4")), Symbol((2, 3), np.dtype("f4"))
    >>> turn = {"order": (1, 0)}
    >>> twice = [Equation(Permute, (x,), turn, (y,), None, ""), Equation(Permute, (y,), turn, (z,), None, "")]
    >>> simplify(Graph([x], twice, [z]))
    graph(v0: float32[2,3]):
      return v0
    """
    at = Simplifier(graph)
    for equation in graph.equations:
        at.add(equation)
    return Graph(graph.inputs, at.equations, map(at.current, graph.outputs))
