"""Text files, and vocabularies that turn text into numbers and back: characters, words, bytes, byte pairs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from chainrule.data.readers.source import MAX_BYTES, FilePath, read_bytes
from chainrule.errors import DataError
from chainrule.files import write_text

# A word takes the space before it along, so that the pieces put together are the text again. The bound keeps the work
# for one piece small, whatever the text is.
PIECES = r" ?\w{1,40}| ?[^\w\s]{1,40}|\s{1,40}"
_PIECES = re.compile(PIECES)
_MAX_PIECE_BYTES = 41 * 4  # 41 characters, each up to four bytes in UTF-8


def read_text(path: FilePath, max_bytes: int = MAX_BYTES) -> str:
    """A text file in UTF-8, plain or gzip-compressed; a byte order mark at its beginning is left out.

    Raises DataError if it cannot be read, is larger than `max_bytes`, or is not UTF-8, naming byte and line.
    """
    content = read_bytes(path, max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, start) + 1
        raise DataError(f"{path}, byte {start:,} (line {line:,}): not UTF-8 ({error.reason}).") from error


class Vocabulary:
    """Numbers for the pieces of a text: `encode` gives the numbers, `decode` the text.

    This is what all kinds have in common; `kind` is their name in files.
    """

    kind: ClassVar[str]

    def __len__(self) -> int:
        raise NotImplementedError

    def encode(self, text: str) -> np.ndarray:
        """The numbers of a text's pieces, int64 (pieces,)."""
        raise NotImplementedError

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that these numbers stand for. Raises DataError for a number outside 0 to len − 1."""
        raise NotImplementedError

    def content(self) -> dict[str, Any]:
        """What a file must hold to bring this vocabulary back."""
        raise NotImplementedError

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds; `place` is what errors call the file."""
        raise NotImplementedError

    def save(self, path: FilePath) -> None:
        """Write the vocabulary as JSON, under another name first, so that no half of it is ever left behind."""
        write_text(path, json.dumps({"kind": self.kind, **self.content()}, ensure_ascii=True, indent=1) + "\n")

    def _check(self, numbers: Iterable[int]) -> list[int]:
        checked = [int(number) for number in numbers]
        for position, number in enumerate(checked):
            if not 0 <= number < len(self):
                raise DataError(
                    f"number {position} is {number}, but the vocabulary has {len(self)} entries, 0 to {len(self) - 1}."
                )
        return checked


class _Tokens(Vocabulary):
    """A vocabulary that is a list of strings, the entry's number being its place."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self.numbers) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise DataError(f"{twice!r} is in the vocabulary twice.")

    def __len__(self) -> int:
        return len(self.tokens)

    def decode(self, numbers: Iterable[int]) -> str:
        """The pieces put together. Raises DataError for a number outside 0 to len − 1."""
        return "".join(self.tokens[number] for number in self._check(numbers))

    def content(self) -> dict[str, Any]:
        """What a file must hold to bring this vocabulary back."""
        return {"tokens": self.tokens}

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds."""
        tokens = content.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise DataError(f"{place}: 'tokens' is not a list of strings.")
        try:
            return cls(tokens)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error


