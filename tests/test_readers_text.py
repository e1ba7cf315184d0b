"""Text and vocabularies that are read from files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data.readers import (
    BytePairs,
    Characters,
    Words,
    load_vocabulary,
    read_text,
)
from chainrule.errors import DataError
from tests.real_data import real_data
from tests.test_readers import write

# --- text ---


def test_text_is_utf_8(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, b"\xef\xbb\xbf" + "Größe\n".encode())) == "Größe\n"
    with pytest.raises(DataError, match=r"play\.txt, byte 9 \(line 2\): not UTF-8 \(invalid start byte\)"):
        read_text(write(tmp_path, b"Act one\nA\xff", "play.txt"))


@pytest.mark.parametrize("kind", [Characters, Words, BytePairs])
@given(text=st.text())
def test_text_comes_back(tmp_path_factory: pytest.TempPathFactory, kind: Any, text: str) -> None:
    vocabulary = kind.from_text(text)  # st.text() makes no halves of surrogate pairs; they come below
    numbers = vocabulary.encode(text)
    assert numbers.dtype == np.int64 and vocabulary.decode(numbers) == text
    path = tmp_path_factory.getbasetemp() / "vocabulary.json"
    vocabulary.save(path)
    again = load_vocabulary(path)
    assert type(again) is kind and len(again) == len(vocabulary) and again.content() == vocabulary.content()
    assert np.array_equal(again.encode(text), numbers)


@given(trained_on=st.text("ab c"), text=st.text())
def test_byte_pairs_encode_any_text(trained_on: str, text: str) -> None:
    vocabulary = BytePairs.from_text(trained_on, size=300)
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(DataError, match="no character that UTF-8 can hold"):
            vocabulary.encode(text)
    else:
        assert vocabulary.decode(vocabulary.encode(text)) == text


def slow_byte_pairs(text: str, merges: int) -> list[tuple[int, int]]:
    """Byte-pair training straight from the paper: count everything anew for each merge."""
    import re

    words = [list(word.encode()) for word in re.findall(r" ?\w{1,40}| ?[^\w\s]{1,40}|\s{1,40}", text)]
    found = []
    for number in range(256, 256 + merges):
        counts: dict[tuple[int, int], int] = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        found.append(best)
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = [number]
                place += 1
    return found


@given(st.text("abc \n", max_size=200))
def test_byte_pairs_are_the_most_frequent_ones(text: str) -> None:
    assert BytePairs.from_text(text, size=276).merges == slow_byte_pairs(text, 20)


def test_byte_pairs_of_shakespeare() -> None:
    text = read_text(real_data("tinyshakespeare.txt") / "tinyshakespeare.txt")
    vocabulary = BytePairs.from_text(text, size=512)
    numbers = vocabulary.encode(text)
    assert len(vocabulary) == 512 and vocabulary.decode(numbers) == text
    assert len(numbers) < 0.55 * len(text)
    assert BytePairs.from_text(text[:20_000], size=300).merges == slow_byte_pairs(text[:20_000], 44)


def test_words_beyond_the_vocabulary_are_unknown() -> None:
    vocabulary = Words.from_text("a b b c c c", max_size=3)
    assert vocabulary.tokens == ["<unknown>", " b", " c"] and vocabulary.encode("a b d").tolist() == [0, 1, 0]
    assert Words.from_text("a b b", min_count=2).tokens == ["<unknown>", " b"]


def test_what_a_vocabulary_does_not_have_is_named() -> None:
    vocabulary = Characters.from_text("ab\n")
    with pytest.raises(DataError, match=r"character 3 \(line 2\), 'x', is not in the vocabulary"):
        vocabulary.encode("ab\nx")
    with pytest.raises(DataError, match="number 1 is 3, but the vocabulary has 3 entries"):
        vocabulary.decode([0, 3])
    with pytest.raises(DataError, match="number 0 is -1"):
        BytePairs([]).decode([-1])
    with pytest.raises(ValueError, match="256 bytes"):
        BytePairs.from_text("text", size=100)
    assert BytePairs([]).decode([0xC3]) == "�"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1, column 1"),
        ("[" * 100_000, "holds no vocabulary"),
        ("1" * 10_000, "holds no vocabulary"),
        ("[]", "its 'kind' is None"),
        ('{"kind": []}', "its 'kind' is"),
        ('{"kind": "characters"}', "'tokens' is not a list of strings"),
        ('{"kind": "characters", "tokens": ["ab"]}', "an entry that is not one character"),
        ('{"kind": "characters", "tokens": ["a", "a"]}', "'a' is in the vocabulary twice"),
        ('{"kind": "words", "tokens": ["a"]}', "the first entry of a vocabulary of words"),
        ('{"kind": "byte pairs", "merges": [[1, 2, 3]]}', "not a list of pairs"),
        ('{"kind": "byte pairs", "merges": [[1, 256]]}', "merge 0 joins 1 and 256"),
        ('{"kind": "byte pairs", "merges": [[1, 2], [1, 2]]}', "a pair is merged twice"),
        (json.dumps({"kind": "byte pairs", "merges": [[255 + i, 255 + i] for i in range(60)]}), "more than 164 bytes"),
    ],
)
def test_bad_vocabularies_are_named(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(DataError, match=r"bad\.json.*" + says):
        load_vocabulary(write(tmp_path, content, "bad.json"))
