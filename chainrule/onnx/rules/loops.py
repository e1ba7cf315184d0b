"""Loops: a `Scan` is ONNX's operator of the same name, its body a graph within."""

from __future__ import annotations

from typing import Any

from chainrule.onnx.parts import Body, Node
from chainrule.onnx.rules.registry import primitive


@primitive("Scan")
def scan(g: Any, e: Any) -> list[str]:
    """Carries, then what is stacked. Constants are used from outside; the body is written anew here."""
    p = e.parameters
    carries, sequences = p["carries"], p["sequences"]
    inputs, equations, outputs = g.pairing.body(p["body"])
    loop = inputs[: carries + sequences]
    for symbol, given in zip(inputs[carries + sequences :], e.inputs[carries + sequences :], strict=True):
        g.names[symbol] = g.of(given)
    given = [g.of(x) for x in e.inputs[: carries + sequences]]
    path, outside, known = g.path, g.nodes, dict(g.names)
    nodes = list[Node]()
    g.nodes = nodes
    for symbol in loop:
        g.names[symbol] = g.parts.free_name(f"{path}/step" if path else "step")
    names = [g.names[symbol] for symbol in loop]
    if not sequences:  # the operator wants something to walk over
        given.append(g.counting(p["length"]))
        names.append(g.parts.free_name("step"))
    g.inner.update(inputs, *[body.outputs for body in equations])
    g.note_uses(equations, outputs)
    for body in equations:
        g.equation(body)
    g.path = path
    results = [g.emit("Identity", [g.of(x)]) for x in outputs]
    g.nodes = outside
    kept = {symbol: g.names[symbol] for symbol in g.names if symbol in known}
    g.names = kept
    kinds = [(g.dtype(x), len(g.shape(x))) for x in loop]
    typed = [(name, *kind) for name, kind in zip(names, kinds, strict=False)]
    if not sequences:
        typed.append((names[-1], "int64", 0))
    made = [(name, g.dtype(x), len(g.shape(x))) for name, x in zip(results, outputs, strict=True)]
    back = int(p["reverse"])
    stacked = len(outputs) - carries
    answer = g.emit(
        "Scan", given, len(outputs), body=Body(typed, made, nodes), num_scan_inputs=max(sequences, 1),
        scan_input_directions=[back] * max(sequences, 1), scan_output_directions=[back] * stacked or None,
    )  # fmt: skip
    return [answer] if isinstance(answer, str) else answer
