"""Choices and loops in ONNX files: what we read of `If` and `Loop` gives what onnxruntime gives."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import chainrule as cr
from chainrule.errors import DataError
from chainrule.onnx import load
from chainrule.onnx.operators import control
from tests.onnx_running import loaded
from tests.test_onnx_load import agrees, node

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name: str, kind: int, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), name))


def file(nodes: list[Any], *, outputs: tuple[str, ...] = ("y",), opset: int = 17, weights: Any = None) -> bytes:
    """A model of x, (batch, width)."""
    held = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(
        nodes, "made", [info("x", FLOAT, ["n", "d"])], [info(name, FLOAT) for name in outputs], held
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def choice(opset: int) -> bytes:
    """As PyTorch writes `x.squeeze(0)` where the batch may vary: squeezed if there is one row, doubled otherwise."""
    squeezed = node("Squeeze", "x zero", "a") if opset >= 13 else node("Squeeze", "x", "a", axes=[0])
    yes = helper.make_graph([squeezed], "yes", [], [info("a", FLOAT)])
    no = helper.make_graph([node("Mul", "x w", "m"), node("Add", "m x", "b")], "no", [], [info("b", FLOAT)])
    return file(
        [
            constant("zero", [0]), constant("one", 1), node("Shape", "x", "s"), node("Gather", "s zero", "rows"),
            node("Equal", "rows one", "is_one"),
            helper.make_node("If", ["is_one"], ["y"], then_branch=yes, else_branch=no),
        ],
        opset=opset, weights={"w": np.array([1.5], np.float32)},
    )  # fmt: skip


@pytest.mark.parametrize("opset", [11, 17])
def test_a_choice_by_a_size(opset: int) -> None:
    for rows in (1, 3):
        agrees(choice(opset), {"x": np.ones((rows, 2), np.float32)})


def test_a_choice_is_compiled_for_each_size_and_its_weights_learn() -> None:
    model = loaded(choice(17))
    step = cr.compile(lambda x: model(x))
    assert step(cr.ones(1, 2)).shape == (2,) and step(cr.ones(3, 2)).tolist() == [[2.5, 2.5]] * 3
    model(cr.ones(3, 2)).sum().backward()
    [(name, weight)] = model.named_parameters()
    assert name == "w" and weight.grad is not None and weight.grad.tolist() == [6.0]


def loop(times: list[Any], goes_on: list[Any], last: list[Any]) -> bytes:
    """state ← state·w + x, with the rows turn + state; `times` and `goes_on` make m and c, `last` the next condition."""
    body = helper.make_graph(
        [
            node("Mul", "state w", "product"), node("Add", "product x", "next"), node("Cast", "turn", "t", to=FLOAT),
            node("Add", "state t", "row"), *last,
        ],
        "body", [info("turn", INT, []), info("c_in", BOOL, []), info("state", FLOAT)],
        [info("c_out", BOOL, []), info("next", FLOAT), info("row", FLOAT)],
    )  # fmt: skip
    return file(
        [
            *times, *goes_on,
            helper.make_node("Loop", ["m" if times else "", "c" if goes_on else "", "x"], ["y", "rows"], body=body),
        ],
        outputs=("y", "rows"), weights={"w": np.array([[1.5]], np.float32)},
    )  # fmt: skip


COUNTED = [constant("one", [1]), node("Shape", "x", "s"), node("Gather", "s one", "d"), node("Squeeze", "d", "m")]
GOES_ON = [constant("c", np.array(True))]
SMALL = [
    constant("limit", np.array(5, np.float32)), node("ReduceSum", "next", "sum", keepdims=0), node("Less", "sum limit", "c_out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "goes_on", "last"),
    [
        pytest.param(COUNTED, [], [node("Identity", "c_in", "c_out")], id="for"),
        pytest.param([], GOES_ON, SMALL, id="while"),
        pytest.param(COUNTED, GOES_ON, SMALL, id="both"),
    ],
)
def test_loops(times: list[Any], goes_on: list[Any], last: list[Any]) -> None:
    for width in (1, 4):
        agrees(loop(times, goes_on, last), {"x": np.linspace(0.1, 0.4, width, dtype=np.float32)[None]})


def test_a_counted_loop_is_compiled() -> None:
    model = loaded(loop(COUNTED, [], [node("Identity", "c_in", "c_out")]))
    x = cr.rand(2, 3)
    for mine, eager in zip(cr.compile(lambda x: model(x))(x), model(x), strict=True):
        assert cr.allclose(mine, eager)


def test_loops_without_an_end_and_without_a_row_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = [node("Identity", "c_in", "c_out")]
    path = tmp_path / "model.onnx"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        load(path)(cr.ones(1, 2))

    with pytest.raises(DataError, match=r"Loop: it would run its body more than 1,048,576 times"):
        run(loop([constant("m", 2**40)], [], same))
    monkeypatch.setattr(control, "MOST_TURNS", 50)
    with pytest.raises(DataError, match="more than 50 times"):
        run(loop([], GOES_ON, same))
    with pytest.raises(DataError, match="does not run once"):
        run(loop([constant("m", 0)], [], same))
    with pytest.raises(DataError, match="If: it holds no nodes as 'else_branch'"):
        yes = helper.make_graph([node("Identity", "x", "a")], "yes", [], [info("a", FLOAT)])
        run(file([constant("c", np.array(False)), helper.make_node("If", ["c"], ["y"], then_branch=yes)]))


@pytest.mark.peer
def test_a_script_of_pytorchs_with_a_choice_and_a_loop() -> None:
    torch = pytest.importorskip("torch")

    class Scripted(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)

        def forward(self, x):  # type: ignore[no-untyped-def]
            if x.size(0) > 2:
                x = x - x.mean(0, keepdim=True)
            for i in range(x.size(0)):
                x = torch.tanh(self.layer(x)) + i
            return x

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        net = torch.jit.script(Scripted())
        torch.onnx.export(
            net, (torch.ones(2, 3),), buffer, dynamo=False, opset_version=17, input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    model = loaded(buffer.getvalue())
    assert {"If", "Loop"} <= {step.kind for step in model._nodes.steps}
    for rows in (1, 2, 4):
        x = torch.randn(rows, 3)
        np.testing.assert_allclose(model(cr.tensor(x.numpy())).detach().numpy(), net(x).detach().numpy(), atol=1e-5)
