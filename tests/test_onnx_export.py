"""What an ONNX file looks like: one operator for a layer, names, shared weights, sizes that vary; and what is refused."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import chainrule as cr
import chainrule.onnx.writing
from chainrule import models, nn
from chainrule.onnx import OnnxError, export
from tests.onnx_running import agree, compare, exported, session


def graph(data: bytes) -> Any:
    return onnx.load_from_string(data).graph


def operators(data: bytes) -> list[str]:
    return [node.op_type for node in graph(data).node]


ONE = {
    "nn.Conv2d(3, 4, 3, stride=2, padding=1)": "Conv",
    "nn.Conv1d(3, 4, 3, padding='same')": "Conv",
    "nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1)": "ConvTranspose",
    "nn.BatchNorm2d(3)": "BatchNormalization",
    "nn.GroupNorm(1, 3)": "GroupNormalization",
    "nn.InstanceNorm2d(3, affine=True)": "InstanceNormalization",
    "nn.LayerNorm((6, 6))": "LayerNormalization",
    "nn.RMSNorm(6)": "RMSNormalization",
    "nn.MaxPool2d(2)": "MaxPool",
    "nn.AvgPool2d(3, 2, 1)": "AveragePool",
    "nn.AdaptiveAvgPool2d(1)": "GlobalAveragePool",
    "nn.Upsample(scale_factor=2, mode='bilinear')": "Resize",
    "nn.ReflectionPad2d(1)": "Pad",
    "nn.Softmax(1)": "Softmax",
    "nn.LogSoftmax(1)": "LogSoftmax",
    "nn.GELU()": "Gelu",
    "nn.ReLU()": "Relu",
    "nn.PReLU()": "PRelu",
    "nn.Flatten()": "Flatten",
}


@pytest.mark.parametrize("line", ONE)
def test_a_layer_is_one_operator(line: str) -> None:
    layer = eval(line)
    x = cr.randn(2, 6, 6) if "1d" in line else cr.randn(2, 3, 6, 6)
    x = cr.randn(2, 3, 6) if "1d" in line else x
    assert operators(agree(layer, (x,), dynamic="batch")) == [ONE[line]]


@pytest.mark.parametrize("factor", [(1.25, 1.25), (1.25, 2.0), (1.5, 2.25), (0.5, 3.0)], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear", "bilinear", "trilinear", "bicubic"])
def test_resizing_gives_our_numbers_whatever_the_factor(mode: str, factor: tuple[float, float]) -> None:
    for n in {"linear": [1], "trilinear": [3], "nearest": [1, 2, 3]}.get(mode, [2]):
        for align_corners in (None,) if mode == "nearest" else (False, True):
            layer = nn.Upsample(scale_factor=(*factor, 1.0)[:n], mode=mode, align_corners=align_corners)
            agree(layer, (cr.randn(1, 2, *[3] * n),))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_layer_is_one_operator(kind: str) -> None:
    data = agree(getattr(nn, kind)(3, 4), (cr.randn(5, 2, 3),), [(cr.randn(7, 1, 3),)], dynamic={0: "time", 1: "batch"})
    assert operators(data).count(kind) == 1 and set(operators(data)) == {kind, "Squeeze"}


def test_attention_is_one_operator_and_causal_masks_are_a_word_in_it() -> None:
    x = cr.randn(2, 5, 8)
    data = agree(nn.CausalSelfAttention(8, 2), (x,), [(cr.randn(3, 9, 8),)], dynamic={0: "batch", 1: "length"})
    [node] = [node for node in graph(data).node if node.op_type == "Attention"]
    assert {a.name: a.i for a in node.attribute}["is_causal"] == 1


def test_nodes_and_weights_have_the_paths_of_modules() -> None:
    model = models.resnet18(width=4)
    made = graph(exported(model, (cr.randn(1, 3, 32, 32),)))
    names = [node.name for node in made.node]
    assert {"conv1", "layer1.0.conv1", "layer1.0.bn2", "fc"} <= set(names)
    parameters = dict(model.named_parameters())
    assert set(parameters) <= {tensor.name for tensor in made.initializer}
    [weight] = [tensor for tensor in made.initializer if tensor.name == "layer1.0.conv1.weight"]
    np.testing.assert_array_equal(
        onnx.numpy_helper.to_array(weight), parameters["layer1.0.conv1.weight"].detach().numpy()
    )


def test_a_shared_weight_is_in_the_file_once() -> None:
    model = models.GPT2(vocabulary=500, layers=1, width=16, heads=2, context=8)
    data = exported(model, (cr.tensor([[1, 2, 3]]),))
    shapes = [tuple(tensor.dims) for tensor in graph(data).initializer]
    assert shapes.count((500, 16)) == 1 and (16, 500) not in shapes


def test_a_layer_used_twice_is_two_nodes_and_one_weight() -> None:
    layer = nn.Linear(4, 4)
    data = agree(nn.Sequential(layer, nn.ReLU(), layer), (cr.randn(2, 4),))
    assert operators(data) == ["Gemm", "Relu", "Gemm"]
    assert len(graph(data).initializer) == 2


def test_names_of_inputs_and_outputs() -> None:
    class Both(nn.Module):
        def forward(self, image: cr.Tensor, *, scale: cr.Tensor) -> dict[str, Any]:
            return {"scores": image * scale, "parts": (image + 1, image)}

    x, s = cr.randn(2, 3), cr.randn(3)
    made = graph(exported(Both(), (x, {"scale": s}), dynamic={"image": {0: "rows"}}))
    assert [i.name for i in made.input] == ["image", "scale"]
    assert [o.name for o in made.output] == ["scores", "parts.0", "parts.1"]
    assert [d.dim_param or d.dim_value for d in made.input[0].type.tensor_type.shape.dim] == ["rows", 3]
    made = graph(exported(Both(), (x,), kwargs={"scale": s}, input_names=["in"], output_names=["a", "b", "c"]))
    assert [i.name for i in made.input] == ["in", "scale"] and [o.name for o in made.output] == ["a", "b", "c"]


class Arithmetic(nn.Module):
    """Sizes in many places: new shapes, ranges, masks, means, numbers."""

    def forward(self, x: cr.Tensor, y: cr.Tensor) -> Any:
        n, t = x.shape[:2]
        places = cr.arange(t).to(x.dtype)
        mask = cr.ones(t, t, dtype="bool").tril()
        weights = cr.where(mask, x @ x.mT, -1e9).softmax(-1) / t
        joined = cr.cat([x, y.expand(n, 1, -1)], 1).reshape(n * (t + 1), -1)
        windows = x.unfold(1, 2, 2)
        return (
            weights @ x + places[:, None],
            joined.mean(0),
            windows,
            x.flip(1)[:, 1:],
            cr.zeros(n, t),
            x.new_full((n,), t),
        )


class Along(nn.Module):
    """Places along a dimension, beside a batch of any size."""

    def forward(self, x: cr.Tensor) -> Any:
        order, cube = x.argsort(1), x.reshape(len(x), 3, 4)
        return (
            x.gather(1, order),
            x.take_along_dim(order[:, :2], 1),
            cr.zeros_like(x).scatter(1, order, x),
            cube.gather(-1, cube.argsort(-1)),
            cube.gather(1, cube.argsort(1)),
        )


def test_places_along_a_dimension_go_with_the_batch() -> None:
    agree(Along(), (cr.randn(3, 12),), [(cr.randn(n, 12),) for n in (1, 2, 7)], dynamic="batch")


def test_whatever_follows_from_sizes_is_computed_in_the_file() -> None:
    def inputs(n: int, t: int) -> tuple[cr.Tensor, ...]:
        return cr.randn(n, t, 3), cr.randn(1, 1, 3)

    others = [inputs(n, t) for n, t in ((1, 2), (5, 9), (3, 4), (8, 31))]
    agree(Arithmetic(), inputs(2, 6), others, dynamic={"x": {0: "batch", 1: "length"}})


def test_images_of_any_size() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    others = [(cr.randn(n, 3, h, w),) for n, h, w in ((1, 9, 30), (3, 17, 8))]
    agree(model, (cr.randn(2, 3, 16, 16),), others, dynamic={0: "batch", 2: "height", 3: "width"})


def test_a_table_bounds_the_length() -> None:
    model = models.GPT2(vocabulary=9, layers=1, width=8, heads=2, context=6)
    data = exported(model.eval(), (cr.tensor([[1, 2, 3, 4, 5, 6]]),), dynamic={1: "length"})
    running = session(data)
    compare(running, model, (cr.tensor([[3, 4]]),), 1e-5)
    with pytest.raises(Exception, match="indices|bounds|broadcast"):
        running.run(None, {"tokens": np.ones((1, 7), np.int64)})


def test_loops_are_loops_of_the_file() -> None:
    class Running(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(cr.randn(3, 3))

        def forward(self, x: cr.Tensor) -> Any:
            def step(h: cr.Tensor, row: cr.Tensor) -> tuple[cr.Tensor, cr.Tensor]:
                new = (h @ self.weight + row).tanh()
                return new, new * 2

            return cr.scan(step, x[0] * 0, x, reverse=True)

    data = agree(Running(), (cr.randn(5, 2, 3),), [(cr.randn(9, 4, 3),)], dynamic={0: "time", 1: "batch"})
    assert "Scan" in operators(data) and "weight" in {tensor.name for tensor in graph(data).initializer}


def test_a_query_that_may_read_nothing_gives_zeros() -> None:
    class Masked(nn.Module):
        def forward(self, q: cr.Tensor, mask: cr.Tensor) -> cr.Tensor:
            return nn.functional.scaled_dot_product_attention(q, q, q, mask)

    mask = cr.tensor([[True, False, False], [False, False, False], [True, True, True]])
    for opset in (17, 23):
        agree(Masked(), (cr.randn(2, 2, 3, 4), mask), opset=opset)


# ------------------------------------------------------------------------------------------------- files


def test_large_weights_lie_beside_the_file(tmp_path: Path) -> None:
    model, x = nn.Linear(64, 64), cr.randn(2, 64)
    export(model, x, tmp_path / "model.onnx", external_data=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert (
        (tmp_path / "model.onnx").stat().st_size < 1500 < 64 * 64 * 4 <= (tmp_path / "model.onnx.data").stat().st_size
    )
    compare(session(str(tmp_path / "model.onnx")), model, (x,), 1e-6)


def test_weights_beside_an_open_file_and_too_large_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OnnxError, match="give its path"):
        exported(nn.Linear(3, 2), (cr.ones(2, 3),), external_data=True)
    monkeypatch.setattr(chainrule.onnx.writing, "LARGEST", 32)
    assert exported(nn.Linear(3, 2, bias=False), (cr.ones(2, 3),))  # 24 bytes
    with pytest.raises(OnnxError, match="weights of 32 bytes"):
        exported(nn.Linear(3, 2), (cr.ones(2, 3),))


def test_any_file_opened_for_writing_is_taken() -> None:
    with tempfile.NamedTemporaryFile() as file:
        export(nn.Linear(3, 2), cr.ones(2, 3), file)
        file.flush()
        assert len(graph(Path(file.name).read_bytes()).node) == 1


def test_nothing_is_written_where_something_cannot_be_exported(tmp_path: Path) -> None:
    class Inverse(nn.Module):
        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return cr.linalg.inv(x)

    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(Inverse()))
    with pytest.raises(OnnxError, match=r"1\.0 \(Inverse\): Solve cannot be exported: linear algebra"):
        export(model, cr.eye(3), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class Reads(nn.Module):
    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x if x.sum().item() > 0 else -x


class Draws(nn.Module):
    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x + cr.randn_like(x)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", cr.zeros(1))

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        self.calls += 1
        return x + self.calls


class Steps(nn.Module):
    def forward(self, x: cr.Tensor) -> cr.Tensor:
        total = x[0]
        for i in range(1, x.shape[0]):
            total = total + x[i]
        return total


class Odd(nn.Module):
    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x * 2 if x.shape[0] % 2 else x.exp()


class Table(nn.Module):
    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x + cr.tensor(np.sin(np.arange(x.shape[0]) ** 2).astype("f4"))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Reads(), "cannot be written as one graph"),
        (Draws(), "draws random numbers"),
        (Counts(), "changes tensors of its own"),
        (Steps(), "more steps for other sizes"),
        (Odd(), "other things for other sizes"),
        (Table(), "follows from a size in a way"),
        (nn.Linear(4, 3), "'batch' was to vary, but the model does not run"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_refused_says_why(model: nn.Module, says: str) -> None:
    with pytest.raises(OnnxError, match=says):
        exported(model, (cr.ones(4),), dynamic="batch")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"opset": 11}, "13 to 23"),
        ({"dynamic": {"y": {0: "n"}}}, "no input 'y'"),
        ({"dynamic": {5: "n"}}, ""),
        ({"dynamic": 3}, "dynamic is a name"),
        ({"dynamic": ["batch"]}, "dynamic is a name"),
        ({"dynamic": {"x": {5: "n"}}}, "no input 'x'|no dimension 5"),
        ({"input_names": ["a", "b"]}, "input_names"),
        ({"export_params": False}, "weights are always"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], says: str) -> None:
    if says:
        with pytest.raises(OnnxError, match=says):
            exported(nn.Linear(3, 2), (cr.ones(2, 3),), **options)
    else:
        exported(nn.Linear(3, 2), (cr.ones(2, 3),), **options)


def test_training_mode_and_weights_are_as_before() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    data = exported(model, (cr.ones(2, 3),))
    assert model.training and model[1].training and operators(data) == ["Gemm"]
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(before[name], p.detach().numpy())


def test_a_weight_that_is_computed_is_computed_in_the_file() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    data = agree(layer, (cr.randn(2, 4),))
    assert "Sqrt" in operators(data) or "ReduceSum" in operators(data)


def test_hooks_are_part_of_the_model() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    model[0].register_forward_hook(lambda module, args, output: output * 2)
    agree(model, (cr.randn(2, 4),))


def test_pytorchs_call_runs(tmp_path: Path) -> None:
    model = models.LeNet5()
    path = str(tmp_path / "lenet.onnx")
    cr.onnx.export(
        model, args=(cr.randn(1, 1, 32, 32),), f=path, export_params=True, opset_version=17, do_constant_folding=True,
        input_names=["input"], output_names=["output"], verbose=False, dynamo=False,
        dynamic_axes={"input": {0: "batch_size"}, "output": {0: "batch_size"}},
    )  # fmt: skip
    running = session(path)
    assert running.get_inputs()[0].shape == ["batch_size", 1, 32, 32]
    compare(running, model.eval(), (cr.randn(3, 1, 32, 32),), 1e-5)
    with pytest.raises(TypeError, match="no argument 'dynamik'"):
        cr.onnx.export(model, cr.randn(1, 1, 32, 32), path, dynamik="batch")


def test_other_floating_point_types() -> None:
    agree(nn.Linear(3, 2).double(), (cr.randn(2, 3).double(),), tolerance=1e-12)
    agree(nn.Linear(3, 2).half(), (cr.randn(2, 3).half(),), tolerance=2e-3)
    assert io.BytesIO(exported(nn.Linear(3, 2).bfloat16(), (cr.randn(2, 3).bfloat16(),))).read()
