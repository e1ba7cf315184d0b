"""The head of a model, its last layer: finding it, and making it new for another number of classes."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.nn.convolution.layers import ConvolutionBase
from chainrule.nn.module import Module
from chainrule.nn.uninitialized import is_uninitialized

_HEADS = (nn.Linear, nn.QuantizedLinear, ConvolutionBase)


def find_head(model: Module) -> str:
    """The path of the last linear or convolution layer, in the order in which the parts were registered.

    That is the order of their names in the `state_dict`. Raises ValueError if there is none.

    >>> find_head(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10)))
    '2'
    """
    paths = [path for path, module in model.named_modules() if isinstance(module, _HEADS)]
    if not paths:
        raise ValueError(f"{type(model).__name__} has no linear or convolution layer that could be its head.")
    return paths[-1]


def replace_head(model: Module, classes: int, name: str | None = None) -> Module:
    """Put a new layer with `classes` outputs in place of the head, freshly initialised, and answer it.

    The new layer has the old one's inputs, kind, settings and data type, and always learns. An optimiser must be made
    afterwards. `name` is the path of the head where it is not the last layer.

    Raises ValueError for less than one class, a head that is no linear or convolution layer, that is the whole model,
    that is grouped so that the classes do not divide, or that has no shape yet.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> replace_head(model, 3)
    Linear(in_features=8, out_features=3, bias=True)
    >>> model[2].out_features
    3
    """
    if classes < 1:
        raise ValueError(f"a head has at least one class, got {classes}.")
    name = find_head(model) if name is None else name
    old = model.get_submodule(name)
    if not name:
        raise ValueError(f"the head is the whole model, a {type(model).__name__}; make a new one instead.")
    if not isinstance(old, _HEADS):
        raise ValueError(f"{name} is a {type(old).__name__}; a head is a linear or convolution layer.")
    if is_uninitialized(old.weight):
        raise ValueError(f"{name} has no shape yet; run the model on an input first.")
    model.set_submodule(name, _like(old, classes).train(old.training))
    return model.get_submodule(name)


def _like(layer: Any, outputs: int) -> Module:
    """A new layer with another number of outputs."""
    dtype = layer.weight.dtype if layer.weight.dtype.is_floating_point else None  # in 4 bits nothing can be learned
    common: dict[str, Any] = {"bias": layer.bias is not None, "dtype": dtype}
    if isinstance(layer, (nn.Linear, nn.QuantizedLinear)):
        return nn.Linear(layer.in_features, outputs, **common)
    names = ["kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"]
    names += ["output_padding"] if layer.transposed else []
    return type(layer)(layer.in_channels, outputs, **{name: getattr(layer, name) for name in names}, **common)
