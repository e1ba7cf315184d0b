"""What a function of tensors and settings computes, noted once as a graph: by what it is found again, and its form.

The function must depend on nothing but its arguments and return only tensors, or tuples of them and of None. Blocks of
ours are such functions, and so are their gradients. Programs (`compiler/single.py`) and repetitions (`repeating.py`)
are made of the graph.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chainrule.cell import TensorCell
from chainrule.errors import ChainruleError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.program.graph import Graph
from chainrule.program.known_by import known_by


def noted(
    function: Callable[..., Any],
    args: Sequence[Any],
    words: Sequence[str],
    tensors: Sequence[Any],
    exactly: bool = False,
) -> tuple[Graph | None, Any]:
    """The graph of a function, whose inputs are its tensors in order, and the form of what it returns.

    No graph where it looks at numbers, or is about to say what is wrong with its arguments.

    words: the names of the last arguments, which are given by name. tensors: those in the arguments. exactly: no graph
    either where known numbers would be looked at.
    """
    trace = Trace()
    held = [tensor.value for tensor in tensors]
    values = [trace.new_input(v.array.shape, v.array.dtype, v.source is not None) for v in held]
    symbols = iter([Primitive.make_tensor(value) for value in values])
    with tracing(trace):
        try:
            answer = called(function, with_tensors(taken_apart(args, []), args, symbols), words)
        except ChainruleError:
            return None, None
        made: list[Any] = []
        form = taken_apart(answer, made)
        ends = [value.array for value in trace.lift_tensors(made)]
    if trace.asked and exactly:
        return None, None
    outside = {inside.array: value.array for value, inside in trace.captures.values()}
    graph = Graph([*[value.array for value in values], *outside], trace.equations, ends)
    return graph.rename(outside), form


def forms_of(tensors: Sequence[Any]) -> tuple[Any, ...]:
    """What is asked of tensors beside their entries: shape, type, and whether a gradient is wanted."""
    values = [tensor.value for tensor in tensors]
    return tuple([(value.array.shape, value.array.dtype, value.source is None) for value in values])


def called(function: Callable[..., Any], args: Sequence[Any], words: Sequence[str]) -> Any:
    """What a function returns for arguments of which the last are given by name."""
    if not words:
        return function(*args)
    first = len(args) - len(words)
    return function(*args[:first], **dict(zip(words, args[first:], strict=True)))


def taken_apart(x: Any, tensors: list[Any]) -> Any:
    """The form of tuples of tensors and settings; the tensors are collected."""
    kind = type(x)
    if kind is int or kind is bool or x is None:
        return kind, x  # as `known_by` has them
    if isinstance(x, TensorCell):
        tensors.append(x)
        return TensorCell
    if isinstance(x, (tuple, list)):
        return tuple([taken_apart(part, tensors) for part in x])
    return known_by(x)


def put_together(form: Any, tensors: Iterator[Any]) -> Any:
    """Tuples of tensors in a form that `taken_apart` gave; None stays."""
    if form is TensorCell:
        return next(tensors)
    return None if form == known_by(None) else tuple([put_together(part, tensors) for part in form])


def with_tensors(form: Any, x: Any, tensors: Iterator[Any]) -> Any:
    """The arguments with other tensors."""
    if form is TensorCell:
        return next(tensors)
    if isinstance(x, (tuple, list)):
        parts = tuple([with_tensors(part, inner, tensors) for part, inner in zip(form, x, strict=True)])
        return x if all(map(operator.is_, parts, x)) else parts  # a setting keeps its class (`Range` in an index)
    return x
