"""Kinds of Python that a step may lean on: what changes between calls is answered as eager code answers it.

Each test is a scenario that is run twice with fresh objects, once with the step as it is and once with it compiled.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import functools
import math
import os
import types
from typing import Any

import pytest

import chainrule
from chainrule import nn
from tests.scenarios import Log, Scenario, Scenarios, agree, x

scenario = Scenarios()


# ------------------------------------------------------------------------------------- classes


class Offset:
    """A descriptor with a number of its own and one of the object's."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __get__(self, thing: Any, kind: Any = None) -> Any:
        return self if thing is None else self.value * thing.own

    def __set__(self, thing: Any, value: float) -> None:
        thing.own = value


@scenario
def descriptors(prepare: Any, log: Log) -> None:
    class Thing:
        offset = Offset(2.0)
        own = 1.0

    thing = Thing()
    run = prepare(lambda x: x * thing.offset)
    log(run, x())
    thing.offset = 3.0  # type: ignore[assignment]
    log(run, x())
    Thing.__dict__["offset"].value = 5.0
    log(run, x())
    log(run, x())


@scenario
def what_super_finds(prepare: Any, log: Log) -> None:
    class Base:
        def apply(self, x: Any) -> Any:
            return x * 2

    class Derived(Base):
        def apply(self, x: Any) -> Any:
            return super().apply(x) + 1

    thing = Derived()
    run = prepare(lambda x: thing.apply(x))
    log(run, x())
    Base.apply = lambda self, x: x * 7  # type: ignore[method-assign]
    log(run, x())
    log(run, x())


@scenario
def special_methods_of_a_class(prepare: Any, log: Log) -> None:
    class Thing:
        def __call__(self, x: Any) -> Any:
            return x * 2

        def __len__(self) -> int:
            return 3

    thing = Thing()
    calls, lengths, truths = (
        prepare(lambda x: thing(x)), prepare(lambda x: x * len(thing)), prepare(lambda x: x if thing else -x)
    )  # fmt: skip
    for change in (
        lambda: None,
        lambda: setattr(Thing, "__call__", lambda self, x: x - 1),
        lambda: setattr(Thing, "__len__", lambda self: 5),
        lambda: setattr(Thing, "__bool__", lambda self: False),
        lambda: delattr(Thing, "__bool__"),
    ):
        change()
        log(calls, x())
        log(lengths, x())
        log(truths, x())


@scenario
def a_slot_that_is_empty(prepare: Any, log: Log) -> None:
    class Slots:
        __slots__ = ("scale",)

    thing = Slots()
    run = prepare(lambda x: x * getattr(thing, "scale", 1.0))
    log(run, x())
    thing.scale = 2.0
    log(run, x())
    del thing.scale
    log(run, x())


@scenario
def a_cached_property(prepare: Any, log: Log) -> None:
    class Thing:
        own = 2.0

        @functools.cached_property
        def scale(self) -> float:
            return self.own * 10

    thing = Thing()
    run = prepare(lambda x: x * thing.scale)
    log(run, x())
    thing.own = 3.0
    log(run, x())
    del thing.scale
    log(run, x())
    log(thing.scale)
    thing.scale = 5.0
    log(run, x())
    log(thing.scale)


@scenario
def a_property_that_computes_with_tensors(prepare: Any, log: Log) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.number, self.linear = 2.0, nn.Linear(3, 3)

        @property
        def scale(self) -> Any:
            return self.number * self.linear.bias.sum()

        def forward(self, x: Any) -> Any:
            return self.linear(x) * self.scale

    model = Scaled()
    run = prepare(lambda x: model(x).detach())
    for number in (2.0, 3.0, 4.0, 5.0):
        model.number = number
        log(run, x())


@scenario
def the_default_factory_of_a_dataclass(prepare: Any, log: Log) -> None:
    start = [2.0]

    @dataclasses.dataclass
    class Settings:
        scales: list[float] = dataclasses.field(default_factory=lambda: list(start))

    run = prepare(lambda x: x * Settings().scales[0])
    for value in (2.0, 3.0, 4.0):
        start[0] = value
        log(run, x())


