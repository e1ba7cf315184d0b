"""Functions of several operations that eager code computes as one, with the gradient that their operations give.

    @composite
    def cosine_similarity(x1, x2, dim=1, eps=1e-8): ...

For each form of its arguments the operations are noted once, with the backward pass behind them. Both parts of small
ones are repeated (`repeating.py`), from the first call on: a trace may take another way than eager code, and the bits
must not depend on which call it is. Large ones are two programs, as for a block. What is traced or looked into, and a
gradient that is differentiated again, is the function's operations as ever. It must depend on nothing but its arguments
and return one tensor, no view of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, ParamSpec, Protocol

from chainrule.autodiff.block import LARGE, Block, is_unobserved, largest_of
from chainrule.autodiff.noting import called, forms_of, taken_apart, with_tensors
from chainrule.autodiff.repeating import Seen, repetition
from chainrule.cell import TensorCell
from chainrule.dtypes import get_default_dtype
from chainrule.errors import ChainruleError
from chainrule.exactness import is_exact_arithmetic_enabled
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Broadcast, Permute, Reshape
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import Graph
from chainrule.state import current_state
from chainrule.tape import Record, backpropagate

P = ParamSpec("P")


class Runner(Protocol):
    """A graph that can be run."""

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Its results."""


class Both(NamedTuple):
    """A function and its gradient, noted.

    Attributes:
        large: whether both parts are programs.
        forward: gives the result, and behind it what the gradient needs of the way there.
        gradient: takes the inputs, that, and the gradient of the result.
        ends: for each input that wants a gradient its place among the results of `gradient`.
        backward: what computes some of these gradients and no more, by which they are.
    """

    large: bool
    forward: Runner
    gradient: Graph
    ends: dict[int, int]
    backward: dict[tuple[int, ...], Runner | None]


