"""A product's rows as several dimensions: what follows a linear layer on sequences is done on the product's block.

A linear layer multiplies (sequence·place, features) with its weight and gives (sequence, place, features) back. The
product's block numbers its rows through; so the loops behind it may have two axes where the product has one, and bias,
activation and what is added to them join it as they do behind a product of matrices.

>>> import chainrule
>>> layer = chainrule.compile(lambda x, w, b: (x @ w + b).relu())
>>> _ = layer(chainrule.ones(3, 5, 8), chainrule.ones(8, 16), chainrule.ones(16)); print(layer.explain())
1 kernels in 1 stages, 3 functions, 0.0 MB of working memory, on one thread
   0  product 15×16×8 → [3×5×16] Add Maximum
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.backends.native.lowering.place import Inside
from chainrule.backends.native.lowering.placing import Placing
from chainrule.primitives.value import Shape


def rows_divided(at: Placing, x: Any, to: Shape) -> Inside | None:
    """A product's result under a shape that has several dimensions for its rows.

    None if that is not what changes, or if anything else needs the result as it is.
    """
    place = at.place(x)
    if not isinstance(place, Inside) or place.group.product is None or not place.group.open:
        return None
    group, found = place.group, _divided(place.shape, to)
    if (
        found is None
        or at.uses[x] != 1
        or place.axes[found[0]] != found[0]
        or group.values != [x]
        or group.loaded
        or group.nest.stores
    ):
        return None
    d, parts = found
    if place.axes[d] not in group.product.row_axes or group.product.splits != 1:
        return None
    more = len(parts) - 1
    now = {axis: [axis] if axis < d else [axis + more] for axis in range(len(place.shape))}
    now[d] = list(range(d, d + more + 1))

    def renamed(axes: Sequence[int]) -> list[int]:
        return [new for axis in axes for new in now[axis]]

    for node in group.nest.nodes:
        node.axes = frozenset(renamed(sorted(node.axes)))
    group.nest.extents = list(to)
    group.product.row_axes = renamed(group.product.row_axes)
    (group.product.column_axis,) = now[group.product.column_axis]
    group.order = renamed(group.order)
    group.values.remove(x)
    return Inside(group, place.node, tuple([a if extent != 1 else None for a, extent in enumerate(to)]), to)


def _divided(old: Shape, new: Shape) -> tuple[int, list[int]] | None:
    """Which one dimension becomes several of more than one entry, and these; None if others change."""
    more = len(new) - len(old)
    for d, extent in enumerate(old):
        parts = list(new[d : d + more + 1])
        if more > 0 and new[:d] == old[:d] and new[d + more + 1 :] == old[d + 1 :] and math.prod(parts) == extent:
            return (d, parts) if min(parts) > 1 else None
    return None
