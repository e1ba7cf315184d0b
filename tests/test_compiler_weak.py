"""What a compiled step must not read: weak references, since what it has read lives as long as its programs."""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError
from tests.scenarios import x


class Thing:
    """Something that may be gone."""

    scale = 2.0

    def __init__(self) -> None:
        self.own = 3.0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, key: int) -> float:
        return 2.0 * key

    def __call__(self, x: Any) -> Any:
        return x * self.own

    def apply(self, x: Any) -> Any:
        return x * self.own


class Kept(weakref.WeakValueDictionary[str, Thing]):
    """A table of one's own."""


def first(things: Any) -> Any:
    """The first of some things."""
    return next(iter(things))


#: What makes the weak reference, and what a step reads through it.
READS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "ref": (weakref.ref, lambda x, seen: x * seen().own),
    "ref, whether it is there": (weakref.ref, lambda x, seen: x if seen() is None else x * 2),
    "ref by its method": (weakref.ref, lambda x, seen: x * seen.__call__().own),
    "ref by operator.call": (weakref.ref, lambda x, seen: x * operator.call(seen).own),
    "ref by a partial": (weakref.ref, lambda x, seen: x * functools.partial(seen)().own),
    "mapped ref": (weakref.ref, lambda x, seen: x * next(map(operator.call, [seen])).own),
    "ref of a method": (lambda thing: weakref.WeakMethod(thing.apply), lambda x, seen: seen()(x)),
    "proxy": (weakref.proxy, lambda x, seen: x * seen.own),
    "method of a proxy": (weakref.proxy, lambda x, seen: seen.apply(x)),
    "called proxy": (weakref.proxy, lambda x, seen: seen(x)),
    "item of a proxy": (weakref.proxy, lambda x, seen: x * seen[2]),
    "length of a proxy": (weakref.proxy, lambda x, seen: x * len(seen)),
    "truth of a proxy": (weakref.proxy, lambda x, seen: x * 2 if seen else x),
    "getattr of a proxy": (weakref.proxy, lambda x, seen: x * getattr(seen, "own", 1.0)),
    "hasattr of a proxy": (weakref.proxy, lambda x, seen: x * 2 if hasattr(seen, "own") else x),
    "vars of a proxy": (weakref.proxy, lambda x, seen: x * vars(seen)["own"]),
    "WeakValueDictionary": (
        lambda thing: weakref.WeakValueDictionary(a=thing), lambda x, seen: x * seen["a"].own if "a" in seen else x
    ),
    "item of a WeakValueDictionary": (
        lambda thing: weakref.WeakValueDictionary(a=thing), lambda x, seen: x * seen["a"].own
    ),
    "get of a WeakValueDictionary": (
        lambda thing: weakref.WeakValueDictionary(a=thing), lambda x, seen: x * 2 if seen.get("a") else x
    ),
    "values of a WeakValueDictionary": (
        lambda thing: weakref.WeakValueDictionary(a=thing), lambda x, seen: x * sum(part.own for part in seen.values())
    ),
    "a table of one's own": (lambda thing: Kept(a=thing), lambda x, seen: x * len(seen)),
    "WeakKeyDictionary": (
        lambda thing: weakref.WeakKeyDictionary({thing: 2.0}), lambda x, seen: x * sum(list(seen.values()))
    ),
    "keys of a WeakKeyDictionary": (
        lambda thing: weakref.WeakKeyDictionary({thing: 2.0}), lambda x, seen: x * first(seen).own
    ),
    "spread WeakValueDictionary": (
        lambda thing: weakref.WeakValueDictionary(a=thing), lambda x, seen: x * len({**seen})
    ),
    "length of a WeakSet": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * len(seen)),
    "sum over a WeakSet": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * sum(part.own for part in seen)),
    "truth of a WeakSet": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * 2 if seen else x),
    "list of a WeakSet": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * len(list(seen))),
    "united WeakSets": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * len(list(seen | set()))),
    "compared WeakSets": (lambda thing: weakref.WeakSet([thing]), lambda x, seen: x * 2 if seen == set() else x),
}  # fmt: skip


@pytest.mark.parametrize("place", ["variable", "attribute", "argument"])
@pytest.mark.parametrize(("make", "read"), READS.values(), ids=READS)
def test_a_weak_reference_is_refused(make: Callable[[Any], Any], read: Callable[[Any, Any], Any], place: str) -> None:
    thing = Thing()
    seen, model = make(thing), nn.Identity()
    model.seen = seen  # type: ignore[assignment]
    if place == "argument":
        run = chainrule.compile(read)
        given = (x(), seen)
    else:
        run = chainrule.compile((lambda x: read(x, seen)) if place == "variable" else lambda x: read(x, model.seen))
        given = (x(),)
    with pytest.raises(TraceError, match=r"weak reference.*as long as its programs.*ordinary name"):
        run(*given)
    assert thing.own == 3.0


def test_models_behind_a_weak_reference_are_refused_too() -> None:
    model = nn.Linear(3, 3)
    reference = weakref.ref(model)
    with pytest.raises(TraceError, match="weak reference"):
        chainrule.compile(lambda x: reference()(x))(x())  # type: ignore[misc]


def test_writing_through_a_weak_reference_is_refused() -> None:
    thing, table = Thing(), weakref.WeakValueDictionary[str, Thing]()
    seen = weakref.proxy(thing)

    def attribute(x: Any) -> Any:
        seen.own = 5.0
        return x

    def item(x: Any) -> Any:
        table["a"] = thing
        return x

    for step in (attribute, item):
        with pytest.raises(TraceError, match="weak reference"):
            chainrule.compile(step)(x())
    assert thing.own == 3.0 and not len(table)


def test_what_is_gone_or_made_by_the_step_is_no_hindrance() -> None:
    thing = Thing()
    gone, alive = weakref.ref(Thing()), weakref.ref(thing)
    model = nn.Linear(3, 3)
    model.owner = alive  # type: ignore[assignment]

    def step(x: Any) -> Any:
        again = weakref.ref(thing)
        return (x if gone() is None else -x) * again().own  # type: ignore[union-attr]

    assert chainrule.compile(step)(x()).tolist() == [3.0, 6.0, 9.0]
    assert chainrule.compile(lambda x: model(x))(x()).shape == (3,)  # which has one, and does not look at it
