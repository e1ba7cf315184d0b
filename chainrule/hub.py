"""Files of weights from the network, under PyTorch's names. Whole repositories of code are not fetched and run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from chainrule.absent_names import teller
from chainrule.data.download import download
from chainrule.errors import DataError

#: Where a file's name says how its SHA-256 begins: "resnet18-5c106cde.pth".
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")

__all__ = ["HASH_REGEX", "download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

_folder: Path | None = None


def get_dir() -> str:
    """Where files are kept: what `set_dir` said, else `$CHAINRULE_HOME/hub`, else `~/.cache/chainrule/hub`."""
    if _folder is not None:
        return str(_folder)
    home = os.environ.get("CHAINRULE_HOME")
    return str((Path(home) if home else Path.home() / ".cache" / "chainrule") / "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep files in this folder from now on."""
    global _folder
    _folder = Path(d).expanduser()


def download_url_to_file(
    url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download a file to `dst`, whole or not at all; what is there already is replaced.

    hash_prefix: how the file's SHA-256 must begin, in hexadecimal digits. Raises DataError where it does not, and where
    the file cannot be had. `progress` is taken and shows nothing.
    """
    beside = Path(f"{os.fspath(dst)}.new")
    beside.unlink(missing_ok=True)
    download(url, beside)
    _check_hash(beside, hash_prefix)
    os.replace(beside, dst)


def _check_hash(path: Path, prefix: str | None) -> None:
    if not prefix:
        return
    import hashlib

    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(prefix.lower()):
        path.unlink()
        raise DataError(f"{path.name}: its SHA-256 begins with {found[: len(prefix)]}, not with {prefix}.")


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> dict[str, Any]:
    """The state dictionary in a file of weights, which is downloaded once and then kept.

    Args:
        url: where from.
        model_dir: the folder to keep it in, `get_dir()/checkpoints` unless given.
        check_hash: the name ends in the beginning of its SHA-256 (`resnet18-5c106cde.pth`), which is checked.
        file_name: what to call the file; as in the address unless given.

    `map_location`, `progress` and `weights_only` are taken and change nothing: tensors are on the CPU, and nothing in a
    file is ever executed.

    Raises DataError where the file cannot be had or its SHA-256 is another, CheckpointError where it holds no weights.
    """
    from chainrule.serialization import load

    folder = Path(get_dir()) / "checkpoints" if model_dir is None else Path(model_dir)
    path = folder / (file_name or Path(urlparse(url).path).name)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        stem, dash, prefix = path.stem.rpartition("-")
        download_url_to_file(url, path, prefix if check_hash and dash and stem else None)
    return load(path)


if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("hub", globals())
