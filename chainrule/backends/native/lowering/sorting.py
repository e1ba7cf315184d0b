"""Sorting: every row by itself, equal entries in the order in which they were, NaN last.

>>> import chainrule
>>> largest = chainrule.compile(lambda x: x.topk(2).values)
>>> largest(chainrule.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]))
tensor([[3., 2.],
        [5., 4.]])
>>> print(largest.explain().splitlines()[-2])
   0  sort 2 rows of 3
"""

from __future__ import annotations

import math

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.nest import Nest, Sorting
from chainrule.backends.native.lowering.place import Place, View, row_major
from chainrule.backends.native.lowering.rules import rule
from chainrule.program.graph import Equation

#: Longer rows are left to NumPy: every thread would need memory for two copies of one.
LONGEST = 2**22


@rule
def lower_Sort(at: Lowering, e: Equation) -> tuple[Place, Place] | None:
    """Rows are what is left of the other dimensions; the sorted one comes last in memory."""
    (x,), (values, indices) = e.inputs, e.outputs
    rank = len(x.shape)
    if not rank:
        return None
    axis = e.parameters["axis"] % rank
    length = x.shape[axis]
    if length > LONGEST:
        return None
    order = [*(d for d in range(rank) if d != axis), axis]
    rows = math.prod(x.shape) // length
    source = at.plain(x).permute(tuple(order)).reshape((rows, length))
    back, shape = tuple(order.index(d) for d in range(rank)), tuple(x.shape[d] for d in order)
    if source is None:
        copied = View(at.new_buffer(x.dtype, x.size), shape, row_major(shape))
        at.into(x, copied.permute(back))
        source = copied.walked((rows, length), (length, 1))
    group = at.group(Nest([rows, length]), open=False)
    results = [View(at.new_buffer(z.dtype, z.size), (rows, length), (length, 1)) for z in (values, indices)]
    group.nest.sorting = Sorting(source, results[0], results[1], e.parameters["descending"])
    at.read(group, source.buffer)
    for view in results:
        at.written(group, view.buffer)
    first, second = (view.walked(shape, row_major(shape)).permute(back) for view in results)
    return first, second
