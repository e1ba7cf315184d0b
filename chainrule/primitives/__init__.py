"""What can be computed: one small class per operation, with its shape rule, its meaning in NumPy and its gradient.

Random draws (`primitives.random`) and `primitives.linear_algebra` are loaded, and registered, when first used.
"""

from chainrule.primitives import (
    attention,
    contraction,
    control,
    elementwise,
    indexing,
    reduction,
    shape,
    window,
)
from chainrule.primitives.primitive import Primitive, registry

__all__ = [
    "Primitive",
    "attention",
    "contraction",
    "control",
    "elementwise",
    "indexing",
    "reduction",
    "registry",
    "shape",
    "window",
]
