"""What Python makes of numbers that change from call to call, and of what a step leaves, besides arithmetic."""

from __future__ import annotations

import contextlib
import math
import types
import typing
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError

CHANGING = types.SimpleNamespace(n=1.5, best=9.0)
T = typing.TypeVar("T")


def a_default(x: Any) -> Any:
    return x * (CHANGING.n or 7.0)


def a_default_of_a_local(x: Any) -> Any:
    n = CHANGING.n
    scale = n or 7.0
    return x * scale, scale


def the_last_of_two(x: Any) -> Any:
    n = CHANGING.n
    return x * (n and 7.0), x + (n and 1)


def one_of_three(x: Any) -> Any:
    return x * (CHANGING.n * 0 or CHANGING.n - 3 or 5.0)


def a_comparison_by_identity(x: Any) -> Any:
    big = CHANGING.n > 2
    if big is True:
        return x * 10
    return x if big is not False else x * 0


def the_best_so_far(x: Any) -> Any:
    improved = CHANGING.n < CHANGING.best
    if improved is True:
        CHANGING.best = CHANGING.n
    return x * CHANGING.best


def a_match_within_a_tuple(x: Any) -> Any:
    match (CHANGING.n > 2, 1):
        case (True, _):
            return x * 3
        case (False, _):
            return x
        case _:
            return x * 100


def an_error_that_is_caught(x: Any) -> Any:
    try:
        k = 1 / CHANGING.n
    except ZeroDivisionError:
        k = 5.0
    return x * k


def a_root_that_is_caught(x: Any) -> Any:
    try:
        k = math.sqrt(CHANGING.n)
    except ValueError:
        k = 5.0
    return x * k


def an_error_that_is_suppressed(x: Any) -> Any:
    with contextlib.suppress(ZeroDivisionError, OverflowError):
        x = x * (6 / CHANGING.n) * math.exp(CHANGING.n)
    return x


def numbers_of(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return [numbers_of(part) for part in answer]
    return answer.tolist() if isinstance(answer, chainrule.Tensor) else answer


@pytest.mark.parametrize(
    "step",
    [
        a_default, a_default_of_a_local, the_last_of_two, one_of_three, a_comparison_by_identity, the_best_so_far,
        a_match_within_a_tuple, an_error_that_is_caught, a_root_that_is_caught, an_error_that_is_suppressed,
    ],
)  # fmt: skip
def test_compiled_answers_what_eager_does(step: Callable[..., Any]) -> None:
    x = chainrule.tensor([1.0, 2.0])
    found = {}
    for name, function in (("eager", step), ("compiled", chainrule.compile(step))):
        CHANGING.best, found[name] = 9.0, []
        for n in (1.5, 2.25, 3.0, 0.0, 1.0, -1.5, 2.5, 1e4, 3.0, 0.0, -0.0, 1.5):
            CHANGING.n = n
            found[name].append([*numbers_of((function(x),)), CHANGING.best])
    for compiled, eager in zip(found["compiled"], found["eager"], strict=True):
        assert repr(compiled) == repr(eager) or compiled == pytest.approx(eager, rel=1e-6)


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


def test_an_object_that_is_returned_holds_a_number_of_python() -> None:
    step = chainrule.compile(lambda x: (x * 2, Holder(CHANGING.n)))
    for n in (1.5, 2.25, 3.0, 1.0):
        CHANGING.n = n
        held = step(chainrule.ones(2))[1].held
        assert type(held) is float and held == n


def test_a_changing_number_attached_to_a_parameter_is_there_after_every_call() -> None:
    weight: Any = nn.Parameter(chainrule.ones(2))

    def step(x: Any) -> Any:
        weight.seen = CHANGING.n * 2
        weight.shown = x.sum()
        return x * weight

    compiled = chainrule.compile(step)
    for n in (1.5, 2.5, 1.5, 3.0, 2.5, 2.5, 1.5, 1.0, 3.0):
        CHANGING.n = n
        compiled(chainrule.ones(2) * n)
        assert type(weight.seen) is float and weight.seen == 2 * n and weight.shown.item() == 2 * n


class Box(typing.Generic[T]):
    def __init__(self, held: T) -> None:
        self.held = held


class Doubled:
    def __class_getitem__(cls, number: float) -> float:
        return number * CHANGING.n


def test_a_class_in_brackets_is_its_own_method() -> None:
    def step(x: Any) -> Any:
        return Box[float](x).held * Doubled[3.0]

    compiled = chainrule.compile(step)
    for n in (1.5, 2.5, 4.0):
        CHANGING.n = n
        assert compiled(chainrule.ones(2)).tolist() == step(chainrule.ones(2)).tolist()


def test_a_generator_is_refused() -> None:
    def step(x: Any) -> Any:
        for k in (1.0, 2.0):
            yield x * k

    for _ in range(2):
        with pytest.raises(TraceError, match="gives a generator"):
            chainrule.compile(step)(chainrule.ones(2))


def test_a_parameter_that_the_step_makes_is_refused_and_one_from_outside_is_not() -> None:
    holder: Any = nn.Module()
    first, second = nn.Parameter(chainrule.ones(2)), nn.Parameter(chainrule.zeros(2))
    holder.weight = first

    def makes(x: Any) -> Any:
        holder.weight = nn.Parameter(chainrule.ones(2) * 2)
        return (holder.weight * x).sum()

    with pytest.raises(TraceError, match="weight.* becomes a Parameter that the step itself makes"):
        chainrule.compile(makes)(chainrule.ones(2))
    assert holder.weight is first

    def exchanges(x: Any) -> Any:
        holder.weight = second
        return (holder.weight + x).sum()

    assert chainrule.compile(exchanges)(chainrule.ones(2)).item() == 2 and holder.weight is second
