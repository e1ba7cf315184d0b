"""How large outputs are, and how much of the input each of their entries sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from chainrule.errors import ShapeError
from chainrule.nn.conv import ConvolutionBase
from chainrule.nn.linear import Flatten, Linear
from chainrule.nn.module import Module
from chainrule.nn.unpooling import MaxUnpool
from chainrule.primitives.contraction import window_count


def output_size(
    size: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The size of what a convolution or pooling makes of `size`: ⌊(W + 2P − D(K − 1) − 1)/S⌋ + 1 for each dimension.

    size: an integer, or one for each dimension, and so is the result. padding: also "same" (the size stays) and "valid"
    (0). With `ceil_mode`, as in pooling, a partial window at the end counts if it begins inside.
    Raises ShapeError where not one window fits. Source: E 4.2.7, I III.1.

    >>> output_size(32, 5), output_size(32, 5, padding=2), output_size((224, 224), 7, stride=2, padding=3)
    (28, 32, (112, 112))
    """
    sizes = _tuple(size)
    if padding == "same":
        return size
    around = 0 if padding == "valid" else padding
    settings = [_tuple(setting, len(sizes)) for setting in (kernel_size, stride, around, dilation)]
    found = tuple(_windows(n, k, s, p, d, ceil_mode) for n, k, s, p, d in zip(sizes, *settings, strict=True))
    if any(extent < 1 for extent in found):
        raise ShapeError(f"output_size: a window of {kernel_size} (dilation {dilation}) does not fit into {size}.")
    return found if isinstance(size, (tuple, list)) else found[0]


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    count = window_count(size, kernel, stride, padding, dilation)
    left_over = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride
    return count + 1 if ceil_mode and left_over and count * stride < size + padding else count


def _tuple(setting: Any, count: int = 1) -> tuple[int, ...]:
    values = tuple(setting) if isinstance(setting, (tuple, list)) else (setting,) * count
    if len(values) != count and count > 1:
        raise ShapeError(f"one number or {count}, one for each dimension, got {setting!r}.")
    return values


class ReceptiveField(NamedTuple):
    """What one entry of a layer's output sees: `size` pixels of the input, its neighbour the same `jump` further."""

    size: float
    jump: int


def receptive_field(layers: Iterable[Any] | Module) -> list[ReceptiveField]:
    """For each layer of a stack how many input pixels one entry of its output depends on, and the jump.

    layers: pairs (kernel, stride), triples (kernel, stride, dilation), or modules; a container counts as its layers, in
    order. r = r + (k − 1)·d·j and j = j·s, starting from r = j = 1. Modules without a window (activations,
    normalisation, dropout) change nothing; after a linear layer, a Flatten, or global pooling the field is all of
    the input, ∞. The field is that of one dimension; kernels are square. Raises ShapeError for kernels that are not,
    and for transposed convolutions, unpooling and upsampling. A module with parts counts as its parts in their order,
    which is what it does only if it has no branches.

    Source: E 4.2.6, I III.3.

    >>> [field.size for field in receptive_field([(3, 1), (2, 2), (1, 1), (4, 2)])]
    [3, 4, 4, 10]
    """
    size: float = 1
    jump = 1
    fields = []
    for kernel, stride, dilation in _windows_of(layers):
        size += (kernel - 1) * dilation * jump if kernel > 1 else 0
        jump *= stride
        fields.append(ReceptiveField(size, jump))
    return fields


def _windows_of(layers: Iterable[Any] | Module) -> Iterator[tuple[float, int, int]]:
    for layer in _flat(layers):
        if not isinstance(layer, Module):
            kernel, stride, dilation = (*layer, 1)[:3]
            yield kernel, stride, dilation
        elif isinstance(layer, (Linear, Flatten)) or getattr(layer, "output_size", None) in (1, (1, 1)):
            yield math.inf, 1, 1
        else:
            yield _window_of(layer)


def _flat(layers: Any) -> Iterator[Any]:
    """Containers opened."""
    if isinstance(layers, Module):
        parts = list(layers.children())
        yield from (leaf for part in parts for leaf in _flat(part)) if parts else [layers]
    else:
        for layer in layers:
            yield from _flat(layer) if isinstance(layer, Module) else [layer]


def _window_of(layer: Module) -> tuple[int, int, int]:
    widens = isinstance(layer, MaxUnpool) or (isinstance(layer, ConvolutionBase) and layer.transposed)
    if widens or hasattr(layer, "scale_factor") or hasattr(layer, "output_size"):
        raise ShapeError(f"receptive_field: {type(layer).__name__} is not followed; give (kernel, stride) pairs.")
    if not hasattr(layer, "kernel_size"):
        return 1, 1, 1
    kernel = layer.kernel_size
    settings = [set(_tuple(value)) for value in (kernel, layer.stride or kernel, getattr(layer, "dilation", 1))]
    if any(len(values) > 1 for values in settings):
        raise ShapeError(f"receptive_field: {layer} differs by dimension; ask for each by (kernel, stride) pairs.")
    (size,), (stride,), (dilation,) = settings
    return size, stride, dilation
