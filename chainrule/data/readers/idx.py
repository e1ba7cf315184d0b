"""IDX, the format of MNIST and its family: an array with a short header."""

from __future__ import annotations

import struct

import numpy as np

from chainrule.data.readers.source import MAX_BYTES, FilePath, check_length, read_bytes
from chainrule.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 64  # NumPy's own limit


def read_idx(path: FilePath, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an IDX file, plain or gzip-compressed.

    The header is two zero bytes, one for the type (8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64), one
    for the number of dimensions, and each dimension in four bytes, the most significant first. Then come the
    values, the last index changing fastest.

    Returns:
        An array of the shape and type that the header states, in the machine's byte order.

    Raises:
        DataError: the file cannot be read, its header is not one, or it has fewer or more values than it announces,
            or more than `max_bytes`.

    Source: Y. LeCun, C. Cortes and C. Burges, *The MNIST database*, "File formats".

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "two-by-two.idx"
    ...     _ = file.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 5, 6, 7, 8]))
    ...     read_idx(file)
    array([[5, 6],
           [7, 8]], dtype=uint8)
    """
    content = read_bytes(path, max_bytes + 4 + 4 * _MAX_DIMENSIONS)
    if len(content) < 4:
        raise DataError(f"{path} is cut short: {len(content)} bytes, where an IDX header needs at least 4.")
    if content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(
            f"{path}, byte 0: {bytes(content[:4]).hex(' ')} is no IDX header; expected 00 00, then the type "
            f"({', '.join(f'{code:02x}' for code in _TYPES)}), then the number of dimensions."
        )
    dtype, dimensions = np.dtype(_TYPES[content[2]]), content[3]
    if dimensions > _MAX_DIMENSIONS:
        raise DataError(f"{path}, byte 3: {dimensions} dimensions; NumPy's arrays have up to {_MAX_DIMENSIONS}.")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path} is cut short: {len(content)} bytes, but the header alone takes {start}.")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    check_length(str(path), len(content), 4, start, shape, dtype, max_bytes)
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)
