"""What is replaced by another of the same form needs no other program: the code is bound to what is there now."""

from __future__ import annotations

import copy
from collections import ChainMap, Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import IndexRangeError
from chainrule.nn import functional as F
from tests.changes import programs_of

Prepare = Callable[[Any], Any]


def eager(function: Any) -> Any:
    """The function as it is."""
    return function


def same_as_eager(scenario: Callable[[Prepare], list[Any]], programs: int) -> None:
    """A scenario gives the same figures eagerly and compiled, with so many programs."""
    made: list[Any] = []

    def compiled(function: Any) -> Any:
        made.append(chainrule.compile(function))
        return made[-1]

    chainrule.manual_seed(0)
    expected = scenario(eager)
    chainrule.manual_seed(0)
    np.testing.assert_allclose(scenario(compiled), expected, rtol=1e-5, atol=1e-6)
    assert sum(map(programs_of, made)) == programs


OPTIMISERS: dict[str, Callable[[Any], Any]] = {
    "momentum": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.05),
}


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_folds_with_a_new_model_and_a_new_optimiser_are_one_program(make: Callable[[Any], Any]) -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        model: Any = None
        optimizer: Any = None

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run, losses = prepare(step), []
        x, y = chainrule.randn(4, 3), chainrule.randn(4, 2)
        for _ in range(4):
            model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
            optimizer = make(model.parameters())
            losses += [run(x, y).item() for _ in range(3)]
            losses += [p.grad.sum().item() for p in model.parameters()]
        return losses

    same_as_eager(scenario, 1)


def test_two_models_in_turn_keep_what_is_theirs() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        models = [nn.Linear(3, 2), nn.Linear(3, 2)]
        optimizers = [optim.Adam(model.parameters(), lr=0.05) for model in models]
        turn = {"model": models[0], "optimizer": optimizers[0]}

        def step(x: Any) -> Any:
            turn["optimizer"].zero_grad()
            loss = turn["model"](x).square().sum()
            loss.backward()
            turn["optimizer"].step()
            return loss

        run, found, x = prepare(step), [], chainrule.ones(2, 3)
        for i in range(8):
            number = (0, 1, 1, 0)[i % 4]
            turn.update(model=models[number], optimizer=optimizers[number])
            held = models[number].weight.detach().clone()
            found.append(run(x).item())
            found += [(model.weight.sum().item(), model.bias.sum().item()) for model in models][number]
            found.append((models[number].weight - held).abs().sum().item())
        return found

    same_as_eager(scenario, 1)


