"""The one graph: its rules, programs as data, and backends that all mean the same."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.backends import BACKENDS, build
from chainrule.backends.home import home_of
from chainrule.backends.native.run.machine import compile_text
from chainrule.backends.passes import PASSES
from chainrule.nn import functional as F
from chainrule.primitives.elementwise import Add, Multiply
from chainrule.primitives.value import Symbol
from chainrule.program import Equation, Graph, GraphError, Program, Slot

FORM = (2, 3), np.dtype("f4")


def times(x: Any, y: Any, out: Symbol) -> Equation:
    return Equation(Multiply, (x, y), {}, (out,), FORM, "layer")


# ----------------------------------------------------------------------------------------- graphs


def test_a_graph_keeps_what_its_outputs_need() -> None:
    x, y, z = (Symbol(*FORM) for _ in range(3))
    graph = Graph([x], [times(x, x, y), times(y, x, z)], [y])
    assert [e.outputs for e in graph.equations] == [(y,)]
    array = np.full(*FORM[:1], 3, "f4")
    assert np.array_equal(graph.run([array])[0], array * array)


def test_each_rule_of_graphs_is_checked() -> None:
    x, y, z = (Symbol(*FORM) for _ in range(3))
    wrong = Symbol((3, 2), FORM[1])
    broken = {
        "not made before": Graph([x], [times(y, x, z), times(x, x, y)], [z, y]),
        "a second time": Graph([x], [times(x, x, y), times(x, x, y)], [y]),
        "made by no equation": Graph([x], [], [y]),
        "comes twice": Graph([x, x], [], [x]),
        "the shape rule gives": Graph([x], [times(x, x, wrong)], [wrong]),
    }
    for rule, graph in broken.items():
        with pytest.raises(GraphError, match=rule):
            graph.check()


def test_a_graph_with_other_names_is_the_same_graph() -> None:
    x, y, z = (Symbol(*FORM) for _ in range(3))
    graph = Graph([x], [times(x, x, y)], [y])
    other = graph.rename({x: z}).check()
    assert other.inputs == (z,) and repr(other) == repr(graph)
    array = np.float32(np.ones(FORM[0]) * 5)
    constant = graph.rename({x: array})
    assert constant.inputs == () and np.array_equal(constant.run([])[0], array * array)


def test_equations_know_their_module_their_block_and_their_line() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    step = chainrule.compile(lambda x: model(x))
    step(chainrule.ones(4, 3))
    equations = step.program.program.graph.equations
    inside = [e for e in equations if e.block is not None and e.block.name == "softmax"]
    assert inside and {e.path.partition("/")[0] for e in inside} == {"1"}
    assert len({id(e.block) for e in inside}) == 1
    assert {Path(e.line[0]).name for e in equations if e.line} == {Path(__file__).name}


def test_two_uses_of_a_block_are_two() -> None:
    step = chainrule.compile(lambda x: F.softmax(F.softmax(x, 0), 0))
    step(chainrule.ones(3))
    uses = {id(e.block) for e in step.program.program.graph.equations if e.block is not None}
    assert len(uses) == 2


def test_passes_are_checked_under_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(graph: Graph) -> Graph:
        return Graph(graph.inputs, graph.equations[1:], graph.outputs)

    monkeypatch.setattr("chainrule.backends.passes.PASSES", (*PASSES, careless))
    step = chainrule.compile(lambda x: (x @ x).sum(), debug=True)
    with pytest.raises(GraphError) as caught:
        step(chainrule.ones(3, 3))
    assert "careless" in "".join(caught.value.__notes__)


# ----------------------------------------------------------------------------------------- programs


def test_slots_and_values_belong_together() -> None:
    x = Symbol(*FORM)
    with pytest.raises(ValueError, match="1 inputs, got 0"):
        Program(Graph([x], [], [x]), [], [Slot("result", 0)])


def training_step(model: nn.Module, backend: str = "native") -> Any:
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.01)

    @chainrule.compile(backend=backend)
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
        loss.backward()
        optimizer.step()
        return loss

    return step


def images(n: int, size: int) -> tuple[Any, Any]:
    return chainrule.randn(n, 3, size, size), chainrule.randint(0, 10, (n,))


def decoder() -> tuple[nn.Module, Any, Any]:
    model = models.DecoderTransformer(11, width=16, heads=2, layers=2, context=8)
    return model, chainrule.randint(0, 11, (2, 8)), chainrule.randint(0, 11, (2, 8))


RUN_ELSEWHERE = """
import hashlib, pickle, sys
from chainrule.backends import build

program, cells, arrays = pickle.loads(open(sys.argv[1], "rb").read())
runnable = build("native")(program, [], False)
for home, array in zip(runnable.homes, cells):
    if home is not None:
        home.renew()
        home.array[...] = array
