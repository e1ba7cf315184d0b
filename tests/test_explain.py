"""`chainrule.explain`: the graph with its numbers, forward and backward, against the notes and against autodiff."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import grad
from chainrule.primitives.primitive import registry
from chainrule.random import default_generator
from tests.samples import SAMPLES

F = nn.functional


def node(data: dict[str, Any], operation: str) -> dict[str, Any]:
    return next(n for n in data["nodes"] if n["operation"] == operation)


# ------------------------------------------------------------------------------------------ the notes' examples


def test_the_first_example_of_the_notes() -> None:
    found = chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
    data = found.data()
    product = node(data, "Multiply")
    values = {v["id"]: v for v in data["values"]}
    assert values[data["outputs"][0]]["numbers"] == -12
    assert [found.gradient(name).item() for name in "xyz"] == [-4, -4, 3]
    q = values[product["inputs"][0]]
    assert q["numbers"] == 3 and q["gradient"]["numbers"] == -4
    upstream, local, downstream = (product["contributions"][1][k] for k in ("upstream", "local", "downstream"))
    assert upstream["numbers"] * local == downstream["numbers"] == 3
    assert product["substituted"] == r"3 \odot (-4) = -12"


SVG = "{http://www.w3.org/2000/svg}"


def neuron(w0: Any, x0: Any, w1: Any, x1: Any, w2: Any) -> Any:
    return chainrule.sigmoid(w0 * x0 + w1 * x1 + w2)


def test_the_sigmoid_neuron_opened_and_as_a_block() -> None:
    found = chainrule.explain(neuron, 2.0, -1.0, -3.0, -2.0, -3.0)
    gradients = [round(found.gradient(name).item(), 2) for name in ("w0", "x0", "w1", "x1", "w2")]
    assert gradients == [-0.20, 0.39, -0.39, -0.59, 0.20]
    data = found.data()
    block = next(g for g in data["groups"] if g["name"] == "sigmoid")
    inside = [n for n in data["nodes"] if n["group"] == block["id"]]
    assert [n["operation"] for n in inside] == ["Negate", "Exp", "Add", "Divide"]
    # As the notes print them, from the end: −0.53, −0.53, −0.20, 0.20.
    parts = [next(c for c in n["contributions"] if c) for n in reversed(inside)]
    assert [round(c["downstream"]["numbers"], 2) for c in parts] == [-0.53, -0.53, -0.20, 0.20]
    as_one = block["contributions"][0]["downstream"]["numbers"]
    assert as_one == pytest.approx(parts[-1]["downstream"]["numbers"], rel=1e-6)
    assert as_one == pytest.approx(0.7310586 * (1 - 0.7310586), rel=1e-6)


def test_matrices_of_the_notes() -> None:
    x, w = chainrule.tensor([[0.0, 1.0], [2.0, 3.0]]), chainrule.ones(2, 2)
    found = chainrule.explain(lambda X, W: ((X @ W) ** 2).sum(), x, w)
    data = found.data()
    assert found.arrays[found.outputs[0]] == 52
    y = next(v for v in data["values"] if v["id"] == node(data, "MatMul")["outputs"][0])
    assert y["gradient"]["numbers"] == [[2, 2], [10, 10]]
    assert found.gradient("X").tolist() == [[4, 4], [20, 20]]
    assert found.gradient("W").tolist() == [[20, 20], [32, 32]]


def test_a_training_step_of_a_small_network() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    x, y = chainrule.randn(4, 2, dtype=chainrule.float64), chainrule.randn(4, 1, dtype=chainrule.float64)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = 0.5 * ((model(x) - y) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    before = {name: t.clone() for name, t in model.state_dict().items()}
    found = chainrule.explain(step, x, y)
    after = {name: t.clone() for name, t in model.state_dict().items()}
    assert all(chainrule.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())
    step(x, y)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(found.gradient(name if name in found.names.values() else f"model.{name}"), p.grad)
    names = [g["name"] for g in found.data()["groups"] if g["parent"] is None]
    assert names == ["0", "1", "2", "backward", "SGD.step"]


def test_the_printed_weights_of_one_training_step() -> None:
    w1, b1 = chainrule.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), chainrule.tensor([0.1, 0.2, 0.3])
    w2, b2 = chainrule.tensor([[0.7, 0.8, 0.9]]), chainrule.tensor([0.1])
    weights = [w.requires_grad_() for w in (w1, b1, w2, b2)]
    optimizer = chainrule.optim.SGD(weights, lr=0.1)

    def step(x: Any) -> Any:
        loss = (0.5 * (F.linear(F.relu(F.linear(x, w1, b1)), w2, b2) - 3.2) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    found = chainrule.explain(step, chainrule.tensor([1.0, 2.0]))
    data = found.data()
    (group,) = [g["id"] for g in data["groups"] if g["class"] == "SGD.step"]
    values = {v["id"]: v["numbers"] for v in data["values"]}
    updates = [n for n in data["nodes"] if n["group"] == group and n["operation"] == "Subtract"]
    printed = [[0.09, 0.18], [0.29, 0.37], [0.49, 0.57]], [0.09, 0.19, 0.29], [[0.69, 0.78, 0.87]], [0.08]
    for update, expected in zip(updates, printed, strict=True):
        np.testing.assert_allclose(values[update["outputs"][0]], expected, atol=0.0051)
    assert w1.tolist()[0] == pytest.approx([0.1, 0.2])


# ------------------------------------------------------------------------------------------ against autodiff


@pytest.mark.parametrize("name", sorted(set(registry) - {"Scan"}))
def test_gradients_of_every_primitive_are_autodiffs(name: str) -> None:
    primitive = registry[name]
    for sample in SAMPLES[name]:
        tensors = [chainrule.from_numpy(np.array(x)) for x in sample.inputs]

        def run(*xs: Any, settings: Any = sample.settings, primitive: Any = primitive) -> Any:
            made = primitive.apply(*xs, **settings)
            parts = made if isinstance(made, tuple) else (made,)
            floats = [y for y in parts if y.dtype.is_floating_point]
            return sum(((y * y).sum() for y in floats), chainrule.tensor(0.0, dtype=chainrule.float64))

        found = chainrule.explain(run, *tensors)
        assert found.failure is None
        json.dumps(found.data(), allow_nan=False)
        leaves = [t.clone().requires_grad_() if t.dtype.is_floating_point else t for t in tensors]
        result = run(*leaves)
        wanted = [t for t in leaves if t.requires_grad]
        if not wanted or not result.requires_grad:
            continue
        expected = iter(grad(result, wanted, allow_unused=True))
        gradients = found.walk.gradients if found.walk else {}
        for symbol, leaf in zip(found.symbols, leaves, strict=False):
            want = next(expected) if leaf.requires_grad else None
            if want is None:
                assert symbol not in gradients
            else:
                np.testing.assert_array_equal(gradients[symbol], want.array)


def random_program(random: np.random.Generator) -> Any:
    """A function of two matrices that uses values several times, through blocks and primitives."""
    unary = [chainrule.tanh, chainrule.sigmoid, chainrule.exp, F.relu, lambda x: F.softmax(x, -1), lambda x: x.T @ x]
    binary = [lambda a, b: a * b, lambda a, b: a + b, lambda a, b: a @ b, chainrule.maximum, lambda a, b: a - b.T]
    choices = [(random.integers(2), random.integers(99), random.integers(99), random.integers(99)) for _ in range(8)]

    def program(x: Any, y: Any) -> Any:
        values = [x, y]
        for kind, which, i, j in choices:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(unary[which % 6](a * 0.3) if kind else binary[which % 5](a, b))
        return sum(v.mean() for v in values[2:])

    return program


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_have_autodiffs_gradients(seed: int) -> None:
    random = np.random.default_rng(seed)
    program = random_program(random)
    x, y = (chainrule.tensor(random.normal(size=(3, 3)), requires_grad=True) for _ in range(2))
    found = chainrule.explain(program, x.detach(), y.detach())
    for name, want in zip("xy", grad(program(x, y), (x, y), allow_unused=True), strict=True):
        if want is not None:
            np.testing.assert_allclose(found.gradient(name), want.array, rtol=1e-12)
    data = found.data()
    for value in data["values"]:  # what arrives at a value is the sum of what its uses send
        sent = [
            np.array(n["contributions"][i]["downstream"]["numbers"])
            for n in data["nodes"]
            for i, to in enumerate(n["inputs"])
            if to == value["id"] and n["contributions"][i]
        ]
        if sent and value["gradient"] and len(sent) == value["gradient"]["paths"]:
            np.testing.assert_allclose(sum(sent), np.array(value["gradient"]["numbers"]), rtol=1e-9, atol=1e-12)


def test_upstream_times_local_is_downstream() -> None:
    found = chainrule.explain(lambda x, w: chainrule.tanh(x @ w).sum(), chainrule.randn(2, 3), chainrule.randn(3, 2))
    for n in found.data()["nodes"]:
        for c in n["contributions"]:
            local, upstream = np.array(c["local"]), np.array(c["upstream"]["numbers"])
            down = upstream.reshape(-1) @ local if c["jacobian"] else upstream * local
            np.testing.assert_allclose(down.reshape(-1), np.array(c["downstream"]["numbers"]).reshape(-1), rtol=1e-5)


def test_paths_that_meet_are_added() -> None:
    found = chainrule.explain(lambda x: x * x + x, 3.0)
    (value,) = [v for v in found.data()["values"] if v["name"] == "x"]
    assert value["gradient"]["numbers"] == 7 and value["gradient"]["paths"] == 3


# ------------------------------------------------------------------------------------------ what is cut stays cut


def test_detach_cuts_the_gradient() -> None:
    found = chainrule.explain(lambda x: x * x.detach(), 3.0)
    assert found.gradient("x") == 3


def test_a_function_with_its_own_gradient_is_one_step() -> None:
    class Reverse(chainrule.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float) -> Any:
            return chainrule.tensor(x.detach().numpy() * 1.0)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return -g, None

    found = chainrule.explain(lambda x: Reverse.apply(x * 2, 3.0) ** 2, 3.0)
    assert found.gradient("x") == -24
    assert "Reverse" in [n["operation"] for n in found.data()["nodes"]]


def test_hooks_are_followed() -> None:
    def run(x: Any) -> Any:
        y = x * 2
        y.register_hook(lambda g: g * 10)
        return y * 3

    assert chainrule.explain(run, 1.0).gradient("x") == 60


def test_an_upstream_gradient_for_a_result_of_several_numbers() -> None:
    assert chainrule.explain(lambda x: x * 2, np.ones(3)).walk is None
    found = chainrule.explain(lambda x: x * 2, np.ones(3), gradient=[1.0, 2.0, 3.0])
    assert found.gradient("x").tolist() == [2, 4, 6]


# ------------------------------------------------------------------------------------------ nothing is changed


def test_explaining_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout())
    x = chainrule.randn(2, 3, 5, 5)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = default_generator.get_state().clone()
    found = chainrule.explain(lambda x: model(x).sum(), x)
    assert found.failure is None
    assert chainrule.equal(state, default_generator.get_state())
    assert all(chainrule.equal(before[name], t) for name, t in model.state_dict().items())
    assert {"1.running_mean", "0.weight"} <= set(found.names.values())


def test_an_input_changed_in_place_is_the_callers_no_more() -> None:
    x = chainrule.ones(3)
    found = chainrule.explain(lambda x: x.mul_(2).sum(), x)
    assert found.gradient("x").tolist() == [2, 2, 2] and x.tolist() == [1, 1, 1]


def test_a_finished_block_names_what_it_was_given() -> None:
    layer, x = nn.Linear(2, 3), chainrule.ones(1, 2, requires_grad=True)
    told = str(chainrule.explain(layer(x).sum()))
    assert all(f"∂f/∂{name} =" in told for name in ("input", "weight", "bias")), told
    without = str(chainrule.explain(nn.functional.linear(x, layer.weight).sum()))
    assert "∂f/∂weight =" in without and "bias" not in without
