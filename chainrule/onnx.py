"""PyTorch's `onnx`: programs that import it run; writing such a file is refused when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from chainrule.absent_names import teller
from chainrule.errors import ChainruleError

__all__ = ["export", "is_in_onnx_export"]

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py


class OnnxError(ChainruleError, NotImplementedError):
    """ONNX files are not written."""


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises OnnxError: write weights with `save`, which makes safetensors files that other programs read."""
    raise OnnxError(
        "onnx.export: ONNX files are not written here. chainrule.save(model.state_dict(), path) writes a safetensors "
        "file, which other programs read; load that into the same model in PyTorch to export it."
    )


def is_in_onnx_export() -> bool:
    """False."""
    return False


if not TYPE_CHECKING:  # for a name that is not here
    __getattr__ = teller("onnx", globals())
