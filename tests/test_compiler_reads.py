"""Every way in which Python reads something is seen: a change after three calls is in the fourth, which no net compares."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.compiler.net import Net
from chainrule.compiler.rewrite import has_source

X = chainrule.tensor([1.0, 2.0, 3.0])
Step = Callable[[Any], Any]
Case = tuple[Step, Callable[[], Any]]


class Mode:
    """Somebody's marker: told from others by identity."""


class Box:
    """Somebody's object."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def pairs_in_a_loop() -> Case:
    pairs = [(1.0, 2.0), (3.0, 4.0)]

    def step(x: Any) -> Any:
        for a, b in pairs:
            x = x * a + b
        return x

    return step, lambda: pairs.__setitem__(0, (5.0, 2.0))


def pairs_in_a_comprehension() -> Case:
    pairs = [(1.0, 2.0), (3.0, 4.0)]
    return lambda x: sum(x * a + b for a, b in pairs), lambda: pairs.__setitem__(1, (3.0, 7.0))


def numbered_pairs() -> Case:
    pairs = [(1.0, (2.0, 3.0)), (3.0, (4.0, 5.0))]

    def step(x: Any) -> Any:
        for i, (a, (b, c)) in enumerate(pairs):
            x = x * a + b * c + i
        return x

    return step, lambda: pairs.__setitem__(1, (3.0, (4.0, 6.0)))


def pairs_behind_a_star() -> Case:
    given = [1.0, 2.0, 3.0, [4.0, 5.0]]

    def step(x: Any) -> Any:
        first, *rest, (_, last) = given
        return x * first + len(rest) + last

    return step, lambda: given.__setitem__(3, [4.0, 6.0])


def a_nested_assignment() -> Case:
    given = [1.0, [2.0, 3.0]]

    def step(x: Any) -> Any:
        kept = a, (b, c) = given
        return x * a + b * c if kept is given else -x

    return step, lambda: given.__setitem__(1, [2.0, 7.0])


def values_of_a_dictionary() -> Case:
    table = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    return lambda x: sum(x * u + v for _, (u, v) in table.items()), lambda: table.__setitem__("a", [1.0, 9.0])


def which_object_it_is() -> Case:
    fast, slow = Mode(), Mode()
    box = Box(slow)
    return lambda x: x * 2 if box.value is fast else x * 3, lambda: setattr(box, "value", fast)


def whether_an_object_is_equal() -> Case:
    fast, slow = Mode(), Mode()
    box = Box(slow)
    return lambda x: x * 2 if box.value == fast else x * 3, lambda: setattr(box, "value", fast)


def whether_an_object_is_among_others() -> Case:
    fast, slow = Mode(), Mode()
    box, chosen = Box(slow), [fast]
    return lambda x: x * 2 if box.value in chosen else x * 3, lambda: setattr(box, "value", fast)


def an_object_as_a_key() -> Case:
    fast, slow = Mode(), Mode()
    box, table = Box(slow), {fast: 2.0, slow: 3.0}
    return lambda x: x * table[box.value], lambda: setattr(box, "value", fast)


def an_object_as_a_key_of_get() -> Case:
    fast, slow = Mode(), Mode()
    box, table = Box(slow), {fast: 2.0}
    return lambda x: x * table.get(box.value, 3.0), lambda: setattr(box, "value", fast)


def the_place_of_an_object_in_a_list() -> Case:
    fast, slow = Mode(), Mode()
    box, listed = Box(slow), [fast, slow]
    return lambda x: x * listed.index(box.value), lambda: setattr(box, "value", fast)


def the_identity_of_an_object() -> Case:
    fast, slow = Mode(), Mode()
    box, chosen = Box(slow), id(fast)
    return lambda x: x * 2 if id(box.value) == chosen else x * 3, lambda: setattr(box, "value", fast)


def the_shape_of_an_array() -> Case:
    box = Box(np.ones((2, 3)))
    return lambda x: x * box.value.shape[0], lambda: setattr(box, "value", np.ones((5, 3)))


def the_number_of_an_arrays_dimensions() -> Case:
    box = Box(np.ones((2, 3)))
    return lambda x: x * box.value.ndim, lambda: setattr(box, "value", np.ones(3))


def the_type_of_an_array() -> Case:
    box = Box(np.ones(3))
    return lambda x: x * 2 if box.value.dtype == np.float32 else x, lambda: setattr(
        box, "value", np.ones(3, np.float32)
    )


def a_turned_array_that_is_filled() -> Case:
    numbers = np.ones((1, 3))
    return lambda x: x * chainrule.tensor(numbers.T[0].tolist()), lambda: numbers.fill(4.0)


def a_tensors_own_attribute() -> Case:
    weight = chainrule.ones(3)
    weight.factor = 2.0
    return lambda x: x * weight * weight.factor, lambda: setattr(weight, "factor", 5.0)


def the_largest_pair() -> Case:
    pairs = [(1.0, 2.0), (3.0, 4.0)]
    return lambda x: x * max(pairs)[1], lambda: pairs.__setitem__(0, (9.0, 7.0))


def pairs_in_order() -> Case:
    pairs = [(1.0, 2.0), (3.0, 4.0)]
    return lambda x: x * sorted(pairs)[0][1], lambda: pairs.__setitem__(1, (0.0, 7.0))


def whether_any_list_has_entries() -> Case:
    lists: list[list[int]] = [[], []]
    return lambda x: x * 2 if any(lists) else x, lambda: lists[1].append(1)


def lists_added_up() -> Case:
    lists = [[1.0], [2.0]]
    return lambda x: x * sum(sum(lists, [])), lambda: lists[1].append(7.0)  # noqa: RUF017


def what_a_generator_hands_on() -> Case:
    scales = [2.0, 3.0]

    def all_of() -> Any:
        yield from scales

    return lambda x: x * sum(all_of()), lambda: scales.__setitem__(0, 8.0)


def names_of_the_frame() -> Case:
    box = Box(2.0)

    def step(x: Any) -> Any:
        factor = box.value  # noqa: F841
        return x * vars()["factor"] if "factor" in dir() else x

    return step, lambda: setattr(box, "value", 3.0)


CASES = [
    pairs_in_a_loop, pairs_in_a_comprehension, numbered_pairs, pairs_behind_a_star, a_nested_assignment,
    values_of_a_dictionary, which_object_it_is, whether_an_object_is_equal, whether_an_object_is_among_others,
    an_object_as_a_key, an_object_as_a_key_of_get, the_place_of_an_object_in_a_list, the_identity_of_an_object,
    the_shape_of_an_array, the_number_of_an_arrays_dimensions, the_type_of_an_array, a_turned_array_that_is_filled,
    a_tensors_own_attribute, the_largest_pair, pairs_in_order, whether_any_list_has_entries, lists_added_up,
    what_a_generator_hands_on, names_of_the_frame,
]  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_what_was_read_is_looked_at_again(make: Callable[[], Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "is_due", lambda self, strict: False)
    step, change = make()
    run = chainrule.compile(step)
    for _ in range(2):
        assert run(X).tolist() == step(X).tolist()
    before = step(X).tolist()
    change()
    assert step(X).tolist() != before
    assert run(X).tolist() == step(X).tolist()


def test_a_name_from_a_relative_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "is_due", lambda self, strict: False)
    folder = tmp_path / "somebodys_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "settings.py").write_text("SCALE = 2.0\n")
    (folder / "steps.py").write_text("def step(x):\n    from .settings import SCALE\n    return x * SCALE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    steps = importlib.import_module("somebodys_package.steps")
    try:
        run = chainrule.compile(steps.step)
        assert run(X).tolist() == [2, 4, 6]
        sys.modules["somebodys_package.settings"].SCALE = 3.0
        assert run(X).tolist() == [3, 6, 9]
    finally:
        for name in [name for name in sys.modules if name.startswith("somebodys_package")]:
            del sys.modules[name]


@pytest.mark.parametrize("kind", ["register_hook", "register_post_accumulate_grad_hook"])
@pytest.mark.parametrize("bare", [False, True], ids=["of a layer", "bare"])
def test_a_hook_on_a_parameter_that_comes_later(kind: str, bare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "is_due", lambda self, strict: False)

    def outcome(prepare: Callable[[Any], Any]) -> list[Any]:
        layer = nn.Linear(3, 1, bias=False)
        weight = nn.Parameter(chainrule.ones(1, 3)) if bare else layer.weight
        with chainrule.no_grad():
            weight.fill_(1.0)

        def step(x: Any) -> Any:
            weight.grad = None
            (nn.functional.linear(x, weight) ** 2 if bare else layer(x) ** 2).sum().backward()
            return weight.grad * 1

        run, found = prepare(step), []
        found += [run(X).tolist() for _ in range(2)]

        def after(parameter: Any) -> None:
            parameter.grad = parameter.grad * 10

        hook = weight.register_hook(lambda g: g * 10) if kind == "register_hook" else getattr(weight, kind)(after)
        found += [run(X).tolist() for _ in range(2)]
        hook.remove()
        return [*found, run(X).tolist()]

    assert outcome(chainrule.compile) == outcome(lambda step: step)


def test_numbers_that_were_read_may_change_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "is_due", lambda self, strict: False)
    flag, traces = chainrule.tensor(0.6), []

    def step(x: Any) -> Any:
        traces.append(1)
        return x * 2 if flag.item() > 0.5 else x

    run = chainrule.compile(step)
    run(X)
    flag.fill_(0.7)
    run(X)
    known = len(traces)
    for value in (0.7, 0.6, 0.7, 0.6):
        flag.fill_(value)
        assert run(X).tolist() == [2, 4, 6]
    assert len(traces) == known
    flag.fill_(0.1)
    assert run(X).tolist() == [1, 2, 3]


def cell(source: str) -> dict[str, Any]:
    """What code makes that stands in no file, but can be looked up, as in a notebook."""
    space: dict[str, Any] = {"chainrule": chainrule}
    path = f"<a notebook's cell {hash(source)}>"
    linecache.cache[path] = len(source), None, source.splitlines(keepends=True), path
    exec(compile(source, path, "exec"), space)
    return space


def test_statements_that_share_a_line_are_all_found() -> None:
    space = cell("k = [1.0]; a = lambda x: x * k[0]; b, c = (lambda x: x + k[0], lambda x: x - k[0])\n")
    for name, changed in {"a": [2.0, 4.0], "b": [3.0, 4.0], "c": [-1.0, 0.0]}.items():
        space["k"][0] = 1.0
        step = chainrule.compile(space[name])
        x = chainrule.tensor([1.0, 2.0])
        for _ in range(3):
            step(x)
        space["k"][0] = 2.0
        assert step(x).tolist() == changed
        assert has_source(space[name])


def test_a_variable_that_a_failed_step_has_made_is_gone_again() -> None:
    space = cell("def step(x):\n    global made\n    made = x * 2\n    return chainrule.linalg.cholesky(x)\n")
    with pytest.raises(chainrule.ChainruleError):
        chainrule.compile(space["step"])(-chainrule.eye(2))
    assert "made" not in space
