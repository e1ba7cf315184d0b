"""What one entry of a layer's output sees of the input, layer by layer."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from chainrule.errors import ShapeError
from chainrule.nn.convolution.layers import ConvolutionBase
from chainrule.nn.convolution.output_size import one_for_each
from chainrule.nn.linear import Flatten, Linear
from chainrule.nn.module import Module
from chainrule.nn.pooling.unpooling import MaxUnpool


class ReceptiveField(NamedTuple):
    """What one entry of a layer's output sees: `size` pixels of the input, its neighbour the same `jump` further."""

    size: float
    jump: int


def after(layer: Any, field: ReceptiveField) -> ReceptiveField:
    """The field behind a layer (a module without parts, or numbers), if it is `field` before it."""
    if not isinstance(layer, Module):
        kernel, stride, dilation = (*layer, 1)[:3]
    elif sees_all(layer):
        kernel, stride, dilation = math.inf, 1, 1
    else:
        kernel, stride, dilation = _window_of(layer)
    size = field.size + ((kernel - 1) * dilation * field.jump if kernel > 1 else 0)
    return ReceptiveField(size, field.jump * stride)


def sees_all(layer: Module) -> bool:
    """Whether every entry of the layer's output depends on all of its input."""
    return isinstance(layer, (Linear, Flatten)) or getattr(layer, "output_size", None) in (1, (1, 1))


def _window_of(layer: Module) -> tuple[int, int, int]:
    widens = isinstance(layer, MaxUnpool) or (isinstance(layer, ConvolutionBase) and layer.transposed)
    if widens or hasattr(layer, "scale_factor") or hasattr(layer, "output_size"):
        raise ShapeError(f"receptive_field: {type(layer).__name__} is not followed; give (kernel, stride) pairs.")
    if not hasattr(layer, "kernel_size"):
        return 1, 1, 1
    kernel = layer.kernel_size
    settings = [set(one_for_each(value)) for value in (kernel, layer.stride or kernel, getattr(layer, "dilation", 1))]
    if any(len(values) > 1 for values in settings):
        raise ShapeError(f"receptive_field: {layer} differs by dimension; ask for each by (kernel, stride) pairs.")
    (size,), (stride,), (dilation,) = settings
    return size, stride, dilation
