"""`chainrule.explain`: the graph with its numbers, forward and backward, against the notes and against autodiff."""

from __future__ import annotations

import json
import warnings
from html.parser import HTMLParser
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import grad
from chainrule.explain.numbers import BLOCK, statistics
from chainrule.primitives.control import Scan
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


# ------------------------------------------------------------------------------------------ tensors, names, groups


def test_a_tensor_is_read_off_its_tape() -> None:
    x, y, z = (chainrule.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    data = chainrule.explain((x + y) * z).data()
    assert [(v["numbers"], v["gradient"]["numbers"]) for v in data["values"]] == [
        (-2, -4), (5, -4), (3, -4), (-4, 3), (-12, 1),
    ]  # fmt: skip


def test_a_leaf_that_has_changed_since_is_not_shown() -> None:
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    total = (x + 1).exp().sum()
    with chainrule.no_grad():
        x.mul_(3)
    found = chainrule.explain(total)
    (value,) = [v for v in found.data()["values"] if v["kind"] == "input"]
    assert value["numbers"] is None
    np.testing.assert_allclose(value["gradient"]["numbers"], np.exp([2, 3]), rtol=1e-6)


def test_tensors_made_by_loops_blocks_and_layers_are_read_too() -> None:
    x = chainrule.randn(3, 4, requires_grad=True)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    for make in (
        lambda: nn.LSTM(4, 3)(x)[0].sum(),
        lambda: F.softmax(model(x), -1).log().mean(),
        lambda: x.topk(2)[0].sum(),
        lambda: F.scaled_dot_product_attention(x[None], x[None], x[None]).sum(),
    ):
        result = make()
        found = chainrule.explain(result)
        (g,) = grad(result, (x,), retain_graph=True)
        assert any(np.array_equal(g.array, other) for other in found.walk.gradients.values() if other.shape == g.shape)
        assert found.text() and json.loads(found.json())


def test_a_tensor_without_a_tape_is_refused() -> None:
    with pytest.raises(chainrule.errors.GradientError, match="no record of how"):
        chainrule.explain(chainrule.ones(2))
    x = chainrule.ones(2, requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(chainrule.errors.GradientError, match="freed what it kept"):
        chainrule.explain(loss)


def test_two_networks_in_one_step_keep_their_names() -> None:
    generator, critic = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(3, 1))
    found = chainrule.explain(lambda z: critic(generator(z)).mean(), chainrule.randn(4, 2))
    assert {"generator.0.weight", "critic.0.bias"} <= set(found.names.values())
    assert [g["name"] for g in found.data()["groups"] if g["kind"] == "module"] == [
        "generator", "generator.0", "critic", "critic.0",
    ]  # fmt: skip


def test_equal_modules_in_a_row_are_one_group() -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(5)], nn.Linear(4, 1))
    groups = chainrule.explain(model, chainrule.ones(1, 4)).data()["groups"]
    (repeat,) = [g for g in groups if g["kind"] == "repeat"]
    assert (repeat["name"], repeat["count"]) == ("0–4", 5)
    assert sum(g["parent"] == repeat["id"] for g in groups) == 5


def test_a_node_knows_its_line() -> None:
    data = chainrule.explain(neuron, 2.0, -1.0, -3.0, -2.0, -3.0).data()
    file, line = data["nodes"][0]["line"]
    assert file == __file__ and line == neuron.__code__.co_firstlineno + 1


def test_losses_and_top_k() -> None:
    x = chainrule.randn(4, 5)
    found = chainrule.explain(lambda x: chainrule.topk(x, 2)[0].sum(), x)
    assert found.gradient("x").sum() == 8 and set(found.gradient("x").ravel()) == {0, 1}
    labels = chainrule.tensor([0, 1, 4, 2])
    found = chainrule.explain(lambda x, y: F.cross_entropy(x, y), x, labels)
    p = np.exp(x.numpy()) / np.exp(x.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(found.gradient("x"), (p - np.eye(5)[labels.numpy()]) / 4, rtol=1e-5, atol=1e-7)


def test_large_arrays_are_told_by_statistics() -> None:
    x = np.r_[np.zeros(50), np.arange(50), [np.nan, np.inf]]
    (value,) = [v for v in chainrule.explain(lambda x: x * 1, x).data()["values"] if v["kind"] == "input"]
    assert value["numbers"] is None
    known = value["statistics"]
    assert (known["least"], known["largest"], known["nan"], known["mean"]) == (0, "Infinity", 1, 12.25)
    assert known["zeros"] == pytest.approx(51 / 102)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e15, 1e30])
def test_the_deviation_of_very_small_and_very_large_numbers(scale: float) -> None:
    """Their squares are zero or infinite in float32."""
    x = np.random.default_rng(0).normal(3.0, 1.0, (40, 50)) * scale
    told = statistics(x.astype(np.float32))
    assert told["mean"] == pytest.approx(x.mean(), rel=1e-5)
    assert told["deviation"] == pytest.approx(x.std(), rel=1e-5)


