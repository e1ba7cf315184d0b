"""What a product multiplies by is laid out before it, where the processor's registers want it so.

A unit for products has registers of its own form (`emitting/amx.py`), and to lay a factor out for them takes long: it
is worth while to do it once for all parts of a product, and before a loop for all rounds. Whether it is, is not decided
here: `Lowering.layout` says how many bytes a product's B takes laid out, or 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer

if TYPE_CHECKING:
    from chainrule.backends.native.lowering.contract import Product


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


def lay_out(at: Lowering, product: Product, path: str, times: int = 1) -> Buffer | None:
    """Where the B of a product that is made so many times is laid out before; None where it is read as it lies.

    Products that read the same of it in the same pieces share that.
    """
    size = 0 if at.layout is None else at.layout(product, times)
    if not size:
        return None
    buffer, offset = product.b
    steps = [(n, step) for n, _, step in (*product.segments, product.run)]
    written = len(at.writers.get(buffer, ()))
    key = (buffer, offset, written, *steps, product.columns, product.a[0].dtype, size)
    if key not in at.laid:
        at.laid[key] = at.new_buffer(np.dtype(np.uint8), size)
        group = at.group(Nest([product.depth, product.columns], path=path), open=False)
        group.own = LaidOut(product)
        at.read(group, buffer)
        at.written(group, at.laid[key])
    product.laid = at.laid[key]
    return product.laid
