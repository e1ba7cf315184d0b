"""What a loop multiplies by each time round is laid out before it, where the processor's registers want it so.

To lay a factor out (`contract.py`) takes longer than to multiply a few rows by it, so a loop of few rows gains only by
what is laid out once for all times.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.backends.native.lowering.contract import Product, lay_out
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.place import Buffer


def lay_out_before(at: Lowering, groups: Sequence[Group], changing: set[Buffer], times: int) -> None:
    """Lay out the constant columns of a loop's products before it. `changing` is all memory that is not the same."""
    for group in groups:
        product = group.product
        if isinstance(product, Product) and product.b[0] not in changing:
            lay_out(at, product, group.nest.path, times)
            if product.laid is not None:
                group.reads.add(product.laid)
