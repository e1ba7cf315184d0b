"""Kinds of Python that a step may lean on: what changes between calls is answered as eager code answers it.

Each test is a scenario that is run twice with fresh objects, once with the step as it is and once with it compiled.
"""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import functools
import math
import os
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import StaleError, TraceError
from tests.changes import plain, programs_of, same

Log = Callable[..., Any]
SCENARIOS: list[Callable[[Any, Log], None]] = []


def scenario(function: Callable[[Any, Log], None]) -> Callable[[Any, Log], None]:
    SCENARIOS.append(function)
    return function


def x() -> Any:
    return chainrule.tensor([1.0, 2.0, 3.0])


def outcome(function: Callable[[Any, Log], None], prepare: Any) -> list[Any]:
    found: list[Any] = []

    def log(run: Any, *given: Any) -> None:
        try:
            found.append(plain(run(*given) if callable(run) else run))
        except (ArithmeticError, LookupError, AttributeError, TypeError) as error:
            found.append((type(error).__name__, str(error)))

    chainrule.manual_seed(0)
    function(prepare, log)
    return found


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


# ------------------------------------------------------------------------------------- modules and optimisers


@scenario
def a_hook_that_removes_itself(prepare: Any, log: Log) -> None:
    model, handles = nn.Linear(3, 2), []

    def double(module: Any, given: Any, output: Any) -> Any:
        handles[0].remove()
        return output * 2

    handles.append(model.register_forward_hook(double))
    run = prepare(lambda x: model(x).detach())
    for _ in range(3):
        log(run, x())
    handles[0] = model.register_forward_hook(double)
    for _ in range(3):
        log(run, x())


@scenario
def modes_that_come_back(prepare: Any, log: Log) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(1.0), nn.Sequential(nn.Dropout(1.0)))
    run = prepare(lambda x: model(x).detach())
    log(run, x())
    model.eval()
    log(run, x())
    model[2].train()
    log(run, x())
    model.train().eval()
    log(run, x())
    model[1].__class__ = nn.Tanh
    log(run, x())
    del model[1].__dict__["p"]
    model.eval().train()
    log(run, x())


@scenario
def momentum_and_decay_that_become_zero(prepare: Any, log: Log) -> None:
    for name in ("momentum", "weight_decay"):
        model = nn.Linear(3, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = prepare(step)
        for value in (0.5, 0.25, 0.0, 0.75, 0.0, 0.5):
            optimizer.param_groups[0][name] = value
            log(run, x())
            log(run, x())
        log([entry["momentum_buffer"] for entry in optimizer.state.values()])


@scenario
def a_rate_that_the_step_writes(prepare: Any, log: Log) -> None:
    model, counted = nn.Linear(3, 2), {"steps": 0}
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        counted["steps"] += 1
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * min(1.0, counted["steps"] / 3)
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = prepare(step)
    for _ in range(5):
        log(run, x())
        log(optimizer.param_groups[0]["lr"])


@scenario
def what_is_attached_to_tensors(prepare: Any, log: Log) -> None:
    given, model = x(), nn.Linear(3, 2)
    given.length = 5.0
    of_argument = prepare(lambda x: x * getattr(x, "length", 1.0))

    def decayed(x: Any) -> Any:
        return x * sum(p.detach().sum() for p in model.parameters() if getattr(p, "decays", False))

    of_parameters = prepare(decayed)
    for change in (
        lambda: None,
        lambda: setattr(given, "length", 6.0),
        lambda: delattr(given, "length"),
        lambda: setattr(model.weight, "decays", True),
        lambda: setattr(model.bias, "decays", True),
        lambda: setattr(model.weight, "decays", False),
    ):
        change()
        log(of_argument, given)
        log(of_parameters, x())


@scenario
def gradients_that_are_one_tensor(prepare: Any, log: Log) -> None:
    a, b = nn.Parameter(x()), nn.Parameter(x())
    a.grad = b.grad = chainrule.zeros(3)

    def step(x: Any) -> Any:
        ((a * x).sum() + (b * x * 2).sum()).backward()
        return a.grad * 1  # type: ignore[operator]

    run = prepare(step)
    log(run, x())
    b.grad = chainrule.zeros(3)
    log(run, x())
    log(run, x())
    b.grad = a.grad
    log(run, x())
    log([a.grad, b.grad])


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[function.__name__ for function in SCENARIOS])
def test_compiled_is_eager(number: int) -> None:
    eager, compiled = (outcome(SCENARIOS[number], prepare) for prepare in (lambda step: step, chainrule.compile))
    assert len(eager) == len(compiled)
    for call, (expected, have) in enumerate(zip(eager, compiled, strict=True)):
        assert same(expected, have), f"call {call}: eager {expected}, compiled {have}"


