"""Machine code kept on disk, so that the second start is quick.

A stored object file is executed, so it is trusted only if it lies in a directory that nobody but its owner can write
to and begins with the SHA-256 of its name and contents. The name is the hash of everything the code depends on: the
text of the function it was made from, the processor's features, and the versions of the compilers. Anything damaged or
strange (another entry under this name, a pipe, somebody else's file) is ignored, with one line in the log, and replaced
where that can be.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

log = logging.getLogger("chainrule.compile")

#: Changes when the meaning of what is stored does.
FORMAT = "4"
#: When more than this is stored, what was used longest ago goes.
LIMIT = 256 * 2**20
#: How much a process may write between two looks at how much is stored, which with thousands of files takes a while.
BETWEEN_LOOKS = LIMIT // 16


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
def _say_once(message: str) -> None:
    log.warning("compiled code: %s", message)


@functools.cache
def _safe(path: Path) -> Path | None:
    """The directory, made if it is missing, if only its owner can write there."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = path.stat()
    except OSError as error:
        _say_once(f"it is not kept: {error}.")
        return None
    if not _is_ours(about):
        _say_once(
            f"it is not kept: {path} belongs to somebody else or others can write to it (mend: chmod 700 {path})."
        )
        return None
    return path


def _is_ours(about: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & 0o022)


@functools.cache
def _circumstances() -> str:
    import llvmlite

    from chainrule import __version__
    from chainrule.backends.native.run.machine import host

    return "\n".join([FORMAT, __version__, llvmlite.__version__, *host()])


def cached_code(text: str, make: Callable[[str], bytes]) -> bytes:
    """The machine code of a text: from the disk if it is there and whole, else made and kept."""
    return cached_codes([text], make)[0]


#: What somebody has said may be executed, by name; beside the directory.
_trusted: dict[str, bytes] = {}


def trust(codes: Mapping[str, bytes]) -> None:
    """Use this machine code, by the names that `name_of_code` gives, as if it were in the directory."""
    _trusted.update(codes)


def name_of_code(text: str) -> str:
    """The name of the machine code of a text here: a hash of all that it depends on."""
    return hashlib.sha256(f"{_circumstances()}\n{text}".encode()).hexdigest()


def cached_codes(texts: Iterable[str], make: Callable[[str], bytes]) -> list[bytes]:
    """The machine code of some texts."""
    place = directory()
    if place is None and not _trusted:
        return [make(text) for text in texts]
    codes, new = [], 0
    for text in texts:
        name = name_of_code(text)
        code = _trusted.get(name)
        if code is None and place is not None:
            code = _read(place / name)
        if code is None:
            code = make(text)
            if place is not None:
                new += len(code)
                _write(place, name, code)
        codes.append(code)
    if new and place is not None:
        _trim_now_and_then(place, new)
    return codes


def _digest(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + code).digest()


def _read(path: Path) -> bytes | None:
    """The contents behind the hash, if they fit it and the file is the owner's."""
    try:
        # Opened without waiting: at the other end of a pipe there may be nobody.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or not _is_ours(about):
                _say_once(f"{path} is no file of ours; it is ignored.")
                return None
            digest, code = file.read(32), file.read()
        if _digest(path.name, code) != digest:
            _say_once(f"{path} is damaged or belongs elsewhere; it is made anew.")
            return None
        os.utime(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _say_once(f"it could not be read in {path.parent}: {error.strerror}.")
        return None
    return code


def _write(place: Path, name: str, code: bytes) -> None:
    """Written beside and renamed, so that nobody reads half of it. A full disk is no reason to fail."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(_digest(name, code) + code)  # not flushed to the disk: what a crash has cut off is noticed
        os.replace(temporary, place / name)
    except OSError as error:
        _say_once(f"it could not be kept in {place}: {error.strerror}.")
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _entries(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError as error:
        _say_once(f"{place} could not be read: {error.strerror}.")
        return []


#: By folder, how much this process has written since it last looked.
_since_look: dict[Path, int] = {}


def _trim_now_and_then(place: Path, written: int) -> None:
    """Look at the first writing of a process, and again whenever it has written much."""
    since = _since_look.get(place, BETWEEN_LOOKS) + written
    if since >= BETWEEN_LOOKS:
        since = 0
        _trim(place)
    _since_look[place] = since


def _trim(place: Path) -> None:
    """Forget what was used longest ago. Another process may do the same at this moment, so files can be gone."""
    files = []
    for file in _entries(place):
        try:
            about = file.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(about.st_mode):
            files.append((about.st_mtime, about.st_size, file))
    total = 0
    for _, size, file in sorted(files, reverse=True):
        total += size
        if total > LIMIT:
            file.unlink(missing_ok=True)
