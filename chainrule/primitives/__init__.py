"""What can be computed: one small class per operation, with its shape rule, its meaning in NumPy and its gradient.

Random draws (`primitives.random`), `primitives.linear_algebra`, `primitives.attention` and the loop
(`primitives.control`) are loaded, and registered, when first used.
"""

from chainrule.primitives import (
    contraction,
    elementwise,
    indexing,
    reduction,
    shape,
    window,
)
from chainrule.primitives.primitive import Primitive, registry

__all__ = [
    "Primitive",
    "contraction",
    "elementwise",
    "indexing",
    "reduction",
    "registry",
    "shape",
    "window",
]
