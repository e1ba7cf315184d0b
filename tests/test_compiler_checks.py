"""What eager code checks in its numbers, a compiled step checks too: the same error, and nothing has changed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.primitives.primitive import registry
from tests.value_checks import ROWS, WITHOUT_A_ROW, Row, names

SOURCES = Path(chainrule.__file__).parent
CHECKING = ("check_numbers", "check_range", "by_numpy")


# ------------------------------------------------------------------------------------------- completeness


def checks_in_the_code() -> set[str]:
    """`module.rule` of each rule and each NumPy function that a call names, and the primitives that raise."""
    found = {f"primitives.{name}" for name, primitive in registry.items() if primitive.checks}
    for file in SOURCES.rglob("*.py"):
        module = ".".join(file.relative_to(SOURCES).with_suffix("").parts)
        if module.startswith("backends."):
            continue  # they run what is named elsewhere
        text = file.read_text(encoding="utf8")
        if not (module.startswith("primitives.") or any(f"{name}(" in text for name in CHECKING)):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CHECKING:
                assert isinstance(node.args[0], ast.Name), f"{module}, line {node.lineno}: the rule is a plain name"
                found.add(f"{module}.{node.args[0].id}")
            if isinstance(node, ast.ClassDef) and module.startswith("primitives."):
                found |= {f"primitives.{node.name}" for part in node.body if raises_by_numbers(part)}
    return found - {"functions.checking.rule"}


def raises_by_numbers(method: ast.AST) -> bool:
    """Whether it is an evaluation that raises an error."""
    return getattr(method, "name", "") == "evaluate" and any(isinstance(n, ast.Raise) for n in ast.walk(method))


def test_every_check_has_a_row() -> None:
    assert checks_in_the_code() == {r.rule for r in ROWS} | set(WITHOUT_A_ROW)


def test_no_check_is_made_only_where_numbers_are_there() -> None:
    """`if isinstance(array, np.ndarray) and …: raise` would be silent in every traced program."""
    hidden = []
    for file in SOURCES.rglob("*.py"):
        if file.parent.name == "compiler":
            continue  # it knows what is traced
        text = file.read_text(encoding="utf8")
        for node in ast.walk(ast.parse(text)) if "np.ndarray)" in text else ():
            if not isinstance(node, ast.If):
                continue
            asks = re.search(r"(?<!not )isinstance\([\w.]*array, np\.ndarray\)", ast.unparse(node.test))
            if asks and any(isinstance(n, ast.Raise) for part in node.body for n in ast.walk(part)):
                hidden.append(f"{file.relative_to(SOURCES)}:{node.lineno}")
    assert hidden == []


# ------------------------------------------------------------------------------------------- the table


class World:
    """What a step may change: a counter, weights with their gradients, an optimiser's memory, random numbers."""

    def __init__(self) -> None:
        self.counter = chainrule.zeros(3)
        self.model = nn.Linear(3, 2)
        self.optimizer = chainrule.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.generator = chainrule.Generator().manual_seed(4)
        self.kept = chainrule.ones(2, requires_grad=True)

    def step(self, row: Row) -> Any:
        def run(x: Any, *arguments: Any) -> Any:
            self.counter.add_(1)
            self.optimizer.zero_grad()
            (self.model(x).square().mean() + (self.kept * 2).sum()).backward()
            self.optimizer.step()
            x.add_(chainrule.rand(2, 3, generator=self.generator))
            result = row.call(*arguments)
            self.counter.mul_(2)
            return result

        return run

    def contents(self) -> list[Any]:
        state = [self.counter, *self.model.parameters(), self.generator.get_state()]
        state += [t for p in self.model.parameters() for t in self.optimizer.state[p].values() if t is not None]
        grads = [None if p.grad is None else p.grad.numpy() for p in (*self.model.parameters(), self.kept)]
        return [t.detach().numpy() for t in state] + grads


def same(a: Any, b: Any) -> bool:
    return a is b is None or (a is not None and b is not None and a.tobytes() == b.tobytes())


