"""Arguments of a compiled step: equal ones that differ, containers and objects of any kind, and how many programs they make."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import math
import types
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.nn import functional as F
from tests.changes import programs_of

X = chainrule.tensor([1.0, 2.0, 3.0])
WHOLE = chainrule.tensor([1, 2, 3])


# ------------------------------------------------------------------------------------- equal, but not the same


def test_a_whole_number_a_float_and_a_truth_are_told_apart() -> None:
    step = chainrule.compile(lambda x, s: x * s)
    for _ in range(2):
        for factor, dtype in ((1, chainrule.int64), (1.0, chainrule.float32), (True, chainrule.int64)):
            result = step(WHOLE, factor)
            assert result.dtype == dtype and result.tolist() == [1, 2, 3]


def test_truths_added_to_truths() -> None:
    step = chainrule.compile(lambda x, s: x + s)
    truths = chainrule.tensor([True, False])
    for term, expected, dtype in (
        (True, [True, True], chainrule.bool),
        (1, [2, 1], chainrule.int64),
        (1.0, [2, 1], chainrule.float32),
    ):
        result = step(truths, term)
        assert result.dtype == dtype and result.tolist() == expected


def test_a_number_and_a_truth_as_index() -> None:
    step = chainrule.compile(lambda x, i: x[i])
    assert step(X, 1).tolist() == 2
    assert step(X, True).tolist() == [[1, 2, 3]]
    assert step(X, 1).tolist() == 2


def test_a_list_and_a_tuple_as_index() -> None:
    step = chainrule.compile(lambda x, i: x[i])
    table = chainrule.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert step(table, [0, 1]).tolist() == [[1, 2], [3, 4]]
    assert step(table, (0, 1)).tolist() == 2
    assert step(table, [0, 1]).tolist() == [[1, 2], [3, 4]]


def test_powers_of_whole_numbers() -> None:
    step = chainrule.compile(lambda x, s: x**s)
    for power, dtype in ((2, chainrule.int64), (2.0, chainrule.float32), (2, chainrule.int64)):
        result = step(WHOLE, power)
        assert result.dtype == dtype and result.tolist() == [1, 4, 9]


def test_the_signs_of_zeros() -> None:
    step = chainrule.compile(lambda x, s: x * s)
    for zero in (0.0, -0.0, 0.0, -0.0):
        assert step(X, zero).signbit().tolist() == [math.copysign(1, zero) < 0] * 3
    nested = chainrule.compile(lambda x, given: x * given["k"][0])
    for zero in (0.0, -0.0, 0.0):
        assert nested(X, {"k": (zero,)}).signbit().tolist() == [math.copysign(1, zero) < 0] * 3


@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: {"k": [(v, 2)]}, lambda v: Pair(v)]
)
def test_equal_numbers_within_containers(wrap: Any) -> None:
    def first(given: Any) -> Any:
        while not isinstance(given, (bool, int, float)):
            given = next(iter(given.values())) if isinstance(given, dict) else given[0]
        return given

    step = chainrule.compile(lambda x, given: x * first(given))
    for factor, dtype in (
        (1, chainrule.int64),
        (True, chainrule.int64),
        (1.0, chainrule.float32),
        (1, chainrule.int64),
    ):
        assert step(WHOLE, wrap(factor)).dtype == dtype


def test_the_type_of_a_number_is_seen_by_the_step() -> None:
    step = chainrule.compile(lambda x, s: type(s).__name__)
    assert [step(X, s) for s in (1, 1.0, True, 1, np.float64(1.0))] == ["int", "float", "bool", "int", "float64"]


def test_not_a_number_is_equal_to_itself_here() -> None:
    step = chainrule.compile(lambda x, s: x * 2 if math.isnan(s) else x)
    for _ in range(4):
        assert step(X, float("nan")).tolist() == [2, 4, 6]
    assert programs_of(step) == 1
    assert step(X, 1.0).tolist() == [1, 2, 3]


# ------------------------------------------------------------------------------------- containers keep their kind


class Pair(NamedTuple):
    """Two things."""

    first: Any
    second: Any = 1


CONTAINERS = [
    [X], (X,), {"a": X}, collections.OrderedDict(a=X), collections.defaultdict(list, a=X), Pair(X), collections.deque([X]), collections.Counter("ab"),
    {1, 2}, frozenset({1}), types.SimpleNamespace(a=X), argparse.Namespace(a=X), np.ones(2), bytearray(b"ab"), range(3), slice(1, 2), [{"a": (X, {3})}],
]  # fmt: skip


@pytest.mark.parametrize("given", CONTAINERS, ids=lambda given: type(given).__name__)
def test_an_argument_keeps_its_type_and_need_not_be_hashable(given: Any) -> None:
    step = chainrule.compile(
        lambda x, given: (x * 2, type(given).__name__, len(given) if hasattr(given, "__len__") else -1)
    )
    size = len(given) if hasattr(given, "__len__") else -1
    for _ in range(3):
        result, name, length = step(X, given)
        assert result.tolist() == [2, 4, 6] and (name, length) == (type(given).__name__, size)
    assert programs_of(step) == 1


def test_an_ordered_dict_comes_and_goes_as_one() -> None:
    step = chainrule.compile(lambda d: (type(d)((k, v * 2) for k, v in d.items()), list(d)))
    result, names = step(collections.OrderedDict(b=X, a=X + 1))
    assert type(result) is collections.OrderedDict and names == ["b", "a"] and result["a"].tolist() == [4, 6, 8]
    result, names = step({"a": X, "b": X})
    assert type(result) is dict and names == ["a", "b"]


def test_a_default_dict_has_its_defaults() -> None:
    step = chainrule.compile(lambda d: d["missing"] + X)
    assert step(collections.defaultdict(lambda: X * 3)).tolist() == [4, 8, 12]


def test_the_order_of_a_dictionary_is_seen() -> None:
    step = chainrule.compile(lambda d: sum(t * 10**i for i, t in enumerate(d.values())))
    one, two = chainrule.ones(1), chainrule.ones(1) * 2
    assert step({"a": one, "b": two}).tolist() == [21]
    assert step({"b": two, "a": one}).tolist() == [12]


def test_sets_of_other_members() -> None:
    step = chainrule.compile(lambda x, s: x * 2 if 1 in s else x)
    assert step(X, {1}).tolist() == [2, 4, 6]
    assert step(X, {2}).tolist() == [1, 2, 3]
    assert step(X, {2, 1}).tolist() == [2, 4, 6]


def test_a_list_that_is_mutated_between_calls() -> None:
    step = chainrule.compile(lambda x, given: sum((x * v for v in given), x))
    given = [1.0]
    assert step(X, given).tolist() == [2, 4, 6]
    given.append(2.0)
    assert step(X, given).tolist() == [4, 8, 12]
    given[0] = -1.0
    assert step(X, given).tolist() == [2, 4, 6]


def test_arrays_of_numpy_as_arguments_are_inputs() -> None:
    step = chainrule.compile(lambda x, a: x + a)
    array = np.array([1, 2, 3], np.float32)
    assert step(X, array).tolist() == [2, 4, 6]
    array[:] = 5
    assert step(X, array).tolist() == [6, 7, 8]
    assert step(X, np.zeros(3, np.float32)).tolist() == [1, 2, 3]
    assert programs_of(step) == 1
    assert step(X, np.zeros(3)).dtype == chainrule.float64


# ------------------------------------------------------------------------------------- objects


@dataclasses.dataclass
class Batch:
    """Somebody's batch."""

    x: Any
    scale: float = 1.0


