"""Nodes that hold other nodes: a choice (`If`) and loops (`Loop`, `Scan`). These see outer values by name.

`Scan` is a loop of ours, so a traced step has it once. What `If` and `Loop` do depends on numbers: those that follow
from shapes are known while a step is traced, which then holds the chosen branch, and the body as often as it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr
from chainrule.onnx.operators.registry import Running, as_numbers, as_tensor, operator
from chainrule.tensor import Tensor

#: How often a `Loop` may run its body.
MOST_TURNS = 2**20


def _true(value: Any) -> bool:
    return bool(np.asarray(as_numbers(value)).reshape(()))


@operator("If")
def choice(node: Running) -> tuple[Any, ...]:
    """One of two branches, by a truth value."""
    branch = node.part("then_branch" if _true(node.numbers(0)) else "else_branch")
    return tuple(branch.values([], node.outer))


@operator("Loop")
def loop(node: Running) -> tuple[Any, ...]:
    """The body again and again, as often as is said and as long as its condition holds.

    The body takes its number, the condition and the state; it gives the condition, the state and rows to be stacked.
    """
    body, state = node.part("body"), list(node.values[2:])
    times = node.whole(0)[0] if node.has(0) else None
    goes_on, turn = not node.has(1) or _true(node.values[1]), 0
    rows: list[list[Tensor]] = [[] for _ in body.outputs[1 + len(state) :]]
    while goes_on and (times is None or turn < times):
        if max(turn + 1, times or 0) > MOST_TURNS:
            raise node.refuse(f"it would run its body more than {MOST_TURNS:,} times.")
        condition, *results = body.values([np.array(turn), np.array(True), *state], node.outer)
        goes_on, turn, state = _true(condition), turn + 1, results[: len(state)]
        for collected, row in zip(rows, results[len(state) :], strict=True):
            collected.append(as_tensor(row))
    if rows and not turn:
        raise node.refuse("its body does not run once, and the file does not say what shape its rows have.")
    return (*state, *[cr.stack(collected) for collected in rows])


@operator("Scan")
def scan(node: Running) -> Any:
    """A loop over the first dimension of its sequences; what its body uses from outside it takes from there."""
    count = node.attribute("num_scan_inputs")
    body, values = node.part("body"), [node.tensor(i) for i in range(len(node.values))]
    carries, rows = values[: len(values) - count], values[len(values) - count :]
    kinds = {*node.attribute("scan_input_directions", [0]), *node.attribute("scan_output_directions", [0])}
    moved = any(node.attribute("scan_input_axes", [0])) or any(node.attribute("scan_output_axes", [0]))
    if node.opset < 9 or moved or len(kinds) > 1 or not count:
        raise node.refuse("sequences are walked over along the first dimension, all in one direction.")

    def step(state: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        results = body.run([*state, *row], node.outer)
        return tuple(results[: len(carries)]), tuple(results[len(carries) :])

    final, stacked = cr.scan(step, tuple(carries), tuple(rows), reverse=kinds == {1})
    return (*final, *stacked)