class Characters(_Tokens):
    """One number for each character, in the order of their code points.

    >>> vocabulary = Characters.from_text("hello")
    >>> vocabulary.tokens, vocabulary.encode("hole"), vocabulary.decode([1, 0, 2, 3])
    (['e', 'h', 'l', 'o'], array([1, 3, 2, 0]), 'helo')
    """

    kind = "characters"

    @classmethod
    def from_text(cls, text: str) -> Characters:
        """The characters that occur in a text."""
        return cls(sorted(set(text)))

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds."""
        vocabulary = super().from_content(content, place)
        if any(len(token) != 1 for token in content["tokens"]):
            raise DataError(f"{place}: a vocabulary of characters has an entry that is not one character.")
        return vocabulary

    def encode(self, text: str) -> np.ndarray:
        """The number of each character. Raises DataError naming the first one that is not in the vocabulary."""
        try:
            return np.fromiter(map(self.numbers.__getitem__, text), np.int64, len(text))
        except KeyError as error:
            position = text.index(error.args[0])
            line = text.count("\n", 0, position) + 1
            raise DataError(
                f"character {position:,} (line {line:,}), {error.args[0]!r}, is not in the vocabulary."
            ) from None


class Words(_Tokens):
    """One number for each word, with the space before it, each mark and each gap; 0 stands for all unknown ones.

    Text of known words comes back exactly; an unknown one comes back as `Words.UNKNOWN`.

    >>> vocabulary = Words.from_text("to be, or not to be")
    >>> vocabulary.tokens
    ['<unknown>', ' be', ' not', ' or', ' to', ',', 'to']
    >>> vocabulary.decode(vocabulary.encode("to be, to see"))
    'to be, to<unknown>'
    """

    kind = "words"
    UNKNOWN = "<unknown>"

    @classmethod
    def from_text(cls, text: str, max_size: int | None = None, min_count: int = 1) -> Words:
        """The words that occur at least `min_count` times, of these the `max_size` − 1 most frequent, sorted."""
        counts = Counter(_PIECES.findall(text))
        frequent = sorted(
            (word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word)
        )
        return cls([cls.UNKNOWN, *sorted(frequent[: None if max_size is None else max(max_size - 1, 0)])])

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds."""
        vocabulary = super().from_content(content, place)
        if content["tokens"][:1] != [cls.UNKNOWN]:
            raise DataError(f"{place}: the first entry of a vocabulary of words is {cls.UNKNOWN!r}.")
        return vocabulary

    def encode(self, text: str) -> np.ndarray:
        """The number of each word, 0 where it is unknown."""
        return np.array([self.numbers.get(word, 0) for word in _PIECES.findall(text)], np.int64)


class Bytes(Vocabulary):
    """One number for each byte of the text in UTF-8: 256 of them, nothing to train, and no text that does not fit.

    >>> Bytes().encode("né"), Bytes().decode([110, 195, 169])
    (array([110, 195, 169]), 'né')
    """

    kind = "bytes"

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> np.ndarray:
        """The bytes. Raises DataError for half a surrogate pair."""
        return np.frombuffer(_to_bytes(text), np.uint8).astype(np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text; bytes that are no UTF-8 become �."""
        return bytes(self._check(numbers)).decode("utf-8", errors="replace")

    def content(self) -> dict[str, Any]:
        """Nothing: all such vocabularies are the same."""
        return {}

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary."""
        return cls()


class BytePairs(Vocabulary):
    """Byte-pair encoding: the 256 bytes, and the pairs that were the most frequent when it was trained.

    Training begins with the bytes of the text in UTF-8, in words. The most frequent pair of neighbours becomes a
    new number and is replaced everywhere, and so on. Encoding replaces pairs in the order in which they were found. As
    every byte has a number, every text can be encoded, and comes back exactly.

    `merges[i]` is the pair of numbers that number 256 + i replaces.

    Source: R. Sennrich, B. Haddow and A. Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016);
    on bytes: A. Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).

    >>> vocabulary = BytePairs.from_text("low lower lowest", size=258)
    >>> vocabulary.merges, vocabulary.encode("slow")
    ([(108, 111), (256, 119)], array([115, 257]))
    >>> vocabulary.decode(vocabulary.encode("Größe"))
    'Größe'
    """

    kind = "byte pairs"

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = [(int(left), int(right)) for left, right in merges]
        self.pieces = [bytes([value]) for value in range(256)]
        for number, (left, right) in enumerate(self.merges, start=256):
            if not (0 <= left < number and 0 <= right < number):
                raise DataError(
                    f"merge {number - 256} joins {left} and {right}; expected numbers from 0 to {number - 1}."
                )
            if len(self.pieces[left]) + len(self.pieces[right]) > _MAX_PIECE_BYTES:
                raise DataError(f"merge {number - 256} makes a piece of more than {_MAX_PIECE_BYTES} bytes.")
            self.pieces.append(self.pieces[left] + self.pieces[right])
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        if len(self._rank) != len(self.merges):
            raise DataError("a pair is merged twice.")

    @classmethod
    def from_text(cls, text: str, size: int = 1024) -> BytePairs:
        """Trained on a text until there are `size` numbers, or no pair occurs twice any more."""
        if size < 256:
            raise ValueError(f"a vocabulary of byte pairs has at least the 256 bytes, got size={size}.")
        counts = Counter(_PIECES.findall(text))
        words = [list(_to_bytes(word)) for word in counts]
        return cls(_train(words, list(counts.values()), size - 256))

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the text's pieces. Raises DataError for half a surrogate pair."""
        known: dict[str, list[int]] = {}
        numbers: list[int] = []
        for word in _PIECES.findall(text):
            if word not in known:
                known[word] = self._encode_word(list(_to_bytes(word)))
            numbers += known[word]
        return np.array(numbers, np.int64)

    def _encode_word(self, word: list[int]) -> list[int]:
        last = len(self.merges)
        while len(word) > 1:
            first = min(self._rank.get(pair, last) for pair in pairwise(word))
            if first == last:
                break
            word = _replace(word, self.merges[first], 256 + first)
        return word

    def decode(self, numbers: Iterable[int]) -> str:
        """The text; bytes that are no UTF-8 (half a character, from a model that is still learning) become �."""
        return b"".join(self.pieces[number] for number in self._check(numbers)).decode("utf-8", errors="replace")

    def content(self) -> dict[str, Any]:
        """What a file must hold to bring this vocabulary back."""
        return {"merges": self.merges}

    @classmethod
    def from_content(cls, content: dict[str, Any], place: str) -> Vocabulary:
        """The vocabulary that a file holds."""
        merges = content.get("merges")
        if not isinstance(merges, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair) for pair in merges
        ):
            raise DataError(f"{place}: 'merges' is not a list of pairs of whole numbers.")
        try:
            return cls(merges)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error