@scenario
def a_function_for_another_class(prepare: Any, log: Log) -> None:
    @functools.singledispatch
    def apply(by: Any, x: Any) -> Any:
        return x

    by: Any = 1.5
    run = prepare(lambda x: apply(by, x))
    log(run, x())
    apply.register(float, lambda by, x: x * 9)
    log(run, x())
    by = 1
    log(run, x())


# ------------------------------------------------------------------------------------- containers


@scenario
def views_of_dictionaries(prepare: Any, log: Log) -> None:
    settings = {"a": 1.0}
    values, proxy = settings.values(), types.MappingProxyType(settings)
    runs = [
        prepare(lambda x: sum(x * v for v in values)),
        prepare(lambda x: x * proxy["a"] * len(proxy)),
        prepare(lambda x: x * proxy.get("b", 5.0) + sum(proxy.values())),
    ]
    for change in ({}, {"b": 2.0}, {"a": 7.0}, {"a": 8.0}):
        settings.update(change)
        for run in runs:
            log(run, x())


@scenario
def rows_of_bytes(prepare: Any, log: Log) -> None:
    numbers, raw = array.array("f", [1, 2]), bytearray(b"\x01\x02")
    shown = memoryview(raw)
    runs = [
        prepare(lambda x: x * numbers[0] + sum(numbers)),
        prepare(lambda x: x * raw[0] + len(raw)),
        prepare(lambda x: x * shown[1]),
    ]
    for value in (1, 5, 6):
        numbers[0] = raw[0] = raw[1] = value
        for run in runs:
            log(run, x())


@scenario
def containers_with_methods_in_the_library(prepare: Any, log: Log) -> None:
    class Settings(collections.UserDict):  # type: ignore[type-arg]
        pass

    settings = Settings(k=2.0)
    run = prepare(lambda x: x * settings["k"] * len(settings))
    log(run, x())
    settings["k"] = 3.0
    log(run, x())
    settings["j"] = 1.0
    log(run, x())
    settings.data = {"k": 9.0}
    log(run, x())


@scenario
def iteration_by_places_that_end(prepare: Any, log: Log) -> None:
    class Places:
        def __init__(self) -> None:
            self.numbers = [1.0, 2.0]

        def __getitem__(self, i: int) -> float:
            return self.numbers[i]

    places = Places()
    run = prepare(lambda x: sum(x * v for v in places))  # type: ignore[attr-defined]
    log(run, x())
    places.numbers.append(3.0)
    log(run, x())
    places.numbers[0] = 5.0
    log(run, x())


@scenario
def a_replaced_dictionary_of_attributes(prepare: Any, log: Log) -> None:
    thing, model = type("Thing", (), {})(), nn.Linear(3, 3)
    thing.scale = model.scale = 1.0
    runs = [prepare(lambda x: x * thing.scale), prepare(lambda x: x * model.scale)]
    for value in (1.0, 2.0, 3.0):
        thing.__dict__ = {"scale": value}
        model.__dict__ = {**vars(model), "scale": value}
        for run in runs:
            log(run, x())


@scenario
def entries_that_appear_when_they_are_asked_for(prepare: Any, log: Log) -> None:
    counted: Any = collections.defaultdict(int)
    settings: dict[str, float] = {}
    members: set[int] = set()

    def step(x: Any) -> Any:
        counted["steps"] += 1
        members.add(1)
        return x * counted["steps"] + settings.setdefault("scale", 3.0)

    run = prepare(step)
    for _ in range(4):
        log(run, x())
    counted["steps"] = -3
    settings["scale"] = 5.0
    members.clear()
    log(run, x())
    settings.clear()
    log(run, x())
    log((dict(counted), settings, members))