def composite(function: Callable[P, Any]) -> Callable[P, Any]:
    """Let eager code compute a function as one (a decorator).

    >>> import chainrule
    >>> @composite
    ... def distance(x, y):
    ...     return ((x - y) ** 2).sum().sqrt()
    >>> distance(chainrule.tensor([3.0, 0.0]), chainrule.tensor([0.0, 4.0]))
    tensor(5.)
    """
    operation = Composite(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        given = (*args, *kwargs.values())
        if current_state().saving is None and is_unobserved(current_state(), given):
            return operation(given, tuple(kwargs))
        return function(*args, **kwargs)

    return call


class Composite:
    """The operation that the records of a composite name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = function.__name__.strip("_")
        self.seen: Seen[Both] = Seen()

    #: A graph as a program; set by the package, which knows the compiler.
    as_program: ClassVar[Callable[[Graph], Runner]]

    def __call__(self, args: Sequence[Any], words: Sequence[str]) -> Any:
        """Compute and record."""
        tensors: list[Any] = []
        form = taken_apart(args, tensors)
        values = [tensor.value for tensor in tensors]
        if not current_state().gradients or not any([value.source for value in values]):
            return Block.computed(self.function, args, words)
        large = largest_of(args) >= LARGE
        key = words, form, get_default_dtype(), is_exact_arithmetic_enabled(), forms_of(tensors)
        both = self.seen.find(key, lambda: self._noted(args, form, words, tensors, large), at_once=True)
        if both is None:
            return called(self.function, args, words)
        result, *kept = both.forward.run([value.array for value in values])
        saved = {"both": both, "inputs": values, "kept": kept, "form": form, "args": _without(args), "words": words}
        record = Record(self, {}, tuple([value.source for value in values]), saved, [(result.shape, result.dtype)])
        return Primitive.make_tensor(Value(result, (record, 0)))

    def _noted(
        self, args: Sequence[Any], form: Any, words: Sequence[str], tensors: Sequence[Any], large: bool
    ) -> Both | None:
        """Both parts for arguments of this form; None where it is to be computed operation by operation."""
        trace, held = Trace(), [tensor.value for tensor in tensors]
        inputs = [trace.new_input(v.array.shape, v.array.dtype, v.source is not None) for v in held]
        given = with_tensors(form, args, iter([Primitive.make_tensor(value) for value in inputs]))
        with tracing(trace):
            try:
                (result,) = trace.lift_tensors([called(self.function, given, words)])
            except ChainruleError:
                return None
            count = len(trace.equations)
            if trace.asked and not large:
                return None
            if result.source is None or result.array in [value.array for value in inputs]:
                return None
            g = trace.new_input(result.array.shape, result.array.dtype, False)
            sources = [value.source for value in inputs if value.source is not None]
            found = backpropagate([(result.source, Primitive.make_tensor(g))], sources, keep_graph=True, stop=True)
        gradients = iter([x if x is None else x.value.array for x in found])
        ends = {i: y for i, v in enumerate(inputs) if v.source is not None and (y := next(gradients)) is not None}
        graphs = _in_two(trace, count, [v.array for v in inputs], result.array, g.array, list(ends.values()))
        forward, backward = [_runner(graph, large) for graph in graphs]
        if forward is None or backward is None:
            return None
        return Both(large, forward, graphs[1], {i: place for place, i in enumerate(ends)}, {tuple(ends): backward})

    def pull_back(self, record: Record, upstream: list[Any], wanted: list[bool]) -> Sequence[Any]:
        """The gradients of the inputs: of a first derivative the noted ones, else those of the operations."""
        saved: Any = record.saved
        if current_state().gradients:
            return self._opened(record, upstream[0], wanted)
        both, arrays = saved["both"], [value.array for value in saved["inputs"]]
        asked = tuple([i for i in both.ends if wanted[i]])
        backward = both.backward.get(asked)
        if backward is None:
            whole = both.gradient
            part = Graph(whole.inputs, whole.equations, [whole.outputs[both.ends[i]] for i in asked])
            backward = both.backward[asked] = _runner(part, both.large)
        gradients: list[Any] = [None] * len(wanted)
        for i, gradient in zip(asked, backward.run([*arrays, *saved["kept"], upstream[0].value.array]), strict=True):
            gradients[i] = Primitive.make_tensor(Value(gradient))
        return gradients

    def _opened(self, record: Record, g: Any, wanted: list[bool]) -> Sequence[Any]:
        """The function once more, operation by operation, and back from there, recorded."""
        saved: Any = record.saved
        tensors = iter([Primitive.make_tensor(value) for value in saved["inputs"]])
        y = called(self.function, with_tensors(saved["form"], saved["args"], tensors), saved["words"])
        sources = [source for source, is_wanted in zip(record.sources, wanted, strict=True) if is_wanted]
        found = backpropagate([(y.value.source, g)], sources, keep_graph=True, differentiable=True, stop=True)  # type: ignore[arg-type]
        # What one tensor was given for several arguments is all in the gradient of the first.
        once = dict(zip(reversed(sources), reversed(found), strict=True))
        return [once.pop(source, None) if is_wanted else None for source, is_wanted in zip(record.sources, wanted)]


def _in_two(
    trace: Trace, count: int, inputs: list[Any], result: Any, g: Any, gradients: list[Any]
) -> tuple[Graph, Graph]:
    """The graph of the first `count` equations of a trace and that of the others, which takes what it needs of them.

    What is only spread or laid out otherwise is so again, instead of being kept.
    """
    outside = {inside.array: value.array for value, inside in trace.captures.values()}
    first, free = trace.equations[:count], {Broadcast, Reshape, Permute}
    made = {y for e in first if e.primitive not in free for y in e.outputs}
    back = Graph([], [*[e for e in first if e.primitive in free], *trace.equations[count:]], gradients).equations
    used = [x for e in back for x in e.inputs] + gradients
    kept = list(dict.fromkeys(x for x in used if isinstance(x, Symbol) and x in made))
    forward = Graph([*inputs, *outside], first, [result, *kept])
    backward = Graph([*inputs, *kept, g, *outside], back, gradients)
    return forward.rename(outside), backward.rename(outside)


def _runner(graph: Graph, large: bool) -> Runner | None:
    """How a graph is run; None where it is to be computed operation by operation."""
    return Composite.as_program(graph) if large else repetition(graph, LARGE)


def _without(args: Any) -> Any:
    """The arguments without their tensors, which a record keeps by their values."""
    if isinstance(args, TensorCell):
        return None
    return tuple([_without(x) for x in args]) if isinstance(args, (tuple, list)) else args