def test_models_as_arguments_share_the_code() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        def step(model: Any, optimizer: Any, x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        run, found = prepare(step), []
        for _ in range(3):
            model = nn.Linear(3, 2)
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            found += [run(model, optimizer, chainrule.ones(2, 3)).item() for _ in range(3)]
        return found

    same_as_eager(scenario, 1)


def test_a_parameter_that_is_replaced_learns_and_the_old_one_stays() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        model = nn.Linear(3, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        run, x = prepare(step), chainrule.ones(2, 3)
        found = [run(x).item(), run(x).item()]
        old = model.weight
        model.weight = nn.Parameter(chainrule.ones(2, 3))
        optimizer.param_groups[0]["params"][0] = model.weight
        found += [run(x).item(), run(x).item(), *old.detach().flatten().tolist()]
        model.weight = nn.Parameter(chainrule.zeros(2, 3))  # which the optimiser does not know
        found += [run(x).item(), run(x).item(), *model.weight.grad.flatten().tolist()]
        return found

    same_as_eager(scenario, 3)  # its gradient is not there, and is added to from then on: two other programs


def test_a_gradient_that_is_added_to_is_that_of_the_parameter_there_is() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        place = {"w": nn.Parameter(chainrule.ones(3))}

        def step(x: Any) -> Any:
            loss = (place["w"] * x).square().sum()
            loss.backward()
            return loss

        run, kept, found = prepare(step), [], []
        for i in range(3):
            place["w"] = nn.Parameter(chainrule.ones(3) * (i + 1))
            kept.append(place["w"])
            found += [run(chainrule.ones(3)).item() for _ in range(3)]
        return [*found, *[number for w in kept for number in w.grad.tolist()]]

    same_as_eager(scenario, 2)  # with and without a gradient that is there already


def test_parameters_that_change_places() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        pair = [nn.Parameter(chainrule.ones(2) * 3), nn.Parameter(chainrule.ones(2) * 5)]
        run = prepare(lambda x: (pair[0] * x - pair[1].square()).detach())
        found = [run(chainrule.ones(2)).sum().item()]
        for _ in range(3):
            pair.reverse()
            found.append(run(chainrule.ones(2)).sum().item())
        pair[1] = pair[0]  # one tensor plays both parts: another program
        return [*found, run(chainrule.ones(2)).sum().item()]

    same_as_eager(scenario, 2)


def test_a_tensor_as_default_argument() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        def step(x: Any, w: Any = chainrule.ones(2)) -> Any:  # noqa: B008
            return x * w

        run, found = prepare(step), []
        for i in range(4):
            step.__defaults__ = (chainrule.ones(2) * i,)
            found.append(run(chainrule.ones(2)).sum().item())
        return found

    same_as_eager(scenario, 1)


@pytest.mark.parametrize("other", [lambda w: w.requires_grad_(False), lambda w: w.double(), lambda w: w[:1]])
def test_another_form_is_another_program(other: Callable[[Any], Any]) -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        place = {"w": nn.Parameter(chainrule.ones(3))}

        def step(x: Any) -> Any:
            loss = (place["w"] * x).square().sum()
            if loss.requires_grad:
                (gradient,) = chainrule.autograd.grad(loss, [place["w"]])
                return loss.detach() + gradient.sum()
            return loss

        run = prepare(step)
        found = [run(chainrule.ones(3)).item()]
        made = other(nn.Parameter(chainrule.ones(3)).detach().clone().requires_grad_())
        place["w"] = made.detach().requires_grad_(made.requires_grad)
        return [*found, run(chainrule.ones(3)).item()]

    same_as_eager(scenario, 2)


def test_an_error_changes_nothing_of_the_model_that_is_there() -> None:
    model = nn.Embedding(4, 2)
    run = chainrule.compile(lambda places: model(places).sum())
    run(chainrule.tensor([0, 3]))
    model = nn.Embedding(4, 2)
    run(chainrule.tensor([0, 3]))
    with pytest.raises(IndexRangeError) as found:
        run(chainrule.tensor([0, 4]))
    with pytest.raises(IndexRangeError) as expected:
        model(chainrule.tensor([0, 4]))
    assert str(found.value) == str(expected.value)
    assert programs_of(run) == 1


def test_a_copy_of_a_model_is_trained_and_the_first_is_not() -> None:
    first = nn.Linear(2, 2)
    model = first
    run = chainrule.compile(lambda x: model(x).detach())
    run(chainrule.ones(1, 2))
    model = copy.deepcopy(first)
    with chainrule.no_grad():
        model.weight.fill_(1.0)
        model.bias.zero_()
    assert run(chainrule.ones(1, 2)).tolist() == [[2.0, 2.0]]
    assert programs_of(run) == 1


def test_a_queue_or_a_list_of_layers_as_argument_shares_the_code() -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        run = prepare(lambda x, given: x * len(given))
        return [run(chainrule.ones(1), make()).item() for make in (lambda: deque([1, 2]), lambda: [nn.Tanh()]) * 3]

    same_as_eager(scenario, 2)


# ------------------------------------------------------------------------------------- dictionaries with defaults


class Doubling(dict[str, float]):
    def __getitem__(self, key: str) -> float:
        return super().__getitem__(key) * 2


class Fallback(dict[str, float]):
    def __missing__(self, key: str) -> float:
        return 5.0


@pytest.mark.parametrize("make", [
    lambda: Doubling(k=1.0), Fallback, Counter, lambda: defaultdict(float), lambda: ChainMap({}, {"k": 2.0}),
])  # fmt: skip
def test_dictionaries_that_answer_for_themselves(make: Callable[[], Any]) -> None:
    def scenario(prepare: Prepare) -> list[Any]:
        table = make()
        run = prepare(lambda x: x * table["k"] + len(table))
        found = [run(chainrule.ones(1)).item() for _ in range(3)]
        for value in (3.0, 4.0):
            table["k"] = value
            found += [run(chainrule.ones(1)).item() for _ in range(2)]
        del table["k"]
        table["k"] = 4.0
        return [*found, run(chainrule.ones(1)).item(), len(table)]

    made: list[Any] = []

    def compiled(function: Any) -> Any:
        made.append(chainrule.compile(function))
        return made[-1]

    assert scenario(compiled) == scenario(eager)
    assert programs_of(made[0]) <= 3


def test_looking_at_facts_enters_nothing_into_a_dictionary_with_defaults() -> None:
    table: Any = defaultdict(float, k=1.0)
    use = [True]
    run = chainrule.compile(lambda x: x * table["k"] if use[0] else x)
    run(chainrule.ones(1))
    del table["k"]
    use[0] = False
    run(chainrule.ones(1))
    assert dict(table) == {}
