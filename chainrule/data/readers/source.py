"""The bytes of a file, plain or compressed by gzip, and never more of them than allowed.

Every reader begins here, so that what can go wrong with any file is said in one way: a path that is no file, a
compressed file that is cut short or damaged, and one that grows beyond measure when it is opened.
"""

from __future__ import annotations

import math
import os
import stat
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import DataError

FilePath = str | os.PathLike[str]

MAX_BYTES = 2**31
"""What a reader holds at most of one file, decoded, unless told otherwise: 2 GiB."""

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**16


def read_bytes(path: FilePath, max_bytes: int = MAX_BYTES) -> bytearray:
    """All bytes of a file; of a gzip-compressed one (known by its first two bytes) what is inside.

    Raises DataError for what is not a regular file, cannot be read, is damaged, or has more than `max_bytes`.

    >>> import gzip, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "hello.gz"
    ...     _ = file.write_bytes(gzip.compress(b"hello"))
    ...     read_bytes(file)
    bytearray(b'hello')
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a pipe would block when opened, and a device may never end
            raise DataError(f"{path!s} is not a file.")
        content = bytearray(min(status.st_size, max_bytes + 1))
        with open(path, "rb") as file:
            del content[file.readinto(content) :]
    except DataError:
        raise
    except (OSError, ValueError, TypeError) as error:  # ValueError: a null byte in the name
        raise DataError(f"{path!s} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(content) > max_bytes:
        raise too_large(path, max_bytes)
    return _inflate(content, path, max_bytes) if content[:2] == _GZIP_MAGIC else content


def too_large(path: FilePath, max_bytes: int, place: str = "") -> DataError:
    """The error for a file that decodes to more than is allowed."""
    return DataError(
        f"{path}{place}: more than {max_bytes:,} bytes when decoded. If it is meant to be so large, raise max_bytes."
    )


def _inflate(content: bytearray, path: FilePath, max_bytes: int) -> bytearray:
    """Undo gzip; a file may hold several compressed parts one after the other."""
    pieces, total, place = [], 0, 0
    stream = zlib.decompressobj(wbits=31)  # 31: with gzip's header and checksum
    while place < len(content):
        chunk = content[place : place + _CHUNK]
        try:
            piece = stream.decompress(chunk, max_bytes + 1 - total)
        except zlib.error as error:
            raise DataError(f"{path}, near byte {place:,}: the gzip compression is damaged ({error}).") from error
        pieces.append(piece)
        total += len(piece)
        if total > max_bytes:
            raise too_large(path, max_bytes, f", byte {place:,} of the compressed file")
        place += len(chunk) - len(stream.unused_data)
        if stream.eof:
            while place < len(content) and content[place] == 0:  # gzip allows zeros as padding
                place += 1
            if place < len(content):
                stream = zlib.decompressobj(wbits=31)
    if not stream.eof:
        raise DataError(f"{path} is cut short: the gzip compression does not end by byte {len(content):,}.")
    return bytearray().join(pieces)


def check_length(
    place: str, length: int, at: int, start: int, shape: Sequence[int], dtype: np.dtype[Any], max_bytes: int
) -> None:  # fmt: skip
    """Raise DataError unless what follows a header, from byte `start` on, is what the header announces at byte `at`."""
    announced = f"{' × '.join(f'{n:,}' for n in shape) or 'one value'} of {dtype.name}"
    if math.prod(n for n in shape if n) * dtype.itemsize > max_bytes:
        raise too_large(place, max_bytes, f", byte {at}: the header announces {announced}")
    expected = start + math.prod(shape) * dtype.itemsize
    if length != expected:
        state = "is cut short" if length < expected else "goes on after its last value"
        raise DataError(
            f"{place} {state}: {length:,} bytes, but the header announces {announced}, which makes {expected:,}."
        )
