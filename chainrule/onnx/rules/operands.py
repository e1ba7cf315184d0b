"""Operands that broadcast: ONNX does it by itself, so what was only broadcast is not written out."""

from __future__ import annotations

from typing import Any

from chainrule.onnx.sizes import Number
from chainrule.primitives.value import Symbol


def operands(g: Any, e: Any) -> list[str]:
    """The names of the inputs of an elementwise equation, those that were only broadcast as they were before."""
    wanted = g.shape(e.outputs[0])
    plain = [g.spread.get(x, x) if isinstance(x, Symbol) and x not in g.names else x for x in e.inputs]
    if broadcast_shape([g.shape(x) for x in plain]) == wanted:
        return [g.of(x) for x in plain]
    return [g.of(x) for x in e.inputs]


def broadcast_shape(shapes: list[tuple[Number, ...]]) -> tuple[Number, ...] | None:
    """The shape of all together; None where two sizes differ and none is 1."""
    rank = max(map(len, shapes))
    result: list[Any] = []
    for sizes in zip(*[(1,) * (rank - len(shape)) + shape for shape in shapes], strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            return None
        result.append(others.pop() if others else 1)
    return tuple(result)
