"""State that a step keeps in Python: what it assigns, hands out and stores is what eager code assigns, hands out, stores."""

from __future__ import annotations

import types
from collections import Counter
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import AnomalyError
from tests.scenarios import Log, Scenario, Scenarios, agree, x

scenario = Scenarios()


class Momentum(chainrule.optim.Optimizer):
    """A rule of the user's, whose state is there when it is asked for."""

    def __init__(self, params: Any, lr: float = 0.1, beta: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta})

    @chainrule.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "mean" not in state:
                    state["mean"], state["step"] = chainrule.zeros_like(p), 0
                state["step"] += 1
                state["mean"].mul_(group["beta"]).add_(p.grad)
                p.add_(state["mean"] / (1 - group["beta"] ** state["step"]), alpha=-group["lr"])


@scenario
def a_rule_of_the_users(prepare: Any, log: Log) -> None:
    weight = nn.Parameter(x())
    optimizer = Momentum([weight])

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (weight * x).sum().square()
        loss.backward()
        optimizer.step()
        return loss

    run = prepare(step)
    for i in range(6):
        if i == 3:
            optimizer.param_groups[0]["beta"] = 0.5
        if i == 4:
            optimizer.state.clear()
        log(run, x() / 10)
        log([weight.detach().clone(), optimizer.state[weight]["step"]])


DONE: Any = False


@scenario
def what_is_assigned_in_every_call(prepare: Any, log: Log) -> None:
    class Slots:
        __slots__ = ("phase",)

    global DONE
    DONE, seen = False, False
    named, listed, thing, slots, model = {"phase": 1}, [0, 0], types.SimpleNamespace(phase="a"), Slots(), nn.Identity()
    slots.phase, model.phase = 1, "train"  # type: ignore[assignment]

    def step(x: Any) -> Any:
        nonlocal seen
        global DONE
        DONE = seen = True
        named["phase"], listed[-1], thing.phase, slots.phase, model.phase = 1, 0, "a", 1, "train"
        named.update(other=2)
        setattr(thing, "other", 3)  # noqa: B010
        return model(x) * 2

    run = prepare(step)

    def now() -> None:
        log(run, x())
        log([DONE, seen, named, listed, vars(thing), slots.phase, model.phase])

    for _ in range(3):
        now()
    for value in (5, 7, None):
        DONE = seen = named["phase"] = listed[1] = thing.phase = slots.phase = model.phase = value  # type: ignore[assignment]
        named["other"] = thing.other = value  # type: ignore[assignment]
        now()


@scenario
def what_methods_put_somewhere(prepare: Any, log: Log) -> None:
    values, named = [1, 1], {"phase": 1}

    def pop_and_append(x: Any) -> Any:
        values.pop()
        values.append(1)
        return x * 2

    def clear_and_extend(x: Any) -> Any:
        values.clear()
        values.extend([1, 1])
        return x * 2

    def insert_and_pop(x: Any) -> Any:
        values.insert(0, 1)
        values.pop()
        return x * 2

    def pairs(x: Any) -> Any:
        named.update([("phase", 1)])
        return x * 2

    def pairs_made_on_the_way(x: Any) -> Any:
        named.update((name, 1) for name in ["phase"])
        return x * 2

    def merged(x: Any) -> Any:
        named.__ior__({"phase": 1})
        return x * 2

    for step in (pop_and_append, clear_and_extend, insert_and_pop, pairs, pairs_made_on_the_way, merged):
        run = prepare(step)
        for value in (1, 7, None, 1):
            values[0] = values[-1] = named["phase"] = value
            log(run, x())
            log([list(values), dict(named)])


@scenario
def what_statements_put_somewhere(prepare: Any, log: Log) -> None:
    class Thing:
        phase = 0

    values, others, named, thing = [1, 1], [1, 1], {"phase": 1}, Thing()

    def step(x: Any) -> Any:
        nonlocal named
        values[:] = [1, 1]
        del others[0]
        others.insert(0, 1)
        named |= [("phase", 1)]
        thing.__dict__ |= {"phase": 1}
        return x * 2

    run = prepare(step)
    for value in (None, 7, None, 1):
        if value is not None:
            values[0] = values[1] = others[0] = named["phase"] = thing.phase = value
        log(run, x())
        log([list(values), list(others), dict(named), thing.phase])


@scenario
def counts_that_are_added(prepare: Any, log: Log) -> None:
    for add in ("update", "subtract"):
        found = Counter(seen=1, kept=2)

        def step(x: Any, add: str = add, found: Any = found) -> Any:
            getattr(found, add)(seen=1)
            return x * found["seen"]

        run = prepare(step)
        for i in range(4):
            if i == 2:
                found["seen"] = 9
            log(run, x())
            log(dict(found))


