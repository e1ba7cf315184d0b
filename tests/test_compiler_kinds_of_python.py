"""More kinds of Python that a step may lean on: what C looks at for it, classes that answer, code made of texts."""

from __future__ import annotations

import abc
import argparse
import collections
import dataclasses
import operator
import re
import sys
import types
from typing import Any

import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError
from chainrule.nn import functional as F
from tests.scenarios import Log, Scenario, Scenarios, agree, x

scenario = Scenarios()


@dataclasses.dataclass(order=True)
class Part:
    """Something that C compares."""

    size: int
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Key:
    """Something that C makes a hash of."""

    name: str = "a"


# ------------------------------------------------------------------------------------- what C looks at


@scenario
def objects_that_functions_in_c_order(prepare: Any, log: Log) -> None:
    parts = [Part(3, "b"), Part(5, "a")]
    runs = [
        prepare(lambda x: x * sorted(parts, key=operator.attrgetter("name"))[0].size),
        prepare(lambda x: x * max(map(operator.attrgetter("size"), parts))),
        prepare(lambda x: x * sorted(parts, key=repr)[0].size),
        prepare(lambda x: x * max(parts).size),
        prepare(lambda x: x * sorted(parts)[0].size),
        prepare(lambda x: x * len(set(map(str, parts)))),
    ]
    for change in (
        lambda: None,
        lambda: setattr(parts[0], "name", "A"),
        lambda: setattr(parts[0], "size", 9),
        lambda: parts.append(Part(-1, "z")),
        lambda: vars(parts[2]).update(size=20, name=""),
    ):
        change()
        for run in runs:
            log(run, x())


@scenario
def objects_that_containers_compare(prepare: Any, log: Log) -> None:
    parts, other, many = [Part(3), Part(5)], [Part(3), Part(5)], collections.deque([Part(5)])
    runs = [
        prepare(lambda x: x * parts.count(Part(3))),
        prepare(lambda x: x * parts.index(Part(3))),
        prepare(lambda x: x * 2 if Part(5) in parts else x),
        prepare(lambda x: x * 2 if parts == other else x),
        prepare(lambda x: x * 2 if [*parts] == [*other] else x),
        prepare(lambda x: x * many.count(Part(5))),
    ]
    for change in (
        lambda: None, lambda: setattr(other[1], "size", 6), lambda: setattr(parts[1], "size", 3),
        lambda: setattr(many[0], "size", 1), lambda: setattr(parts[0], "size", 5),
    ):  # fmt: skip
        change()
        for run in runs:
            log(run, x())


@scenario
def keys_with_a_hash_of_their_own(prepare: Any, log: Log) -> None:
    table, chosen = {Key(): 2.0}, {Key(), Key("b")}
    key = Key()
    first, second = prepare(lambda x: x * table.get(key, 1.0)), prepare(lambda x: x * 2 if key in chosen else x)
    for change in (
        lambda: None, lambda: object.__setattr__(key, "name", "c"), lambda: table.update({Key("c"): 5.0}),
        lambda: chosen.add(Key("c")), lambda: object.__setattr__(key, "name", "b"),
    ):  # fmt: skip
        change()
        log(first, x())
        log(second, x())


@scenario
def attributes_that_appear(prepare: Any, log: Log) -> None:
    options, space = argparse.Namespace(rate=1.0), types.SimpleNamespace(rate=1.0)
    runs = [
        prepare(lambda x: x * 2 if "more" in options else x),
        prepare(lambda x: x * 2 if space == types.SimpleNamespace(rate=1.0) else x),
        prepare(lambda x: x * len(str(space))),
    ]
    for change in (
        lambda: None, lambda: setattr(options, "more", 1), lambda: setattr(space, "more", 2),
        lambda: delattr(space, "more"), lambda: delattr(options, "more"),
    ):  # fmt: skip
        change()
        for run in runs:
            log(run, x())


