"""Numbers that the step itself counts up in an optimiser: however they are read, compiled is eager, or refused.

They lie in dictionaries of ours, which say when they change, but not when the step changes them. The counter is read
behind the place where it is counted up, and before it.
"""

from __future__ import annotations

import copy
import operator
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import TraceError
from tests.changes import programs_of

torch = pytest.importorskip("torch")

#: Ways to the count: from an optimiser, a group, the state of a parameter.
FOLLOWED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "dict": lambda o, g, s: dict(g)["step"],
    "display": lambda o, g, s: {**g}["step"],
    "spread": lambda o, g, s: _step_of(**g),
    "values": lambda o, g, s: list(g.values())[list(g).index("step")],
    "items": lambda o, g, s: next(value for key, value in g.items() if key == "step"),
    "list of items": lambda o, g, s: dict(list(g.items()))["step"],
    "copy": lambda o, g, s: g.copy()["step"],
    "get": lambda o, g, s: g.get("step"),
    "pop of a copy": lambda o, g, s: dict(g).pop("step"),
    "itemgetter": lambda o, g, s: operator.itemgetter("step")(g),
    "setdefault": lambda o, g, s: g.setdefault("step", 0),
    "by number": lambda o, g, s: o.param_groups[0]["step"],
    "sum": lambda o, g, s: sum(value for value in g.values() if type(value) is int),
    "state": lambda o, g, s: s["step"],
    "state: get": lambda o, g, s: s.get("step"),
    "state: dict": lambda o, g, s: dict(s)["step"],
    "state: spread": lambda o, g, s: _step_of(**s),
    "state: values": lambda o, g, s: next(iter(list(s.values()))),
    "all states": lambda o, g, s: next(iter(o.state.values()))["step"],
    "state by key": lambda o, g, s: o.state[next(iter(o.state))]["step"],
    "attribute": lambda o, g, s: o.count,
    "getattr": lambda o, g, s: getattr(o, "count"),  # noqa: B009
    "vars": lambda o, g, s: vars(o)["count"],
    "vars: get": lambda o, g, s: vars(o).get("count"),
    "attrgetter": lambda o, g, s: operator.attrgetter("count")(o),
    "defaults": lambda o, g, s: o.defaults["step"],
}
#: Of these Python sees the number as it is.
PERHAPS_REFUSED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "copy.copy": lambda o, g, s: copy.copy(g)["step"],
    "operator.getitem": lambda o, g, s: operator.getitem(g, "step"),
    "__getitem__": lambda o, g, s: g.__getitem__("step"),
    "|": lambda o, g, s: (g | {})["step"],
    "ChainMap": lambda o, g, s: ChainMap(g)["step"],
    "index": lambda o, g, s: len(range(g["step"])),
    "text": lambda o, g, s: len(f"{s['step']:>{s['step']}}"),
}


def _step_of(step: Any = None, **_: Any) -> Any:
    return step


class Counting(optim.Optimizer):
    """Shrinks its parameters by a factor that follows from how often it was called."""

    def __init__(self, params: Any, way: Callable[[Any, Any, Any], Any], first: bool) -> None:
        super().__init__(params, {"lr": 0.1, "step": 1})
        self.count, self.way, self.first = 1, way, first
        for p in self.param_groups[0]["params"]:
            self.state[p]["step"] = 1

    def count_up(self, group: Any, state: Any) -> None:
        self.count += 1
        self.defaults["step"] += 1
        group["step"] += 1
        state["step"] = state["step"] + 1

    @chainrule.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if self.first:
                    self.count_up(group, state)
                p.mul_(1 - 1 / (1 + self.way(self, group, state)))
                if not self.first:
                    self.count_up(group, state)


def outcome(way: Callable[[Any, Any, Any], Any], first: bool, prepare: Callable[[Any], Any]) -> Any:
    weight = nn.Parameter(chainrule.ones(3))
    optimiser = Counting([weight], way, first)

    def step() -> Any:
        optimiser.step()
        return weight.sum()

    run = prepare(step)
    return run, [run().item() for _ in range(20)]


@pytest.mark.parametrize("first", [True, False], ids=["counted first", "counted last"])
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_count_is_an_input_however_it_is_read(name: str, first: bool) -> None:
    run, found = outcome(FOLLOWED[name], first, chainrule.compile)
    assert found == pytest.approx(outcome(FOLLOWED[name], first, lambda step: step)[1], rel=1e-5)
    assert programs_of(run) <= 2


@pytest.mark.parametrize("first", [True, False], ids=["counted first", "counted last"])
@pytest.mark.parametrize("name", PERHAPS_REFUSED)
def test_a_count_that_python_sees_is_refused_or_right(name: str, first: bool) -> None:
    try:
        _, found = outcome(PERHAPS_REFUSED[name], first, chainrule.compile)
    except TraceError as error:
        assert "is changed by the step itself" in str(error)
    else:
        assert found == pytest.approx(outcome(PERHAPS_REFUSED[name], first, lambda step: step)[1], rel=1e-5)


