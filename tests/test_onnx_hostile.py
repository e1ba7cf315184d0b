"""ONNX files that are damaged, or mean harm: each is refused with a DataError that says where, and nothing is run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import chainrule as cr
from chainrule import nn
from chainrule.errors import DataError
from chainrule.onnx import load
from tests.onnx_running import exported

MODEL = exported(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (cr.ones(1, 3),), dynamic="batch")


def good() -> Any:
    return onnx.load_from_string(MODEL)


def _read(tmp_path: Path, proto: Any) -> Any:
    path = tmp_path / "model.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return load(path)


def _circle(proto: Any) -> None:
    proto.graph.node[0].input[0] = proto.graph.node[-1].output[0]


def _missing_input(proto: Any) -> None:
    proto.graph.node[1].input[0] = "nobody"


def _made_twice(proto: Any) -> None:
    proto.graph.node[1].output[0] = proto.graph.node[0].output[0]


def _unknown_operator(proto: Any) -> None:
    proto.graph.node[1].op_type = "EatMemory"


def _foreign_operator(proto: Any) -> None:
    proto.graph.node[1].domain = "com.microsoft"


def _huge_shape(proto: Any) -> None:
    proto.graph.initializer[0].dims[:] = [2**40, 2**20]


def _negative_shape(proto: Any) -> None:
    proto.graph.initializer[0].dims[:] = [-4, -3]


def _few_numbers(proto: Any) -> None:
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-2]


def _few_listed_numbers(proto: Any) -> None:
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].float_data.extend([1.0, 2.0])


def _no_type(proto: Any) -> None:
    proto.graph.initializer[0].data_type = 99


def _texts(proto: Any) -> None:
    proto.graph.initializer[0].data_type = TensorProto.STRING


def _same_name(proto: Any) -> None:
    proto.graph.initializer[1].name = proto.graph.initializer[0].name


def _no_output(proto: Any) -> None:
    proto.graph.output[0].name = "nothing"


def _no_outputs(proto: Any) -> None:
    del proto.graph.output[:]


def _no_version(proto: Any) -> None:
    del proto.opset_import[:]


def _future(proto: Any) -> None:
    proto.opset_import[0].version = 10**6


def _functions(proto: Any) -> None:
    proto.functions.add(name="f", domain="d")


def _sparse(proto: Any) -> None:
    proto.graph.sparse_initializer.add()


def _beside(location: str, **entries: Any) -> Callable[[Any], None]:
    def change(proto: Any) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


CHANGES: list[tuple[Callable[[Any], None], str]] = [
    (_circle, "a circle"),
    (_missing_input, r"node 1 \(Relu '1'\): its input 'nobody' is made by nothing"),
    (_made_twice, "is there already"),
    (_unknown_operator, r"node 1 \(EatMemory '1'\): the operator EatMemory is not read"),
    (_foreign_operator, "operators of 'com.microsoft'"),
    (_huge_shape, "has 48 bytes instead of"),
    (_negative_shape, "has the shape"),
    (_few_numbers, "has 46 bytes instead of 48"),
    (_few_listed_numbers, "has 2 numbers instead of 12"),
    (_no_type, "no known data type"),
    (_texts, "which is not read|no known data type"),
    (_same_name, "is there twice"),
    (_no_output, "output 'nothing' is made by no node"),
    (_no_outputs, "gives nothing"),
    (_no_version, "no graph, or no version"),
    (_future, "versions 7 to 24"),
    (_functions, "functions and sparse"),
    (_sparse, "functions and sparse"),
    (_beside("../secret"), "no file of the model's own folder"),
    (_beside("/etc/passwd"), "no file of the model's own folder"),
    (_beside("a/../../secret"), "no file of the model's own folder"),
    (_beside("..\\secret"), "no file of the model's own folder"),
    (_beside("C:secret"), "no file of the model's own folder"),
    (_beside(""), "no file of the model's own folder"),
    (_beside("."), "no file of the model's own folder"),
    (_beside("absent"), "no file of the model's own folder"),
    (_beside("link"), "no file of the model's own folder"),
    (_beside("near", offset=-8), "wants 48 bytes"),
    (_beside("near", offset=10**15), "wants 48 bytes"),
    (_beside("near", length=10**12), "wants 48 bytes"),
    (_beside("near", offset="many"), "no numbers"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=[c[1][:30] + str(i) for i, c in enumerate(CHANGES)])
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(64))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "near").write_bytes(bytes(50))
    os.symlink(tmp_path / "secret", folder / "link")
    proto = good()
    change(proto)
    with pytest.raises(DataError, match=says) as caught:
        _read(folder, proto)
    assert str(folder / "model.onnx") in str(caught.value)


def test_the_same_file_untouched_is_read(tmp_path: Path) -> None:
    assert _read(tmp_path, good())(cr.ones(5, 3)).shape == (5, 2)


@pytest.mark.parametrize("data", [b"", b"no onnx file at all", b"\x08", MODEL[:40], os.urandom(200), b"PK\x03\x04" * 9])
def test_what_is_no_onnx_file(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError):
        _read(tmp_path, data)


def test_a_file_cut_off_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    for end in range(0, len(MODEL) - 1, 7):
        with pytest.raises(DataError):
            _read(tmp_path, MODEL[:end])


def test_a_file_with_any_byte_changed_is_refused_or_runs_as_it_says(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(MODEL)
        data[random.integers(len(data))] ^= int(random.integers(1, 256))
        try:
            model = _read(tmp_path, bytes(data))
            model(cr.ones(2, 3))
        except cr.errors.ChainruleError:
            continue


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            load(path)


def _graph(nodes: Any, opset: int = 17) -> bytes:
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", infos, outputs), opset_imports=[helper.make_opsetid("", opset)]
    )
    return bytes(model.SerializeToString())


def _ints(name: str, numbers: list[int]) -> Any:
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array(numbers), name))


@pytest.mark.parametrize(
    "nodes",
    [
        [_ints("s", [2**40, 2**10]), helper.make_node("ConstantOfShape", ["s"], ["y"])],
        [_ints("s", [2**50, 2]), helper.make_node("Expand", ["x", "s"], ["y"])],
        [_ints("s", [2**50]), helper.make_node("Tile", ["x", "s"], ["y"])],
        [_ints("s", [0, 2**50]), helper.make_node("Pad", ["x", "s"], ["y"])],
        [
            helper.make_node("Constant", [], ["a"], value_int=0),
            helper.make_node("Constant", [], ["b"], value_int=2**60),
            helper.make_node("Constant", [], ["c"], value_int=1),
            helper.make_node("Range", ["a", "b", "c"], ["r"]),
            helper.make_node("Cast", ["r"], ["y"], to=1),
        ],
        [_ints("s", [3, 5]), helper.make_node("Reshape", ["x", "s"], ["y"])],
        [_ints("s", [7]), helper.make_node("Gather", ["x", "s"], ["y"], axis=9)],
        [helper.make_node("Add", ["x"], ["y"])],
        [helper.make_node("Conv", ["x", "x"], ["y"])],
        [helper.make_node("Concat", ["x", "x"], ["y"])],
        [helper.make_node("Cast", ["x"], ["y"], to=12345)],
        [helper.make_node("Transpose", ["x"], ["y"], perm=[3, 1])],
        [helper.make_node("Softmax", ["x"], ["y"], axis=5)],
        [helper.make_node("Dropout", ["x"], ["z", "mask"]), helper.make_node("Not", ["mask"], ["y"])],
        [
            helper.make_node("Constant", [], ["r"], value_float=0.5),
            helper.make_node("Constant", [], ["t"], value=onnx.numpy_helper.from_array(np.array(True), "t")),
            helper.make_node("Constant", [], ["u"], value_int=1),
            helper.make_node("Dropout", ["x", "r", "t"], ["z"]),
            helper.make_node("Identity", ["z"], ["y"]),
        ],
    ],
    ids=lambda nodes: nodes[-1].op_type if nodes[-1].op_type != "Cast" else f"Cast{len(nodes)}",
)
def test_nodes_that_want_the_impossible_say_so_at_once(tmp_path: Path, nodes: Any) -> None:
    with pytest.raises(cr.errors.ChainruleError, match=nodes[-2].op_type if len(nodes) > 3 else nodes[-1].op_type):
        _read(tmp_path, _graph(nodes))(cr.ones(2))
