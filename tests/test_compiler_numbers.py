"""Where a compiled step reads the numbers of a tensor from outside, its program holds for these numbers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule

#: What a step does with x, which is 1 … 4, and a whole number n outside, which counts up or down between the runs.
READS: dict[str, Callable[[Any, Any], Any]] = {
    "item": lambda x, n: x * n.item(),
    "int": lambda x, n: x * int(n),
    "float": lambda x, n: x * float(n),
    "bool": lambda x, n: x * 2 if n else x,
    "list": lambda x, n: x * n.tolist(),
    "array": lambda x, n: x * n.numpy(),
    "format": lambda x, n: x * float(f"{n:d}"),
    "range": lambda x, n: sum((x for _ in range(n)), x),
    "index": lambda x, n: x[n] * 1,
    "slice": lambda x, n: x[n:] * 1,
    "extent": lambda x, n: chainrule.zeros(int(n)) + 1,
    "full": lambda x, n: chainrule.full((2,), n) * x[0],
    "count": lambda x, n: chainrule.arange(n) * 2,
    "whole power": lambda x, n: x.long() ** (n - 2),
    "item, and the tensor": lambda x, n: x * n.item() + n,
}


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("name", READS)
def test_numbers_from_outside_are_those_of_the_run(name: str, start: int) -> None:
    def outcomes(change: Callable[[Any], Any]) -> list[Any]:
        n = chainrule.tensor(start)
        run = change(lambda x: READS[name](x, n))
        found = []
        for i in (0, 1, 2, 3, 3, 0):
            n.fill_(abs(start - i))
            found.append(run(chainrule.tensor([1.0, 2.0, 3.0, 4.0])).tolist())
        return found

    assert outcomes(chainrule.compile) == outcomes(lambda function: function)


def test_equal_numbers_need_no_new_program() -> None:
    scale = chainrule.tensor([2.0, float("nan")])
    run = chainrule.compile(lambda x: x * scale.tolist()[0] + scale)
    for number in (2.0, 2.0, 3.0, 2.0, 3.0):
        scale.copy_(chainrule.tensor([number, float("nan")]))
        assert run(chainrule.ones(2)).tolist()[0] == 2 * number
    assert [len(programs) for programs in run.programs.values()] == [2]


def test_programs_for_other_numbers_are_forgotten_some_time() -> None:
    n = chainrule.tensor(0)
    run = chainrule.compile(lambda x: x + n.item())
    for number in range(40):
        n.fill_(number)
        assert run(chainrule.zeros(2)).tolist() == [number] * 2
    assert [len(programs) for programs in run.programs.values()] == [32]


@pytest.mark.parametrize("by_number", [False, True])
def test_a_ring_with_a_pointer(by_number: bool) -> None:
    def outcomes(change: Callable[[Any], Any]) -> list[Any]:
        ring, pointer = chainrule.zeros(3, 2), chainrule.tensor(0)

        def step(x: Any) -> Any:
            ring[int(pointer) if by_number else pointer] = x
            if by_number:
                pointer.copy_(chainrule.tensor((int(pointer) + 1) % 3))
            else:
                pointer.add_(1).remainder_(3)
            return ring.sum(1)

        run = change(step)
        return [(run(chainrule.ones(2) * i).tolist(), ring.tolist(), pointer.tolist()) for i in range(7)]

    assert outcomes(chainrule.compile) == outcomes(lambda function: function)


def test_a_literal_without_dimensions_keeps_its_shape() -> None:
    x, number = chainrule.ones(1), np.float32(2)
    run = chainrule.compile(lambda x: x.reshape(()).copy_(chainrule.tensor([number]).reshape(())))
    assert run(x).shape == ()
