"""NumPy's own files: one array in an .npy file, several with names in an .npz file.

Read without `pickle`, so nothing in a file is ever executed, and with the announced sizes checked before any memory
is taken.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np

from chainrule.data.readers.source import MAX_BYTES, FilePath, check_length, read_bytes, too_large
from chainrule.errors import DataError

_HEADER_BYTES = 2**17  # more than any header that NumPy reads


def read_array(path: FilePath, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an .npy file.

    Raises DataError if the file cannot be read, is no .npy file, holds Python objects, or has fewer or more values than
    its header announces, or more than `max_bytes`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "a.npy"
    ...     np.save(file, np.arange(3))
    ...     read_array(file)
    array([0, 1, 2])
    """
    return _parse(read_bytes(path, max_bytes + _HEADER_BYTES), str(path), max_bytes)


def read_arrays(path: FilePath, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays in an .npz file by their names; together they may have `max_bytes`. Errors as `read_array`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "two.npz"
    ...     np.savez(file, a=np.arange(3), b=np.ones(2))
    ...     read_arrays(file)
    {'a': array([0, 1, 2]), 'b': array([1., 1.])}
    """
    content = read_bytes(path, max_bytes + _HEADER_BYTES)
    arrays: dict[str, np.ndarray] = {}
    left = max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                place = f"{path}, {member.filename}"
                with archive.open(member) as file:
                    inside = bytearray(file.read(left + _HEADER_BYTES + 1))
                if len(inside) > left + _HEADER_BYTES:
                    raise too_large(path, max_bytes, f", {member.filename}")
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise DataError(f"{place}: there are two arrays of this name.")
                arrays[name] = _parse(inside, place, left)
                left -= arrays[name].nbytes
    except DataError:
        raise
    except Exception as error:  # zipfile and the decompressors below it have many ways to say "damaged"
        raise DataError(f"{path} is no .npz file, or is damaged: {error}.") from error
    return arrays


def _parse(content: bytearray, place: str, max_bytes: int) -> np.ndarray:
    file = io.BytesIO(content[:_HEADER_BYTES])
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version[0]}.{version[1]} of the format; expected 1.0 or 2.0")
    except Exception as error:  # the header is an expression of Python, and fails as such
        raise DataError(f"{place}, byte 0: no header of an .npy file ({error}).") from error
    start = file.tell()
    if dtype.hasobject or not dtype.itemsize:
        raise DataError(
            f"{place}: values of type {dtype!s}. Python objects are stored as pickles, which can run any code "
            "when read; save the data as numbers or fixed-length strings instead."
        )
    if any(length < 0 for length in shape) or len(shape) > 64:
        raise DataError(f"{place}: the header announces the shape {shape}.")
    check_length(place, len(content), 0, start, shape, dtype, max_bytes)
    array = np.frombuffer(content, dtype, offset=start)
    if dtype == np.bool_ and array.size and (largest := array.view(np.uint8).max()) > 1:
        raise DataError(f"{place} has the byte {largest} as a truth value, which is 0 or 1.")
    return array.reshape(shape, order="F" if fortran else "C")
