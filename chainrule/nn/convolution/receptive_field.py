"""How much of the input each entry of the layers' outputs sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn.container import Sequential
from chainrule.nn.convolution.field import ReceptiveField, after
from chainrule.nn.convolution.receptive_paths import fields_of_paths
from chainrule.nn.module import Module


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
        return fields_of_paths(layers)
    field = ReceptiveField(1, 1)
    fields = []
    for layer in _flat(layers):
        field = after(layer, field)
        fields.append(field)
    return fields


def _branches(module: Module) -> bool:
    """Whether anything else than one layer after the other may happen in a module."""
    parts = list(module.children())
    return bool(parts) and (type(module) is not Sequential or any(_branches(part) for part in parts))


def _flat(layers: Any) -> Iterator[Any]:
    """Sequentials opened; a module among others that has branches is refused."""
    if isinstance(layers, Module):
        parts = [part for _, part in layers._occupied()]  # one that is called twice counts twice
        if parts and _branches(layers):
            raise ShapeError(f"receptive_field: {type(layers).__name__} may have branches; ask for the whole network.")
        yield from (leaf for part in parts for leaf in _flat(part)) if parts else [layers]
    else:
        for layer in layers:
            yield from _flat(layer) if isinstance(layer, Module) else [layer]
