"""What a function asks about a nest: the sizes, distances and addresses that it reads from its arguments.

The text of a function follows from how a nest is walked; sizes are answers that it gets when it runs. So two nests that
are walked alike are one function: the questions are the same, and each nest has its own answers.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, Protocol

from chainrule.backends.native.emitting.numbers import Check, Offset, Slot
from chainrule.backends.native.lowering.nest import Nest, Number, Operand, Position


class Extent(NamedTuple):
    """How many places there are along an axis."""

    axis: int


class Distance(NamedTuple):
    """How many bytes an operand moves with each step along an axis."""

    operand: int
    axis: int


class Begin(NamedTuple):
    """Where an operand begins: the base slot of its buffer, or the byte offset from there."""

    operand: int
    part: str


class TermOf(NamedTuple):
    """Of an index that an operand looks up: how many there are, or how many bytes each is away from the next."""

    operand: int
    term: int
    part: str


class Limit(NamedTuple):
    """Between which two places an operand has entries."""

    operand: int
    guard: int
    part: str


class Count(NamedTuple):
    """How many entries further a position is with each step along an axis."""

    node: int
    axis: int


class Constant(NamedTuple):
    """The number of a node, by its bits."""

    node: int


#: Also by its name one of the nest's `sizes`, or "check": under which number failed checks are reported.
Question = Extent | Distance | Begin | TermOf | Limit | Count | Constant | str


class Walked(Protocol):
    """A nest of which is known how it is walked."""

    nest: Nest
    extents: dict[int, int]
    operands: list[Operand]

    @property
    def sizes(self) -> dict[str, int]:
        """How the work is divided."""
        ...


def answer(asked: Question, walked: Walked) -> Any:
    """The number for this nest, or what stands for it until memory has been planned."""
    if isinstance(asked, str):
        return Check(walked.nest.path) if asked == "check" else walked.sizes[asked]
    if isinstance(asked, Extent):
        return walked.extents[asked.axis]
    if isinstance(asked, Constant):
        node = walked.nest.nodes[asked.node]
        assert isinstance(node, Number)
        real, whole = ("<f", "<i") if node.dtype.itemsize == 4 else ("<d", "<q")
        return struct.unpack(whole, struct.pack(real, node.number))[0]
    if isinstance(asked, Count):
        node = walked.nest.nodes[asked.node]
        assert isinstance(node, Position)
        return node.strides[asked.axis]
    operand = walked.operands[asked.operand]
    size = operand.dtype.itemsize
    if isinstance(asked, Distance):
        return operand.strides[asked.axis] * size
    if isinstance(asked, Begin):
        return Slot(operand.buffer) if asked.part == "slot" else Offset(operand.buffer, operand.offset * size)
    if isinstance(asked, TermOf):
        term = operand.terms[asked.term]
        return term.extent if asked.part == "extent" else term.stride * size
    guard = operand.guards[asked.guard]
    return guard.low if asked.part == "low" else guard.high
