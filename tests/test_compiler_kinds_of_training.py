"""Kinds of Python in a training step: modules, optimisers, hooks and gradients that change between calls.

Each scenario is run twice with fresh objects, once with the step as it is and once with it compiled.
"""

from __future__ import annotations

from typing import Any

import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import TraceError
from chainrule.nn.utils import prune
from tests.changes import plain, same
from tests.scenarios import Log, Scenario, Scenarios, agree, x

scenario = Scenarios()


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


@scenario
def weights_that_hooks_of_ours_compute(prepare: Any, log: Log) -> None:
    """The older forms of normalisations, and pruning, put a tensor into the layer before each forward."""
    rules = {
        nn.utils.weight_norm: nn.utils.remove_weight_norm,
        nn.utils.spectral_norm: nn.utils.remove_spectral_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 2): lambda layer: prune.remove(layer, "weight"),
    }
    for add, remove in rules.items():
        layer = add(nn.Linear(3, 2))
        optimizer = optim.SGD(layer.parameters(), lr=1e-3, momentum=0.5)

        def step(x: Any, layer: Any = layer, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            before = layer.weight.detach().sum()
            loss = (layer(x) + layer(2 * x)).square().sum() + layer.weight.square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach(), before

        run = prepare(step)
        for _ in range(5):
            log(run, x())
            log(layer.weight)
        layer.eval()
        for _ in range(3):
            log(run, x())
        remove(layer)
        optimizer.param_groups[0]["params"] = list(layer.parameters())
        for _ in range(2):
            log(run, x())
        log(list(layer.parameters()))


@pytest.mark.parametrize("function", scenario, ids=lambda function: function.__name__)
def test_compiled_is_eager(function: Scenario) -> None:
    agree(function)


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
