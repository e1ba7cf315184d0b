"""ONNX files read as modules: names, training, compiling, old versions' forms, files that PyTorch wrote."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import chainrule as cr
from chainrule import models, nn
from chainrule.errors import DataError
from chainrule.onnx import load
from chainrule.onnx.operators import NUMBERS, OPERATORS, Running, Step
from tests.onnx_running import check_equal, exported, loaded, session, tensors


def made(
    nodes: Sequence[Any], inputs: dict[str, Any], weights: dict[str, Any], opset: int, listed: bool = False
) -> bytes:
    """A file made by hand: its output is "y". `listed`: weights stand among the inputs too, as old files have it."""
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}
    given = {**inputs, **(weights if listed else {})}
    infos = [helper.make_tensor_value_info(name, kinds[a.dtype.kind], a.shape) for name, a in given.items()]
    held = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "made", infos, [helper.make_empty_tensor_value_info("y")], held)
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 3 if opset < 9 else 8 if opset < 21 else 10
    return bytes(model.SerializeToString())


def agrees(data: bytes, inputs: dict[str, Any], tolerance: float = 1e-5) -> None:
    """What we read gives what onnxruntime gives."""
    expected = session(data).run(None, inputs)
    with cr.no_grad():
        check_equal(tensors(loaded(data)(**{k: cr.tensor(v) for k, v in inputs.items()})), expected, tolerance)


def node(kind: str, inputs: str, output: str = "y", **settings: Any) -> Any:
    return helper.make_node(
        kind, inputs.replace("-", " - ").split() if "-" in inputs else inputs.split(), [output], **settings
    )


def random(*shape: int) -> Any:
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype(np.float32)


IMAGE = random(2, 4, 6, 6)
INTS = np.array([[0, 2], [1, -1]])

#: What older versions say in another way, and settings that our own files never use.
FORMS: list[tuple[int, Any, dict[str, Any], dict[str, Any]]] = [
    (9, node("Slice", "x", starts=[1, 0], ends=[3, 100], axes=[2, 3]), {"x": IMAGE}, {}),
    (10, node("Clip", "x", min=-0.5, max=0.5), {"x": IMAGE}, {}),
    (10, node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect"), {"x": IMAGE}, {}),
    (12, node("Squeeze", "x", axes=[0]), {"x": IMAGE[:1]}, {}),
    (12, node("Unsqueeze", "x", axes=[0, 3]), {"x": IMAGE}, {}),
    (12, node("ReduceSum", "x", axes=[1, 3], keepdims=0), {"x": IMAGE}, {}),
    (17, node("ReduceMean", "x", axes=[-1]), {"x": IMAGE}, {}),
    (17, node("ReduceL2", "x", axes=[1]), {"x": IMAGE}, {}),
    (18, node("ReduceLogSumExp", "x a"), {"x": IMAGE}, {"a": np.array([1])}),
    (12, node("Softmax", "x", axis=2), {"x": IMAGE}, {}),
    (12, node("LogSoftmax", "x"), {"x": IMAGE}, {}),
    (9, node("Upsample", "x s", mode="nearest"), {"x": IMAGE}, {"s": np.array([1, 1, 2, 3], "f4")}),
    (9, node("Upsample", "x s", mode="linear"), {"x": IMAGE}, {"s": np.array([1, 1, 2, 2], "f4")}),
    (10, node("Resize", "x s", mode="nearest"), {"x": IMAGE}, {"s": np.array([1, 1, 0.5, 2], "f4")}),
    (13, helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear"), {"x": IMAGE}, {"s": np.array([2, 4, 9, 4])}),
    (13, helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="cubic"), {"x": IMAGE}, {"s": np.array([2, 4, 9, 4])}),
    (13, helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest"), {"x": IMAGE}, {"s": np.array([1, 1, 1.5, 0.5], "f4")}),
    (11, node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2]), {"x": IMAGE}, {"w": random(3, 4, 3, 3)}),
    (11, node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 2]), {"x": IMAGE}, {"w": random(3, 4, 4, 4)}),
    (11, node("Conv", "x w", pads=[0, 1, 2, 0], group=2), {"x": IMAGE}, {"w": random(6, 2, 3, 3)}),
    (11, node("ConvTranspose", "x w", pads=[0, 1, 2, 1], strides=[2, 2]), {"x": IMAGE}, {"w": random(4, 2, 3, 3)}),
    (11, node("MaxPool", "x", kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[2, 2]), {"x": IMAGE}, {}),
    (11, node("AveragePool", "x", kernel_shape=[3, 3], pads=[0, 1, 2, 0]), {"x": IMAGE}, {}),
    (11, node("AveragePool", "x", kernel_shape=[2, 2], auto_pad="SAME_UPPER"), {"x": IMAGE}, {}),
    (13, node("Gemm", "a b c", transA=1, alpha=0.5, beta=2.0), {"a": random(3, 2)}, {"b": random(3, 4), "c": random(1, 4)}),
    (13, node("Gather", "x i", axis=1), {"x": IMAGE}, {"i": INTS}),
    (13, node("GatherElements", "x i", axis=1), {"x": random(2, 3)}, {"i": INTS}),
    (18, node("ScatterElements", "x i u", axis=1, reduction="add"), {"x": random(2, 3)}, {"i": INTS, "u": random(2, 2)}),
    (18, node("ScatterND", "x i u"), {"x": random(3, 4)}, {"i": np.array([[1], [2]]), "u": random(2, 4)}),
    (13, node("Tile", "x r"), {"x": random(2, 3)}, {"r": np.array([2, 1])}),
    (13, node("Slice", "x s e a t"), {"x": IMAGE}, {"s": np.array([-1]), "e": np.array([-(2**63)]), "a": np.array([2]), "t": np.array([-2])}),
    (13, node("DepthToSpace", "x", blocksize=2), {"x": IMAGE}, {}),
    (13, node("DepthToSpace", "x", blocksize=2, mode="CRD"), {"x": IMAGE}, {}),
    (13, node("SpaceToDepth", "x", blocksize=2), {"x": IMAGE}, {}),
    (13, node("OneHot", "i d v"), {}, {"i": INTS, "d": np.array(3), "v": np.array([-1, 2], "f4")}),
    (14, node("Trilu", "x", upper=0), {"x": random(3, 4)}, {}),
    (14, node("CumSum", "x a", exclusive=1, reverse=1), {"x": random(3, 4)}, {"a": np.array(1)}),
    (13, node("HardSigmoid", "x"), {"x": IMAGE}, {}),
    (13, node("ThresholdedRelu", "x", alpha=0.4), {"x": IMAGE}, {}),
    (13, node("Einsum", "x w", equation="nchw,cd->ndhw"), {"x": IMAGE}, {"w": random(4, 3)}),
    (13, node("Mean", "x z"), {"x": IMAGE, "z": random(6)}, {}),
    (13, node("Pow", "x p"), {"x": np.abs(IMAGE)}, {"p": np.array(2.5, "f4")}),
    (13, node("LpNormalization", "x", axis=1), {"x": IMAGE}, {}),
    (18, node("GroupNormalization", "x w b", num_groups=2), {"x": IMAGE}, {"w": random(2), "b": random(2)}),
    (23, node("Attention", "q k v", q_num_heads=4, kv_num_heads=2), {"q": random(2, 3, 8), "k": random(2, 5, 4), "v": random(2, 5, 4)}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("opset", "one", "inputs", "weights"), FORMS, ids=[f"{f[1].op_type}-{f[0]}" for f in FORMS])
def test_forms_of_all_versions(opset: int, one: Any, inputs: dict[str, Any], weights: dict[str, Any]) -> None:
    agrees(made([one], inputs, weights, opset), inputs)


#: Nodes on whole numbers, of which shapes are computed: NumPy does there what tensors do elsewhere.
WHOLE: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Mod", [[-7, 7], [3, -3]], {}),
    ("Mod", [[-7, 7], [3, -3]], {"fmod": 1}),
    ("Div", [[-7, 2**62 + 1], [3, 1]], {}),
    ("Max", [[-7, 7], 3], {}),
    ("Min", [[[1, 2], [3, 4]], [2, 3]], {}),
    ("ReduceSum", [[-7, 8], []], {"keepdims": 0}),
    ("ReduceSum", [[-7, 8]], {"noop_with_empty_axes": 1}),
    ("ReduceMax", [[[3, 4], [5, 2]], [-1]], {}),
    ("Slice", [[3, 4, 5, 6], [-1], [-(2**62)], [0], [-1]], {}),
    ("Squeeze", [[[3, 4]]], {}),
    ("Unsqueeze", [[3, 4], [0, -1]], {}),
    ("Gather", [[3, 4], -1], {}),
    ("Reshape", [[3, 4], [0, -1]], {}),
]


@pytest.mark.parametrize(("kind", "values", "settings"), WHOLE, ids=[f"{w[0]}-{i}" for i, w in enumerate(WHOLE)])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_numbers_are_computed_as_tensors_are(kind: str, values: Any, settings: Any, dtype: str) -> None:
    if dtype == "int32" and kind == "Div":
        values = [[-7, 2**30 + 1], [3, 1]]
    settled = kind in ("Mod", "Div", "Max", "Min")  # all inputs are of one type; else the others are places
    arrays = [np.array(value, dtype if i == 0 or settled else "int64") for i, value in enumerate(values)]
    step = Step(kind, "", list("abcde")[: len(arrays)], ["y"], settings, 18)
    found = np.asarray(NUMBERS[kind](Running(step, list(arrays))))
    expected = OPERATORS[kind](Running(step, [cr.tensor(arrays[0]), *arrays[1:]])).numpy()
    np.testing.assert_array_equal(found, expected, strict=True)


def test_numbers_are_not_divided_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        NUMBERS["Div"](Running(Step("Div", "", ["a", "b"], ["y"], {}, 18), [np.array([1]), np.array([0])]))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("kind", "gates", "before"), [("GRU", 3, 0), ("GRU", 3, 1), ("RNN", 1, 0), ("LSTM", 4, 0)])
def test_recurrent_operators(kind: str, gates: int, before: int, direction: str) -> None:
    sides = 2 if direction == "bidirectional" else 1
    settings = {"linear_before_reset": before} if kind == "GRU" else {}
    one = helper.make_node(kind, ["x", "w", "r", "b"], ["y"], hidden_size=5, direction=direction, **settings)
    weights = {"w": random(sides, gates * 5, 3), "r": random(sides, gates * 5, 5), "b": random(sides, 2 * gates * 5)}
    inputs = {"x": random(4, 2, 3)}
    agrees(made([one], inputs, weights, 14), inputs)


def test_a_residual_network_of_version_7_as_the_public_ones_are() -> None:
    weights = {
        "conv0_weight": random(4, 3, 3, 3), "gamma": random(4), "beta": random(4), "mean": random(4),
        "var": np.abs(random(4)) + 0.5, "dense_weight": random(5, 4), "dense_bias": random(5),
        "shape": np.array([0, -1]),
    }  # fmt: skip
    nodes = [
        node("Conv", "data conv0_weight", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "a gamma beta mean var", "b", epsilon=1e-5, spatial=1, momentum=0.9),
        node("Relu", "b", "c"),
        node("Sum", "c a", "d"),
        node("GlobalAveragePool", "d", "e"),
        node("Reshape", "e shape", "f"),
        node("Dropout", "f", "g", ratio=0.5),
        node("Gemm", "g dense_weight dense_bias", "h", transB=1),
        node("Softmax", "h", "y"),
    ]
    inputs = {"data": random(2, 3, 8, 8)}
    data = made(nodes, inputs, weights, 7, listed=True)
    agrees(data, inputs)
    model = loaded(data)
    assert model.input_names == ("data",) and model.opset == 7
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    assert set(parameters) == {"conv0_weight", "gamma", "beta", "dense_weight", "dense_bias"}
    assert set(buffers) == {"mean", "var"}


def test_names_come_back_and_state_dicts_fit() -> None:
    model = models.resnet18(width=4, num_classes=3).eval()
    again = loaded(exported(model, (cr.randn(1, 3, 32, 32),), dynamic="batch"))
    ours = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    theirs = again.state_dict()
    assert set(ours) == set(theirs)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in again.named_parameters()}
    with cr.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    again.load_state_dict({name: model.state_dict()[name] for name in theirs})
    x = cr.randn(2, 3, 32, 32)
    np.testing.assert_allclose(again(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_was_read_is_compiled_and_trained() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1))
    again = loaded(exported(model, (cr.randn(1, 3),), dynamic="batch"))
    x, y = cr.randn(16, 3), cr.randn(16, 1)
    compiled = cr.compile(again)
    np.testing.assert_allclose(compiled(x).detach().numpy(), again(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    rates = {name: cr.optim.SGD(m.parameters(), lr=0.1) for name, m in (("own", model), ("read", again))}

    def train(network: Any, optimiser: Any) -> Any:
        @cr.compile
        def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(x), y)
            loss.backward()
            optimiser.step()
            return loss

        return [step(x, y).item() for _ in range(5)]

    own, read = train(model, rates["own"]), train(again, rates["read"])
    np.testing.assert_allclose(read, own, rtol=1e-4)
    assert read[-1] < read[0]


def test_a_language_model_is_compiled_for_each_length() -> None:
    model = models.GPT2(vocabulary=17, layers=1, width=16, heads=2, context=16).eval()
    again = loaded(exported(model, (cr.tensor([[1, 2, 3]]),), dynamic={0: "batch", 1: "length"})).eval()
    compiled = cr.compile(again)
    with cr.no_grad():
        for length in (4, 7):
            tokens = cr.randint(0, 17, (2, length))
            np.testing.assert_allclose(compiled(tokens).numpy(), model(tokens).numpy(), rtol=1e-4, atol=1e-5)


def test_what_was_read_is_exported_again() -> None:
    model = models.LeNet5().eval()
    first = exported(model, (cr.randn(1, 1, 32, 32),), dynamic="batch")
    second = exported(loaded(first), (cr.randn(1, 1, 32, 32),), dynamic="batch")
    x = cr.randn(3, 1, 32, 32)
    running = session(second)
    [got] = running.run(None, {running.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_weights_beside_the_file(tmp_path: Path) -> None:
    model = nn.Linear(32, 16)
    cr.onnx.export(model, cr.randn(1, 32), tmp_path / "m.onnx", external_data=True, metadata={"made": "here"})
    again = load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(again.weight.detach().numpy(), model.weight.detach().numpy())
    assert again.metadata == {"made": "here"}


def test_inputs_by_name_and_wrong_ones() -> None:
    class Two(nn.Module):
        def forward(self, a: cr.Tensor, b: cr.Tensor) -> Any:
            return a - b, a + b

    again = loaded(exported(Two(), (cr.ones(2), cr.ones(2))))
    assert again(b=cr.ones(2), a=cr.zeros(2))[0].tolist() == [-1.0, -1.0]
    with pytest.raises(DataError, match="takes a, b; got 1 and none by name"):
        again(cr.ones(2))


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["convolutional", "recurrent", "attention"])
def test_files_that_pytorch_wrote(kind: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Last(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(9, 6)
            self.rnn = torch.nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
            self.head = torch.nn.Linear(10, 3)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.rnn(self.embedding(tokens))[0][:, -1])

    class Attends(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.qkv, self.out = torch.nn.LayerNorm(8), torch.nn.Linear(8, 24), torch.nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = self.qkv(self.norm(x)).view(n, t, 3, 2, 4).permute(2, 0, 3, 1, 4)
            scores = (q @ k.transpose(-1, -2) / 2).masked_fill(torch.ones(t, t).triu(1) == 1, -1e9)
            return x + torch.nn.functional.gelu(self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, 8)))

    nets = {
        "convolutional": (
            torch.nn.Sequential(
                torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Hardswish(),
                torch.nn.MaxPool2d(2), torch.nn.ConvTranspose2d(4, 3, 2, 2), torch.nn.Upsample(scale_factor=2),
                torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2),
            ),
            torch.randn(2, 3, 8, 8),
        ),
        "recurrent": (Last(), torch.randint(0, 9, (2, 4))),
        "attention": (Attends(), torch.randn(2, 5, 8)),
    }  # fmt: skip
    net, x = nets[kind]
    net.eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.no_grad():
            torch.onnx.export(
                net, (x,), file, dynamo=False, opset_version=17, input_names=["x"],
                dynamic_axes={"x": {0: "batch"}},
            )  # fmt: skip
    again = loaded(file.getvalue())
    with torch.no_grad():
        for given in (x, torch.cat([x, x, x])):
            found = again(cr.tensor(given.numpy())).detach().numpy()
            np.testing.assert_allclose(found, net(given).numpy(), rtol=1e-4, atol=1e-5)


def test_the_page_lists_the_operators_that_are_read() -> None:
    page = (Path(__file__).parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")
    read = page.split("## Operators that are read")[1].split("A setting that these")[0].split(":")[1]
    listed = {name.strip(" .\n") for name in read.split(",")}
    assert listed == (set(OPERATORS) - {"Given"}) | {"Constant"}