def test_statistics_of_more_numbers_than_are_looked_at_at_once() -> None:
    x = np.random.default_rng(0).normal(size=3 * BLOCK // 2).astype(np.float32)
    x[:5] = np.nan, np.inf, 0, 0, 0
    told, finite = statistics(x), x[2:].astype(np.float64)
    assert (told["largest"], told["nan"]) == ("Infinity", 1)
    assert told["least"] == pytest.approx(finite.min(), rel=1e-5)
    assert told["zeros"] == pytest.approx(3 / x.size, rel=1e-5)
    assert told["mean"] == pytest.approx(finite.mean(), rel=1e-5)
    assert told["deviation"] == pytest.approx(finite.std(), rel=1e-5)


def test_overflow_is_shown_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chainrule.explain(lambda x: (x * 3e38 + x * 3e38).sum(), np.float32([1.0, 2.0]))
        assert "Infinity" in found.json()


def test_pictures_have_room_for_inputs_first() -> None:
    """A large computation has more arrays than there is room to picture."""
    x = chainrule.randn(8, 64, 64)
    found = chainrule.explain(lambda x: sum((x * i).sum() for i in range(40)), x).data()
    pictured = [value["image"] is not None for value in found["values"] if value["shape"] == [8, 64, 64]]
    assert pictured[0] and 1 < sum(pictured) < len(pictured)


def test_loops_are_one_operation() -> None:
    def run(x: Any) -> Any:
        return chainrule.scan(lambda c, r: (c * r, None), chainrule.tensor(1.0), x)[0]

    found = chainrule.explain(run, chainrule.tensor([2.0, 3.0, 4.0]))
    assert Scan in [e.primitive for e in found.equations]
    assert found.gradient("x").tolist() == [12, 8, 6]


# ------------------------------------------------------------------------------------------ what fails


def test_a_failing_forward_is_shown_up_to_where_it_failed() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2))
    found = chainrule.explain(model, chainrule.ones(2, 4))
    data = found.data()
    last = data["nodes"][-1]
    assert last["operation"] == "linear" and last["failed"]["came"].startswith("float32 [2, 3]")
    assert "(…, 5)" in last["failed"]["expected"]
    assert found.failure is not None and (found.failure.path, found.failure.module) == ("2", "Linear")
    assert data["nodes"][0]["path"] == "0" and len(data["nodes"]) > 3


def test_a_failing_primitive_is_named() -> None:
    found = chainrule.explain(lambda x, y: x @ y, chainrule.ones(2, 3), chainrule.ones(4, 2))
    failed = found.data()["nodes"][-1]
    assert failed["failed"]["came"] == "float32 [2, 3], float32 [4, 2]" and len(failed["inputs"]) == 2


def test_what_cannot_be_explained() -> None:
    with pytest.raises(TypeError, match="takes a function"):
        chainrule.explain(3)
    with pytest.raises(TypeError, match="has its inputs already"):
        chainrule.explain(chainrule.ones(1, requires_grad=True) * 2, 3)


def test_the_error_of_a_shape_says_how_to_see_it() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(5, 2))
    with pytest.raises(chainrule.errors.ShapeError) as caught:
        model(chainrule.ones(2, 4))
    assert [note for note in caught.value.__notes__ if "chainrule.explain(model, x)" in note] == caught.value.__notes__
    assert len(caught.value.__notes__) == 1  # once, however many modules it came through


# ------------------------------------------------------------------------------------------ text and drawing


def test_the_text_has_upstream_local_and_downstream() -> None:
    lines = chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0).text().splitlines()
    assert lines[0] == "function  2 operations"
    assert any("z float32[]  -4  ∂ 3" in line for line in lines)
    assert any("Multiply(v3, z)  3 ⊙ (-4) = -12" in line for line in lines)
    assert any("← z: 1 × 3 = 3" in line for line in lines)


def test_the_text_of_a_large_computation_shows_modules() -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(30)])
    found = chainrule.explain(lambda x: model(x).sum(), chainrule.ones(1, 4))
    assert len(found.text().splitlines()) < 30 < len(found) < len(found.text(everything=True).splitlines())
    assert "0–29 ×30 Sequential" in found.text()


def test_what_failed_stands_in_its_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    data = chainrule.explain(model, chainrule.ones(1, 2)).data()
    failed = data["nodes"][-1]
    assert failed["failed"] and failed["path"] == "1.1"
    assert next(g["name"] for g in data["groups"] if g["id"] == failed["group"]) == "1.1"


def test_a_drawing_brings_its_ground() -> None:
    """A light page may be shown where the system is dark, and the other way round."""
    drawing = ElementTree.fromstring(chainrule.explain(lambda x: x * x, 3.0).svg())
    ground = [e for e in drawing if e.get("class") == "ground"]
    assert len(ground) == 1 and list(drawing).index(ground[0]) < 4


