"""The body of a loop as the page runs it: a list of operations with the places of what they take in and give out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.explain.numbers import nested
from chainrule.explain.page.settings import plain
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Graph


def runnable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's settings in JSON's terms, the program that a loop repeats with all its operations."""
    return {name: program(value) if isinstance(value, Graph) else plain(value) for name, value in settings.items()}


def program(graph: Graph) -> dict[str, Any]:
    """A graph as values (forms, and the numbers of constants), operations, and places of inputs and outputs.

    >>> from chainrule.primitives.elementwise import Negate
    >>> from chainrule.program.graph import Equation
    >>> x, y = Symbol((), np.dtype("f4")), Symbol((), np.dtype("f4"))
    >>> made = program(Graph([x], [Equation(Negate, (x,), {}, (y,), ((), np.dtype("f4")), "")], [y]))
    >>> made["inputs"], made["nodes"], made["outputs"]
    ([0], [{'operation': 'Negate', 'settings': {}, 'inputs': [0], 'outputs': [1]}], [1])
    """
    values: list[dict[str, Any]] = []
    places: dict[Any, int] = {}

    def place(x: Any) -> int:
        key = x if isinstance(x, Symbol) else id(x)  # the graph holds its constants, so their identities are theirs
        if key not in places:
            places[key] = len(values)
            numbers = {} if isinstance(x, Symbol) else {"numbers": nested(np.asarray(x))}
            values.append({"shape": list(x.shape), "type": x.dtype.name, **numbers})
        return places[key]

    inputs = [place(x) for x in graph.inputs]
    nodes = [
        {
            "operation": equation.primitive.name,
            "settings": runnable(equation.parameters),
            "inputs": [place(x) for x in equation.inputs],
            "outputs": [place(x) for x in equation.outputs],
        }
        for equation in graph.equations
    ]
    return {"values": values, "inputs": inputs, "nodes": nodes, "outputs": [place(x) for x in graph.outputs]}