results = [array.tobytes() for _ in range(2) for array in runnable.run(arrays)]
state = [home.array.tobytes() for home in runnable.homes if home is not None]
print(hashlib.sha256(b"".join(results + state)).hexdigest())
"""


@pytest.mark.parametrize("name", ["resnet18", "decoder"])
def test_a_pickled_program_gives_the_same_bits_in_another_process(name: str, tmp_path: Path) -> None:
    chainrule.manual_seed(0)
    if name == "resnet18":
        model: nn.Module = models.resnet18(10, stem="cifar")
        x, y = images(2, 32)
    else:
        model, x, y = decoder()
    step = training_step(model)
    for _ in range(2):  # the first call makes the optimiser's memory
        step(x, y)
    bound = step.program
    homes = bound.runnable.homes
    before = [None if home is None else np.array(home.array) for home in homes]
    arrays = [
        np.array(origin.number()) if hasattr(origin, "group") else [x, y][origin.number].numpy()
        for origin in bound.given
    ]
    file = tmp_path / "program"
    file.write_bytes(pickle.dumps((bound.program, before, arrays)))
    results = [step(x, y).numpy().tobytes() for _ in range(2)]
    state = [home.array.tobytes() for home in homes if home is not None]
    here = hashlib.sha256(b"".join(results + state)).hexdigest()
    done = subprocess.run([sys.executable, "-c", RUN_ELSEWHERE, file], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == here, done.stderr


# ----------------------------------------------------------------------------------------- backends


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_train_as_eager_code_does(backend: str) -> None:
    outcomes = []
    for compiled in (False, True):
        chainrule.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10)
        )
        step = training_step(model, backend)
        x, y = images(4, 8)
        losses = [(step if compiled else step.function)(x, y).item() for _ in range(4)]
        outcomes.append((losses, [p.numpy() for p in model.state_dict().values()]))
    np.testing.assert_allclose(outcomes[0][0], outcomes[1][0], rtol=1e-5)
    for a, b in zip(outcomes[0][1], outcomes[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failed_run_changes_nothing_in_any_backend(backend: str) -> None:
    table, seen = chainrule.zeros(3), chainrule.zeros(())

    @chainrule.compile(backend=backend)
    def step(place: Any) -> Any:
        seen.add_(1)
        table.index_add_(0, place, chainrule.ones(1))
        return table[place]

    step(chainrule.tensor([2]))
    with pytest.raises(IndexError, match="3"):
        step(chainrule.tensor([3]))
    assert seen.item() == 1 and table.tolist() == [0, 0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_cells_that_exchange_their_values(backend: str) -> None:
    a, b = chainrule.tensor([1.0, 2.0]), chainrule.tensor([3.0, 4.0])

    @chainrule.compile(backend=backend)
    def exchange() -> None:
        old = a.clone()
        a.copy_(b)
        b.copy_(old)

    for _ in range(3):
        exchange()
    assert (a.tolist(), b.tolist()) == ([3, 4], [1, 2])


def test_a_name_that_is_no_backend_of_ours_or_pytorchs_is_refused() -> None:
    with pytest.raises(ValueError, match="native, numpy"):
        build("abacus")
    with pytest.raises(ValueError, match="abacus"):
        chainrule.compile(lambda x: x, backend="abacus")
    assert chainrule.compile(lambda x: x + 1, backend="inductor")(chainrule.ones(1)).tolist() == [2]


def test_a_program_without_machine_code_says_so() -> None:
    step = chainrule.compile(lambda x: x + 1, backend="numpy")
    step(chainrule.ones(1))
    with pytest.raises(chainrule.TraceError, match="machine code"):
        step.profile(chainrule.ones(1))


# ----------------------------------------------------------------------------------------- homes


def test_programs_share_the_memory_of_their_cells() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(216, 10))
    step = training_step(model)
    large, small = images(4, 8), images(2, 8)
    for _ in range(3):
        step(*large)
    weights = [p for p in model.parameters()]
    before = [(home_of(p), home_of(p).address) for p in weights]  # type: ignore[union-attr]
    for batch in (small, large, small, large):
        step(*batch)
    after = [(home_of(p), home_of(p).address) for p in weights]  # type: ignore[union-attr]
    assert [(a is c, b == d) for (a, b), (c, d) in zip(before, after, strict=True)] == [(True, True)] * len(weights)
    evaluate = chainrule.compile(lambda x: model(x))
    with chainrule.no_grad():
        evaluate(small[0])
    assert {id(home) for home in evaluate.program.runnable.homes} <= {id(home) for home, _ in before}


def test_a_program_that_needs_another_order_has_a_home_of_its_own() -> None:
    weight, x = chainrule.randn(16, 12, 3, 3), chainrule.randn(1, 12, 8, 8)
    twice = chainrule.compile(lambda: weight.mul_(2))
    convolve = chainrule.compile(lambda x: F.conv2d(x, weight))
    now = weight.numpy().copy()
    for _ in range(3):
        twice()
        now = now * 2
        got = convolve(x)
        want = F.conv2d(x, chainrule.tensor(now))
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-3)
    assert np.array_equal(weight.numpy(), now)
    again = chainrule.compile(lambda x: F.conv2d(x, weight) * 2)
    again(x)
    assert again.program.states[id(weight)] is convolve.program.states[id(weight)]


def test_programs_share_the_memory_of_a_cell_that_has_got_another_shape() -> None:
    layer = nn.Linear(4, 3)
    old = chainrule.compile(lambda x: layer(x))
    old(chainrule.ones(2, 4))
    layer.weight.data, layer.bias.data = chainrule.ones(5, 4), chainrule.zeros(5)
    first, second = (chainrule.compile(lambda x, k=k: layer(x) * k) for k in (2, 3))
    assert [step(chainrule.ones(4)).tolist() for step in (first, second)] == [[8] * 5, [12] * 5]
    assert {id(home) for home in first.program.states.values()} == {id(x) for x in second.program.states.values()}


def test_a_home_goes_with_the_programs_that_use_it() -> None:
    weight = chainrule.ones(4)
    step = chainrule.compile(lambda: weight.add_(1))
    step()
    assert home_of(weight) is not None
    del step
    assert home_of(weight) is None and weight.tolist() == [2] * 4
    other = chainrule.compile(lambda: weight.add_(1))
    assert other().tolist() == [3] * 4


@pytest.mark.parametrize("orders", [1, 2])
def test_two_functions_in_two_threads_take_turns_with_one_cell(orders: int) -> None:
    """One adds 1 to every entry, the other sees all entries alike: never half of a change.

    A convolution wants the entries in another order, so it has a home of its own.
    """
    total, image = chainrule.zeros(96, 96, 3, 3), chainrule.ones(1, 96, 4, 4)
    add = chainrule.compile(lambda: total.add_(1).sum())
    look = chainrule.compile(lambda: (total.amin(), total.amax(), *([F.conv2d(image, total)] if orders == 2 else [])))
    add(), look()
    assert len({id(step.program.states[id(total)]) for step in (add, look)}) == orders
    seen: list[Any] = []

    def watch() -> None:
        seen.extend(tuple(x.item() for x in look()[:2]) for _ in range(200))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(200):
        add()
    thread.join()
    assert len(seen) == 200 and all(low == high for low, high in seen)
    assert (total == 201).all()


def test_an_addition_to_a_cell_is_the_same_in_every_backend() -> None:
    x, total, new = (Symbol((3,), np.dtype("f8")) for _ in range(3))
    graph = Graph([x, total], [Equation(Add, (total, x), {}, (new,), ((3,), np.dtype("f8")), "")], [new, total])
    program = Program(graph, [Slot("argument", 0), Slot("cell", 0)], [Slot("cell", 0), Slot("result", 0)])
    for name in BACKENDS:
        runnable = build(name)(program, [], True)
        (home,) = runnable.homes
        assert home is not None
        home.renew()
        before = [runnable.run([np.arange(3.0)])[0].tolist() for _ in range(3)]
        assert before == [[0, 0, 0], [0, 1, 2], [0, 2, 4]] and home.array.tolist() == [0, 3, 6]


# ----------------------------------------------------------------------------------------- machine code


def test_a_kernel_that_is_known_is_explained_as_the_first_one() -> None:
    steps = [chainrule.compile(lambda x: x.T.contiguous() * 1) for _ in range(2)]
    for step in steps:
        step(chainrule.ones(64, 53))
    assert steps[0].explain() == steps[1].explain()


def test_no_function_is_compiled_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another batch size, or another network with equal layers, needs only functions of a new structure."""
    from chainrule.backends.native.run import functions

    texts: list[str] = []
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    monkeypatch.setattr(functions, "_loaded", {})

    def noting(text: str) -> bytes:
        texts.append(text)
        return compile_text(text)

    monkeypatch.setattr(functions, "compile_text", noting)
    step = training_step(models.LeNet5())
    x, y = chainrule.randn(6, 1, 32, 32), chainrule.randint(0, 10, (6,))
    step(x, y), step(x, y)
    before = len(texts)
    step(x[:5], y[:5])
    after = len(texts)
    training_step(models.LeNet5())(x, y)
    assert before > 20 and after - before <= 4 and len(texts) == after
    assert len(set(texts)) == len(texts)
