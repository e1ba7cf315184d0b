"""A network's answer about a few rows, computed by NumPy: what an agent asks before each step.

A step in a small world takes some ten microseconds, and the look before it is to take no more. A compiled call has to
find its program and bind its tensors first, which pays for the batches of learning, not for one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from chainrule import nn
from chainrule.rl.episode import Array


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


_ACTIVATIONS: dict[type[nn.Module], Callable[[Array], Array]] = {nn.ReLU: _relu, nn.Tanh: np.tanh}


def glance(layers: Iterable[nn.Module]) -> Callable[[Array], Array]:
    """A function of rows (N, D), float32, to what the layers give one after the other, with the weights of then.

    They are linear layers, ReLU and tanh, as `perceptron` makes them; numbers agree to rounding, hooks are not called.
    Raises TypeError for any other layer.

    >>> from chainrule.rl.deep.networks import perceptron
    >>> glance(perceptron(4, (8,), 2))(np.zeros((3, 4), np.float32)).shape
    (3, 2)
    """
    parts = [_part(layer) for layer in layers]

    def look(rows: Array) -> Array:
        for part in parts:
            rows = part(rows)
        return rows

    return look


def _part(layer: nn.Module) -> Callable[[Array], Array]:
    if type(layer) in _ACTIVATIONS:
        return _ACTIVATIONS[type(layer)]
    if type(layer) is not nn.Linear or layer.bias is None:
        raise TypeError(f"glance() knows Linear with a bias, ReLU and Tanh; the network has {layer}.")
    weight, bias = layer.weight, layer.bias  # cells, which hold other arrays after each update

    def affine(rows: Array) -> Array:
        found = rows @ weight.value.array.T
        found += bias.value.array
        return found

    return affine
