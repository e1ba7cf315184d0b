"""Where data sets are looked for, and where what was downloaded or decoded is kept."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from chainrule.data.download import file_sha256
from chainrule.data.readers.arrays import read_array
from chainrule.data.readers.source import FilePath
from chainrule.errors import DataError


def cache_folder() -> Path:
    """The folder for downloads and decoded data.

    It is the environment variable `CHAINRULE_CACHE`, else `chainrule` in the user's cache folder: `$XDG_CACHE_HOME`,
    on Windows `%LOCALAPPDATA%`, else `~/.cache`.
    """
    if chosen := os.environ.get("CHAINRULE_CACHE"):
        return Path(chosen)
    home = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "chainrule"


def search_folders(root: FilePath | None, names: Iterable[str]) -> list[Path]:
    """The folders in which a data set may lie, the likeliest first.

    With a `root` only there, in the root itself and in its folders of these names; else in the folders of these names
    in `CHAINRULE_DATA` and in the cache. (Not in `CHAINRULE_DATA` itself: MNIST and Fashion-MNIST have the same file
    names.)
    """
    if root is not None:
        return [*(Path(root) / name for name in names), Path(root)]
    roots = [Path(chosen)] if (chosen := os.environ.get("CHAINRULE_DATA")) else []
    return [base / name for base in [*roots, cache_folder()] for name in names]


def search_roots(root: FilePath | None) -> list[Path]:
    """The folders in which an archive or a file with a name of its own may lie."""
    if root is not None:
        return [Path(root)]
    return [*([Path(chosen)] if (chosen := os.environ.get("CHAINRULE_DATA")) else []), cache_folder()]


def not_found(name: str, files: str, root: FilePath | None, address: str) -> DataError:
    """The error for a data set that is nowhere, and is not to be downloaded."""
    places = " or ".join(str(place) for place in search_roots(root))
    variable = "" if root is not None or "CHAINRULE_DATA" in os.environ else " (CHAINRULE_DATA may name a folder)"
    return DataError(
        f"{name} is not in {places}{variable}: there is no {files}. Allow the download with download=True, or get it "
        f"from {address}."
    )


def decoded_once(
    source: Path, wanted: Iterable[str], decode: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Some of the arrays that `decode` makes of a file: computed the first time, later read from the cache.

    The cached arrays lie in a folder with the file's SHA-256 in its name, so that a changed file is decoded again; so
    is one whose cached arrays are damaged. A cache that cannot be written gives a warning.
    """
    try:
        cached = cache_folder() / "decoded" / f"{source.name}-{file_sha256(source)[:16]}"
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror or error}.") from error
    if cached.is_dir():
        try:
            return {name: read_array(cached / f"{name}.npy") for name in wanted}
        except DataError:
            shutil.rmtree(cached, ignore_errors=True)  # it is only a copy: make it anew
    arrays = decode()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(suffix=".partial", dir=cached.parent))
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        if not cached.exists():  # another process may have been faster
            temporary.rename(cached)
        shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        warnings.warn(f"{cached} cannot be written ({error}), so {source.name} is decoded every time.", stacklevel=3)
    return {name: arrays[name] for name in wanted}