def load_vocabulary(path: FilePath, max_bytes: int = 2**26) -> Vocabulary:
    """The vocabulary that `save` wrote, of whatever kind it is.

    Raises DataError if the file cannot be read, is larger than `max_bytes`, or does not hold a vocabulary.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Characters.from_text("abc").save(f"{folder}/characters.json")
    ...     load_vocabulary(f"{folder}/characters.json").encode("cab")
    array([2, 0, 1])
    """
    try:
        content = json.loads(read_text(path, max_bytes))
    except DataError:
        raise
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets in …
        raise DataError(f"{path} holds no vocabulary ({error}).") from error
    from chainrule.data.readers.tokenizer_file import TokenizerFile

    known = (Characters, Words, Bytes, BytePairs, TokenizerFile)
    kinds: dict[Any, type[Vocabulary]] = {kind.kind: kind for kind in known}
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise DataError(f"{path} holds no vocabulary: its 'kind' is {kind!r:.40}, expected one of {', '.join(kinds)}.")
    return kinds[kind].from_content(content, str(path))


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise DataError(f"{text[error.start]!r} is no character that UTF-8 can hold.") from error


def _train(words: list[list[int]], counts: list[int], merges: int) -> list[tuple[int, int]]:
    """The `merges` most frequent pairs, one after the other; of equally frequent ones, the smallest.

    What is counted is kept up to date: a merge only looks at the words that have the pair.
    """
    frequency: Counter[tuple[int, int]] = Counter()
    places: dict[tuple[int, int], set[int]] = {}

    def add(index: int, sign: int) -> None:
        for pair in pairwise(words[index]):
            frequency[pair] += sign * counts[index]
            places.setdefault(pair, set()).add(index)

    for index in range(len(words)):
        add(index, +1)
    found: list[tuple[int, int]] = []
    while len(found) < merges and frequency:
        pair, count = max(frequency.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
        if count < 2:
            break
        for index in places.pop(pair):
            add(index, -1)
            words[index] = _replace(words[index], pair, 256 + len(found))
            add(index, +1)
        places.pop(pair, None)
        del frequency[pair]
        found.append(pair)
    return found


def _replace(word: list[int], pair: tuple[int, int], number: int) -> list[int]:
    """The word with every occurrence of the pair, from left to right, replaced by the number."""
    result, position = [], 0
    while position < len(word):
        if position + 1 < len(word) and (word[position], word[position + 1]) == pair:
            result.append(number)
            position += 2
        else:
            result.append(word[position])
            position += 1
    return result