@scenario
def containers_written_in_python(prepare: Any, log: Log) -> None:
    listed, named, chained = collections.UserList([1.0, 2.0]), collections.UserDict(a=2.0), collections.ChainMap({})
    runs = [
        prepare(lambda x: x * sum(listed)),
        prepare(lambda x: x * sum([part for part in listed])),
        prepare(lambda x: x * sum(named[key] for key in named)),
        prepare(lambda x: x * 2 if chained else x),
        prepare(lambda x: x * 2 if listed else x),
    ]
    for change in (
        lambda: None, lambda: listed.append(4.0), lambda: named.update(b=5.0), lambda: chained.update(c=1),
        lambda: listed.clear(), lambda: named.pop("a"),
    ):  # fmt: skip
        change()
        for run in runs:
            log(run, x())


# ------------------------------------------------------------------------------------- classes and modules


@scenario
def what_a_class_says_is_its_own(prepare: Any, log: Log) -> None:
    class Base(abc.ABC):  # noqa: B024
        pass

    class Thing:
        pass

    thing, kinds, value = Thing(), [(int,)], [1]
    runs = [
        prepare(lambda x: x * 2 if isinstance(thing, Base) else x),
        prepare(lambda x: x * 2 if issubclass(Thing, Base) else x),
        prepare(lambda x: x * 2 if isinstance(value[0], kinds[0]) else x),
    ]
    for change in (
        lambda: None, lambda: value.__setitem__(0, 1.0), lambda: kinds.__setitem__(0, (int, float)),
        lambda: Base.register(Thing), lambda: value.__setitem__(0, "a"),
    ):  # fmt: skip
        change()
        for run in runs:
            log(run, x())


@scenario
def functions_of_a_library_that_are_replaced(prepare: Any, log: Log) -> None:
    run, before = prepare(lambda x: F.relu(x - 2)), F.relu
    log(run, x())
    try:
        F.relu = lambda x: x * 100  # type: ignore[assignment]
        log(run, x())
    finally:
        F.relu = before
    log(run, x())


@scenario
def a_module_that_is_replaced(prepare: Any, log: Log) -> None:
    def module(rate: float) -> types.ModuleType:
        made = types.ModuleType("settings_of_a_test")
        made.rate = rate  # type: ignore[attr-defined]
        return made

    def step(x: Any) -> Any:
        from settings_of_a_test import rate  # type: ignore[import-not-found]

        return x * rate

    run = prepare(step)
    try:
        for rate in (2.0, 3.0):
            sys.modules["settings_of_a_test"] = module(rate)
            log(run, x())
    finally:
        del sys.modules["settings_of_a_test"]


RATE = {"value": 2.0}


@scenario
def code_made_of_texts(prepare: Any, log: Log) -> None:
    texts = ["x * RATE['value']"]
    runs = [
        prepare(lambda x: eval("x * RATE['value']")),
        prepare(lambda x: eval("x * RATE['value']", globals(), {"x": x})),
        prepare(lambda x: eval(texts[0], globals(), locals())),
        prepare(lambda x: eval("x *")),
    ]
    for change in (
        lambda: RATE.update(value=2.0), lambda: RATE.update(value=3.0), lambda: texts.__setitem__(0, "x + 1"),
        lambda: RATE.update(value=5.0),
    ):  # fmt: skip
        change()
        for run in runs:
            try:
                log(run, x())
            except SyntaxError as error:
                log(str(error))


# ------------------------------------------------------------------------------------- running them


@pytest.mark.parametrize("told", scenario, ids=lambda told: told.__name__)
def test_a_scenario(told: Scenario) -> None:
    agree(told)


def test_a_layer_made_by_the_step_is_refused_with_the_way_out() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner: Any = None

        def forward(self, x: Any) -> Any:
            if self.inner is None:
                self.inner = nn.Linear(3, 1)
            return self.inner(x)

    late = Late()
    text = "Late.inner is made in the step; make it before: in `__init__`, or by one call of the function as it is"
    with pytest.raises(TraceError, match=re.escape(text)):
        chainrule.compile(late.__call__)(x())
    assert late.inner is None
    late(x())
    assert chainrule.compile(late.__call__)(x()).shape == (1,)
