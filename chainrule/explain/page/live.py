"""What a page needs besides an explanation's data to compute by itself: more numbers, and the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.compiler.collector import collector_waits
from chainrule.explain.numbers import nested
from chainrule.explain.page import page
from chainrule.explain.page.gradient_graph import GradientGraph, gradient_graph
from chainrule.explain.page.groups import Data
from chainrule.explain.page.programs import runnable
from chainrule.primitives.value import Symbol

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

#: A page computes graphs of up to so many operations, whose inputs and weights have up to so many entries each.
MOST_OPERATIONS, MOST_ENTRIES = 300, 1024


def page_of(explanation: Explanation) -> str:
    """The page of an explanation; one of a small computation computes it again when a number is changed."""
    with collector_waits():
        return page(add_what_is_computed(explanation.data(), explanation))


def add_what_is_computed(data: Data, explanation: Explanation) -> Data:
    """The data of a small explanation with the numbers of all that stays or can be changed, and the backward pass."""
    made = {symbol for equation in explanation.equations for symbol in equation.outputs}
    leaves = [symbol for symbol in explanation.symbols if symbol not in made]
    given = [*leaves, *(made - _changing(explanation, leaves))]
    arrays = explanation.arrays
    known = all(symbol in arrays and arrays[symbol].size <= MOST_ENTRIES for symbol in leaves)
    if len(explanation.equations) > MOST_OPERATIONS or explanation.failure is not None or not known:
        return data
    numbers = {explanation.ids[x]: nested(arrays[x]) for x in given if x in arrays and arrays[x].size <= MOST_ENTRIES}
    data = {
        **data,
        "values": [{**value, "numbers": numbers.get(value["id"], value["numbers"])} for value in data["values"]],
        "nodes": [
            {**node, "settings": runnable(equation.parameters)}
            for node, equation in zip(data["nodes"], explanation.equations, strict=True)
        ],
    }
    return data if explanation.walk is None else _with_backward(data, explanation)


def _changing(explanation: Explanation, leaves: list[Symbol]) -> set[Symbol]:
    """What depends on numbers that can be changed; not so what was drawn, for the page has no generator."""
    changing = {symbol for symbol in leaves if symbol.dtype.kind in "fV"}
    for equation in explanation.equations:
        if any(x in changing for x in equation.inputs if isinstance(x, Symbol)):
            changing.update(equation.outputs)
    return changing


def _with_backward(data: Data, explanation: Explanation) -> Data:
    walk: Any = explanation.walk
    wanted = {
        number: [place for place, gradient in enumerate(downstream) if gradient is not None]
        for number, (_, downstream) in walk.steps.items()
    }
    reached = {explanation.equations[number].inputs[place] for number, places in wanted.items() for place in places}
    made = (symbol for number in sorted(wanted, reverse=True) for symbol in explanation.equations[number].outputs)
    root = next((symbol for symbol in made if symbol in walk.gradients and symbol not in reached), None)
    if root is None:
        return data
    graph = gradient_graph(explanation.equations, wanted, root, walk.gradients[root])
    names = _Names(explanation.ids)
    nodes = [_node(number, equation, names) for number, equation in enumerate(graph.equations)]
    return {
        **data,
        "values": [
            _value(value, symbol, graph, names)
            for value, symbol in zip(data["values"], explanation.symbols, strict=True)
        ],
        "nodes": [_contributing(node, number, graph, names) for number, node in enumerate(data["nodes"])],
        "backward": {"nodes": nodes, "values": list(names.values.values())},
    }


class _Names:
    """The ids of values, those of the backward pass too, which are described when they are first named."""

    def __init__(self, known: dict[Symbol, str]) -> None:
        self.known: dict[Any, str] = dict(known)
        self.values: dict[str, Data] = {}
        self._kept: list[Any] = []

    def of(self, x: Any) -> str:
        key = x if isinstance(x, Symbol) else id(x)
        if key not in self.known:
            name = self.known[key] = f"b{len(self.values)}"
            self._kept.append(x)  # an identity is worth something only while its array is there
            self.values[name] = {"id": name, "shape": list(x.shape), "type": x.dtype.name}
            if not isinstance(x, Symbol):
                self.values[name]["numbers"] = nested(np.asarray(x))
        return self.known[key]


def _node(number: int, equation: Any, names: _Names) -> Data:
    return {
        "id": f"d{number}",
        "operation": equation.primitive.name,
        "settings": runnable(equation.parameters),
        "inputs": [names.of(x) for x in equation.inputs],
        "outputs": [names.of(x) for x in equation.outputs],
    }


def _value(value: Data, symbol: Symbol, graph: GradientGraph, names: _Names) -> Data:
    gradient = graph.gradients.get(symbol)
    if gradient is None or value.get("gradient") is None:
        return value
    return {**value, "gradient": {**value["gradient"], "value": names.of(gradient)}}


def _contributing(node: Data, number: int, graph: GradientGraph, names: _Names) -> Data:
    contributions = []
    for place, contribution in enumerate(node["contributions"]):
        found = graph.contributions.get((number, place))
        if contribution is not None and found is not None:
            steps = [found.start, found.stop]
            contribution = {**contribution, "value": names.of(found.result), "steps": steps}
        contributions.append(contribution)
    return {**node, "contributions": contributions}