@scenario
def lists_that_the_step_turns_about(prepare: Any, log: Log) -> None:
    turned, sorted_ = [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]

    def step(x: Any) -> Any:
        turned.reverse()
        sorted_.sort()
        return x * turned[0] + sorted_[0]

    run = prepare(step)
    for value in (3.0, 0.0, 5.0):
        sorted_[0] = value
        log(run, x())
        log(run, x())
        log((turned, sorted_))


@scenario
def replaced_tensors_of_which_numbers_are_read(prepare: Any, log: Log) -> None:
    count, flag = chainrule.tensor(2), chainrule.tensor(True)
    runs = [prepare(lambda x: x[: int(count)] * float(count)), prepare(lambda x: x * 2 if flag else x)]
    for a, b in ((2, True), (3, False), (1, True), (2, True)):
        count, flag = chainrule.tensor(a), chainrule.tensor(b)
        for run in runs:
            log(run, x())


@scenario
def constants_of_a_library_and_the_environment(prepare: Any, log: Log) -> None:
    circle, asked = prepare(lambda x: x * math.pi), prepare(lambda x: x * float(os.getenv("CHAINRULE_TEST_KIND", "1")))
    before = math.pi
    try:
        for value in (before, 3.0, 4.0):
            math.pi = value  # type: ignore[misc]
            os.environ["CHAINRULE_TEST_KIND"] = str(value)
            log(circle, x())
            log(asked, x())
    finally:
        math.pi = before  # type: ignore[misc]
        del os.environ["CHAINRULE_TEST_KIND"]
    log(asked, x())


@scenario
def settings_of_ours(prepare: Any, log: Log) -> None:
    before = chainrule.get_num_threads()
    run = prepare(lambda x: x * chainrule.get_num_threads())
    try:
        for number in (before, 1, before):
            chainrule.set_num_threads(number)
            log(run, x())
    finally:
        chainrule.set_num_threads(before)


# ------------------------------------------------------------------------------------- comparisons


@scenario
def comparisons_in_a_chain(prepare: Any, log: Log) -> None:
    a, b = [1], [1]
    runs = [
        prepare(lambda x: x * 2 if a == b == [1] else x),
        prepare(lambda x: x * 2 if a is b is not None else x),
        prepare(lambda x: x * 2 if a is not b == [1] else x),
        prepare(lambda x: x * 2 if 0 < len(a) <= len(b) else x),
        prepare(lambda x: [x * i if 1 in a != b else x for i in range(2)]),
    ]
    for change in (lambda b: b, lambda b: [2], lambda b: a, lambda b: list(a), lambda b: []):
        b = change(b)
        for run in runs:
            log(run, x())


@scenario
def tensors_compared_in_a_chain(prepare: Any, log: Log) -> None:
    outside, other = x(), x()
    runs = [
        prepare(lambda x, y: x * 2 if x is y is outside else x),
        prepare(lambda x, y: x * 2 if outside is x is not y else x * 3),
        prepare(lambda x, y: x * 2 if (x is y) == True else x * 3),  # noqa: E712
    ]
    for given in ((outside, outside), (other, other), (outside, other), (other, outside), (x(), x())):
        for run in runs:
            log(run, *given)


@scenario
def tensors_as_keys_of_what_the_step_makes(prepare: Any, log: Log) -> None:
    outside, other = x(), x() + 1

    def read(x: Any) -> Any:
        made = {x: 2.0}
        return x * made[outside] if outside in made else x

    def written(x: Any) -> Any:
        made = {outside: 2.0}
        made[x] = 3.0
        return x * made[outside] * len(made) + made.get(x, 0.0)

    runs = [prepare(read), prepare(written), prepare(lambda x: x * 2 if x is outside and x in [outside] else x)]
    for given in (outside, other, outside):
        for run in runs:
            log(run, given)


@pytest.mark.parametrize("function", scenario, ids=lambda function: function.__name__)
def test_compiled_is_eager(function: Scenario) -> None:
    agree(function)
