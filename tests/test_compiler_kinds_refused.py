"""Kinds of Python that cannot be followed are refused, with the reason; and what the net finds."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import StaleError, TraceError
from tests.changes import programs_of
from tests.scenarios import x


def test_a_list_that_the_step_fills_and_reads_is_refused() -> None:
    def step(x: Any, seen: list[int] = []) -> Any:  # noqa: B006
        seen.append(1)
        return x * len(seen)

    with pytest.raises(TraceError, match="puts something into a list and reads it again"):
        chainrule.compile(step)(x())


def test_a_window_of_tensors_in_a_deque_is_refused() -> None:
    last = deque([chainrule.tensor(1.0), chainrule.tensor(2.0)], maxlen=2)

    def step(x: Any) -> Any:
        last.append(x.sum())
        return x

    with pytest.raises(TraceError, match="last: the step takes something out of a deque"):
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


PAST_A_MODULE: dict[str, Callable[[Any, str, Any], None]] = {
    "__dict__": lambda thing, name, value: thing.__dict__.update({name: value}),
    "vars": lambda thing, name, value: vars(thing).__setitem__(name, value),
    "another __dict__": lambda thing, name, value: setattr(thing, "__dict__", {**vars(thing), name: value}),
    "object.__setattr__": object.__setattr__,
}


@pytest.mark.parametrize("write", PAST_A_MODULE.values(), ids=PAST_A_MODULE)
def test_what_is_written_past_a_module_is_seen_where_the_step_reads_it(write: Callable[..., None]) -> None:
    model = nn.Linear(3, 3)
    model.scale = 2.0
    run = chainrule.compile(lambda x: x * model.scale)
    for value in (3.0, 4.0, 5.0):
        run(x())
        write(model, "scale", value)
        assert run(x()).tolist() == [value, 2 * value, 3 * value]
    assert programs_of(run) == 2


@pytest.mark.parametrize("write", [PAST_A_MODULE[name] for name in ("__dict__", "vars", "another __dict__")])
def test_what_is_written_to_the_dictionary_of_a_layer_or_an_optimiser_is_seen(write: Callable[..., None]) -> None:
    layer = nn.Sequential(nn.Dropout(0.25)).eval()
    run = chainrule.compile(layer.__call__)
    run(chainrule.ones(4))
    write(layer[0], "training", True)
    write(layer[0], "p", 1.0)
    assert run(chainrule.ones(4)).tolist() == [0.0] * 4
    weight = nn.Parameter(chainrule.ones(1))
    optimizer = chainrule.optim.SGD([weight], lr=1.0)

    def step() -> None:
        weight.grad = chainrule.ones(1)
        optimizer.step()

    train = chainrule.compile(step)
    train()
    write(optimizer, "param_groups", [{**optimizer.param_groups[0], "lr": 10.0}])
    train()
    assert weight.tolist() == [-10.0]


def test_reading_a_model_between_calls_is_no_change() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    run = chainrule.compile(lambda x: model(x))
    run(x())
    watch = next(iter(run.programs.values()))[0].traces[0].facts.watch
    watch.moved.clear()
    model(x()), model.state_dict(), list(model.named_parameters()), model[0].weight, model.training, repr(model)
    chainrule.compile(lambda x: model(x))(x())
    assert not watch.moved


def test_what_is_written_past_a_layer_of_ours_is_found_by_the_net() -> None:
    layer = nn.LeakyReLU(0.5)
    run = chainrule.compile(lambda x: layer(-x))
    run(x())
    object.__setattr__(layer, "negative_slope", 0.25)
    with pytest.raises(StaleError, match=r"0\.25 where it was 0\.5"):
        run(x())
    assert run(x()).tolist() == [-0.25, -0.5, -0.75]


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
