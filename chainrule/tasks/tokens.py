"""Texts as rows of tokens of one length, which sequence models read in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.readers.text import Characters, Words, read_text
from chainrule.errors import DataError

#: What stands behind the end of a text, as often as there is room; 0, as published models have their padding.
END = 0
#: What an answer is written behind.
START = 1
#: The number of the vocabulary's first entry.
FIRST = 2


class TextRows:
    """Numbers for texts: the vocabulary's, from 2 on, up to the longest text's length, then END.

    Args:
        kind: what one token is: "characters" or "words".
        tokens: the vocabulary.
        longest: tokens in the longest text.

    >>> rows = TextRows.from_texts("characters", ["ab", "b"])
    >>> rows.encode(["ab", "b"]), rows.decode([3, 2, 0, 0])
    (array([[2, 3],
           [3, 0]]), 'ba')
    """

    def __init__(self, kind: str, tokens: Sequence[str], longest: int) -> None:
        self.kind, self.longest = kind, longest
        self.vocabulary = Words(tokens) if kind == "words" else Characters(tokens)

    @classmethod
    def from_texts(cls, kind: str, texts: Iterable[str], most: int = 20000) -> TextRows:
        """The vocabulary that occurs in these texts; of words the `most` frequent ones."""
        texts = list(texts)
        everything = "\n".join(texts)
        found = Words.from_text(everything, most) if kind == "words" else Characters.from_text("".join(texts))
        return cls(kind, found.tokens, max(len(found.encode(text)) for text in texts))

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> TextRows:
        """From what `facts` gave."""
        return cls(str(facts["kind"]), list(facts["tokens"]), int(facts["longest"]))

    def facts(self) -> dict[str, Any]:
        """All that is known, as JSON can hold it."""
        return {"kind": self.kind, "tokens": self.vocabulary.tokens, "longest": self.longest}

    def __len__(self) -> int:
        return len(self.vocabulary) + FIRST

    def encode(self, texts: Sequence[str], length: int | None = None, cut: bool = False) -> np.ndarray:
        """Int64 (texts, longest), or of another `length`; `cut` takes the first tokens of a longer text.

        Raises DataError for a text without tokens, and, unless it is cut, for one with more than fit.
        """
        room = self.longest if length is None else length
        rows = np.full((len(texts), room), END, np.int64)
        for row, text in zip(rows, texts, strict=True):
            numbers = self.vocabulary.encode(text)
            if not 1 <= len(numbers) <= room and not (cut and len(numbers)):
                raise DataError(f"{text!r:.60} has {len(numbers)} {self.kind}; the model reads 1 to {room}.")
            row[: len(numbers)] = numbers[:room] + FIRST
        return rows

    def decode(self, numbers: Iterable[int]) -> str:
        """The text up to its end; where a model writes START, which stands for nothing, it is left out."""
        found: list[int] = []
        for number in numbers:
            if number == END:
                break
            if number != START:
                found.append(int(number) - FIRST)
        return self.vocabulary.decode(found)


def texts_of(inputs: Sequence[str]) -> list[str]:
    """The texts that are given: each input itself, or the lines of a .txt file, if it is the name of one.

    Raises DataError where all lines are empty.
    """
    texts: list[str] = []
    for given in inputs:
        is_file = given.endswith(".txt") and Path(given).is_file()
        texts += [line for line in read_text(given).splitlines() if line.strip()] if is_file else [given]
    if not texts:
        raise DataError(f"there is no text in {', '.join(inputs)}.")
    return texts


def text_of(given: Any, place: str, longest: int = 100_000) -> str:
    """The text itself, whatever it looks like. Raises DataError for what is no text, or a longer one.

    >>> text_of("notes.txt", "the text")
    'notes.txt'
    """
    if not isinstance(given, str):
        raise DataError(f"{place} is a text, got {type(given).__name__}.")
    if len(given) > longest:
        raise DataError(f"{place} has {len(given):,} characters; at most {longest:,} are read.")
    return given