@pytest.mark.parametrize("row", ROWS, ids=names())
def test_the_same_error_and_nothing_has_changed(row: Row) -> None:
    with pytest.raises(row.error, match=row.text) as eager:
        row.call(*row.bad)
    world, x = World(), chainrule.ones(2, 3)
    step = chainrule.compile(world.step(row))
    step(x, *row.good)
    step(x, *row.good)
    before, given = world.contents(), x.numpy()
    with pytest.raises(row.error) as compiled:
        step(x, *row.bad)
    assert type(compiled.value) is type(eager.value)
    assert str(compiled.value) == str(eager.value)
    assert all(map(same, before, world.contents())) and same(given, x.numpy())
    step(x, *row.good)
    assert not same(before[0], world.contents()[0]), "the step works again"


@pytest.mark.parametrize("row", ROWS, ids=names())
def test_the_first_run_checks_too(row: Row) -> None:
    with pytest.raises(row.error) as eager:
        row.call(*row.bad)
    with pytest.raises(row.error) as compiled:
        chainrule.compile(row.call)(*row.bad)
    assert (type(compiled.value), str(compiled.value)) == (type(eager.value), str(eager.value))


# ------------------------------------------------------------------------------------------- what holds of all


def test_a_check_stays_though_nobody_needs_its_result() -> None:
    def step(x: Any, labels: Any) -> Any:
        F.one_hot(labels, 3)
        chainrule.linalg.cholesky(x)
        return x * 2

    compiled, eye = chainrule.compile(step), chainrule.eye(2)
    np.testing.assert_array_equal(compiled(eye, chainrule.tensor([0, 2])).numpy(), 2 * np.eye(2, dtype=np.float32))
    with pytest.raises(IndexError, match="one_hot"):
        compiled(eye, chainrule.tensor([0, 3]))
    with pytest.raises(ValueError, match="positive definite"):
        compiled(-eye, chainrule.tensor([0, 2]))


def test_the_first_error_of_the_step_is_the_one_raised() -> None:
    def step(matrix: Any, labels: Any, divisors: Any) -> Any:
        return F.one_hot(labels, 3), chainrule.linalg.cholesky(matrix), 7 // divisors

    compiled, eye = chainrule.compile(step), chainrule.eye(2)
    good, bad, zero = (chainrule.tensor([k]) for k in (1, 3, 0))
    compiled(eye, good, good)
    for arguments in ((-eye, bad, zero), (eye, bad, zero), (-eye, good, zero), (eye, good, zero), (-eye, bad, good)):
        with pytest.raises(Exception) as eager:
            step(*arguments)
        with pytest.raises(type(eager.value), match=re.escape(str(eager.value))):
            compiled(*arguments)


def test_the_path_of_the_module_stands_in_front() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Sequential(nn.Embedding(4, 2))

        def forward(self, x: Any) -> Any:
            return self.words(x).sum()

    model, wrong = Reader(), chainrule.tensor([4])
    step = chainrule.compile(lambda x: model(x) * 1)
    step(chainrule.tensor([3]))
    message = r"words\.0 \(Embedding\): embedding: 4 at \[0\] is none of the 4 words"
    for function in (model, step):
        with pytest.raises(IndexError, match=message):
            function(wrong)


def test_loops_check_in_every_step() -> None:
    def total(labels: Any) -> Any:
        start = chainrule.zeros(3, dtype=chainrule.int64)
        return chainrule.scan(lambda sums, label: (sums + F.one_hot(label, 3), None), start, labels)[0]

    good, bad = chainrule.tensor([0, 2, 2]), chainrule.tensor([0, 2, 3])
    for function in (total, chainrule.compile(total)):
        assert function(good).tolist() == [1, 0, 2]
        with pytest.raises(IndexError, match="labels from 3 to 3 do not fit 3 classes"):
            function(bad)


