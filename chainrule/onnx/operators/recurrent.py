"""Recurrent layers: ONNX's LSTM, GRU and RNN, each by `chainrule.scan`."""

from __future__ import annotations

from collections.abc import Callable

import chainrule as cr
from chainrule.nn import functional as F
from chainrule.onnx.operators.registry import Running, operator
from chainrule.tensor import Tensor

_USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"Tanh": cr.tanh, "Relu": F.relu, "Sigmoid": cr.sigmoid}

#: From the sums of the inputs, the state, the recurrent weight and its bias to the next state.
Next = Callable[[Tensor, tuple[Tensor, ...], Tensor, Tensor], tuple[Tensor, ...]]


@operator("LSTM", "GRU", "RNN")
def recurrent(node: Running) -> tuple[Tensor, ...]:
    """All steps of both directions: Y (T, D, N, H), then the last states (D, N, H)."""
    x, W, R = node.tensor(0), node.tensor(1), node.tensor(2)
    _check(node)
    directions, hidden = W.shape[0], node.attribute("hidden_size", R.shape[-1])
    gates, states = {"LSTM": 4, "GRU": 3, "RNN": 1}[node.kind], 2 if node.kind == "LSTM" else 1
    bias = node.tensor(3) if node.has(3) else x.new_zeros(directions, 2 * gates * hidden)
    zero = x.new_zeros(directions, x.shape[1], hidden)
    first = [node.tensor(5 + i) if node.has(5 + i) else zero for i in range(states)]
    sides, ends = [], []
    for d in range(directions):
        backwards = d == 1 or node.attribute("direction", "forward") == "reverse"
        b, rb = bias[d, : gates * hidden], bias[d, gates * hidden :]
        step = _step(node, d)

        def advance(
            state: tuple[Tensor, ...], row: Tensor, step: Next = step, R: Tensor = R[d], rb: Tensor = rb
        ) -> tuple[tuple[Tensor, ...], Tensor]:
            new = step(row, state, R, rb)
            return new, new[0]

        last, outputs = cr.scan(advance, tuple(s[d] for s in first), x @ W[d].mT + b, reverse=backwards)
        sides.append(outputs)
        ends.append(last)
    return cr.stack(sides, 1), *[cr.stack([end[i] for end in ends]) for i in range(states)]


def _check(node: Running) -> None:
    if node.attribute("layout", 0) or node.attribute("clip") or node.attribute("input_forget", 0):
        raise node.refuse("layout, clip and input_forget are not read.")
    if node.has(4) or (node.kind == "LSTM" and node.has(7)):
        raise node.refuse("lengths of sequences and peepholes are not read.")
    if node.attribute("activation_alpha") or node.attribute("activation_beta"):
        raise node.refuse("numbers of activations are not read.")
    usual, given = _USUAL.get(node.kind), node.attribute("activations")
    if usual is not None and given and any(name != usual[i % len(usual)] for i, name in enumerate(given)):
        raise node.refuse(f"its activations are read as {', '.join(usual)}, the file has {', '.join(given)}.")


def _step(node: Running, direction: int) -> Next:
    if node.kind == "LSTM":
        return _lstm
    if node.kind == "GRU":
        return _gru_behind if node.attribute("linear_before_reset", 0) else _gru_before
    names = node.attribute("activations") or ["Tanh"] * 2
    if names[direction] not in _FUNCTIONS:
        raise node.refuse(f"the activation {names[direction]!r} is not read.")
    function = _FUNCTIONS[names[direction]]
    return lambda sums, state, R, rb: (function(sums + state[0] @ R.mT + rb),)


def _lstm(sums: Tensor, state: tuple[Tensor, ...], R: Tensor, rb: Tensor) -> tuple[Tensor, ...]:
    """Gates in the order i, o, f, g."""
    h, c = state
    i, o, f, g = (sums + h @ R.mT + rb).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru_behind(sums: Tensor, state: tuple[Tensor, ...], R: Tensor, rb: Tensor) -> tuple[Tensor, ...]:
    """Gates z, r, n; the state's part of n is reset as a whole, bias and all."""
    (h,) = state
    z, r, n = sums.chunk(3, -1)
    hz, hr, hn = (h @ R.mT + rb).chunk(3, -1)
    z, r = (z + hz).sigmoid(), (r + hr).sigmoid()
    return ((1 - z) * (n + r * hn).tanh() + z * h,)


def _gru_before(sums: Tensor, state: tuple[Tensor, ...], R: Tensor, rb: Tensor) -> tuple[Tensor, ...]:
    """The state itself is reset."""
    (h,) = state
    z, r, n = sums.chunk(3, -1)
    Rz, Rr, Rn = R.chunk(3, 0)
    bz, br, bn = rb.chunk(3, -1)
    z, r = (z + h @ Rz.mT + bz).sigmoid(), (r + h @ Rr.mT + br).sigmoid()
    return ((1 - z) * (n + (r * h) @ Rn.mT + bn).tanh() + z * h,)
