"""`load`: an ONNX file as a module. Everything in it is looked at first, and nothing in it is ever run as code.

What a file says of itself (sizes, places in other files, names) is believed only where it can be: numbers are as many
as the shape wants, other files lie in the file's own folder, every value is made before it is used, every operator is
known. Else a DataError names the file and the place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import DataError
from chainrule.onnx.errors import onnx_package
from chainrule.onnx.loaded import Nodes, OnnxModel
from chainrule.onnx.operators import NUMBERS, OPERATORS, Step
from chainrule.onnx.writing import LARGEST

#: The versions of ONNX's operators that are read.
OPSETS = range(7, 25)

#: Inputs that are numbers while the model is noted: for each operator from which input on.
_NUMBER_INPUTS = {
    "Reshape": (1,), "Expand": (1,), "Slice": (1, 2, 3, 4), "Squeeze": (1,), "Unsqueeze": (1,), "Split": (1,),
    "Tile": (1,), "Pad": (1, 2, 3), "ConstantOfShape": (0,), "Range": (0, 1, 2), "TopK": (1,), "CumSum": (1,),
    "Resize": (1, 2, 3), "Upsample": (1,), "OneHot": (1,), "Trilu": (1,), "Dropout": (1, 2), "If": (0,), "Loop": (0, 1),
    **dict.fromkeys(
        ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
         "ReduceLogSum", "ReduceLogSumExp"), (1,)),
}  # fmt: skip
#: Data types that are read.
_TYPES = frozenset(("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"))
#: Inputs with statistics, which are not learned.
_STATISTICS: dict[str, tuple[int, ...]] = {"BatchNormalization": (3, 4)}


def load(file: str | os.PathLike[str]) -> OnnxModel:
    """Read an ONNX file as a module that can be run, compiled, trained and exported again.

    Needs the package onnx (`pip install 'chainrule[onnx]'`). The operators that are read are listed in docs/onnx.md,
    of versions 7 to 24. Weights beside the file are found in its folder only. See `OnnxModel`.

    Raises DataError for a file that is damaged, or no ONNX file, or wants what is not read: the message names the node.

    >>> import tempfile
    >>> import chainrule
    >>> from chainrule import nn, onnx
    >>> path = tempfile.mkdtemp() + "/model.onnx"
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    >>> onnx.export(model, chainrule.ones(2, 3), path)
    >>> again = load(path)
    >>> [name for name, _ in again.named_parameters()]
    ['0.weight', '0.bias']
    >>> x = chainrule.ones(2, 3)
    >>> bool((again(x) == model(x)).all())
    True
    """
    path = Path(file)
    try:
        return _Reader(path).model()
    except DataError as error:
        raise DataError(f"{path}: {error}") from error.__cause__


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.onnx = onnx_package()
        self.opset = 0

    def model(self) -> OnnxModel:
        """The module."""
        proto = self._parsed()
        self.opset = self._version(proto)
        if proto.functions or proto.graph.sparse_initializer:
            raise DataError("functions and sparse tensors of the file's own are not read.")
        tensors = self._tensors(proto.graph)
        inputs = [value.name for value in proto.graph.input if value.name not in tensors]
        if len(set(inputs)) < len(inputs) or not all(inputs):
            raise DataError("two inputs have one name, or one has none.")
        nodes = self._nodes(proto.graph, inputs, tensors, set())
        if not nodes.outputs:
            raise DataError("the model gives nothing.")
        numbers = _numbers_among(nodes.steps, set(tensors))
        held = {name: array for name, array in tensors.items() if name not in numbers}
        known = {name: tensors[name] for name in numbers}
        fixed = {name for step in nodes.steps for name in _at(step, _STATISTICS)}
        metadata = {entry.key: entry.value for entry in proto.metadata_props}
        return OnnxModel(nodes, held, known, fixed, metadata, self.opset)

    def _parsed(self) -> Any:
        try:
            size = self.path.stat().st_size
            if size > LARGEST:
                raise DataError(f"{size:,} bytes are more than an ONNX file can have.")
            data = self.path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}.") from error
        try:
            proto = self.onnx.ModelProto.FromString(data)
        except Exception as error:  # protobuf's own kinds, which differ from version to version
            raise DataError("is no ONNX file, or a damaged one.") from error
        if not proto.HasField("graph") or not proto.opset_import:
            raise DataError("is no ONNX file: it has no graph, or no version.")
        return proto

    def _version(self, proto: Any) -> int:
        versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
        if len(versions) != 1 or versions[0] not in OPSETS:
            raise DataError(f"versions {OPSETS[0]} to {OPSETS[-1]} of ONNX's operators are read, this is {versions}.")
        return int(versions[0])

    # ---------------------------------------------------------------------------------- tensors

    def _tensors(self, graph: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for tensor in graph.initializer:
            if not tensor.name or tensor.name in found:
                raise DataError(f"the tensor {tensor.name!r} is there twice, or has no name.")
            found[tensor.name] = self._array(tensor)
        return found

    def _array(self, tensor: Any) -> Any:
        """The numbers of a tensor, if they are as many as it says. Nothing is reserved before that is known."""
        what = f"the tensor {tensor.name!r}"
        try:
            dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, ValueError, TypeError):
            raise DataError(f"{what} has no known data type ({tensor.data_type}).") from None
        if (
            dtype.kind not in "fiubV"
            or dtype.itemsize > 8
            or dtype.name.startswith(("float4", "float8", "int4", "uint4"))
        ):
            raise DataError(f"{what} is of {dtype}, which is not read.")
        dims = list(tensor.dims)
        if any(size < 0 for size in dims):
            raise DataError(f"{what} has the shape {dims}.")
        wanted = math.prod(dims) * dtype.itemsize
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            data = self._beside(tensor, wanted, what)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            return self._listed(tensor, dims, dtype, what)
        if len(data) != wanted:
            raise DataError(f"{what} of shape {dims} has {len(data):,} bytes instead of {wanted:,}.")
        little = dtype.newbyteorder("<") if dtype.kind != "V" else dtype
        return np.frombuffer(data, little).astype(dtype).reshape(dims)

    def _listed(self, tensor: Any, dims: list[int], dtype: Any, what: str) -> Any:
        """Numbers that stand one by one, in one of the lists that there are for the types."""
        field = self.onnx.helper.tensor_dtype_to_field(tensor.data_type)
        numbers = getattr(tensor, field)
        if len(numbers) != math.prod(dims):
            raise DataError(f"{what} of shape {dims} has {len(numbers):,} numbers instead of {math.prod(dims):,}.")
        return np.array(self.onnx.numpy_helper.to_array(tensor)).reshape(dims).astype(dtype)

    def _beside(self, tensor: Any, wanted: int, what: str) -> bytes:
        """The bytes of a tensor in another file of the same folder. Paths that leave it are refused, links too."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        folder = self.path.parent.resolve()
        place = Path(location)
        if not location or place.is_absolute() or ".." in place.parts or "\\" in location or ":" in location:
            raise DataError(f"{what} lies in {location!r}, which is no file of the model's own folder.")
        file = (folder / place).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise DataError(f"{what} lies in {location!r}, which is no file of the model's own folder.")
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", wanted))
        except ValueError:
            raise DataError(f"{what} says no numbers for where it lies in {location!r}.") from None
        size = file.stat().st_size
        if length != wanted or offset < 0 or offset + length > size:
            raise DataError(f"{what} wants {wanted:,} bytes from {offset:,} of {location!r}, which has {size:,}.")
        with open(file, "rb") as opened:
            opened.seek(offset)
            return opened.read(length)

    # ---------------------------------------------------------------------------------- nodes

    def _nodes(self, graph: Any, inputs: list[str], tensors: dict[str, Any], outside: set[str]) -> Nodes:
        """The nodes in order, every value made before it is used, and once."""
        known, steps = {*outside, *inputs, *tensors}, list[Step]()
        later = {name for node in graph.node for name in node.output if name}
        for number, node in enumerate(graph.node):
            label = f"node {number} ({node.op_type} {node.name!r})"
            for name in filter(None, node.input):
                if name not in known:
                    why = "is made only behind it, or by itself: a circle" if name in later else "is made by nothing"
                    raise DataError(f"{label}: its input {name!r} {why}.")
            twice = [name for name in node.output if name and name in known]
            if twice or not any(node.output):
                raise DataError(f"{label}: its output {twice[0] if twice else ''!r} is there already, or has no name.")
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                tensors[node.output[0]] = self._constant(node, label)
            else:
                steps.append(self._step(node, label, known))
            known.update(filter(None, node.output))
        outputs = [value.name for value in graph.output]
        missing = [name for name in outputs if name not in known]
        if missing:
            raise DataError(f"the output {missing[0]!r} is made by no node.")
        return Nodes(inputs, outputs, steps)

    def _step(self, node: Any, label: str, known: set[str]) -> Step:
        if node.domain not in ("", "ai.onnx"):
            raise DataError(f"{label}: operators of {node.domain!r} are not read.")
        if node.op_type not in OPERATORS:
            raise DataError(f"{label}: the operator {node.op_type} is not read; docs/onnx.md has those that are.")
        attributes = {}
        for attribute in node.attribute:
            attributes[attribute.name] = self._setting(attribute, label, known)
        if node.op_type == "Cast":
            attributes["to"] = self._dtype(attributes.get("to"), label)
        return Step(node.op_type, node.name, node.input, node.output, attributes, self.opset)

    def _dtype(self, number: Any, label: str) -> Any:
        try:
            return np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(number))
        except (KeyError, ValueError, TypeError):
            raise DataError(f"{label}: there is no data type {number!r}.") from None

    def _setting(self, attribute: Any, label: str, known: set[str]) -> Any:
        kinds = self.onnx.AttributeProto
        kind = attribute.type
        if kind == kinds.FLOAT:
            return attribute.f
        if kind == kinds.INT:
            return attribute.i
        if kind == kinds.STRING:
            return attribute.s.decode("utf-8", "replace")
        if kind == kinds.TENSOR:
            return self._array(attribute.t)
        if kind == kinds.FLOATS:
            return list(attribute.floats)
        if kind == kinds.INTS:
            return list(attribute.ints)
        if kind == kinds.STRINGS:
            return [text.decode("utf-8", "replace") for text in attribute.strings]
        if kind == kinds.GRAPH:
            return self._body(attribute.g, known)
        raise DataError(f"{label}: the setting {attribute.name!r} is of a kind that is not read.")

    def _body(self, graph: Any, known: set[str]) -> Nodes:
        """The body of a loop, or a branch; its own constants become parts of it."""
        tensors = self._tensors(graph)
        inputs = [value.name for value in graph.input]
        nodes = self._nodes(graph, inputs, tensors, known)
        return Nodes(inputs, nodes.outputs, [*map(_given, tensors.items()), *nodes.steps])

    def _constant(self, node: Any, label: str) -> Any:
        if len(node.attribute) != 1:
            raise DataError(f"{label}: a constant has one value.")
        value = self._setting(node.attribute[0], label, set())
        name = node.attribute[0].name
        if name == "value" and isinstance(value, np.ndarray):
            return value
        dtypes = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
        if name not in dtypes:
            raise DataError(f"{label}: constants of the kind {name!r} are not read.")
        return np.array(value, dtypes[name])


