"""What goes wrong with ONNX files, and the package that reads and writes them."""

from __future__ import annotations

import importlib
from typing import Any

from chainrule.errors import ChainruleError


class OnnxError(ChainruleError, RuntimeError):
    """A model that cannot be written as an ONNX file, or not as asked; or the package onnx is not there.

    PyTorch raises `torch.onnx.OnnxExporterError` here, a `RuntimeError` too.
    """


def onnx_package(part: str = "") -> Any:
    """The package `onnx`, or a part of it; loaded here, when it is first asked for, and nowhere else.

    Raises OnnxError where it is not installed.
    """
    try:
        return importlib.import_module(f"onnx.{part}" if part else "onnx")
    except ImportError as error:
        raise OnnxError(f"ONNX files need the package onnx ({error}): pip install 'chainrule[onnx]'.") from None