# ------------------------------------------------------------------------------------- refused, and the net


def test_a_list_that_the_step_fills_and_reads_is_refused() -> None:
    def step(x: Any, seen: list[int] = []) -> Any:  # noqa: B006
        seen.append(1)
        return x * len(seen)

    with pytest.raises(TraceError, match="puts something into a list and reads it again"):
        chainrule.compile(step)(x())


def test_threads_within_a_step_are_refused() -> None:
    def step(x: Any) -> Any:
        worker = threading.Thread(target=lambda: None)
        worker.start()
        return x

    with pytest.raises(TraceError, match="lets another thread or process run"):
        chainrule.compile(step)(x())


def test_an_argument_and_itself_from_outside_in_one_set_are_refused() -> None:
    outside = x()
    with pytest.raises(TraceError, match="both are keys of a set"):
        chainrule.compile(lambda x: x * len({x, outside}))(outside)
    assert chainrule.compile(lambda x: x * len({x, outside}))(x()).tolist() == [2.0, 4.0, 6.0]


def test_an_attribute_that_the_step_attaches_to_an_argument_is_refused() -> None:
    def step(x: Any) -> Any:
        x.seen = True
        return x * 2

    with pytest.raises(TraceError, match="sets an attribute of an argument"):
        chainrule.compile(step)(x())


def test_numbers_of_numpys_own_functions_are_refused() -> None:
    with pytest.raises(TraceError, match=r"rand\(\) draws once"):
        chainrule.compile(lambda x: x * np.random.rand())(x())


@pytest.mark.parametrize(
    "write", [lambda m: m.__dict__.update(scale=3.0), lambda m: object.__setattr__(m, "scale", 3.0)]
)
def test_what_is_written_past_a_module_is_found_by_the_net(write: Callable[[Any], None]) -> None:
    model = nn.Linear(3, 3)
    model.scale = 2.0
    run = chainrule.compile(lambda x: x * model.scale)
    run(x())
    write(model)
    with pytest.raises(StaleError, match="input: 3.0 where it was 2.0"):
        run(x())
    assert run(x()).tolist() == [3.0, 6.0, 9.0]


def test_what_was_read_through_a_weak_reference_is_kept() -> None:
    class Thing:
        scale = 2.0

    thing = Thing()
    reference = weakref.ref(thing)
    run = chainrule.compile(lambda x: x * reference().scale)  # type: ignore[union-attr]
    run(x())
    del thing
    assert run(x()).tolist() == [2.0, 4.0, 6.0] and reference() is not None


def test_a_step_can_use_a_context_of_its_own() -> None:
    scale = [2.0]

    @contextlib.contextmanager
    def scaled() -> Iterator[float]:
        yield scale[0]

    def step(x: Any) -> Any:
        with scaled() as factor:
            return x * factor

    run = chainrule.compile(step)
    for value in (2.0, 3.0, 4.0, 5.0):
        scale[0] = value
        assert run(x()).tolist() == [value, 2 * value, 3 * value]
    assert programs_of(run) == 2


def test_a_gradient_that_is_added_to_and_cleared_need_not_be_cleared_first() -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    first, second = optim.SGD(model.parameters(), lr=0.1), optim.SGD(other.parameters(), lr=0.1)

    def step(x: Any) -> Any:  # as in adversarial training: the loss of one goes through the other
        first.zero_grad()
        other(model(x)[:1].expand(3)).sum().backward()
        first.step()
        second.zero_grad()
        loss = other(x).square().sum()
        loss.backward()
        return loss.detach()

    weights = [p.detach().clone() for p in (*model.parameters(), *other.parameters())]
    expected = [step(x()).item() for _ in range(3)]
    left = [p.detach().clone() for p in model.parameters()]
    for parameter, weight in zip((*model.parameters(), *other.parameters()), weights, strict=True):
        parameter.data.copy_(weight)
        parameter.grad = None
    run = chainrule.compile(step)
    assert [run(x()).item() for _ in range(3)] == pytest.approx(expected)
    for parameter, weight in zip(model.parameters(), left, strict=True):
        assert same(plain(parameter), plain(weight))


def test_such_a_gradient_must_not_be_held_elsewhere() -> None:
    w = nn.Parameter(x())

    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        w.grad = None
        return loss.detach()

    run = chainrule.compile(step)
    for _ in range(3):
        w.grad = chainrule.ones(3)
        run(x())
        assert w.grad is None
    w.grad = kept = chainrule.ones(3)
    with pytest.raises(TraceError, match="is held outside of the step as well"):
        run(x())
    assert kept.tolist() == [1.0, 1.0, 1.0] and w.grad is kept
