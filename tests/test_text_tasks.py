"""Translating and classifying texts as runs: pairs of lines, tables of texts and classes."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.cli import main
from chainrule.data.dates import date_pairs
from chainrule.data.readers.texts import read_pairs
from chainrule.errors import DataError
from chainrule.tasks import Settings, load_task, open_run, train_run
from chainrule.tasks.tokens import END, START, TextRows
from chainrule.tasks.translation import AnswerLoss
from tests.small_runs import settings_for_files


def letters_written_twice(path: Path, count: int = 600) -> list[str]:
    """Pairs such as "bca" and "bbccaa"."""
    draw = random.Random(0)
    sources = ["".join(draw.choices("abcd", k=draw.randrange(1, 5))) for _ in range(count)]
    path.write_text("".join(f"{source}\t{''.join(2 * c for c in source)}\n" for source in sources), encoding="utf-8")
    return sources


@pytest.mark.parametrize("model", ["rnn_translator", "transformer"])
def test_a_translator_learns_from_pairs_of_lines(tmp_path: Path, model: str) -> None:
    letters_written_twice(tmp_path / "pairs.tsv")
    options = {"width": 16, "hidden": 32} if model == "rnn_translator" else {"width": 32, "heads": 2, "layers": 1}
    settings = Settings(data=str(tmp_path / "pairs.tsv"), model=model, model_options=options, epochs=20, batch_size=32, learning_rate=0.006)  # fmt: skip
    found = train_run(settings, tmp_path / "run")
    assert found.test["right"] > 0.15  # of sources that were never seen: there are hundreds of answers to choose from
    opened = open_run(tmp_path / "run")
    for beams in (1, 3):
        rows = opened.task.predict(opened.model, ["ab", "dcab"], beams=beams)
        assert [row["source"] for row in rows] == ["ab", "dcab"] and all(
            set(row["answer"]) <= {*"abcd"} for row in rows
        )


def test_the_share_of_right_answers_is_that_of_what_the_model_writes(tmp_path: Path) -> None:
    """`right` asks behind right tokens; writing asks behind its own. Whole answers are right in both or in none."""
    letters_written_twice(tmp_path / "pairs.tsv")
    settings = Settings(data=str(tmp_path / "pairs.tsv"), model="rnn_translator", model_options={"width": 16, "hidden": 24}, epochs=8, batch_size=32)  # fmt: skip
    found = train_run(settings, tmp_path / "run")
    opened = open_run(tmp_path / "run")
    _, parts = load_task(settings)
    inputs, wanted = zip(*[parts.test[place] for place in range(len(parts.test))], strict=True)
    sources = chainrule.stack(inputs)[:, : opened.task.source.longest]
    written = opened.task.write(opened.model, sources)
    right = [text == opened.task.answer.decode(row.tolist()) for text, row in zip(written, wanted, strict=True)]
    assert 0 < np.mean(right) < 1 and np.mean(right) == pytest.approx(found.test["right"])


def test_no_source_is_in_two_parts(tmp_path: Path) -> None:
    letters_written_twice(tmp_path / "pairs.tsv")
    _, parts = load_task(Settings(data=str(tmp_path / "pairs.tsv"), model="rnn_translator"))
    sources = [{tuple(part[i][0][:4].tolist()) for i in range(len(part))} for part in parts]
    assert all(sources) and not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2])


def test_the_loss_counts_the_answer_and_its_end_and_nothing_behind() -> None:
    scores = chainrule.randn(2, 4, 5, dtype="float64")
    tokens = chainrule.tensor([[3, 2, END, END], [4, END, END, END]])
    logs = scores.log_softmax(-1)
    counted = [logs[0, 0, 3], logs[0, 1, 2], logs[0, 2, END], logs[1, 0, 4], logs[1, 1, END]]
    assert AnswerLoss()(scores, tokens).item() == pytest.approx(-sum(x.item() for x in counted) / 5)


def write_reviews(path: Path, count: int = 400) -> None:
    """A review is good where it says so, unless "not" stands before: more than counting words is needed."""
    draw = random.Random(1)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text", "verdict"])
        for number in range(count):
            good, turned = draw.random() < 0.5, draw.random() < 0.5
            words = draw.choices(["the", "film", "we", "saw", "was"], k=draw.randrange(2, 6))
            words += [*(["not"] if turned else []), "good" if good else "bad"]
            writer.writerow([number, " ".join(words), "yes" if good != turned else "no"])


@pytest.mark.parametrize("model", ["rnn_classifier", "bert_classifier"])
def test_texts_are_classified(tmp_path: Path, model: str) -> None:
    write_reviews(tmp_path / "reviews.csv")
    options = {"width": 16, "hidden": 24} if model == "rnn_classifier" else {"width": 32, "heads": 2, "layers": 1, "dropout": 0.0}  # fmt: skip
    settings = Settings(data=str(tmp_path / "reviews.csv"), target="verdict", ignore=("number",), model=model, model_options=options, epochs=15, learning_rate=0.005)  # fmt: skip
    found = train_run(settings, tmp_path / "run")
    assert found.test["accuracy"] > 0.75  # "not" alone, or "good" alone, says nothing
    opened = open_run(tmp_path / "run")
    (tmp_path / "new.txt").write_text("the film was good\n\nwe saw not bad\n", encoding="utf-8")
    rows = opened.task.predict(opened.model, [str(tmp_path / "new.txt"), "the film was not good"])
    assert [row["text"] for row in rows] == ["the film was good", "we saw not bad", "the film was not good"]
    assert all(row["class"] in ("yes", "no") and row["probability"] > 0.5 for row in rows)


def test_padding_changes_no_answer(tmp_path: Path) -> None:
    """A text beside a longer one is what it is alone."""
    write_reviews(tmp_path / "reviews.csv", 60)
    for model, options in (("rnn_classifier", {"bidirectional": True}), ("bert_classifier", {"width": 16, "heads": 2, "layers": 2})):  # fmt: skip
        task, _ = load_task(Settings(data=str(tmp_path / "reviews.csv"), target="verdict", ignore=("number",), model=model, model_options=options))  # fmt: skip
        network = task.build_model().eval()
        rows = task.rows.encode(["was good", "we saw the film was not bad"])
        alone = network.network(chainrule.tensor(rows[:1, :2]))
        np.testing.assert_allclose(network(chainrule.tensor(rows))[:1].detach(), alone.detach(), atol=1e-5)


@pytest.mark.parametrize("kind", ["labelled texts", "pairs"])
def test_lines_of_a_file_are_answered_as_texts_are(kind: str, tmp_path: Path) -> None:
    task, _ = load_task(Settings(**settings_for_files(tmp_path)[kind]))
    model = task.build_model()
    texts = ["word1 word2", "word3"] if kind == "labelled texts" else ["123", "140"]
    (tmp_path / "lines.txt").write_text("\n\n".join(texts))
    together = task.predict(model, [str(tmp_path / "lines.txt")])
    for have, text in zip(together, texts, strict=True):
        (want,) = task.predict(model, [text])
        assert {**have, "probability": 0} == {**want, "probability": 0}
        assert have.get("probability", 0) == pytest.approx(want.get("probability", 0))
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"there is no text in .*empty\.txt"):
        task.predict(model, [str(tmp_path / "empty.txt")])


def test_rows_of_tokens() -> None:
    rows = TextRows.from_texts("words", ["to be", "or not to be"])
    again = TextRows.from_facts(rows.facts())
    assert rows.encode(["to be"]).tolist()[0][-1] == END and again.encode(["or not"]).tolist() == rows.encode(["or not"]).tolist()  # fmt: skip
    assert rows.decode([START, *rows.encode(["or not"])[0].tolist()]) == "or not"
    with pytest.raises(DataError, match="has 6 words; the model reads 1 to 4"):
        rows.encode(["to be or not to be"])
    assert rows.encode(["to be or not to be"], cut=True).shape == (1, 4)
    with pytest.raises(DataError, match="has 0 words"):
        rows.encode([""], cut=True)
    with pytest.raises(DataError, match="'z', is not in the vocabulary"):
        TextRows.from_texts("characters", ["abc"]).encode(["z"])


def test_dates_are_dates() -> None:
    import datetime

    written, wanted = date_pairs(500, seed=3)
    days = [datetime.date.fromisoformat(text) for text in wanted]
    assert min(day.year for day in days) >= 1950 and max(day.year for day in days) <= 2049
    for text, day in zip(written, days, strict=True):
        assert f"{day.day:02}" in text and f"{day.year % 100:02}" in text
        assert day.strftime("%A")[:3] in text or not any(c.isalpha() for c in text) or "day" not in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "one\ttwo\nthree\n", "line 2: 0 tabs"),
        ("a.tsv", "one\ttwo\t three\n", "line 1: 2 tabs"),
        ("a.tsv", "one\ttwo\n\n \tfour\n", "line 3: "),
        ("a.csv", "x,y\n1,2\n3\n", "line 3: 1 values, the first line has 2"),
        ("a.csv", "x,y,z\n1,2,3\n", "expected two columns, and there are x, y, z; --ignore"),
        ("a.csv", "x,y\n,b\n", "row 1: one of both texts is empty"),
        ("a.csv", "", "expected two columns"),
    ],
)
def test_files_that_are_no_pairs(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name)


def test_columns_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('n,en,de\n1,"yes, sir",jawohl\n', encoding="utf-8")
    assert read_pairs(tmp_path / "a.csv", ignore=["n"]) == (["yes, sir"], ["jawohl"])
    assert read_pairs(tmp_path / "a.csv", "en", ["n"]) == (["jawohl"], ["yes, sir"])
    with pytest.raises(DataError, match="one of them 'fr'"):
        read_pairs(tmp_path / "a.csv", "fr", ["n"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnn_translator", "--data", "digits"], "rnn_translator learns from pairs, and 'digits' is images"),
        (["rnn_classifier", "--data", "shakespeare"], "rnn_classifier learns from labelled texts"),
        (["rnn_translator", "--data", "dates", "--length", "5"], "more than --length 5"),
        (["rnn_translator", "--data", "dates", "--set", "attention=loud"], "attention is 'dot', 'additive' or None"),
        (["rnn_translator", "--data", "dates", "--tokens", "letters"], "letters"),
    ],
)
def test_one_line_for_what_cannot_be(capsys: Any, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    assert ended.value.code == 2 and message in " ".join(capsys.readouterr().err.split())
