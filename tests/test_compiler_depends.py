"""What a compiled step depends on: all that its code reads outside, and nothing else. Right values are written out."""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import enum
import functools
import operator
import os
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from tests.changes import programs_of

X = chainrule.tensor([1.0, 2.0, 3.0])
SCALE: Any = 2.0


def rebind(name: str, value: Any) -> None:
    """Give a global variable of this module another value."""
    globals()[name] = value


class Plain:
    """Somebody's object."""

    def __init__(self, scale: Any) -> None:
        self.scale = scale


# ------------------------------------------------------------------------------------- objects of the user's


@dataclasses.dataclass
class Settings:
    """Somebody's settings."""

    scale: float = 2.0


@dataclasses.dataclass(slots=True)
class SlottedSettings:
    """Settings without a dictionary."""

    scale: float = 2.0


class Owner:
    """An attribute behind a property."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    @property
    def scale(self) -> float:
        """What is kept."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value


def python_module(scale: float) -> types.ModuleType:
    """A module of settings."""
    made = types.ModuleType("configuration")
    made.scale = scale  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("make", [
    Plain, Settings, SlottedSettings, Owner, python_module,
    lambda scale: types.SimpleNamespace(scale=scale), lambda scale: argparse.Namespace(scale=scale),
    lambda scale: type("Configuration", (), {"scale": scale}),
], ids=["object", "dataclass", "slots", "property", "module", "namespace", "arguments", "class"])  # fmt: skip
@pytest.mark.parametrize("read", [
    lambda settings: settings.scale, lambda settings: getattr(settings, "scale"), operator.attrgetter("scale"),  # noqa: B009
], ids=["dot", "getattr", "attrgetter"])  # fmt: skip
def test_an_attribute_is_read_anew_and_makes_one_more_program_at_most(make: Any, read: Any) -> None:
    settings = make(2.0)
    step = chainrule.compile(lambda x: x * read(settings))
    for scale in (2.0, 3.0, 4.5, 2.0, -1.0, 7.25):
        settings.scale = scale
        assert step(X).tolist() == [scale, 2 * scale, 3 * scale]
    assert programs_of(step) <= 2


def test_attributes_that_come_and_go() -> None:
    settings = Plain(2.0)
    step = chainrule.compile(lambda x: x * getattr(settings, "boost", 1.0) + hasattr(settings, "shift"))
    assert step(X).tolist() == [1, 2, 3]
    settings.boost = 3.0  # type: ignore[attr-defined]
    assert step(X).tolist() == [3, 6, 9]
    settings.shift = None  # type: ignore[attr-defined]
    assert step(X).tolist() == [4, 7, 10]
    del settings.boost  # type: ignore[attr-defined]
    assert step(X).tolist() == [2, 3, 4]
    assert programs_of(step) <= 4


def test_an_attribute_that_is_gone_is_the_error_of_python() -> None:
    settings = Plain(2.0)
    step = chainrule.compile(lambda x: x * settings.scale)
    step(X)
    del settings.scale
    with pytest.raises(AttributeError, match="'Plain' object has no attribute 'scale'"):
        step(X)
    settings.scale = 5.0
    assert step(X).tolist() == [5, 10, 15]


def test_an_attribute_of_the_class_and_then_of_the_instance() -> None:
    class Configuration:
        scale = 2.0

    chosen = Configuration()
    step = chainrule.compile(lambda x: x * chosen.scale)
    assert step(X).tolist() == [2, 4, 6]
    Configuration.scale = 3.0
    assert step(X).tolist() == [3, 6, 9]
    chosen.scale = 4.0
    assert step(X).tolist() == [4, 8, 12]
    Configuration.scale = 9.0
    assert step(X).tolist() == [4, 8, 12]
    del chosen.scale
    assert step(X).tolist() == [9, 18, 27]


def test_what_the_step_does_not_read_makes_no_program() -> None:
    settings = Plain(2.0)
    step = chainrule.compile(lambda x: x * settings.scale)
    for i in range(4):
        settings.other = i  # type: ignore[attr-defined]
        assert step(X).tolist() == [2, 4, 6]
    assert programs_of(step) == 1


def test_an_equal_value_makes_no_program() -> None:
    held = {"settings": Settings(2.0), "list": [1, 2], "name": "relu"}
    step = chainrule.compile(lambda x: getattr(x, held["name"])() * held["settings"].scale + held["list"][1])
    for _ in range(3):
        assert step(X).tolist() == [4, 6, 8]
        held = {"settings": Settings(2.0), "list": [1, 2], "name": "".join("relu")}
    assert programs_of(step) == 1


