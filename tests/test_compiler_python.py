"""Watching what a step reads changes nothing of what its code does: every form of Python, read before and after a change."""

from __future__ import annotations

import functools
import inspect
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import chainrule
from tests import python_forms, python_scope_forms
from tests.changes import plain, programs_of, same
from tests.python_forms import Make, Plain

FORMS = python_forms.FORMS + python_scope_forms.FORMS
X = chainrule.tensor([1.0, 2.0, 3.0])


def outcomes(make: Make, prepare: Callable[[Any], Any]) -> list[Any]:
    """Three calls with changes between."""
    step, change = make()
    run, found = prepare(step), []
    for _ in range(3):
        try:
            found.append(plain(run(X)))
        except Exception as error:
            found.append((type(error).__name__, str(error)))
        change()
    return found


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_python_does_what_it_does(make: Make) -> None:
    expected = outcomes(make, lambda step: step)
    assert len({repr(found) for found in expected}) > 1  # the change matters
    have = outcomes(make, chainrule.compile)
    assert all(map(same, have, expected)), f"{have} instead of {expected}"


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_without_changes_there_is_one_program(make: Make) -> None:
    step, _ = make()
    run = chainrule.compile(step)
    first = plain(run(X))
    assert all(same(plain(run(X)), first) for _ in range(4))
    assert programs_of(run) == 1


# ------------------------------------------------------------------------------------- what is left as it was


def test_functions_are_what_they_were() -> None:
    at = Plain(scale=2.0)

    def helper(x: Any, more: float = 1.0, *, last: float = 0.0) -> Any:
        """Help."""
        return x * at.scale + more + last

    def step(x: Any) -> Any:
        return helper(x, last=1.0)

    code, source, cells = helper.__code__, inspect.getsource(helper), helper.__closure__
    run = chainrule.compile(step)
    run(X)
    assert helper.__code__ is code and helper.__closure__ is cells and inspect.getsource(helper) == source
    assert helper.__doc__ == "Help." and helper.__defaults__ == (1.0,) and helper.__kwdefaults__ == {"last": 0.0}
    assert helper(X).tolist() == [3, 5, 7]


def test_a_traceback_names_the_users_lines() -> None:
    def helper(x: Any) -> Any:
        if x.shape[0] == 3:
            raise ValueError("too short")  # the line
        return x

    def step(x: Any) -> Any:
        return helper(x)

    with pytest.raises(ValueError, match="too short") as caught:
        chainrule.compile(step)(X)
    frames = [frame for frame in traceback.extract_tb(caught.tb) if frame.filename == __file__]
    assert [frame.name for frame in frames][-2:] == ["step", "helper"]
    assert frames[-1].line == 'raise ValueError("too short")  # the line'


def test_an_error_in_the_first_call_leaves_nothing_behind() -> None:
    at, total = Plain(scale=None), chainrule.zeros(3)

    def step(x: Any) -> Any:
        total.add_(x)
        return x * at.scale

    run = chainrule.compile(step)
    with pytest.raises(TypeError, match="NoneType"):
        run(X)
    assert total.tolist() == [0, 0, 0]
    at.scale = 2.0
    assert run(X).tolist() == [2, 4, 6] and total.tolist() == [1, 2, 3]


def test_what_changes_but_decides_nothing_keeps_the_program() -> None:
    items = [1, 2, 3]
    run = chainrule.compile(lambda x: x * 2 if len(items) > 2 else -x)
    for _ in range(5):
        assert run(X).tolist() == [2, 4, 6]
        items.append(0)
    assert programs_of(run) == 1


def test_steps_traced_in_several_threads_at_once() -> None:
    """A helper that all use; each thread's step reads settings of its own."""
    failures: list[str] = []

    def helper(x: Any, settings: Any) -> Any:
        return x * settings.scale + sum(settings.items)

    def work(number: int) -> None:
        settings = Plain(scale=float(number), items=[1.0])
        run = chainrule.compile(lambda x: helper(x, settings))
        for i in range(10):
            expected = [number * v + sum(settings.items) for v in (1.0, 2.0, 3.0)]
            if run(X).tolist() != expected:
                failures.append(f"thread {number}, call {i}")
            settings.items.append(float(i))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_two_functions_of_one_line_are_told_apart_by_what_is_within() -> None:
    # fmt: off
    of_sine, of_cosine = (lambda x: (lambda y: y.sin())(x)), (lambda x: (lambda y: y.cos())(x))
    # fmt: on
    x = chainrule.tensor([0.5, 1.0])
    for function in (of_cosine, of_sine):
        assert chainrule.compile(function)(x).tolist() == pytest.approx(function(x).tolist())


