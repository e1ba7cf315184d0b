"""What changes says so to those who watch it, and to nobody else: a step looks only at what is its own."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import changes, nn, optim
from chainrule.nn.utils import parametrizations
from tests.changes import programs_of


class Pair:
    """A model in training, its optimiser, and what is looked at of it."""

    def __init__(self) -> None:
        self.model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Tanh(), "c": nn.Linear(2, 2)})
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)

    def __call__(self, x: Any) -> Any:
        for layer in self.model.values():
            x = layer(x)
        return x

    def train(self) -> None:
        """A step."""
        self.optimizer.zero_grad()
        self(chainrule.ones(1, 2)).sum().backward()
        self.optimizer.step()


def other_order(pair: Pair) -> None:
    pair.model["a"] = pair.model.pop("a")


def one_less(pair: Pair) -> None:
    del pair.model["b"]


def another_layer(pair: Pair) -> None:
    pair.model["b"] = nn.Softplus()


def another_class(pair: Pair) -> None:
    pair.model["b"].__class__ = nn.Sigmoid


def a_hook(pair: Pair) -> None:
    pair.model["b"].register_forward_hook(lambda module, given, result: result * 2)


def a_parametrization(pair: Pair) -> None:
    parametrizations.spectral_norm(pair.model["a"])


def another_forward(pair: Pair) -> None:
    pair.model["b"].forward = lambda x: x * 3


CHANGES = [other_order, one_less, another_layer, another_class, a_hook, another_forward, a_parametrization]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_the_model_is_seen_in_the_next_call(change: Callable[[Pair], None]) -> None:
    pair = Pair()
    for layer in pair.model.values():
        layer.eval()
    run, x = chainrule.compile(lambda x: pair(x).detach()), chainrule.ones(1, 2)
    for _ in range(2):
        run(x)
    change(pair)
    assert run(x).flatten().tolist() == pytest.approx(pair(x).flatten().tolist(), rel=1e-5)


def of_a_gradient(w: Any) -> Any:
    return w.register_hook(lambda gradient: gradient * 2)


def after_it_is_added(w: Any) -> Any:
    return w.register_post_accumulate_grad_hook(lambda leaf: leaf.grad.mul_(2))


@pytest.mark.parametrize("register", [of_a_gradient, after_it_is_added])
def test_hooks_of_a_tensor_come_and_go(register: Callable[[Any], Any]) -> None:
    w = chainrule.ones(2, requires_grad=True)

    def step(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        return w.grad.clone()

    run, x = chainrule.compile(step), chainrule.ones(2)
    assert run(x).tolist() == [1.0, 1.0]
    first = register(w)
    assert run(x).tolist() == [2.0, 2.0]
    second = register(w)
    assert run(x).tolist() == [4.0, 4.0]
    first.remove()
    assert run(x).tolist() == [2.0, 2.0]
    second.remove()
    assert run(x).tolist() == [1.0, 1.0]


def test_another_model_moves_nothing() -> None:
    own, other = Pair(), Pair()
    run = chainrule.compile(lambda x: own(x).detach())
    run(chainrule.ones(1, 2))
    (variant,) = next(iter(run.programs.values()))
    moved = variant.traces[0].facts.watch.moved
    for change in (other_order, another_layer, another_class, a_hook, a_parametrization):
        change(other)
    Pair().train()
    other.model.eval().train()
    other.optimizer.param_groups[0]["momentum"] = 0.5
    other.optimizer.load_state_dict(other.optimizer.state_dict())
    own.optimizer.param_groups[0]["lr"] = 0.5
    chainrule.ones(2).requires_grad_().register_hook(lambda gradient: gradient)
    assert moved == set()
    own.model.eval()
    assert moved == {(id(module), "training") for module in own.model.modules()}
    run(chainrule.ones(1, 2))
    assert programs_of(run) == 1


def test_loading_weights_moves_nothing_and_is_seen() -> None:
    model = nn.Linear(2, 1)
    run = chainrule.compile(lambda x: model(x).detach())
    run(chainrule.ones(1, 2))
    (variant,) = next(iter(run.programs.values()))
    model.load_state_dict({"weight": chainrule.ones(1, 2), "bias": chainrule.ones(1)})
    assert variant.traces[0].facts.watch.moved == set()
    assert run(chainrule.ones(1, 2)).item() == 3.0


def test_who_is_gone_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_watches", {})
    monkeypatch.setattr(changes, "_full", [8])
    tables = [changes.WatchedDict() for _ in range(8)]
    watch = changes.Watch(tables)
    tables[0]["a"] = 1
    assert watch.moved == {(id(tables[0]), None)}
    del watch
    gc.collect()
    tables[0]["a"] = 2
    kept = changes.Watch([changes.WatchedDict()])
    assert list(changes._watches) == [id(thing) for thing in kept._things.values()]