# ------------------------------------------------------------------------------------- where variables lie


def nested(depth: int) -> Callable[[Any], Any]:
    """A function that reads the global SCALE so many calls below."""
    if depth == 0:
        return lambda x: x * SCALE
    inner = nested(depth - 1)
    return lambda x: inner(x)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4, 5, 6])
def test_a_global_is_read_however_deep(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    step = chainrule.compile(nested(depth))
    assert step(X).tolist() == [2, 4, 6]
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert step(X).tolist() == [3, 6, 9]


def test_a_global_read_in_the_forward_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * SCALE

    monkeypatch.setitem(globals(), "SCALE", 2.0)
    net = nn.Sequential(Net(), nn.Identity())
    step = chainrule.compile(lambda x: net(x))
    assert step(X).tolist() == [2, 4, 6]
    monkeypatch.setitem(globals(), "SCALE", -3.0)
    assert step(X).tolist() == [-3, -6, -9]


def test_a_global_that_is_gone_is_the_error_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    step = chainrule.compile(lambda x: x * SCALE)
    step(X)
    monkeypatch.delitem(globals(), "SCALE")
    with pytest.raises(NameError, match="SCALE"):
        step(X)


def test_defaults() -> None:
    def step(x: Any, k: Any = [2.0], *, more: Any = {"a": 1.0}) -> Any:  # noqa: B006
        return x * k[0] + more["a"]

    run = chainrule.compile(step)
    assert run(X).tolist() == [3, 5, 7]
    step.__defaults__[0][0] = 3.0  # type: ignore[index]
    assert run(X).tolist() == [4, 7, 10]
    step.__kwdefaults__["more"]["a"] = 0.0
    assert run(X).tolist() == [3, 6, 9]
    step.__kwdefaults__ = {"more": {"a": -1.0}}
    assert run(X).tolist() == [2, 5, 8]
    step.__defaults__ = ([1.0],)
    assert run(X).tolist() == [0, 1, 2]


def test_a_partial_and_what_it_holds() -> None:
    act = functools.partial(F.leaky_relu, negative_slope=0.5)
    step = chainrule.compile(lambda x: act(-x))
    assert step(X).tolist() == [-0.5, -1.0, -1.5]
    act.keywords["negative_slope"] = 0.25
    assert step(X).tolist() == [-0.25, -0.5, -0.75]
    act = functools.partial(F.leaky_relu, negative_slope=2.0)
    assert step(X).tolist() == [-2, -4, -6]


def test_a_function_that_is_compiled_may_be_a_partial() -> None:
    step = functools.partial(lambda x, scale: x * scale, scale=2.0)
    run = chainrule.compile(step)
    assert run(X).tolist() == [2, 4, 6]
    step.keywords["scale"] = 3.0
    assert run(X).tolist() == [3, 6, 9]


def test_containers_are_read_as_the_code_reads_them() -> None:
    chosen: Any = {"a": [2.0, 3.0]}
    step = chainrule.compile(lambda x: sum(x * v for v in chosen["a"]))
    assert step(X).tolist() == [5, 10, 15]
    chosen["a"][0] = 1.0
    assert step(X).tolist() == [4, 8, 12]
    chosen["a"].append(10.0)
    assert step(X).tolist() == [14, 28, 42]
    chosen["a"] = (7.0,)
    assert step(X).tolist() == [7, 14, 21]
    chosen = {"a": [1]}
    assert step(X).tolist() == [1, 2, 3]


def test_containment_truth_and_length() -> None:
    members, waiting, counted = {1}, [], collections.deque([1])
    step = chainrule.compile(lambda x: x * (2 if 2 in members else 1) + (10 if waiting else 0) + len(counted) * 100)
    assert step(X).tolist() == [101, 102, 103]
    members.add(2)
    assert step(X).tolist() == [102, 104, 106]
    waiting.append(None)
    assert step(X).tolist() == [112, 114, 116]
    counted.append(2)
    assert step(X).tolist() == [212, 214, 216]
    members.clear()
    waiting.clear()
    counted.pop()
    assert step(X).tolist() == [101, 102, 103]


def test_objects_within_objects() -> None:
    outer = Plain(Plain(2.0))
    pair = (outer.scale, 1.0)
    step = chainrule.compile(lambda x: x * outer.scale.scale + pair[0].scale)
    assert step(X).tolist() == [4, 6, 8]
    outer.scale.scale = 3.0
    assert step(X).tolist() == [6, 9, 12]
    outer.scale = Plain(5.0)
    assert step(X).tolist() == [8, 13, 18]
    pair = (outer.scale,)  # type: ignore[assignment]
    assert step(X).tolist() == [10, 15, 20]


def test_dictionaries_are_walked_in_their_order() -> None:
    named: dict[str, float] = {"a": 2.0}
    step = chainrule.compile(lambda x: sum(x * v * 10**i for i, v in enumerate(named.values())) + len(list(named)))
    assert step(X).tolist() == [3, 5, 7]
    named["b"] = 3.0
    assert step(X).tolist() == [34, 66, 98]
    named["a"] = named.pop("a")
    assert step(X).tolist() == [25, 48, 71]
    del named["b"]
    assert step(X).tolist() == [3, 5, 7]


def test_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    step = chainrule.compile(lambda x: x * float(os.environ["CHAINRULE_TEST_FACTOR"]))
    for factor in ("2", "3", "2"):
        monkeypatch.setenv("CHAINRULE_TEST_FACTOR", factor)
        assert step(X).tolist() == [float(factor), 2 * float(factor), 3 * float(factor)]


class Mode(enum.Enum):
    """A way to compute."""

    A = 1
    B = 2


@pytest.mark.parametrize(("values", "use", "expected"), [
    ((Mode.A, Mode.B), lambda x, v: x if v is Mode.A else -x, ([1, 2, 3], [-1, -2, -3])),
    ((slice(0, 2), slice(1, 3)), lambda x, v: x[v], ([1, 2], [2, 3])),
    ((chainrule.float32, chainrule.float64), lambda x, v: (x.to(v) / 3).sum() * 0 + x.to(v).element_size(), (4, 8)),
    ((F.relu, chainrule.neg), lambda x, v: v(x - 2), ([0, 0, 1], [1, 0, -1])),
    ((None, 2.0), lambda x, v: x if v is None else x * v, ([1, 2, 3], [2, 4, 6])),
    (("exp", "neg"), lambda x, v: getattr(x * 0, v)(), ([1, 1, 1], [0, 0, 0])),
    ((np.float32(2), np.float32(5)), lambda x, v: x * v, ([2, 4, 6], [5, 10, 15])),
    ((b"ab", b"abc"), lambda x, v: x * len(v), ([2, 4, 6], [3, 6, 9])),
    ((frozenset({1}), frozenset()), lambda x, v: x * len(v), ([1, 2, 3], [0, 0, 0])),
    ((range(2), range(3)), lambda x, v: sum(x for _ in v), ([2, 4, 6], [3, 6, 9])),
], ids=["enum", "slice", "dtype", "function", "none", "name", "number of NumPy", "bytes", "frozenset", "range"])  # fmt: skip
def test_a_variable_is_bound_to_another_value(values: Any, use: Any, expected: Any) -> None:
    chosen = values[0]
    step = chainrule.compile(lambda x: use(x, chosen))
    for i in (0, 1, 0, 1):
        chosen = values[i]
        assert step(X).tolist() == expected[i]
    assert programs_of(step) <= 2


def test_the_sign_of_zero_is_told_apart() -> None:
    chosen = 0.0
    step = chainrule.compile(lambda x: x * chosen)
    assert not step(X).signbit().any()
    chosen = -0.0
    assert step(X).signbit().all()
    chosen = 0.0
    assert not step(X).signbit().any()


def test_a_number_of_another_type_in_a_tuple() -> None:
    held: Any = (1,)
    step = chainrule.compile(lambda x: x * held[0])
    whole = chainrule.tensor([1, 2, 3])
    for entry, dtype in (
        (1, chainrule.int64),
        (1.0, chainrule.float32),
        (True, chainrule.int64),
        (1.0, chainrule.float32),
    ):
        held = (entry,)
        assert step(whole).dtype == dtype


# ------------------------------------------------------------------------------------- tensors and arrays


def test_an_array_of_numpy_is_an_input() -> None:
    array = np.array([1, 2, 3], np.float32)
    step = chainrule.compile(lambda x: x + array)
    assert step(X).tolist() == [2, 4, 6]
    array[0] = 10
    assert step(X).tolist() == [11, 4, 6]
    array = np.array([9, 9, 9], np.float32)
    assert step(X).tolist() == [10, 11, 12]
    assert programs_of(step) == 1
    array = np.array([9.0])
    assert step(X).dtype == chainrule.float64


def test_a_tuple_of_tensors_that_is_replaced() -> None:
    held = (chainrule.ones(3), chainrule.zeros(3))
    step = chainrule.compile(lambda x: x * held[0] + held[1])
    assert step(X).tolist() == [1, 2, 3]
    held = (chainrule.ones(3) * 2, chainrule.ones(3))
    assert step(X).tolist() == [3, 5, 7]
    held = (chainrule.ones(1) * 3, chainrule.ones(3))
    assert step(X).tolist() == [4, 7, 10]


def test_a_tensor_that_is_replaced_is_read_anew_by_one_more_program() -> None:
    at = Plain(chainrule.ones(3))
    step = chainrule.compile(lambda x: x * at.scale)
    for i in range(1, 5):
        at.scale = chainrule.ones(3) * i
        assert step(X).tolist() == [i, 2 * i, 3 * i]
    assert programs_of(step) == 2


def test_state_that_the_step_replaces_acts_as_eager_does_or_is_refused() -> None:
    def outcomes(prepare: Callable[[Any], Any]) -> Any:
        at, counts, listed = Plain(chainrule.zeros(3)), 0, [chainrule.zeros(3)]

        def smooth(x: Any) -> Any:
            at.scale = at.scale * 0.5 + x
            return at.scale * 2

        def enter(x: Any) -> Any:
            listed[0] = listed[0] + x
            return listed[0] * 1

        def grow(x: Any) -> Any:
            nonlocal counts
            counts += 1
            return x * counts

        found = []
        for function in (smooth, enter, grow):
            run = prepare(function)
            try:
                found.append([run(X).tolist() for _ in range(4)])
            except chainrule.errors.TraceError as error:
                assert len(str(error)) > 40  # it says the way out
                found.append(None)
        return found

    expected = [
        [[2, 4, 6], [3, 6, 9], [3.5, 7, 10.5], [3.75, 7.5, 11.25]],
        [[1, 2, 3], [2, 4, 6], [3, 6, 9], [4, 8, 12]],
        [[1, 2, 3], [2, 4, 6], [3, 6, 9], [4, 8, 12]],
    ]
    assert outcomes(lambda function: function) == expected
    assert all(have in (want, None) for have, want in zip(outcomes(chainrule.compile), expected, strict=True))


# ------------------------------------------------------------------------------------- whose variables and objects


def test_locals_are_nobodys_facts() -> None:
    """A local variable has the name of a global one that changes all the time."""

    def step(x: Any) -> Any:
        SCALE = x * 2
        return SCALE + 1

    run = chainrule.compile(step)
    for i in range(4):
        rebind("SCALE", float(i))
        assert run(X).tolist() == [3, 5, 7]
    rebind("SCALE", 2.0)
    assert programs_of(run) == 1


def test_a_method_as_step_sees_its_object() -> None:
    class Task:
        def __init__(self) -> None:
            self.factor, self.loss = 1.0, F.mse_loss

        def step(self, x: Any) -> Any:
            return self.loss(x * self.factor, x * 0, reduction="sum")

    task = Task()
    run = chainrule.compile(task.step)
    assert run(X).item() == 14
    task.factor = 2.0
    assert run(X).item() == 56
    task.loss = F.l1_loss
    assert run(X).item() == 12


def test_a_decorated_method_sees_the_object_it_is_called_on() -> None:
    class Task:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @chainrule.compile
        def step(self, x: Any) -> Any:
            return x * self.factor

    one, other = Task(2.0), Task(4.0)
    assert one.step(X).tolist() == [2, 4, 6]
    one.factor = 3.0
    assert one.step(X).tolist() == [3, 6, 9]
    assert other.step(X).tolist() == [4, 8, 12]
    assert one.step(X).tolist() == [3, 6, 9]


def test_a_copy_of_a_compiled_function_sees_its_own_surroundings() -> None:
    class Task:
        def __init__(self) -> None:
            self.factor = 2.0

        def step(self, x: Any) -> Any:
            return x * self.factor

    task = Task()
    run = chainrule.compile(task.step)
    run(X)
    other = copy.deepcopy(run)
    task.factor = 5.0
    assert run(X).tolist() == [5, 10, 15] and other(X).tolist() == [2, 4, 6]
