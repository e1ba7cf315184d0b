"""What a compiled step finds outside is what is there in that run: other tensors, other shapes, longer lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn


class Outside:
    """Where a step finds tensors."""

    def __init__(self) -> None:
        self.w = chainrule.ones(3)
        self.listed = [chainrule.ones(3), chainrule.ones(3) * 2]
        self.named = {"a": chainrule.ones(3)}
        self.layer = nn.Linear(3, 3)


def other_tensor(at: Outside, i: int) -> None:
    at.w = chainrule.ones(3) * i


def other_shape(at: Outside, i: int) -> None:
    at.w.data = chainrule.ones(3 if i % 2 else 1) * i


def other_type(at: Outside, i: int) -> None:
    at.w.data = (chainrule.ones(3) * i / 3).to(chainrule.float64 if i % 2 else chainrule.float32)


def longer_list(at: Outside, i: int) -> None:
    at.listed.append(chainrule.ones(3) * i)


def shorter_list(at: Outside, i: int) -> None:
    del at.listed[1:]


def other_entry_of_a_list(at: Outside, i: int) -> None:
    at.listed[0] = chainrule.ones(3) * i


def other_order_of_a_list(at: Outside, i: int) -> None:
    at.listed.reverse()


def other_entry_of_a_dictionary(at: Outside, i: int) -> None:
    at.named["a"] = chainrule.ones(3) * i


def other_layer(at: Outside, i: int) -> None:
    at.layer = nn.Linear(3, 3)


CHANGES = [
    other_tensor, other_shape, other_type, longer_list, shorter_list, other_entry_of_a_list, other_order_of_a_list,
    other_entry_of_a_dictionary, other_layer,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_between_runs_are_seen(change: Callable[[Outside, int], None]) -> None:
    def outcomes(prepare: Callable[[Any], Any]) -> list[Any]:
        chainrule.manual_seed(0)
        at = Outside()

        def step(x: Any) -> Any:
            total = chainrule.zeros(3)
            for i, part in enumerate(at.listed):
                total = total * 2 + part * (i + 1)
            return at.w * x, total, at.named["a"] * x, (at.layer(x) * 1024).round()

        run, found = prepare(step), []
        for i in range(4):
            found.append([(t.dtype, t.tolist()) for t in run(chainrule.tensor([1.0, 2.0, 3.0]))])
            change(at, i)
        return found

    assert outcomes(chainrule.compile) == outcomes(lambda function: function)


def test_without_changes_there_is_one_program() -> None:
    at = Outside()
    run = chainrule.compile(lambda x: at.layer(x) + at.w + at.named["a"] + at.listed[0])
    for _ in range(3):
        run(chainrule.ones(3))
        at.w.add_(1)
        at.listed[0].mul_(2)
    assert [len(programs) for programs in run.programs.values()] == [1]