def test_parallel_kernels_find_one_bad_number_among_many() -> None:
    step = chainrule.compile(lambda p, t: F.binary_cross_entropy(p, t))
    p, t = chainrule.full((300, 1001), 0.25), chainrule.zeros(300, 1001)
    assert step(p, t).item() == pytest.approx(-np.log(0.75), rel=1e-4)  # a sum of 300,300 equal numbers in float32
    for place in ((0, 0), (299, 1000), (150, 999)):
        wrong = p.clone()
        wrong[place] = 1.25
        with pytest.raises(ValueError, match=r"from 0\.25 to 1\.25"):
            step(wrong, t)


def test_labels_of_small_types_and_many_classes() -> None:
    scores = chainrule.zeros(2, 300)
    step = chainrule.compile(lambda y: F.cross_entropy(scores, y))
    assert step(chainrule.tensor([255, 44], dtype=chainrule.uint8)).item() == pytest.approx(np.log(300), rel=1e-6)
    assert step(chainrule.tensor([127, 0], dtype=chainrule.int8)).item() == pytest.approx(np.log(300), rel=1e-6)
    with pytest.raises(IndexError, match=r"label -1 at \[0\]"):
        step(chainrule.tensor([-1, 0], dtype=chainrule.int8))


def test_ignored_labels_are_no_error() -> None:
    scores = chainrule.tensor([[0.0, 0.0], [0.0, 5.0]])
    step = chainrule.compile(lambda y, ignored: F.cross_entropy(scores, y, ignore_index=ignored))
    assert step(chainrule.tensor([0, -100]), -100).item() == pytest.approx(np.log(2), rel=1e-6)
    assert step(chainrule.tensor([0, -1]), -1).item() == pytest.approx(np.log(2), rel=1e-6)
    with pytest.raises(IndexError, match="label -1"):
        step(chainrule.tensor([0, -1]), -100)


def test_constants_are_checked_once() -> None:
    step = chainrule.compile(lambda x: x.gather(0, chainrule.tensor([1, 0])))
    assert step(chainrule.tensor([3.0, 4.0])).tolist() == [4.0, 3.0]
    assert "Check" not in step.explain()
    wrong = chainrule.compile(lambda x: x.gather(0, chainrule.tensor([1, 2])))
    with pytest.raises(IndexError, match="from 1 to 2"):
        wrong(chainrule.tensor([3.0, 4.0]))


def test_places_along_a_dimension_are_checked_once() -> None:
    step = chainrule.compile(lambda x, i: x.take_along_dim(i, 0))
    for places, want in ([[0, -1]], [[0, 5]]), ([[-3, 2]], [[0, 5]]):
        assert step(chainrule.arange(6.0).reshape(3, 2), chainrule.tensor(places)).tolist() == want
    assert step.explain().count("Check") == 1


def test_a_count_that_is_too_small_is_refused_where_eager_would_answer() -> None:
    count = chainrule.compile(lambda x: chainrule.bincount(x, minlength=3))
    assert count(chainrule.tensor([0, 2, 2])).tolist() == [1, 0, 2]
    assert chainrule.bincount(chainrule.tensor([0, 3]), minlength=3).tolist() == [1, 0, 0, 1]
    with pytest.raises(chainrule.errors.TraceError, match="the number 3 makes the result longer than minlength=3"):
        count(chainrule.tensor([0, 3]))


def test_a_failing_operation_in_numpy_leaves_no_half_step() -> None:
    model = nn.Linear(3, 3)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)

    @chainrule.compile
    def step(x: Any, matrix: Any) -> Any:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        return chainrule.linalg.inv(matrix + 0 * model.weight), model.weight.sort(0).values

    x = chainrule.randn(4, 3)
    for _ in range(2):
        step(x, chainrule.eye(3))
    moments = [t for p in model.parameters() for t in optimizer.state[p].values()]
    before = [t.detach().numpy() for t in (*model.parameters(), *moments)]
    for _ in range(2):
        with pytest.raises(ValueError, match="singular"):
            step(x, chainrule.zeros(3, 3))
    assert all(map(same, before, [t.detach().numpy() for t in (*model.parameters(), *moments)]))
    inverse, _ = step(x, 2 * chainrule.eye(3))
    np.testing.assert_allclose(inverse.numpy(), np.eye(3) / 2, atol=1e-6)


