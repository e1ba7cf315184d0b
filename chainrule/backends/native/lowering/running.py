"""Running sums and running largest entries: one walk along a dimension, the other dimensions side by side.

Step after step in the order of the dimension, as eager functions do it: a running sum cannot be added in pieces and
give the same bits. A sum is kept in float64.

>>> import chainrule
>>> add_up = chainrule.compile(lambda x: x.cumsum(0))
>>> add_up(chainrule.tensor([1.0, 2.0, 4.0]))
tensor([1., 3., 7.])
>>> print(add_up.explain().splitlines()[-1])
   0  [3] over [0] Cast RunningSum Cast
"""

from __future__ import annotations

import numpy as np

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.nest import Nest, Node
from chainrule.backends.native.lowering.place import Inside, Place
from chainrule.backends.native.lowering.rules import rule
from chainrule.program.graph import Equation


@rule
def lower_CumulativeSum(at: Lowering, e: Equation) -> Place:
    """Σ_{j ≤ i} x_j."""
    (x,) = e.inputs
    return _run(at, e, "RunningSum", np.dtype(np.float64 if x.dtype.kind == "f" else np.int64))


@rule
def lower_CumulativeArgmax(at: Lowering, e: Equation) -> Place:
    """Where the largest of x_0 … x_i stands, or the smallest."""
    (x,) = e.inputs
    return _run(at, e, "RunningArgmax" if e.parameters["largest"] else "RunningArgmin", x.dtype)


def _run(at: Lowering, e: Equation, op: str, wide: np.dtype) -> Place:
    (x,), (z,), axis = e.inputs, e.outputs, e.parameters["axis"] % max(len(e.inputs[0].shape), 1)
    source = at.plain(x)
    nest = Nest(list(x.shape), frozenset([axis]), sequential=True)
    group = at.group(nest, open=False)
    dims = range(len(x.shape))
    node = at.load(group, source, dims)
    if node.dtype != wide:
        node = nest.add("Cast", [node], wide)
    running = nest.append(Node(op, (node,), z.dtype if "Arg" in op else wide, node.axes | {axis}))
    if running.dtype != z.dtype:
        running = nest.add("Cast", [running], z.dtype)
    group.order = sorted(dims, key=lambda d: -abs(source.strides[d]))
    return Inside(group, running, tuple(d if d in running.axes else None for d in dims), z.shape)
