"""ONNX files: models written for other programs, and theirs read as modules.

`export` traces a model in evaluation mode and writes one operator for each layer; `load` reads a file back without
running anything in it. Both need the package onnx (the extra `onnx`), which is loaded when they are called.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.absent_names import teller
from chainrule.nn.module import Module
from chainrule.onnx.asked import arguments_of
from chainrule.onnx.errors import OnnxError
from chainrule.onnx.exporting import graph_of
from chainrule.onnx.loaded import OnnxModel
from chainrule.onnx.reading import load
from chainrule.onnx.writing import write
from chainrule.serialization import File

__all__ = ["OnnxError", "OnnxModel", "TrainingMode", "export", "is_in_onnx_export", "load"]

_exporting = False


class TrainingMode(enum.IntEnum):
    """PyTorch's word for the mode that a model is exported in; here always evaluation."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


#: PyTorch's settings that ask for what is done anyway, or for what has no part here; and those that must be as usual.
_WITHOUT_EFFECT = {
    "artifacts_dir", "autograd_inlining", "do_constant_folding", "dump_exported_program", "dynamo", "fallback",
    "operator_export_type", "optimize", "profile", "report", "verbose", "verify",
}  # fmt: skip
_AS_USUAL = {
    "export_params": (True, "weights are always in the file"),
    "keep_initializers_as_inputs": (False, "weights are constants of the file"),
    "custom_opsets": (None, "only ONNX's own operators are written"),
    "custom_translation_table": (None, "rules are in chainrule/onnx/rules"),
    "export_modules_as_functions": (False, "layers are operators"),
    "training": (TrainingMode.EVAL, "models are exported in evaluation mode"),
}


def export(
    model: Module,
    inputs: Any = (),
    file: File | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Any = None,
    opset: int | None = None,
    external_data: bool | None = None,
    metadata: Mapping[str, str] | None = None,
    **pytorch: Any,
) -> None:
    """Write a model, in evaluation mode, as an ONNX file. Needs the package onnx (`pip install 'chainrule[onnx]'`).

    Each layer is one operator where ONNX has one, named by the module's path ("layer1.0.conv1"); everything else is
    written by its parts. The file is checked before it is written, and whole at every moment.

    Args:
        model: any module whose forward pass asks for no numbers on its way.
        inputs: an example of what it takes: a tensor, or a tuple of all arguments; a dictionary at its end has some by
            name. Only shapes and types matter.
        file: where to, or an open binary file.
        kwargs: more arguments by name.
        input_names, output_names: the names in the file; else those of `forward`'s parameters, and "output".
        dynamic: which sizes may be others when the file is run. A name ("batch") for the first of each input;
            {axis: name} for all inputs, or {input: {axis: name}}. Sizes of one name are the same. The model is traced
            with several sizes, and what depends on them is computed in the file.
        opset: the version of ONNX's operators, 13 to 23 (23 unless given; readers from before 2025 want 17 or 20).
        external_data: True to lay weights beside the file, as "<file>.data"; None: if they take more than 1 GB.
            All together take less than 2 GB.
        metadata: what the file says of itself: texts by name.
        pytorch: PyTorch's words: `args`, `f`, `opset_version`, `dynamic_axes`, `dynamic_shapes`, and settings that
            change nothing here (`verbose`, `dynamo`, `do_constant_folding`, …).

    Raises OnnxError before anything is written: for what has no operator, with the module's path and the operation;
    for a model that does other things for other sizes; where the package is missing. Numbers differ by rounding.
    Checks of numbers (words within a vocabulary) are not in the file: what runs it refuses them in its own words.

    >>> import tempfile
    >>> import chainrule
    >>> from chainrule import models
    >>> path = tempfile.mkdtemp() + "/lenet5.onnx"
    >>> export(models.LeNet5(), chainrule.zeros(1, 1, 32, 32), path, dynamic="batch")
    """
    words = dict(pytorch)
    inputs = words.pop("args", inputs)
    file = words.pop("f", file)
    opset = words.pop("opset_version", opset)
    for name in ("dynamic_axes", "dynamic_shapes"):
        given = words.pop(name, None)
        dynamic = given if dynamic is None else dynamic
    for name, (usual, why) in _AS_USUAL.items():
        if words.pop(name, usual) not in (usual, None):
            raise OnnxError(f"onnx.export: {name} is {usual!r} here: {why}.")
    strange = sorted(set(words) - _WITHOUT_EFFECT)
    if strange:
        raise TypeError(f"onnx.export has no argument {strange[0]!r}.")
    if file is None:
        raise OnnxError("onnx.export: name the file, as export(model, inputs, 'model.onnx').")
    args, named = arguments_of(inputs, kwargs)
    global _exporting
    before, _exporting = _exporting, True
    try:
        proto = graph_of(model, args, named, input_names, output_names, dynamic, opset)
    finally:
        _exporting = before
    for key, value in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=value)
    write(proto, file, external_data)


def is_in_onnx_export() -> bool:
    """Whether `export` is tracing a model now.

    >>> is_in_onnx_export()
    False
    """
    return _exporting


if not TYPE_CHECKING:  # for a name that is not here
    __getattr__ = teller("onnx", globals())
