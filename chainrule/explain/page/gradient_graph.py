"""The backward pass as equations: what the page needs to compute gradients again when a number was changed.

Gradient rules are ordinary Tensor code, so they can be noted instead of computed. The page then needs no rules of its
own: it knows what each primitive means, and the backward pass is a graph of primitives like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chainrule.errors import TraceError
from chainrule.primitives.constants import constant
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import Equation, renamed
from chainrule.state import current_state
from chainrule.tape import Leaf


class Contribution(NamedTuple):
    """What one operation sends back to one of its inputs.

    Attributes:
        result: its symbol, or an array where it does not depend on anything.
        start, stop: which equations of the backward graph compute it.
    """

    result: Any
    start: int
    stop: int


class GradientGraph(NamedTuple):
    """A backward pass.

    Attributes:
        equations: in order.
        contributions: by the number of the forward equation and the place of its input.
        gradients: for each symbol the sum of what reached it.
    """

    equations: list[Equation]
    contributions: dict[tuple[int, int], Contribution]
    gradients: dict[Symbol, Any]


def gradient_graph(
    equations: Sequence[Equation], wanted: Mapping[int, Sequence[int]], root: Symbol, upstream: Array
) -> GradientGraph:
    """Note the backward pass from `root`, where the gradient `upstream` begins.

    Args:
        equations: the forward pass.
        wanted: for the number of an equation the places of the inputs that its gradient goes to.

    A rule that asks for numbers cannot be noted; it is left out, and so is what lies behind it.

    >>> import numpy as np
    >>> from chainrule.primitives.elementwise import Multiply
    >>> form = (), np.dtype("f4")
    >>> x, y, z = Symbol(*form), Symbol(*form), Symbol(*form)
    >>> found = gradient_graph([Equation(Multiply, (x, y), {}, (z,), form, "")], {0: (0, 1)}, z, np.float32(1))
    >>> [e.primitive.name for e in found.equations], sorted(found.contributions)
    (['Multiply', 'Multiply'], [(0, 0), (0, 1)])
    """
    trace, state = Trace(), current_state()
    gradients: dict[Symbol, Any] = {}
    found: dict[tuple[int, int], tuple[Any, int, int]] = {}
    before, state.gradients = state.gradients, False
    try:
        with tracing(trace):
            gradients[root] = constant(upstream)
            for number in sorted(wanted, reverse=True):
                equation, start = equations[number], len(trace.equations)
                try:
                    sent = _sent_back(equation, gradients, wanted[number])
                except TraceError:
                    continue
                stop = len(trace.equations)
                for place, gradient in sent.items():
                    found[number, place] = gradient, start, stop
                    symbol = equation.inputs[place]
                    known = gradients.get(symbol)
                    gradients[symbol] = gradient if known is None else known + gradient
    finally:
        state.gradients = before
    outside = {inside.array: outer.array for outer, inside in trace.captures.values()}

    def known_as(tensor: Any) -> Any:
        array = tensor.value.array
        return outside.get(array, array) if isinstance(array, Symbol) else array

    return GradientGraph(
        renamed(trace.equations, outside),
        {key: Contribution(known_as(tensor), start, stop) for key, (tensor, start, stop) in found.items()},
        {symbol: known_as(tensor) for symbol, tensor in gradients.items()},
    )


def _sent_back(equation: Equation, gradients: Mapping[Symbol, Any], places: Sequence[int]) -> dict[int, Any]:
    """What the gradient rules of one equation answer for the inputs at these places."""
    upstream = [gradients.get(symbol) for symbol in equation.outputs]
    if all(gradient is None for gradient in upstream):
        return {}
    wanted = [place in places for place in range(len(equation.inputs))]
    values = [Value(x, (Leaf(), 0) if asked else None) for x, asked in zip(equation.inputs, wanted, strict=True)]
    several = type(equation.forms) is list
    primitive: type[Primitive] = equation.primitive
    results = equation.outputs if several else equation.outputs[0]
    record = primitive._record(values, equation.parameters, results, equation.forms)
    if record is None:
        return {}
    downstream = primitive.pull_back(record, upstream, wanted)
    return {place: gradient for place, gradient in enumerate(downstream) if gradient is not None}
