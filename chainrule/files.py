"""Writing files so that nothing is ever half written: beside, flushed to the disk, and renamed into place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Call `write(temporary)` with a path beside the wanted one, then put the file in its place at once.

    If writing fails, or the machine stops, the old file (or none) is there, whole. Raises FileNotFoundError where there
    is no folder to write into.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_atomically(target, lambda path: path.write_text("done"))
    >>> target.read_text()
    'done'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"cannot write {path.name}: there is no folder", str(path.parent))
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.writing{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 with `write_atomically`.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_text(target, "done")
    >>> target.read_text()
    'done'
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