def test_the_text_of_a_failure_says_what_came() -> None:
    text = chainrule.explain(nn.Linear(3, 2), chainrule.ones(2, 4)).text()
    assert "✗ linear" in text and "came      float32 [2, 4]" in text and "expects (…, 3)" in text


def texts_of(svg: str) -> list[tuple[float, float, float, float]]:
    """The rectangles that the texts of a drawing take: left, top, right, bottom."""
    rectangles = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        x, y, width = float(element.get("x", 0)), float(element.get("y", 0)), 6.5 * len(element.text or "")
        left = x - width / 2 if element.get("text-anchor") == "middle" else x
        rectangles.append((left, y - 9, left + width, y + 2))
    return rectangles


@pytest.mark.parametrize("fold", [True, False, None])
def test_no_text_of_a_drawing_lies_on_another(fold: bool | None) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = chainrule.randn(5, 3), chainrule.tensor([0, 1, 1, 0, 1])
    found = chainrule.explain(lambda x, y: F.cross_entropy(model(x), y), x, y)
    rectangles = texts_of(found.svg(fold=fold))
    assert len(rectangles) > 20
    for i, (left, top, right, bottom) in enumerate(rectangles):
        for other in rectangles[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_a_drawing_has_values_above_and_gradients_below() -> None:
    found = chainrule.explain(neuron, 2.0, -1.0, -3.0, -2.0, -3.0)
    drawing = ElementTree.fromstring(found.svg())
    texts = {kind: [] for kind in ("forward", "back")}  # type: dict[str, list[tuple[str, float]]]
    for element in drawing.iter("{http://www.w3.org/2000/svg}text"):
        if element.get("class") in texts:
            texts[element.get("class", "")].append((element.text or "", float(element.get("y", 0))))
    assert [text for text, _ in texts["forward"]] == [
        "2", "-1", "-3", "-2", "-3", "-2", "6", "4", "1", "-1", "0.3679", "1.368", "0.7311",
    ]  # fmt: skip
    assert texts["back"][-1][0] == "1" and texts["back"][-1][1] > texts["forward"][-1][1]
    folded = ElementTree.fromstring(found.svg(fold=True))
    labels = [element.text for element in folded.iter("{http://www.w3.org/2000/svg}text")]
    assert "sigmoid" in labels and "exp" not in labels


def test_a_drawing_is_folded_until_it_is_readable() -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(30)])
    drawing = ElementTree.fromstring(chainrule.explain(model, chainrule.ones(1, 4)).svg())
    labels = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "0–29 Linear ×30" in labels and len(labels) < 10


# ------------------------------------------------------------------------------------------ notebooks


class Reader(HTMLParser):
    """Notes every element, and what attributes point outside."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(value or "")
            if name == "srcdoc":
                inner = read(value or "")
                self.elements += inner.elements
                self.outside += inner.outside


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_a_notebook_shows_an_explanation_once_and_loads_nothing() -> None:
    found = chainrule.explain(lambda x, y: x * y, 2.0, 3.0)
    bundle = found._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/svg+xml"} and bundle["text/plain"] == repr(found)
    page = read(bundle["text/html"])
    assert page.elements[0] == "iframe" and "svg" in found._repr_svg_() and not page.outside
    assert set(found._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}


def test_a_notebook_shows_tensors_and_modules(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = chainrule.ones(2)._repr_html_(), chainrule.randn(3, 16, 16)._repr_html_()
    assert "tensor([1., 1.])" in small and "img" not in read(small).elements
    assert {"svg", "img"} <= set(read(large).elements) and not read(large).outside
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    page = model._repr_html_()
    assert read(page).elements.count("details") == 2 and "26 parameters" in page
    chainrule.ones(100, requires_grad=True)._repr_html_()
    assert "NaN" in chainrule.tensor([float("nan")] * 5 + [1.0, 2.0] * 50)._repr_html_()
    assert capsys.readouterr().out == ""


def test_the_bytes_of_a_picture_are_a_png() -> None:
    from PIL import Image

    from chainrule.explain.notebook import png_of

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png_of(grey)))), grey)


def test_the_figures_of_the_page_are_what_comes_out() -> None:
    from docs.make import microscope

    for name, drawing in microscope.drawings().items():
        there = (microscope.FIGURES / f"microscope_{name}.svg").read_text(encoding="utf-8")
        if name == "layers":  # its numbers are rounded, differently on other processors
            boxes = [
                [e.text for e in ElementTree.fromstring(text).iter(f"{SVG}text") if not e.get("class")]
                for text in (there, drawing)
            ]
            assert boxes[0] == boxes[1]
        else:
            assert there == drawing + "\n", "python -m docs.make.microscope"
