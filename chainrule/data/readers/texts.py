"""Rows of texts from files: tables (.csv), and lines of two texts with a tab between them (.tsv, .txt)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from chainrule.data.readers.text import read_text
from chainrule.errors import DataError


def read_rows(path: str | Path) -> tuple[list[str], list[list[str]]]:
    r"""The first line of a CSV file, and all further rows, each as many texts.

    Raises DataError if the file cannot be read, or a row has another length than the first one.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reviews.csv"
    >>> _ = path.write_text('text,label\n"good, really",yes\n')
    >>> read_rows(path)
    (['text', 'label'], [['good, really', 'yes']])
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            heading, rows = next(reader, []), []
            for row in reader:
                if len(row) != len(heading):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(row)} values, the first line has {len(heading)}."
                    )
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return heading, rows


def read_pairs(path: str | Path, answer: str | None = None, ignore: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Pairs of texts: what is read, and what it should become (a translation, or a label).

    A .csv file has two columns besides those to `ignore`; the answers are in the second, or in that named by `answer`.
    Every other file has a source, a tab and an answer in each line; empty lines are left out.

    Raises DataError, with the row or line, for what is no pair, and where one of both is empty.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        pairs, kind = _two_columns(path, answer, ignore), "row"
    else:
        pairs, kind = _tabbed_lines(path), "line"
    for number, pair in pairs:
        if not all(text.strip() for text in pair):
            raise DataError(f"{path}, {kind} {number}: one of both texts is empty: {pair!r:.80}.")
    return [source for _, (source, _) in pairs], [found for _, (_, found) in pairs]


def _two_columns(path: Path, answer: str | None, ignore: Sequence[str]) -> list[tuple[int, tuple[str, str]]]:
    heading, rows = read_rows(path)
    names = [name for name in heading if name not in ignore]
    if len(names) != 2 or (answer is not None and answer not in names):
        wanted = "two columns" if answer is None else f"two columns, one of them {answer!r}"
        raise DataError(
            f"{path}: expected {wanted}, and there are {', '.join(names)[:200]}; --ignore leaves columns out."
        )
    last = names[1] if answer is None else answer
    first = names[0] if last == names[1] else names[1]
    return [(number, (row[heading.index(first)], row[heading.index(last)])) for number, row in enumerate(rows, 1)]


def _tabbed_lines(path: Path) -> list[tuple[int, tuple[str, str]]]:
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        source, *rest = line.split("\t")
        if len(rest) != 1:
            raise DataError(f"{path}, line {number}: {len(rest)} tabs; each line is a source, a tab and an answer.")
        pairs.append((number, (source, rest[0])))
    return pairs
