"""Machine code kept on disk, so that the second start is quick.

A stored object file is executed, so it is trusted only if it lies in a directory that nobody but its owner can write
to and its SHA-256 is the one written before it. The name is the hash of everything the code depends on: the text it
was made from, the processor, and the versions of the compilers. Anything damaged or strange is ignored and replaced.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

#: Changes when the meaning of what is stored does.
FORMAT = "1"
#: When more than this is stored, what was used longest ago goes.
LIMIT = 256 * 2**20


def directory() -> Path | None:
    """Where code is kept; None if it is not kept (`CHAINRULE_CACHE=0`, or no safe place)."""
    if os.environ.get("CHAINRULE_CACHE", "") == "0":
        return None
    named = os.environ.get("CHAINRULE_CACHE_DIR")
    if named:
        return _safe(Path(named))
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return _safe(root / "chainrule" / "compiled")


@functools.cache
def _safe(path: Path) -> Path | None:
    """The directory, made if it is missing, if only its owner can write there."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = path.stat()
    except OSError as error:
        warnings.warn(f"compiled code is not kept: {error}.", stacklevel=2)
        return None
    if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o022):
        warnings.warn(
            f"compiled code is not kept: {path} belongs to somebody else or others can write to it "
            f"(mend: chmod 700 {path}).",
            stacklevel=2,
        )
        return None
    return path


@functools.cache
def _circumstances() -> str:
    import llvmlite

    from chainrule import __version__
    from chainrule.compiler.run.machine import host

    return "\n".join([FORMAT, __version__, llvmlite.__version__, *host()])


def cached_code(text: str, make: Callable[[str], bytes]) -> bytes:
    """The machine code of a text: from the disk if it is there and whole, else made and kept."""
    place = directory()
    if place is None:
        return make(text)
    name = hashlib.sha256(f"{_circumstances()}\n{text}".encode()).hexdigest()
    code = _read(place / name)
    if code is None:
        code = make(text)
        _write(place, name, code)
    return code


def _read(path: Path) -> bytes | None:
    """The contents behind the hash, if they fit it and the file is the owner's."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o022):
                return None
            digest, code = file.read(32), file.read()
        os.utime(path)
    except OSError:
        return None
    return code if hashlib.sha256(code).digest() == digest else None


def _write(place: Path, name: str, code: bytes) -> None:
    """Written beside and renamed, so that nobody reads half of it. A full disk is no reason to fail."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place / name)
        _trim(place)
    except OSError as error:
        warnings.warn(f"compiled code could not be kept: {error}.", stacklevel=2)
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _trim(place: Path) -> None:
    files = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in place.iterdir() if f.is_file()), reverse=True)
    total = 0
    for _, size, file in files:
        total += size
        if total > LIMIT:
            file.unlink(missing_ok=True)
