"""Tiny Shakespeare: 1.1 million characters of his plays, a text to learn writing from."""

from __future__ import annotations

from pathlib import Path

from chainrule.data.download import download as fetch
from chainrule.data.places import cache_folder, not_found, search_roots
from chainrule.data.readers.source import FilePath
from chainrule.data.readers.text import read_text

_ADDRESS = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_FILES = ("tinyshakespeare.txt", "tinyshakespeare/input.txt", "shakespeare.txt")


def load_shakespeare_text(root: FilePath | None = None, download: bool = True) -> str:
    """The text, found in `root`, else in `CHAINRULE_DATA` or the cache folder, else downloaded.

    Raises DataError if it is not there and cannot be downloaded, or is no text.

    Source: A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015).
    """
    for folder in search_roots(root):
        for name in _FILES:
            if (folder / name).is_file():
                return read_text(folder / name)
    if not download:
        raise not_found("shakespeare", " or ".join(_FILES), root, _ADDRESS)
    base = cache_folder() if root is None else Path(root)
    return read_text(fetch(_ADDRESS, base / _FILES[0], _SHA256))
