"""Byte pairs against the `tokenizers` library: what is trained, what is encoded, and files read in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tokenizers

import chainrule
from chainrule.data.readers import BytePairs, Bytes, TokenizerFile, load_vocabulary, write_tokenizer

TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness — "
    "wär’s möglich?! 3.14 + 2 = 5_14\n\n\tИ снова здравствуйте, 你好世界 🙂🙂 naïve café Straße.  Two  spaces. "
) * 3


def test_training_finds_the_same_pairs() -> None:
    """On words of small letters, one in a line: then equally frequent pairs come in one order in both."""
    words = "\n".join(re.findall(r"[a-z]+", TEXT.lower() * 2 + " ".join(dir(str)) + " ".join(dir(chainrule))))
    ours = BytePairs.from_text(words, size=256 + 60)
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split("\n", "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=256 + 60, min_frequency=2, show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    theirs.train_from_iterator([words], trainer)
    made = [piece for piece, number in sorted(theirs.get_vocab().items(), key=lambda item: item[1]) if number >= 256]
    assert [piece.decode() for piece in ours.pieces[256:]] == made


def test_encoding_is_the_library_s(tmp_path: Path) -> None:
    ours = BytePairs.from_text(TEXT, size=400)
    write_tokenizer(ours, tmp_path / "tokenizer.json")
    theirs = TokenizerFile(tmp_path)
    assert len(theirs) == len(ours)
    for text in (
        TEXT,
        TEXT[::-1],
        "",
        " ",
        "unseen words: xylophone\x00\x7f",
        "a" * 100,
        "".join(map(chr, range(1, 400))),
    ):
        numbers = ours.encode(text)
        assert theirs.encode(text).tolist() == numbers.tolist(), text[:20]
        assert theirs.decode(numbers) == ours.decode(numbers) == text


def test_a_published_kind_of_file_with_special_tokens(tmp_path: Path) -> None:
    """As GPT-2's: its own rule for cutting words, and a token that no text makes."""
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False)
    theirs.train_from_iterator([TEXT], trainer)
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = TokenizerFile(tmp_path / "tokenizer.json")
    assert ours.encode(TEXT).tolist() == theirs.encode(TEXT).ids
    assert ours.decode(ours.encode(TEXT)) == TEXT
    end = ours.number_of("<|endoftext|>")
    assert ours.decode([end]) == "<|endoftext|>"
    ours.save(tmp_path / "vocabulary.json")
    again = load_vocabulary(tmp_path / "vocabulary.json")
    assert again.encode(TEXT).tolist() == ours.encode(TEXT).tolist()
    with pytest.raises(chainrule.DataError, match="no piece '<pad>'"):
        ours.number_of("<pad>")
    with pytest.raises(chainrule.DataError, match=r"number 0 is 300"):
        ours.decode([300])
    (tmp_path / "wrong.json").write_text('{"model": 3}')
    with pytest.raises(chainrule.DataError, match=r"wrong\.json holds no tokenizer"):
        TokenizerFile(tmp_path / "wrong.json")


def test_bytes(tmp_path: Path) -> None:
    assert Bytes().encode(TEXT).tolist() == list(TEXT.encode())
    assert Bytes().decode(Bytes().encode(TEXT)) == TEXT
    assert Bytes().decode([0xC3, 65]) == "�A"
    Bytes().save(tmp_path / "bytes.json")
    assert type(load_vocabulary(tmp_path / "bytes.json")) is Bytes
    with pytest.raises(chainrule.DataError, match="256"):
        Bytes().decode([256])
    with pytest.raises(chainrule.DataError, match="no character"):
        Bytes().encode("\ud800")
