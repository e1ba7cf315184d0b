"""What can be computed: one small class per operation, with its shape rule, its meaning in NumPy and its gradient."""

from chainrule.primitives import (
    contraction,
    control,
    elementwise,
    indexing,
    linear_algebra,
    random,
    reduction,
    shape,
    window,
)
from chainrule.primitives.primitive import Primitive, registry

__all__ = [
    "Primitive",
    "contraction",
    "control",
    "elementwise",
    "indexing",
    "linear_algebra",
    "random",
    "reduction",
    "registry",
    "shape",
    "window",
]
