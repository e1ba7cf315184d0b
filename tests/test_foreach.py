"""Operations on lists of tensors against PyTorch, and in compiled steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.functions.foreach import OPERATIONS

torch = pytest.importorskip("torch")

_POSITIVE = [[0.5, 0.25], [0.125], [0.75, 0.5, 0.25]]
_OTHERS = [[0.1, 2.0], [0.5], [1.0, 0.3, 0.7]]
_WITH_OTHERS = frozenset({"add", "sub", "mul", "div", "pow", "maximum", "minimum", "clamp_max", "clamp_min"})


def lists(library: Any, numbers: Any) -> list[Any]:
    return [library.tensor(row, dtype=library.float64) for row in numbers]


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected) and len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", sorted(OPERATIONS - {"addcmul", "addcdiv", "lerp"}))
def test_operations_are_pytorchs(name: str) -> None:
    choices: list[Any] = [()] if name not in _WITH_OTHERS else [_OTHERS, 0.5, [0.5, 2.0, 0.25]]
    for choice in choices:
        found = []
        for library in (chainrule, torch):
            x = lists(library, _POSITIVE)
            others = choice if not choice else (lists(library, choice) if choice is _OTHERS else choice,)
            answer = getattr(library, f"_foreach_{name}")(x, *others)
            same(x, lists(library, _POSITIVE))
            getattr(library, f"_foreach_{name}_")(x, *others)
            same(list(answer), x)
            found.append(answer)
        same(*found)


def test_those_with_settings_are_pytorchs() -> None:
    def results(library: Any) -> Any:
        x, y, z = (lists(library, numbers) for numbers in (_POSITIVE, _OTHERS, _OTHERS))
        half = library.tensor(0.5, dtype=library.float64)
        yield library._foreach_add(x, y, alpha=2)
        yield library._foreach_sub(x, y, alpha=0.5)
        yield library._foreach_mul(x, half)
        yield library._foreach_addcmul(x, y, z, value=0.5)
        yield library._foreach_addcdiv(x, y, z, [0.5, 1.0, 2.0])
        yield library._foreach_lerp(x, y, 0.25)
        yield library._foreach_lerp(x, y, z)
        yield library._foreach_norm(x)
        yield library._foreach_norm(x, 1)
        yield library._foreach_norm(x, ord=1)
        yield library._foreach_max(x)
        yield library._foreach_pow(2.0, x)
        yield library._foreach_clone(x)
        library._foreach_lerp_(x, y, 0.75)
        library._foreach_addcdiv_(x, y, z, value=-0.5)
        library._foreach_addcmul_(x, y, z, [0.5, 1.0, 2.0])
        yield x
        library._foreach_copy_(x, y)
        yield x
        library._foreach_zero_(x)
        yield x

    for found, expected in zip(results(chainrule), results(torch), strict=True):
        same(found, expected)


def test_what_does_not_fit_or_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="lists of one length, got 3 and 2"):
        chainrule._foreach_add(lists(chainrule, _POSITIVE), [1.0, 2.0])
    with pytest.raises(AttributeError):
        chainrule._foreach_nothing  # noqa: B018


def test_numbers_that_change_are_inputs_of_compiled_steps() -> None:
    state = {"step": 0}
    x, y = [chainrule.zeros(2), chainrule.zeros(3)], [chainrule.ones(2), chainrule.ones(3)]

    @chainrule.compile
    def step() -> None:
        state["step"] += 1
        chainrule._foreach_add_(x, y, alpha=state["step"])
        chainrule._foreach_addcdiv_(x, y, y, [1 / state["step"], 2.0])

    for _ in range(10):
        step()
    assert x[1].tolist() == [75.0, 75.0, 75.0]
    assert x[0].tolist() == pytest.approx([55 + sum(1 / n for n in range(1, 11))] * 2)
    assert sum(map(len, step.programs.values())) <= 2