def _given(item: tuple[str, Any]) -> Step:
    """A constant of a branch or of a loop's body, as a node without inputs."""
    return Step("Given", item[0], [], [item[0]], {"value": item[1]}, 0)


def _at(step: Step, table: dict[str, tuple[int, ...]]) -> Iterable[str]:
    """The names of a node's inputs at the places of a table."""
    return [step.inputs[i] for i in table.get(step.kind, ()) if i < len(step.inputs) and step.inputs[i]]


def _numbers_among(steps: Iterable[Step], tensors: set[str]) -> set[str]:
    """The tensors that shapes and the like are computed of: they are numbers, no buffers."""
    return _numbers_wanted(steps, set()) & tensors


def _numbers_wanted(steps: Iterable[Step], wanted: set[str]) -> set[str]:
    """The names of all values that shapes are computed of, by these nodes and those within them."""
    for step in reversed(list(steps)):
        wanted.update(_at(step, _NUMBER_INPUTS))
        if step.kind in NUMBERS and not wanted.isdisjoint(step.outputs):
            wanted.update(filter(None, step.inputs))
        for body in step.attributes.values():
            if isinstance(body, Nodes):
                ends = zip(body.outputs, step.outputs, strict=False) if step.kind == "If" else ()
                wanted.update(_numbers_wanted(body.steps, {*wanted, *(a for a, b in ends if b in wanted)}))
    return wanted
