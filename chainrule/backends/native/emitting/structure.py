"""What of a nest an emitter sees: all of it, or only what the text of its function depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.emitting.walk import WIDE, Shape, guarded_alike
from chainrule.backends.native.lowering.nest import Load, Nest, Node, Number, Operand, Position
from chainrule.backends.native.lowering.place import Buffer


class Signature(NamedTuple):
    """All that an emitter can see of a nest, and the buffers in it in their order."""

    key: Any
    buffers: list[Buffer]


def signature(nest: Nest, *more: Any) -> Signature | None:
    """What kernels are looked up by; None for a nest with settings that cannot be looked up."""
    buffers: dict[Buffer, int] = {}
    places = {id(node): i for i, node in enumerate(nest.nodes)}

    def seen(operand: Operand) -> Any:
        buffer = buffers.setdefault(operand.buffer, len(buffers))
        terms = tuple([(places[id(term.place)], term.extent, term.stride) for term in operand.terms])
        return (
            buffer, operand.buffer.dtype, operand.offset, tuple(operand.strides.items()), operand.guards,
            repr(operand.constant), terms, operand.reports, operand.spread, operand.repeats,
        )  # fmt: skip

    nodes = tuple([_node(node, places, seen) for node in nest.nodes])
    stores = tuple([(places[id(node)], seen(operand)) for node, operand in nest.stores])
    key = (tuple(nest.extents), nest.reduced, nodes, stores, nest.split, nest.sequential, nest.sliding, more)
    return Signature(key, list(buffers)) if _is_hashable(key) else None


def structure(nest: Nest, shape: Shape, together: tuple[Any, ...], lifted: Sequence[int], is_block: bool) -> Any:
    """What a function's text depends on, once it is known how the nest is walked.

    Of sizes only whether they are 0, 1, more, or so many that they are counted in 64 bits; of distances only whether
    there are any, and along the vector whether the next entry is the neighbour or the one behind it; of the constants
    that are read nothing at all. `together` is how many places are a bundle, along both axes, how many vectors go side
    by side, and which axes are turned. None if that cannot be looked up.
    """
    places = {id(node): i for i, node in enumerate(nest.nodes)}
    operands = nest.operands()
    alike = dict(zip(map(id, operands), guarded_alike(operands), strict=True))

    def seen(operand: Operand) -> Any:
        strides = frozenset(
            (axis, stride if axis == shape.vector and stride in (1, -1, 2) else 3)
            for axis, stride in operand.strides.items()
            if stride
        )
        guards = tuple([guard.axis for guard in operand.guards]), alike[id(operand)] if operand.guards else 0
        terms = tuple([places[id(term.place)] for term in operand.terms])
        told = operand.buffer.dtype, repr(operand.constant), operand.reports, operand.spread, operand.repeats
        return strides, guards, terms, told

    nodes: list[Any] = [_node(node, places, seen) for node in nest.nodes]
    for place in lifted:
        nodes[place] = "lifted", nodes[place][2]
    for place, node in enumerate(nest.nodes):
        if isinstance(node, Position):
            nodes[place] = node.op, node.dtype, node.axes, node.strides.get(shape.vector or 0) == 1
    stores = tuple([(places[id(node)], seen(operand)) for node, operand in nest.stores])
    extents = tuple([WIDE if extent >= WIDE else min(extent, 2) for extent in nest.extents])
    walked = tuple([(axis, min(extent, 2)) for axis, extent in shape.extents.items()])
    cut = None if nest.split is None else nest.split[0]
    key = (
        extents, nest.reduced, tuple(nodes), stores, cut, nest.sequential, nest.sliding, walked, shape.outer,
        shape.reduced, shape.vector, together, is_block,
    )  # fmt: skip
    return key if _is_hashable(key) else None


def _node(node: Node, places: dict[int, int], seen: Callable[[Operand], Any]) -> Any:
    detail: Any
    match node:
        case Load():
            detail = seen(node.operand)
        case Number():
            detail = np.asarray(node.number).tobytes(), np.asarray(node.number).dtype  # 0.0 is not −0.0
        case Position():
            detail = tuple(node.strides.items())
        case _:
            detail = tuple(node.settings.items()) if isinstance(node.settings, dict) else node.settings
    return node.op, tuple([places[id(x)] for x in node.inputs]), node.dtype, node.axes, detail


def _is_hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True
