"""A model exported and run by onnxruntime, and what it gives compared with ours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import chainrule as cr
import chainrule.onnx
from chainrule import nn

onnxruntime.set_default_logger_severity(3)


def exported(model: nn.Module, inputs: tuple[Any, ...], **options: Any) -> bytes:
    """The bytes of a model's file."""
    file = io.BytesIO()
    chainrule.onnx.export(model, inputs, file, **options)
    return file.getvalue()


def session(data: bytes | str) -> onnxruntime.InferenceSession:
    """What runs a file, on one thread: these tests run beside others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options)


def tensors(thing: Any) -> list[Any]:
    """All tensors of a structure, as arrays."""
    if isinstance(thing, cr.Tensor):
        return [thing.numpy()]
    parts = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, tuple | list) else ()
    return [array for part in parts for array in tensors(part)]


def compare(running: onnxruntime.InferenceSession, model: nn.Module, inputs: tuple[Any, ...], tolerance: float) -> None:
    """Ours and onnxruntime's results: shapes, types, numbers."""
    arrays = [array.copy() for array in tensors(inputs)]  # ours may write into its inputs
    with cr.no_grad():
        expected = tensors(model(*inputs))
    names = [one.name for one in running.get_inputs()]
    assert len(names) == len(arrays)
    check_equal(running.run(None, dict(zip(names, arrays, strict=True))), expected, tolerance)


def check_equal(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        largest = np.abs(b[np.isfinite(b)]).max(initial=1) if b.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest)


def agree(
    model: nn.Module,
    inputs: tuple[Any, ...],
    others: Sequence[tuple[Any, ...]] = (),
    tolerance: float = 1e-5,
    **options: Any,
) -> bytes:
    """Export and compare, to `tolerance` times the largest number, for these inputs and for others; the bytes of the file."""
    model.eval()
    data = exported(model, inputs, **options)
    running, again = session(data), loaded(data)
    for each in (inputs, *others):
        compare(running, model, each, tolerance)
        compare_loaded(again, model, each, tolerance)
    return data


def loaded(data: bytes) -> chainrule.onnx.OnnxModel:
    """The file read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        return chainrule.onnx.load(path)


def compare_loaded(again: nn.Module, model: nn.Module, inputs: tuple[Any, ...], tolerance: float) -> None:
    """Ours, and what was read back."""
    flat = [cr.tensor(array) for array in tensors(inputs)]
    with cr.no_grad():
        check_equal(tensors(again(*flat)), tensors(model(*inputs)), tolerance)


def stir(model: nn.Module) -> nn.Module:
    """Move every number a little, statistics too: what starts as zero or one would hide mistakes."""
    with cr.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.dtype.is_floating_point:
                moved = tensor * (1 + 0.2 * cr.rand_like(tensor)) + 0.05 * cr.randn_like(tensor)
                tensor.copy_(moved.abs() if name.endswith("var") else moved)
    return model


class Called(nn.Module):
    """A layer called as a line of Python says, with inputs x, y, z, …."""

    def __init__(self, layer: Any, line: str, names: str) -> None:
        super().__init__()
        self.layer, self.line, self.names = layer, line, names

    def forward(self, *inputs: cr.Tensor) -> Any:
        known = {"layer": self.layer, "nn": nn, "lib": cr, "np": np, **dict(zip(self.names, inputs, strict=True))}
        return eval(self.line, known)
