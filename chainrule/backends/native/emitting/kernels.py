"""Kernels that are equal are written once: the second time only their numbers are put in.

A network's layers repeat, and an optimiser does the same to every parameter; another batch size leaves all that as it
was. So what an emitter has made is kept under all that it has looked at: the nest with its extents and strides, and
buffers by the order in which they come. Where the buffers lie, and the path for messages, are what differs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.emitting.numbers import Check, Kernel, Offset, Slot
from chainrule.backends.native.lowering.nest import Nest, Node, Operand
from chainrule.backends.native.lowering.views import Buffer

#: So many kernels are kept.
KEPT = 4096


class Signature(NamedTuple):
    """All that an emitter can see of a nest, and the buffers in it in their order."""

    key: Any
    buffers: list[Buffer]


def signature(nest: Nest, *more: Any) -> Signature | None:
    """What kernels are looked up by; None for a nest with settings that cannot be looked up."""
    buffers: dict[Buffer, int] = {}
    places = {id(node): i for i, node in enumerate(nest.nodes)}
    try:
        nodes = tuple([_node(node, places, buffers) for node in nest.nodes])
        stores = tuple([(places[id(node)], _operand(operand, places, buffers)) for node, operand in nest.stores])
        key = (tuple(nest.extents), nest.reduced, nodes, stores, nest.split, nest.sequential, nest.sliding, more)
        hash(key)
    except TypeError:
        return None
    return Signature(key, list(buffers))


def _node(node: Node, places: dict[int, int], buffers: dict[Buffer, int]) -> Any:
    if node.op == "load":
        detail: Any = _operand(node.detail, places, buffers)
    elif isinstance(node.detail, dict):
        detail = tuple(node.detail.items())
    elif node.op == "constant":
        detail = np.asarray(node.detail).tobytes(), np.asarray(node.detail).dtype  # 0.0 is not −0.0
    else:
        detail = node.detail
    return node.op, tuple([places[id(x)] for x in node.inputs]), node.dtype, node.axes, detail


def _operand(operand: Operand, places: dict[int, int], buffers: dict[Buffer, int]) -> Any:
    buffer = buffers.setdefault(operand.buffer, len(buffers))
    terms = tuple([(places[id(term.place)], term.extent, term.stride) for term in operand.terms])
    constant = repr(operand.constant)
    return (
        buffer, operand.buffer.dtype, operand.offset, tuple(operand.strides.items()), operand.guards, constant, terms,
        operand.reports,
    )  # fmt: skip


class _Kept(NamedTuple):
    kernel: Kernel
    buffers: list[Buffer]


_kept: OrderedDict[Any, _Kept] = OrderedDict()
_lock = threading.Lock()


def kernel_for(nest: Nest, emit: Callable[[], Kernel], *more: Any) -> Kernel:
    """The kernel of a nest: the one that an equal nest has had, with this one's buffers, or a new one.

    `more` is what else `emit` depends on.
    """
    found = signature(nest, *more)
    if found is None:
        return emit()
    with _lock:
        known = _kept.get(found.key)
        if known is not None:
            _kept.move_to_end(found.key)
    if known is not None:
        return known.kernel._replace(numbers=_exchanged(known, found.buffers, nest.path))
    kernel = emit()
    with _lock:
        # Buffers may hold arrays; what is kept stands for any.
        stand_ins = [Buffer(buffer.dtype, buffer.size) for buffer in found.buffers]
        kept = kernel._replace(numbers=_exchanged(_Kept(kernel, found.buffers), stand_ins, ""))
        _kept[found.key] = _Kept(kept, stand_ins)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return kernel


def _exchanged(known: _Kept, buffers: Sequence[Buffer], path: str) -> list[Any]:
    """The numbers with other buffers in the place of those they were made for."""
    now = dict(zip(known.buffers, buffers, strict=True))
    answer = []
    for number in known.kernel.numbers:
        if isinstance(number, Slot):
            number = Slot(now[number.buffer])
        elif isinstance(number, Offset):
            number = number._replace(buffer=now[number.buffer])
        elif isinstance(number, Check):
            number = Check(path)
        answer.append(number)
    return answer