def test_a_call_of_a_module_leaves_nothing_behind() -> None:
    class Scaled(chainrule.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = chainrule.nn.Linear(2, 2)

        def forward(self, x: chainrule.Tensor) -> chainrule.Tensor:
            return self.layer(x)

    model = Scaled()
    run = chainrule.compile(lambda x: model(x))
    x = chainrule.tensor([0.5, 1.0])
    run(x)
    model.layer = chainrule.nn.Linear(2, 2)
    for _ in range(4):
        assert chainrule.compile(model)(x).tolist() == pytest.approx(run(x).tolist())


def test_a_class_of_a_notebook_is_followed_whatever_started_the_interpreter() -> None:
    # here __main__ is pytest, which lies among the libraries
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("class Base:\n    factor = [2.0]\n\n\nclass Task(Base):\n    pass\n", space)
    task = space["Task"]()
    run = chainrule.compile(lambda x: x * task.factor[0])
    for factor in (2.0, 3.0, 2.0, 5.0):
        space["Base"].factor = [factor]
        assert run(X).tolist() == [factor, 2 * factor, 3 * factor]


def pops_a_list(x: chainrule.Tensor, values: Any) -> chainrule.Tensor:
    return x * values.pop()


def fills_a_dictionary(x: chainrule.Tensor, values: Any) -> chainrule.Tensor:
    values["twice"] = x * 2
    return x


def pushes_out_of_a_full_queue(x: chainrule.Tensor, values: Any) -> chainrule.Tensor:
    values.append(1.0)
    return x * values[0]


def drops_an_attribute(x: chainrule.Tensor, values: Any) -> chainrule.Tensor:
    del values.once
    return x


@pytest.mark.parametrize(
    ("step", "values"),
    [
        (pops_a_list, [2.0, 3.0]), (pops_a_list, deque([2.0, 3.0])), (pops_a_list, {2.0, 3.0}), (fills_a_dictionary, {}),
        (pushes_out_of_a_full_queue, deque([2.0, 3.0], maxlen=2)), (drops_an_attribute, Plain(once=1)),
    ],
    ids=lambda x: getattr(x, "__name__", type(x).__name__),
)  # fmt: skip
def test_what_python_would_change_in_every_call_is_refused(step: Callable[..., Any], values: Any) -> None:
    before = repr(vars(values) if isinstance(values, Plain) else values)
    with pytest.raises(chainrule.TraceError, match="takes something out of a|changes argument 1"):
        chainrule.compile(step)(X, values)
    assert repr(vars(values) if isinstance(values, Plain) else values) == before


class Anything:
    """Answers to every name, as stand-ins for loggers do."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *args: Any) -> Any:
        return self


def test_an_object_that_answers_to_every_name_is_followed_once() -> None:
    """Whether it wraps something is looked up past its `__getattr__`, which would be followed again, without end."""
    log = Anything()

    def step(x: Any) -> Any:
        log.debug("shape", x.shape)
        return x * 2

    compiled = chainrule.compile(step)
    assert [compiled(chainrule.ones(2)).tolist() for _ in range(3)] == [[2, 2]] * 3


def test_answers_kept_of_something_without_a_name() -> None:
    kept = functools.lru_cache(functools.partial(lambda factor, n: factor * n, 3.0))
    compiled = chainrule.compile(lambda x: x * kept(2))
    assert [compiled(chainrule.ones(2)).tolist() for _ in range(3)] == [[6, 6]] * 3


def test_what_a_function_of_ours_makes_for_the_step_does_not_outlive_it() -> None:
    """`vjp`'s second result is a function that holds tensors of the step; one program serves all calls."""
    w, x = chainrule.randn(3, 2), chainrule.randn(4, 3)

    def step(w: Any, x: Any) -> Any:
        y, pull_back = chainrule.func.vjp(lambda w: (x @ w).tanh(), w)
        return pull_back(chainrule.ones_like(y))[0]

    compiled = chainrule.compile(step)
    for _ in range(4):
        assert chainrule.allclose(compiled(w, x), step(w, x))
    assert sum(len(known) for known in compiled.programs.values()) == 1


def test_a_tensor_made_of_a_computed_one_is_a_copy_without_history() -> None:
    weight = chainrule.nn.Parameter(chainrule.ones(4))

    def step(x: chainrule.Tensor, places: chainrule.Tensor) -> tuple[chainrule.Tensor, ...]:
        doubled = chainrule.tensor(x * 2, dtype=chainrule.float64)
        kept = weight.new_tensor(x * weight)
        kept += 1
        return x[x.new_tensor(places).long()], doubled, kept, x

    compiled = chainrule.compile(step)
    for start in (0, 1, 2):
        x, places = chainrule.arange(4.0) + start, chainrule.tensor([3, start])
        for found, expected in zip(compiled(x, places), step(x, places), strict=True):
            assert found.dtype == expected.dtype and found.tolist() == expected.tolist()
            assert not expected.requires_grad
