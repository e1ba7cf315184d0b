"""Random draws as loops: each entry from the generator's state and its own number, so draws fuse like anything else."""

from __future__ import annotations

import numpy as np

from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.nest import Nest, Node
from chainrule.backends.native.lowering.place import Inside, Place, row_major
from chainrule.backends.native.lowering.rules import RULES, rule
from chainrule.program.graph import Equation

_integer, _boolean = np.dtype(np.int64), np.dtype(np.bool_)


@rule
def lower_RandomUniform(at: Lowering, e: Equation) -> Place | None:
    """An open group: what follows (a comparison, a product with a mask) joins it."""
    (z,) = e.outputs
    if is_half(z.dtype):
        return None
    group = at.group(Nest(list(z.shape)), order=list(range(len(z.shape))), draws=True)
    number = group.nest.position(range(len(z.shape)), row_major(z.shape), _integer)
    node = group.nest.add(e.primitive.name, [*_state(at, group, e), number], z.dtype, e.parameters)
    axes = tuple(d if d in node.axes else None for d in range(len(z.shape)))
    return Inside(group, node, axes, tuple(z.shape))


RULES["RandomNormal"] = RULES["RandomIntegers"] = lower_RandomUniform


def _state(at: Lowering, group: Group, e: Equation) -> list[Node]:
    """The key, and the low and the high half of the counter."""
    view = at.plain(e.inputs[0])
    return [at.load(group, view.index((i,)), []) for i in range(3)]


@rule
def lower_RandomAdvance(at: Lowering, e: Equation) -> Place:
    """The counter of 128 bits moves on: where its low half wraps around, the high half counts one more."""
    (z,) = e.outputs
    group = at.group(Nest([]), open=False)
    nest = group.nest
    key, low, high = _state(at, group, e)
    new = nest.add("Add", [low, nest.constant(e.parameters["blocks"], _integer)], _integer)
    flip = nest.constant(-(2**63), _integer)  # compares as if without a sign
    turned = [nest.add("BitwiseXor", [x, flip], _integer) for x in (new, low)]
    carry = nest.add("Cast", [nest.add("Less", turned, _boolean)], _integer)
    view = at.allocate(z.shape, z.dtype, [0], [0], ())
    for i, node in enumerate((key, new, nest.add("Add", [high, carry], _integer))):
        nest.store(node, view.index((i,)), ())
    at.written(group, view.buffer)
    return view