class Slotted(nn.Module):
    """A layer with an attribute beside its dictionary."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        super().__init__()
        self.phase: Any = 2.0

    def forward(self, x: Any) -> Any:
        y = x * self.phase
        self.phase = 2.0
        return y


@scenario
def a_layer_with_slots(prepare: Any, log: Log) -> None:
    layer = Slotted()
    run = prepare(lambda x: layer(x))
    for value in (None, 7.0, 8, 2.0):
        if value is not None:
            layer.phase = value
        log(run, x())
        log(layer.phase)


@scenario
def the_last_losses(prepare: Any, log: Log) -> None:
    for first in (lambda losses: losses.pop(0), lambda losses: losses.__delitem__(0)):
        losses = [chainrule.tensor(1.0), chainrule.tensor(2.0)]

        def step(x: Any, first: Any = first, losses: Any = losses) -> Any:
            first(losses)
            losses.append(x.sum())
            return x * losses[0]

        run = prepare(step)
        for i in range(5):
            log(run, x() * i)
            log([loss.item() for loss in losses])


@scenario
def a_count_that_is_taken_away(prepare: Any, log: Log) -> None:
    found: dict[str, Any] = {}

    def step(x: Any) -> Any:
        found["phase"], found["calls"], found["loss"] = "train", found.get("calls", 0) + 1, x.mean()
        return x * 2

    run = prepare(step)
    for i in range(7):
        if i == 4:
            found.clear()
        if i == 6:
            found["calls"] = 1.5
        log(run, x())
        log(dict(found))


@scenario
def arrays_that_are_read(prepare: Any, log: Log) -> None:
    held = {"array": np.ones(3, np.float32)}
    run = prepare(lambda x, given: x * chainrule.as_tensor(held["array"]) + given)
    for array in (np.ones(3, np.float32), np.full(3, 2.0, np.float32), np.float32(5.0), np.ones(3), np.ones((2, 3))):
        held["array"] = np.array(array)
        log(run, x(), np.full(3, 0.5))
        log(run, x(), np.array(0.5))


@scenario
def what_is_handed_out_is_the_thing_itself(prepare: Any, log: Log) -> None:
    class Thing:
        scale = 2.0

    state: dict[str, Any] = {"list": [1.0], "thing": Thing(), "array": np.ones(3), "last": None}
    run = prepare(
        lambda x, given: (x * state["thing"].scale, state["list"], state["thing"], state["array"], given, [given])
    )
    for _ in range(4):
        given = [2.0, x()]
        result = run(x(), given)
        log(result[0])
        log([result[1] is state["list"], result[2] is state["thing"], result[3] is state["array"]])
        log([result[4] is given, result[5][0] is given])
        state.update(list=[1.0], thing=Thing(), array=np.ones(3))


@scenario
def what_is_stored_is_the_thing_itself(prepare: Any, log: Log) -> None:
    first, second = [1.0], [2.0]
    state: dict[str, Any] = {"a": first, "b": second, "last": None}

    def step(x: Any, batch: Any) -> Any:
        state["a"], state["b"], state["last"] = state["b"], state["a"], batch
        return x * state["a"][0] * batch["scale"]

    run = prepare(step)
    for i in range(5):
        batch = {"scale": float(i)}
        log(run, x(), batch)
        log([state["a"] is first, state["b"] is first, state["last"] is batch])


@scenario
def attributes_of_a_class_of_parameters(prepare: Any, log: Log) -> None:
    class Scaled(nn.Parameter):
        scale = 2.0

    weight = Scaled(x())
    run = prepare(lambda x: x * weight * weight.scale)
    for change in (lambda: None, lambda: setattr(Scaled, "scale", 3.0), lambda: setattr(weight, "scale", 4.0)):
        change()
        log(run, x())


@scenario
def names_of_python_that_are_taken(prepare: Any, log: Log) -> None:
    run = prepare(lambda x: x * len([1, 2]))
    log(run, x())
    try:
        globals()["len"] = lambda things: 50
        log(run, x())
    finally:
        del globals()["len"]
    log(run, x())


@scenario
def whether_distributions_check(prepare: Any, log: Log) -> None:
    from chainrule.distributions import Distribution, Normal

    run = prepare(lambda x: Normal(x, x).log_prob(x).isnan())

    def outcome(scale: float) -> Any:
        try:
            return run(x() * scale)
        except ValueError as error:
            return str(error)

    for check in (True, False, True):
        Distribution.set_default_validate_args(check)
        try:
            log([outcome(1.0), outcome(-1.0)])
        finally:
            Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("told", scenario, ids=lambda told: told.__name__)
def test_a_scenario(told: Scenario) -> None:
    agree(told)


def test_the_watch_for_nan_holds_in_compiled_steps() -> None:
    weight = nn.Parameter(chainrule.ones(2))
    optimizer = chainrule.optim.SGD([weight], lr=1.0)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (weight * x).log().sum()
        loss.backward()
        optimizer.step()
        return loss

    run, good, bad = chainrule.compile(step), chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, -1.0])
    run(good)
    before = weight.tolist()
    with chainrule.autograd.detect_anomaly():
        with pytest.raises(AnomalyError) as compiled:
            run(bad * 0.5 + good * 0)
        assert weight.tolist() == before
        with pytest.raises(AnomalyError) as eager:
            step(bad * 0.5 + good * 0)
    assert str(compiled.value) == str(eager.value)
    run(bad)
