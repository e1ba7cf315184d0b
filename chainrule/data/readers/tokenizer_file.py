"""The vocabularies of published models: tokenizer.json, read and run by the `tokenizers` library (the extra `text`).

`BytePairs` shows how such a vocabulary comes about, in Python that can be read; for the 50,000 pieces of GPT-2 or the
128,000 of Llama 3, with their own rules for cutting words, the library does the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.readers.source import FilePath
from chainrule.data.readers.text import PIECES, BytePairs, Vocabulary, read_text
from chainrule.errors import DataError
from chainrule.files import write_text


class TokenizerFile(Vocabulary):
    """The vocabulary in a file tokenizer.json, or in a folder that holds one.

    `encode` adds no special tokens; `number_of("<|endoftext|>")` gives one's number. Raises DataError for a file that
    cannot be read, ImportError where the library is not installed.

    >>> import tempfile
    >>> from chainrule.data.readers import BytePairs, write_tokenizer
    >>> vocabulary = BytePairs.from_text("low lower lowest", size=258)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tokenizer(vocabulary, f"{folder}/tokenizer.json")
    ...     TokenizerFile(folder).encode("slow")
    array([115, 257])
    """

    kind = "tokenizer"

    def __init__(self, path: FilePath) -> None:
        path = Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        self._tokenizer = _read(read_text(path, 2**28), str(path))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> np.ndarray:
        """The numbers of a text's pieces, int64 (pieces,)."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that these numbers stand for, special tokens too. Raises DataError for a number that is none."""
        return str(self._tokenizer.decode(self._check(numbers), skip_special_tokens=False))

    def number_of(self, token: str) -> int:
        """The number of a piece, such as a special token. Raises DataError if there is no such piece."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise DataError(f"there is no piece {token!r} in this vocabulary of {len(self):,}.")
        return int(number)

    def content(self) -> dict[str, Any]:
        """What a file must hold to bring this vocabulary back."""
        return {"tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds."""
        found = cls.__new__(cls)
        found._tokenizer = _read(json.dumps(content.get("tokenizer")), place)
        return found


def write_tokenizer(vocabulary: BytePairs, path: FilePath) -> None:
    """Write byte pairs that were trained here as a tokenizer.json, for the library and all that reads its files.

    The numbers of the pieces stay the same. Each byte is written as a character that can be seen, as GPT-2's files do.
    """
    seen = [_visible(piece) for piece in vocabulary.pieces]
    pieces = {piece: number for number, piece in enumerate(seen)}
    if len(pieces) != len(seen):
        twice = next(piece for number, piece in enumerate(seen) if piece in seen[:number])
        raise DataError(f"two merges make the piece {twice!r}, which a tokenizer.json cannot hold.")
    content: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": pieces,
            "merges": [[seen[left], seen[right]] for left, right in vocabulary.merges],
        },
    }  # fmt: skip
    write_text(path, json.dumps(content, ensure_ascii=True))


#: Bytes that are seen as themselves; the others become the characters from 256 on, in order.
_PLAIN = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_HIDDEN = [byte for byte in range(256) if byte not in _PLAIN]
_LETTER = {**{byte: chr(byte) for byte in _PLAIN}, **{byte: chr(256 + i) for i, byte in enumerate(_HIDDEN)}}


def _visible(piece: bytes) -> str:
    return "".join(_LETTER[byte] for byte in piece)


def _read(text: str, place: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ImportError("tokenizer.json needs the package tokenizers: pip install 'chainrule[text]'.") from None
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more special
        raise DataError(f"{place} holds no tokenizer: {error}.") from error
