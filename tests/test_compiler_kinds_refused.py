"""Kinds of Python that cannot be followed are refused, with the reason; what the net finds, and what is kept alive."""

from __future__ import annotations

import contextlib
import threading
import weakref
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
