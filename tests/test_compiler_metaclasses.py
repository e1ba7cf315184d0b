"""What Python asks of a class is answered by its metaclass, whose methods count as any others."""

import types
from collections.abc import Callable
from typing import Any

import pytest

import chainrule

OUTSIDE = types.SimpleNamespace(k=2.0)


class Registry(type):
    def __instancecheck__(cls, thing: Any) -> bool:
        return OUTSIDE.k > 2

    def __subclasscheck__(cls, kind: type) -> bool:
        return OUTSIDE.k > 2

    def __iter__(cls) -> Any:
        return iter([OUTSIDE.k])

    def __len__(cls) -> int:
        return int(OUTSIDE.k)

    def __contains__(cls, thing: Any) -> bool:
        return bool(thing == OUTSIDE.k)

    def __getitem__(cls, key: Any) -> Any:
        return OUTSIDE.k

    def __bool__(cls) -> bool:
        return OUTSIDE.k > 2

    def __eq__(cls, other: object) -> bool:
        return OUTSIDE.k > 2

    __hash__ = type.__hash__


class Listed(metaclass=Registry):
    pass


USES: dict[str, Callable[[Any], Any]] = {
    "isinstance": lambda x: x * isinstance(1, Listed),
    "issubclass": lambda x: x * issubclass(int, Listed),
    "sum": lambda x: x * sum(Listed),
    "for": lambda x: sum((x * v for v in Listed), x),
    "len": lambda x: x * len(Listed),
    "in": lambda x: x * (3.0 in Listed),
    "item": lambda x: x * Listed["k"],
    "truth": lambda x: x if Listed else -x,  # type: ignore[truthy-function]
    "equality": lambda x: x * (Listed == int),  # noqa: E721
}


@pytest.mark.parametrize("use", list(USES))
def test_what_a_metaclass_answers_counts(use: str) -> None:
    step, x = USES[use], chainrule.tensor([1.0])
    compiled = chainrule.compile(step)
    for k in (2.0, 2.0, 3.0, 3.0, 2.0, 4.0):
        OUTSIDE.k = k
        assert compiled(x).item() == step(x).item()
