"""From nodes to a file: ONNX's own data, checked, large tensors beside it, each file whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.files import write_atomically
from chainrule.onnx.errors import OnnxError, onnx_package
from chainrule.onnx.parts import Body, Node
from chainrule.serialization import File

#: Bytes that protobuf takes in one piece: a file, and a model while it is checked.
LARGEST = 2**31
#: From here on weights lie beside the file.
LARGE = 2**30
#: Tensors of fewer bytes stay in the file: sizes and numbers are read while the graph is checked.
SMALL = 1024

#: (name, shape with numbers, names or None, data type)
Described = tuple[str, Sequence[int | str | None], Any]


def element_type(dtype: Any) -> int:
    """ONNX's number for a data type. Raises OnnxError for one that it has not."""
    try:
        return int(onnx_package("helper").np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (KeyError, ValueError):
        raise OnnxError(f"ONNX has no data type for {dtype}.") from None


def model_of(
    nodes: Sequence[Node],
    constants: dict[str, Any],
    inputs: Sequence[Described],
    outputs: Sequence[Described],
    name: str,
    opset: int,
) -> Any:
    """The model as ONNX's data. Raises OnnxError for one that is too large to be checked."""
    total = sum(np.asarray(array).nbytes for array in constants.values())
    if total >= LARGEST:
        raise OnnxError(f"weights of {total:,} bytes: ONNX's checker takes less than {LARGEST:,} in all.")
    helper = onnx_package("helper")
    described = [
        [helper.make_tensor_value_info(n, element_type(d), list(s)) for n, s, d in side] for side in (inputs, outputs)
    ]
    tensors = [tensor_of(key, array) for key, array in constants.items()]
    graph = helper.make_graph([node_of(node) for node in nodes], name, *described, tensors)
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="chainrule")
    model.ir_version = max(8, helper.find_min_ir_version_for(imports))
    return model


def tensor_of(name: str, array: Any) -> Any:
    """A tensor with its numbers."""
    array = np.asarray(array)
    onnx = onnx_package()
    numbers = np.ascontiguousarray(array)
    little = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False) if numbers.dtype.kind != "V" else numbers
    return onnx.TensorProto(name=name, data_type=element_type(array.dtype), dims=array.shape, raw_data=little.tobytes())


def node_of(node: Node) -> Any:
    """A node, with the graphs of loops' bodies in it."""
    helper, plain = onnx_package("helper"), {}
    for key, value in node.attributes.items():
        if isinstance(value, Body):
            value = _graph_of(value, f"{node.name}/body")
        elif key == "to":
            value = element_type(value)
        plain[key] = value
    return helper.make_node(node.operator, node.inputs, node.outputs, name=node.name, **plain)


def _graph_of(body: Body, name: str) -> Any:
    helper = onnx_package("helper")
    described = [
        [helper.make_tensor_value_info(n, element_type(d), [None] * rank) for n, d, rank in side]
        for side in (body.inputs, body.outputs)
    ]
    return helper.make_graph([node_of(node) for node in body.nodes], name, *described)


def check(model: Any) -> None:
    """Raises OnnxError for a model that onnx.checker or shape inference refuses."""
    onnx = onnx_package()
    try:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=False)
    except Exception as error:  # several kinds, which have no base of their own
        raise OnnxError(f"ONNX's checker refuses the model: {error}") from error


def write(model: Any, file: File, beside: bool | None) -> None:
    """Write the model; with `beside`, or where it is large, its tensors go to the file's name with ".data"."""
    if not isinstance(file, str | os.PathLike):
        if beside:
            raise OnnxError("onnx.export: weights lie beside a file that has a name; give its path.")
        file.write(model.SerializeToString())
        return
    path = Path(file)
    total = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if beside or (beside is None and total > LARGE):
        data = path.with_name(path.name + ".data")
        numbers = _moved_out(model, data.name)
        write_atomically(data, lambda temporary: _write_all(temporary, numbers))
    write_atomically(path, lambda temporary: temporary.write_bytes(model.SerializeToString()))


def _write_all(path: Path, pieces: Sequence[bytes]) -> None:
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)


def _moved_out(model: Any, location: str) -> list[bytes]:
    """Take the numbers of large tensors out, each at a multiple of 4,096 bytes, so that readers can map the file."""
    onnx, pieces, offset = onnx_package(), list[bytes](), 0
    for tensor in model.graph.initializer:
        numbers = tensor.raw_data
        if len(numbers) < SMALL:
            continue
        gap = -offset % 4096
        pieces += [b"\0" * gap, numbers]
        offset += gap
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", len(numbers))):
            tensor.external_data.add(key=key, value=str(value))
        offset += len(numbers)
        tensor.ClearField("raw_data")
    return pieces
