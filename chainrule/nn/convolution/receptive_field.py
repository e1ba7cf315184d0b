"""How large outputs are, and how much of the input each of their entries sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from chainrule.errors import ShapeError
from chainrule.nn.container import Sequential
from chainrule.nn.convolution.layers import ConvolutionBase
from chainrule.nn.linear import Flatten, Linear
from chainrule.nn.module import Module
from chainrule.nn.pooling.unpooling import MaxUnpool
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

    layers: pairs (kernel, stride), triples (kernel, stride, dilation), or modules. A Sequential counts as its layers,
    in order. Any other module with parts is run once on an image of zeros, so that its branches are seen: an entry to
    which several paths lead sees what the longest of them sees. Its layers then come in the order in which they run.

    r = r + (k − 1)·d·j and j = j·s, starting from r = j = 1. Modules without a window (activations, normalisation,
    dropout) change nothing; after a linear layer, a Flatten, or global pooling the field is all of the input, ∞. The
    field is that of one dimension; kernels are square. Raises ShapeError for kernels that are not, for transposed
    convolutions, unpooling and upsampling, for windows outside of modules, and for a module that takes no image.

    Source: E 4.2.6, I III.3.

    >>> [field.size for field in receptive_field([(3, 1), (2, 2), (1, 1), (4, 2)])]
    [3, 4, 4, 10]
    """
    if isinstance(layers, Module) and _branches(layers):
        from chainrule.nn.convolution.receptive_paths import fields_of_paths  # here: it stands on this file

        return fields_of_paths(layers)
    field = ReceptiveField(1, 1)
    fields = []
    for layer in _flat(layers):
        field = after(layer, field)
        fields.append(field)
    return fields


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


def _branches(module: Module) -> bool:
    """Whether anything else than one layer after the other may happen in a module."""
    parts = list(module.children())
    return bool(parts) and (type(module) is not Sequential or any(_branches(part) for part in parts))


def _flat(layers: Any) -> Iterator[Any]:
    """Sequentials opened; a module among others that has branches is refused."""
    if isinstance(layers, Module):
        parts = list(layers.children())
        if parts and _branches(layers):
            raise ShapeError(f"receptive_field: {type(layers).__name__} may have branches; ask for the whole network.")
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
