"""What settings and graphs are found again by, when something was made for them once."""

from __future__ import annotations

import weakref
from typing import Any

from chainrule.primitives.control import Backward
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Graph

_structures: weakref.WeakKeyDictionary[Graph, Any] = weakref.WeakKeyDictionary()


def known_by(setting: Any) -> Any:
    """What a setting is found again by: a loop's body by its structure, for it may be noted anew each time."""
    if type(setting) is float:
        return float, setting.hex()
    if isinstance(setting, Backward):
        return None  # how its gradient is computed says nothing about what a loop computes
    if isinstance(setting, Graph):
        known = _structures.get(setting)
        if known is None:
            known = _structures[setting] = structure(setting)
        return known
    if isinstance(setting, (tuple, list)):
        return tuple(map(known_by, setting))
    # 0.0 and −0.0 are equal and not the same, so are 1 and True; NaN is not equal to itself.
    return type(setting), setting.hex() if isinstance(setting, float) else setting


def structure(graph: Graph) -> Any:
    """All that a graph says, but for the identity of its symbols."""
    numbers = {symbol: i for i, symbol in enumerate(graph.inputs)}

    def name(x: Any) -> Any:
        if isinstance(x, Symbol):
            return numbers[x], x.shape, x.dtype
        return x.tobytes(), x.shape, x.dtype

    lines = []
    for e in graph.equations:
        settings = tuple([(key, known_by(value)) for key, value in e.parameters.items()])
        lines.append(
            (e.primitive, tuple(map(name, e.inputs)), settings, tuple([(y.shape, y.dtype) for y in e.outputs]))
        )
        for y in e.outputs:
            numbers[y] = len(numbers)
    return tuple(map(name, graph.inputs)), tuple(lines), tuple(map(name, graph.outputs))
