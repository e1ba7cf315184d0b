"""How everything is written in operators of ONNX: a file for each kind."""

from chainrule.onnx.rules import (
    activations,
    elementwise,
    indexing,
    layers,
    loops,
    normalisation,
    products,
    recurrent,
    reductions,
    shapes,
    windows,
)
from chainrule.onnx.rules.registry import BLOCKS, LAYERS, PRIMITIVES, REFUSED

__all__ = [
    "BLOCKS",
    "LAYERS",
    "PRIMITIVES",
    "REFUSED",
    "activations",
    "elementwise",
    "indexing",
    "layers",
    "loops",
    "normalisation",
    "products",
    "recurrent",
    "reductions",
    "shapes",
    "windows",
]
