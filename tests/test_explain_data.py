"""What an explanation knows of tensors, names, groups and lines; numbers as statistics; and of what failed."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import grad
from chainrule.explain.numbers import BLOCK, statistics
from chainrule.primitives.control import Scan
from tests.test_explain import neuron

F = nn.functional


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
    assert file == neuron.__code__.co_filename and line == neuron.__code__.co_firstlineno + 1


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


def test_large_gradients_of_blocks_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of four entries too a softmax is its parts, and a rule that is wrong in its last entry is not."""

    @chainrule.block
    def parabola(x: Any) -> Any:
        return x * x + x

    @parabola.gradient
    def parabola_backward(g: Any, x: Any) -> Any:
        return g * (2 * x + 1) * chainrule.tensor([1.0, 1.0, 1.0, 1.0, 2.0])

    x, y = chainrule.randn(3, 5), chainrule.tensor([0, 4, 2])
    for entries in (1 << 20, 4):
        monkeypatch.setattr("chainrule.explain.numbers.BLOCK", entries)
        found = chainrule.explain(lambda x, y: F.cross_entropy(x, y) + parabola(x).sum(), x, y)
        assert [use.name for use in found.walk.different] == ["parabola"]
        opened = {node["operation"] for node in found.data()["nodes"] if any(node["contributions"])}
        assert {"Exp", "Log", "Amax"} <= opened


def test_overflow_is_shown_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chainrule.explain(lambda x: (x * 3e38 + x * 3e38).sum(), np.array([1.0, 2.0], np.float32))
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


@pytest.mark.parametrize(
    ("layer", "x", "operation"),
    [
        (nn.Embedding(5, 3), chainrule.tensor([7]), "embedding"),
        (nn.Linear(5, 3), chainrule.ones(2, 5, dtype=chainrule.int64), "linear"),
    ],
)
def test_what_failed_has_the_name_that_a_user_knows(layer: Any, x: Any, operation: str) -> None:
    model = nn.Sequential(layer)
    assert chainrule.explain(model, x).data()["nodes"][-1]["operation"] == operation
    with pytest.raises(chainrule.errors.ChainruleError) as caught:
        model(x)
    assert "chainrule.explain(model, x)" in caught.value.__notes__[0]


def test_the_error_of_a_shape_says_how_to_see_it() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(5, 2))
    with pytest.raises(chainrule.errors.ShapeError) as caught:
        model(chainrule.ones(2, 4))
    assert [note for note in caught.value.__notes__ if "chainrule.explain(model, x)" in note] == caught.value.__notes__
    assert len(caught.value.__notes__) == 1  # once, however many modules it came through