def test_an_if_on_a_count_makes_a_program_for_each_way() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            scale = 1 / self.calls
            if self.calls % 5 == 0 or 12 < self.calls <= 14:
                return x * 100 * scale
            return x + 1 if not self.calls - 3 else x * scale

    layer, eager = Layer(), Layer()
    step = chainrule.compile(lambda x: layer(x))
    x = chainrule.tensor([1.0, -2.0])
    for _ in range(40):
        assert step(x).tolist() == pytest.approx(eager(x).tolist(), rel=1e-6)
    assert programs_of(step) <= 6


def test_numbers_that_change_are_settings_of_functions() -> None:
    x, y = chainrule.tensor([1.0, -2.0, 3.0]), chainrule.tensor([0.5, 0.25, 4.0])
    bodies: list[Callable[[Any], Any]] = [
        lambda n: x.add(y, alpha=n),
        lambda n: chainrule.sub(x, y, alpha=n),
        lambda n: x.clone().add_(y, alpha=n),
        lambda n: chainrule.addcmul(x, x, y, value=n),
        lambda n: x.clone().addcdiv_(x, y, value=n),
        lambda n: chainrule.lerp(x, y, n),
        lambda n: x.clone().lerp_(y, n),
        lambda n: x.clamp(-n, n),
        lambda n: x.clone().clamp_(min=n),
        lambda n: chainrule.clamp_max(x, n),
        lambda n: chainrule.full_like(x, n).mul_(2),
        lambda n: x.clone().fill_(n),
        lambda n: x.masked_fill(x < 0, n),
        lambda n: chainrule.where(x > 0, n, y),
        lambda n: chainrule.mul(x, n),
        lambda n: x.double().add(y, alpha=n),
        lambda n: chainrule.full((2, 1), n),
        lambda n: chainrule.full(size=(), fill_value=n, dtype=chainrule.float64) * 2,
        lambda n: chainrule.tensor(n * 2) + x,
        lambda n: chainrule.tensor([n, 2, n / 3], device="cpu") * x,
        lambda n: x * 2 if bool(n > 0.5) else x * n,
        lambda n: x * sum(_listed(n)),
        lambda n: x * (n.item() if chainrule.is_tensor(n) else n),
    ]
    for body in bodies:
        step = chainrule.compile(lambda n, body=body: body(n))
        for number in (0.1, 0.2, 1.0, 1.3, 0.7):
            assert step(number).tolist() == body(number).tolist()
        assert programs_of(step) <= 3


def _listed(number: Any) -> list[Any]:
    listed: list[Any] = []
    listed.append(number)
    listed.extend([number, 2])
    return listed


def test_an_if_keeps_python_from_what_would_fail() -> None:
    counts = {"step": 0}

    def function(x: Any) -> Any:
        counts["step"] += 1
        if counts["step"] == 5:
            return x
        return x / (counts["step"] - 5) if 1 / (counts["step"] - 5) < 0.25 else x * counts["step"]

    step, found, expected = chainrule.compile(function), [], []
    for run, results in ((step, found), (function, expected)):
        counts["step"] = 0
        for _ in range(15):
            results.append(run(chainrule.tensor([1.0, 2.0])).tolist())
    assert found == expected
    assert programs_of(step) <= 5


def test_a_count_that_shapes_the_program_is_refused_in_time() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            count = 0
            while count < self.calls:
                x, count = x + 1, count + 1
            return x

    layer = Layer()
    step = chainrule.compile(lambda x: layer(x))
    with pytest.raises(TraceError, match="is changed by the step itself"):
        for i in range(40):
            assert step(chainrule.zeros(2)).tolist() == [i + 1, i + 1]
    assert programs_of(step) < 20


def test_a_schedule_of_a_setting_in_a_tuple_makes_one_more_program() -> None:
    group = optim.SGD([nn.Parameter(chainrule.ones(2))], lr=0.1).param_groups[0]
    group["betas"] = (0.5, 0.9)

    def function(x: Any) -> Any:
        first, second = group["betas"]
        return x * first + second

    step, x = chainrule.compile(function), chainrule.tensor([1.0, 2.0])
    for i in range(10):
        group["betas"] = (0.5 + i / 32, 0.9)
        assert step(x).tolist() == pytest.approx(function(x).tolist(), rel=1e-6)
    assert programs_of(step) <= 2


@pytest.mark.parametrize("library", [chainrule, torch], ids=lambda library: library.__name__)
def test_alpha_and_a_filling_may_be_tensors_of_one_number(library: Any) -> None:
    x, half = library.tensor([1.0, 2.0]), library.tensor(0.5)
    assert x.add(x, alpha=half).tolist() == [1.5, 3.0]
    assert library.sub(x, x, alpha=half).tolist() == [0.5, 1.0]
    assert library.addcmul(x, x, x, value=half).tolist() == [1.5, 4.0]
    with pytest.raises((RuntimeError, TypeError)):
        library.tensor([1]).add(library.tensor([1]), alpha=half)
