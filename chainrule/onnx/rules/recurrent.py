"""Recurrent layers, whole: an operator for each layer (both directions in one), its weights laid as ONNX has them.

Ours and ONNX's order of the gates: LSTM i, f, g, o and i, o, f, g; GRU r, z, n and z, r, n.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn
from chainrule.onnx.rules.registry import layer
from chainrule.primitives.value import Value

_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


@layer(nn.LSTM, nn.GRU, nn.RNN)
def recurrent(g: Any, call: Any) -> list[str] | None:
    """All layers of a module. Lengths, packed sequences and projections are left to the parts, which are loops."""
    module, a = call.first.thing, call.arguments
    kind = type(module).__name__
    x = a["input"]
    if a.get("lengths") is not None or not isinstance(x, Value) or module.proj_size or g.dtype(x).itemsize < 4:
        return None
    if module.initial_state != "zeros" or getattr(module, "nonlinearity", "tanh") not in _ACTIVATIONS:
        return None
    alone = len(g.shape(x)) == 2
    name = g.of(x)
    if alone:
        name = g.emit("Unsqueeze", [name, g.numbers([1])])
    elif module.batch_first:
        name = g.emit("Transpose", [name], perm=[1, 0, 2])
    hx = a["hx"]
    first = [] if hx is None else [g.of(s) for s in (hx if isinstance(hx, tuple | list) else (hx,))]
    if alone:
        first = [g.emit("Unsqueeze", [s, g.numbers([1])]) for s in first]
    name, last = _layers(g, module, kind, name, first)
    if alone:
        name, last = (_squeezed(g, name), [_squeezed(g, s) for s in last])
    elif module.batch_first:
        name = g.emit("Transpose", [name], perm=[1, 0, 2])
    return [name, *last]


def _layers(g: Any, module: Any, kind: str, x: str, first: list[str]) -> tuple[str, list[str]]:
    sides = 2 if module.bidirectional else 1
    last: list[list[str]] = [[] for _ in module.states]
    for number in range(module.num_layers):
        states = [_rows(g, s, number * sides, sides, module.num_layers) for s in first]
        weights = _weights(g, module, kind, number)
        settings: dict[str, Any] = {"hidden_size": module.hidden_size}
        if module.bidirectional:
            settings["direction"] = "bidirectional"
        if kind == "GRU":
            settings["linear_before_reset"] = 1
        if kind == "RNN":
            settings["activations"] = [_ACTIVATIONS[module.nonlinearity]] * sides
        y, *ends = g.emit(kind, [x, *weights, "", *states], 1 + len(module.states), **settings)
        if sides == 1:
            x = g.emit("Squeeze", [y, g.numbers([1])])
        else:
            x = g.emit("Reshape", [g.emit("Transpose", [y], perm=[0, 2, 1, 3]), g.numbers([0, 0, -1])])
        for ended, end in zip(last, ends, strict=True):
            ended.append(end)
    return x, [ended[0] if len(ended) == 1 else g.emit("Concat", ended, axis=0) for ended in last]


def _rows(g: Any, state: str, start: int, count: int, layers: int) -> str:
    if layers == 1:
        return state
    return str(g.emit("Slice", [state, g.numbers([start]), g.numbers([start + count]), g.numbers([0])]))


def _squeezed(g: Any, x: str) -> str:
    return str(g.emit("Squeeze", [x, g.numbers([1])]))


def _weights(g: Any, module: Any, kind: str, number: int) -> list[str]:
    """W, R and B of one layer, both directions stacked, with the gates in ONNX's order."""
    order = _ORDER[kind]
    sides = [f"_l{number}", f"_l{number}_reverse"][: 2 if module.bidirectional else 1]

    def laid(name: str) -> np.ndarray[Any, Any]:
        tables = [np.asarray(module._parameters[name + side].value.array) for side in sides]
        parts = [np.split(table, len(order)) for table in tables]
        return np.stack([np.concatenate([part[i] for i in order]) for part in parts])

    given = [("W", laid("weight_ih")), ("R", laid("weight_hh"))]
    if module.bias:
        given.append(("B", np.concatenate([laid("bias_ih"), laid("bias_hh")], axis=1)))
    path = f"{g.path}." if g.path else ""
    names = [g.constant(array, f"{path}{name}_l{number}") for name, array in given]
    return names if module.bias else [*names, ""]
