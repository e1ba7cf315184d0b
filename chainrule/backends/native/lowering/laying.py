"""What a loop multiplies by each time round is laid out before it, where the processor's registers want it so.

A unit for products has registers of its own form (`emitting/amx.py`). To lay a factor out for them takes longer than to
multiply a few rows by it, so a loop of few rows gains by them only what is laid out once for all times. Whether that is
worth while is not decided here: `Lowering.layout` says how many bytes a product's B takes laid out, or 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer
from chainrule.backends.native.lowering.winograd import ByWinograd

#: A loop that goes round less often does not pay for it.
TIMES = 4


@dataclass(eq=False)
class LaidOut:
    """A kernel of its own kind: it writes the B of a product to `product.laid`."""

    product: Product
    operations = 0

    @property
    def title(self) -> str:
        """What is done, in words and numbers."""
        return f"[{self.product.depth}×{self.product.columns}] laid out for AMX"

    def reaches(self) -> list[tuple[Buffer, int, list[tuple[int, int, int]]]]:
        """What is read and where it begins, and what moves the place."""
        product, (buffer, offset) = self.product, self.product.b
        steps = [(n, s) for n, _, s in (*product.segments, product.run)] + [(product.columns, 1)]
        return [(buffer, offset, [(0, n - 1, s) for n, s in steps])]


def lay_out(at: Lowering, groups: Sequence[Group], changing: set[Buffer], times: int) -> None:
    """Lay out the constant columns of a loop's products before it. `changing` is all memory that is not the same."""
    if at.layout is None or times < TIMES:
        return
    for group in groups:
        product = group.product
        if product is None or isinstance(product, ByWinograd) or product.b[0] in changing:
            continue
        size = at.layout(product)
        if size:
            product.laid = _laid(at, product, size, group.nest.path)
            group.reads.add(product.laid)


def _laid(at: Lowering, product: Product, size: int, path: str) -> Buffer:
    """Where the B of a product is laid out: once for all products that read the same of it in the same pieces."""
    buffer, offset = product.b
    steps = [(n, step) for n, _, step in (*product.segments, product.run)]
    written = len(at.writers.get(buffer, ()))
    key = (buffer, offset, written, *steps, product.columns, product.a[0].dtype, size)
    if key not in at.laid:
        at.laid[key] = product.laid = at.new_buffer(np.dtype(np.uint8), size)
        group = at.group(Nest([product.depth, product.columns], path=path), open=False)
        group.own = LaidOut(product)
        at.read(group, buffer)
        at.written(group, product.laid)
    return at.laid[key]
