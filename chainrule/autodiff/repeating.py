"""Small blocks of eager code, noted once for each form of their arguments and then repeated: only NumPy's calls.

An operation on small tensors takes some microseconds, of which NumPy's part is one: the rest asks for types and shapes,
looks for what is to be recorded and makes a tensor. In a block (a normalisation, say) none of that is news when it is
computed again with arguments of the same form. So the second time the block is noted as a graph, and from then on its
operations' `evaluate` are called one after the other. They are the same calls on the same arrays, so the bits are those
of the block opened, whichever time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np

from chainrule.autodiff.noting import called, forms_of, noted, put_together, taken_apart
from chainrule.dtypes import get_default_dtype
from chainrule.primitives.primitive import MANY, Primitive
from chainrule.primitives.shape import Broadcast
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, Graph, in_numpy

Made = TypeVar("Made")

#: So many forms are kept; then all are forgotten.
MOST = 4096


class Repetition:
    """A noted graph of small arrays."""

    def __init__(self, graph: Graph) -> None:
        self.run = graph.runner(_evaluate)


class Seen(Generic[Made]):
    """What was made for forms that were seen before: nothing the first time, and None where it cannot be."""

    def __init__(self) -> None:
        self.known: dict[Any, Made | bool | None] = {}

    def find(self, key: Any, make: Callable[[], Made | None], at_once: bool = False) -> Made | None:
        """What is known under a key; the second time, or at once, it is made."""
        try:
            known = self.known.get(key, False)
        except TypeError:  # a setting that cannot be looked up
            return None
        if known is False:
            if len(self.known) >= MOST:
                self.known.clear()
            known = self.known[key] = make() if at_once else True
        elif known is True:
            known = self.known[key] = make()
        return None if known is True else cast("Made | None", known)


_seen: Seen[tuple[Repetition, Any]] = Seen()


def repeated(function: Callable[..., Any], args: Sequence[Any], words: Sequence[str], largest: int) -> Any:
    """What a function of tensors and settings returns. It must depend on nothing else, and return only tensors.

    words: the names of the last arguments, which are given by name.
    largest: from so many entries on within it, an array is not small: then it may be computed in another way.
    """
    tensors: list[Any] = []
    form = taken_apart(args, tensors)
    key = function, words, form, get_default_dtype(), forms_of(tensors)
    known = _seen.find(key, lambda: _noted(function, args, words, tensors, largest))
    if known is None:
        return called(function, args, words)
    steps, answer = known
    results = steps.run([tensor.value.array for tensor in tensors])
    return put_together(answer, iter([Primitive.make_tensor(Value(y)) for y in results]))


def _noted(
    function: Callable[..., Any], args: Sequence[Any], words: Sequence[str], tensors: Sequence[Any], largest: int
) -> tuple[Repetition, Any] | None:
    """How a function is repeated, and the form of what it returns."""
    graph, form = noted(function, args, words, tensors, exactly=True)
    steps = None if graph is None else repetition(graph, largest)
    return None if steps is None else (steps, form)


def repetition(graph: Graph, largest: int) -> Repetition | None:
    """How a graph is repeated; None where that may be something else than its operations by themselves."""
    if not all(_is_small(e, largest) for e in graph.equations):
        return None
    return Repetition(_without_spreading(graph))


def _is_small(e: Equation, largest: int) -> bool:
    """Whether an operation gives small arrays, whatever the numbers are."""
    return not (e.primitive.checks or "body" in e.parameters or any(x.size >= largest for x in e.outputs))


def _evaluate(e: Equation) -> Callable[..., Any]:
    """What `Primitive.apply` would have done: mostly to ask NumPy."""
    primitive, forms, operations = e.primitive, e.forms, e.primitive.operations
    if operations is not None and operations(e.inputs, e.parameters, forms) >= MANY:
        return lambda *arrays, **settings: Primitive.as_program(primitive, arrays, settings, forms)
    return in_numpy(e)


def _without_spreading(graph: Graph) -> Graph:
    """The graph where NumPy's own functions take numbers and rows as they are, which they spread just so."""
    spread = {e.outputs[0]: e.inputs[0] for e in graph.equations if e.primitive is Broadcast}
    equations = []
    for e in graph.equations:
        if isinstance(e.primitive.evaluate, np.ufunc):
            shape = e.outputs[0].shape
            inputs = [spread.get(x, x) if isinstance(x, Symbol) else x for x in e.inputs]
            if any(x.shape == shape for x in inputs):
                e = e._replace(inputs=tuple(inputs))
        equations.append(e)
    return Graph(graph.inputs, equations, graph.outputs)
