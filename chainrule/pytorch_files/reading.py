"""Which of PyTorch's two formats a file has, and what is said when it is damaged."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any

from chainrule.errors import CheckpointError
from chainrule.pytorch_files.archive import read_archive
from chainrule.pytorch_files.legacy import read_legacy

#: What Python's and NumPy's readers raise when bytes are not what they should be.
_DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, EOFError, OSError, ArithmeticError, RecursionError, MemoryError,
    NotImplementedError, RuntimeError, AssertionError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_pytorch(file: IO[bytes]) -> Any:
    """What `torch.save` put into a file, with our tensors for PyTorch's.

    Raises CheckpointError for anything but tensors and plain values, and for files that are damaged.
    """
    start = file.read(4)
    file.seek(0)
    try:
        return read_archive(file) if start == b"PK\x03\x04" else read_legacy(file)
    except CheckpointError:
        raise
    except _DAMAGE as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise CheckpointError(f"this file of PyTorch's is damaged, or none of its ({what}).") from None
