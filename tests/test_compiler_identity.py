"""Which tensor is which, who is told of a gradient, and how deep things are looked at: as eager code finds them."""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from chainrule import nn, optim
from chainrule.compiler.net import Net


@pytest.fixture(autouse=True)
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not noticed by itself is to be seen here."""
    monkeypatch.setattr(Net, "is_due", lambda self, strict: strict)


def both(case: Callable[[Callable[..., Any]], list[Any]]) -> None:
    """A case answers the same with a compiled step as with an eager one."""
    eager, compiled = case(lambda step: step), case(chainrule.compile)
    assert [chainrule.as_tensor(x).tolist() for x in compiled] == [chainrule.as_tensor(x).tolist() for x in eager]


class Scaling:
    """Somebody's hook."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, gradient: Any) -> Any:
        return gradient * self.factor

    def after(self, tensor: Any) -> None:
        tensor.grad.mul_(self.factor)


def leaf() -> Any:
    return chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)


def by_backward(x: Any) -> Any:
    (x * x).sum().backward()
    return x.grad * 1


def by_grad(x: Any) -> Any:
    return chainrule.autograd.grad((x * x).sum(), [x])[0]


@pytest.mark.parametrize("step", [by_backward, by_grad])
@pytest.mark.parametrize("anew", [False, True])
def test_a_hook_on_an_argument_is_called_from_when_it_is_put_there(step: Any, anew: bool) -> None:
    def case(make: Any) -> list[Any]:
        f, x, answers = make(step), leaf(), []
        for i in range(7):
            x = leaf() if anew else x
            x.grad = None
            handle = x.register_hook(lambda g: g * 10) if i in (3, 4) else None
            answers.append(f(x))
            if handle is not None and i == 4:
                handle.remove()
        return answers

    both(case)


@pytest.mark.parametrize("method", [False, True])
def test_what_a_hook_of_an_argument_reads_is_looked_at(method: bool) -> None:
    def case(make: Any) -> list[Any]:
        f, x, scaling, answers = make(by_backward), leaf(), Scaling(2.0), []
        x.register_post_accumulate_grad_hook(scaling.after) if method else x.register_hook(scaling)
        for factor in (2.0, 2.0, 3.0, 5.0):
            x.grad, scaling.factor = None, factor
            answers.append(f(x))
        return answers

    both(case)


def test_what_a_hook_of_a_parameter_reads_is_looked_at() -> None:
    def case(make: Any) -> list[Any]:
        layer, scaling, answers = nn.Linear(2, 1), Scaling(2.0), []
        layer.weight.register_hook(scaling)

        def step(x: Any) -> Any:
            layer.zero_grad()
            layer(x).sum().backward()
            return layer.weight.grad * 1

        f = make(step)
        for factor in (2.0, 2.0, 3.0, 5.0):
            scaling.factor = factor
            answers.append(f(chainrule.ones(1, 2)))
        return answers

    both(case)


current: Any = None
table: dict[Any, float] = {}
several: set[Any] = set()


def by_is(x: Any) -> Any:
    return x * 2 if x is current else x * 3


def by_is_not(x: Any) -> Any:
    return x * 2 if x is not current else x * 3


def by_three(x: Any) -> Any:
    return x * 2 if x is current is x else x * 3


def by_operator(x: Any) -> Any:
    return x * 2 if operator.is_(x, current) else x * 3


def by_id(x: Any) -> Any:
    return x * 2 if id(x) == id(current) else x * 3


def by_key(x: Any) -> Any:
    return x * table.get(x, 7.0)


def by_item(x: Any) -> Any:
    return x * table[x] if x in table else x


def by_set(x: Any) -> Any:
    return x * 2 if x in several else x * 3


def added(x: Any) -> Any:
    return x + current * 2


STEPS = [by_is, by_is_not, by_three, by_operator, by_id, by_key, by_item, by_set, added]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("inside", [False, True])
def test_which_tensor_is_which_as_they_move(step: Any, inside: bool) -> None:
    def case(make: Any) -> list[Any]:
        global current
        tensors = [chainrule.tensor([float(i), 2.0]) for i in range(7)]
        table.clear()
        several.clear()
        table.update({tensors[2]: 2.0, tensors[6]: 6.0})
        several.update(tensors[5:])
        f, answers = make((lambda held: step(held[0].value)) if inside else step), []
        for x, y in [(0, 1), (2, 2), (3, 2), (3, 3), (4, 5), (6, 6), (6, 6), (6, 5), (6, 5), (5, 5), (0, 1)]:
            current = tensors[y]
            answers.append(f((Held(tensors[x]),) if inside else tensors[x]))
        return answers

    both(case)


class Held:
    """Somebody's object with a tensor in it."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Link:
    """Somebody's list."""

    def __init__(self, value: float, rest: Any) -> None:
        self.value, self.rest = value, rest

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def test_what_a_library_is_given_counts_to_its_end() -> None:
    import reprlib

    def case(make: Any) -> list[Any]:
        last = inner = {"scale": 1.0}
        for _ in range(40):
            inner = {"inner": [inner]}  # type: ignore[dict-item]
        deep = reprlib.Repr()
        deep.maxlevel, deep.maxother = 200, 4000

        def step(x: Any) -> Any:
            return x * float(str(deep.repr(inner)).rpartition(": ")[2].strip("]}"))

        f, answers = make(step), []
        for scale in (1.0, 1.0, 2.0, 3.0):
            last["scale"] = scale
            answers.append(f(chainrule.ones(2)))
        return answers

    both(case)


def test_objects_that_hold_each_other_are_followed_to_the_last() -> None:
    """Deeper than Python lets functions call each other."""

    def case(make: Any) -> list[Any]:
        last = chain = Link(1.0, None)
        for _ in range(1100):
            chain = Link(0.0, chain)
        last.rest = chain  # a ring

        def step(x: Any) -> Any:
            return x * next(map(functools.partial(farthest, 1100), [chain]))

        f, answers = make(step), []
        for value in (1.0, 1.0, 2.0, 3.0):
            last.value = value
            answers.append(f(chainrule.ones(2)))
        return answers

    both(case)


farthest: Any = eval("lambda n, link: [link := link.rest for _ in range(n)][-1].value")


def test_lbfgs_within_a_compiled_function_says_what_to_write() -> None:
    layer = nn.Linear(3, 1)
    optimizer = optim.LBFGS(layer.parameters(), lr=0.1, max_iter=3)

    @chainrule.compile
    def loss_and_gradients(x: Any) -> Any:
        optimizer.zero_grad()
        loss = layer(x).square().mean()
        loss.backward()
        return loss

    @chainrule.compile
    def step(x: Any) -> Any:
        return optimizer.step(lambda: loss_and_gradients(x))

    x = chainrule.ones(2, 3)
    before = layer.weight.tolist()
    with pytest.raises(chainrule.errors.TraceError, match=re.escape("Call optimizer.step(closure) outside")):
        step(x)
    assert layer.weight.tolist() == before
    losses = [float(optimizer.step(lambda: loss_and_gradients(x))) for _ in range(3)]
    assert losses == sorted(losses, reverse=True) and math.isfinite(losses[-1])
    assert losses[-1] < losses[0]