def test_a_look_up_that_is_written_into_a_tensor_from_outside() -> None:
    table, kept, seen = chainrule.arange(6.0).reshape(3, 2), chainrule.zeros(2, 2), chainrule.zeros(2)

    @chainrule.compile
    def step(places: Any) -> Any:
        seen.add_(1)
        kept.copy_(table[places])
        table[0] = table[0] + 1

    step(chainrule.tensor([2, 1]))
    assert kept.tolist() == [[4, 5], [2, 3]] and table[0].tolist() == [1, 2]
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        step(chainrule.tensor([0, 3]))
    assert kept.tolist() == [[4, 5], [2, 3]] and table[0].tolist() == [1, 2] and seen.tolist() == [1, 1]


def test_an_update_that_is_looked_up_with_a_bad_index_is_not_made() -> None:
    weight = chainrule.ones(3, 2)

    @chainrule.compile
    def step(places: Any) -> Any:
        weight.mul_(2)
        return F.embedding(places, weight).sum()

    assert step(chainrule.tensor([0, 2])).item() == 8
    with pytest.raises(IndexError, match="none of the 3 words"):
        step(chainrule.tensor([0, -1]))
    assert weight.tolist() == [[2, 2]] * 3


def test_a_failing_first_run_leaves_nothing_in_python() -> None:
    """As in every later run: what the step puts into a dictionary is there if the step has come to its end."""
    kept: dict[str, Any] = {}

    @chainrule.compile
    def step(labels: Any) -> Any:
        if not kept:
            kept["computed"] = chainrule.ones(3) * 2
            kept["given"] = chainrule.tensor([5.0])
        hot = F.one_hot(labels, 3)
        kept["computed"].add_(1)
        kept["given"].mul_(2)
        return hot

    with pytest.raises(IndexError, match="labels from 1 to 3"):
        step(chainrule.tensor([1, 3]))
    assert kept == {}
    for turn in (1, 2):
        assert step(chainrule.tensor([1, 2])).tolist() == [[0, 1, 0], [0, 0, 1]]
        assert kept["computed"].tolist() == [2 + turn] * 3 and kept["given"].tolist() == [5 * 2**turn]


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD", "Rprop", "Adagrad"])
def test_an_optimiser_learns_as_eager_ones_after_a_failing_first_step(name: str) -> None:
    found = []
    for form in (lambda f: f, chainrule.compile):
        chainrule.manual_seed(0)
        model = nn.Linear(3, 3).double()
        optimizer = getattr(chainrule.optim, name)(model.parameters(), lr=0.01)

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

        run, x = form(step), chainrule.eye(3)[:2].double()
        with pytest.raises(IndexError, match="label 3"):
            run(x, chainrule.tensor([0, 3]))
        for _ in range(3):
            run(x, chainrule.tensor([0, 2]))
        found.append(model.weight.detach().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


@pytest.mark.parametrize(
    "function", [lambda x: F.max_pool2d(x, 2), lambda x: x.sort(-1)[0], lambda x: F.max_pool1d(x[0], 3, 2, padding=1)]
)
def test_places_that_an_operation_has_found_are_not_checked(function: Any) -> None:
    """The gradients of pooling and sorting put numbers where the values came from, and these places exist."""

    def slope(x: Any) -> Any:
        y = function(x)
        return chainrule.autograd.grad((y * y).sum(), x)[0]

    x = chainrule.randn(2, 3, 6, 6, requires_grad=True)
    compiled = chainrule.compile(slope)
    np.testing.assert_array_equal(compiled(x).numpy(), slope(x).numpy())
    assert "Check" not in compiled.explain()