def test_attributes_of_an_object_as_argument() -> None:
    step = chainrule.compile(lambda batch: batch.x * batch.scale)
    batch = Batch(X, 2.0)
    assert step(batch).tolist() == [2, 4, 6]
    batch.scale = 3.0
    assert step(batch).tolist() == [3, 6, 9]
    batch.x = X + 1
    assert step(batch).tolist() == [6, 9, 12]
    batch.x = chainrule.ones(1)
    assert step(batch).tolist() == [3]


def test_a_new_object_in_every_call_makes_no_new_program() -> None:
    step = chainrule.compile(lambda batch: batch.x * batch.scale)
    for i in range(5):
        assert step(Batch(X * i, 2.0)).tolist() == [2 * i, 4 * i, 6 * i]
    assert programs_of(step) == 1


def test_a_function_as_argument() -> None:
    step = chainrule.compile(lambda x, function: function(x))
    factors = [2.0]

    def scaled(x: Any) -> Any:
        return x * factors[0]

    assert step(X, scaled).tolist() == [2, 4, 6]
    factors[0] = 3.0
    assert step(X, scaled).tolist() == [3, 6, 9]
    assert step(X, chainrule.neg).tolist() == [-1, -2, -3]
    assert step(X, lambda x: x + 1).tolist() == [2, 3, 4]
    assert step(X, scaled).tolist() == [3, 6, 9]


def test_a_model_and_an_optimiser_as_arguments() -> None:
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model.weight * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    run = chainrule.compile(step)
    model = nn.Linear(3, 1, bias=False)
    model.weight.data.zero_()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    run(model, optimizer, X)
    assert model.weight.tolist() == [[-1, -2, -3]]
    optimizer.param_groups[0]["lr"] = 0.5
    run(model, optimizer, X)
    assert model.weight.tolist() == [[-1.5, -3, -4.5]]
    optimizer.param_groups[0]["momentum"] = 1.0
    run(model, optimizer, X)
    run(model, optimizer, X)
    assert model.weight.tolist() == [[-3, -6, -9]]
    other = nn.Linear(3, 1, bias=False)
    other.weight.data.zero_()
    run(other, optim.SGD(other.parameters(), lr=2.0), X)
    assert other.weight.tolist() == [[-2, -4, -6]] and model.weight.tolist() == [[-3, -6, -9]]


def test_a_loss_as_argument() -> None:
    step = chainrule.compile(lambda loss, x: loss(x, x * 0))
    loss = nn.L1Loss()
    assert step(loss, X).item() == 2
    loss.reduction = "sum"
    assert step(loss, X).item() == 6
    assert step(F.mse_loss, X).item() == pytest.approx(14 / 3)
    assert step(loss, X).item() == 6


def test_star_and_keyword_arguments() -> None:
    def step(*xs: Any, **named: Any) -> Any:
        return sum(xs) * named.get("scale", 1.0) + len(named)

    run = chainrule.compile(step)
    assert run(X).tolist() == [1, 2, 3]
    assert run(X, X).tolist() == [2, 4, 6]
    assert run(X, scale=2.0).tolist() == [3, 5, 7]
    assert run(X, scale=3.0).tolist() == [4, 7, 10]
    assert run(X, other=1).tolist() == [2, 3, 4]


class Statistics(NamedTuple):
    """A named tuple whose parts are called like methods of dictionaries."""

    keys: Any
    values: Any


def test_a_named_tuple_may_have_parts_called_keys_and_values() -> None:
    given = Statistics(chainrule.ones(2), chainrule.ones(2) * 3)
    add = chainrule.compile(lambda s: chainrule.stack(s).sum(0))
    for _ in range(2):
        np.testing.assert_array_equal(add(given).numpy(), 4.0)
