"""Tables: CSV and Parquet files, and data frames of pandas.

CSV needs nothing but Python. Parquet needs `pyarrow`, which comes with `pip install chainrule[tables]`; data frames
of pandas are taken as they are.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.data.readers.features import Column, Options, Table, assemble
from chainrule.data.readers.source import FilePath, read_bytes, too_large
from chainrule.data.readers.text import read_text
from chainrule.errors import DataError

MAX_TABLE_BYTES = 2**28
"""How large a table file may be, decoded, unless told otherwise: 256 MiB. Its text takes up to 20 times that while it
is being read."""

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What stands for a missing value in a CSV file unless told otherwise."""

_BLOCK = 4096  # rows at a time: their lists are short-lived


def read_csv(
    path: FilePath,
    *,
    header: bool = True,
    delimiter: str = ",",
    decimal: str = ".",
    missing_values: Sequence[str] = MISSING,
    max_bytes: int = MAX_TABLE_BYTES,
    **options: Any,
) -> Table:
    r"""A table from a CSV file (UTF-8, plain or gzip-compressed).

    A column is one of numbers if every value is a number, with or without marks between thousands, a currency's sign or
    a percent sign (`numbers.read_column` has the rule); a lone dash among them is a missing value. It is one of
    categories if none is. A column that has both is an error, which says what to do.

    Args:
        path: the file.
        header: the first line has the columns' names; without it they are "column 1", "column 2" and so on.
        delimiter: what stands between the fields.
        decimal: what stands before the fraction of a number, "." or ",".
        missing_values: the texts that stand for a missing value.
        max_bytes: how large the decoded file, and the features made from it, may be.
        options: `target`, `missing` and so on, see `Options`.

    Raises:
        DataError: the file cannot be read, a row has too few or too many fields, a value is missing or infinite, a
            column is neither of numbers nor of categories; names file, line and column.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pets.csv"
    ...     _ = file.write_text("weight,coat,kind\n4.5,long,cat\n12,short,dog\n")
    ...     table = read_csv(file, target="kind")
    >>> table.names, table.classes, table.target
    (['weight', 'coat=long', 'coat=short'], ['cat', 'dog'], array([0, 1]))
    >>> table.features
    array([[ 4.5,  1. ,  0. ],
           [12. ,  0. ,  1. ]], dtype=float32)
    """
    if len(delimiter) != 1:
        raise ValueError(f"a delimiter is one character, got {delimiter!r}.")
    if decimal not in (".", ","):
        raise ValueError(f"a decimal mark is '.' or ',', got {decimal!r}.")
    chosen = Options(**options)
    return table_of(read_text(path, max_bytes), path, chosen, header, delimiter, decimal, missing_values, max_bytes)


def table_of(
    text: str,
    path: FilePath,
    chosen: Options,
    header: bool = True,
    delimiter: str = ",",
    decimal: str = ".",
    missing_values: Sequence[str] = MISSING,
    max_bytes: int = MAX_TABLE_BYTES,
) -> Table:
    r"""`read_csv` of a text; `path` is what errors call it.

    >>> table_of("a,b\n1,2\n", "the row", Options()).features
    array([[1., 2.]], dtype=float32)
    """
    names: list[str] = []
    columns: list[list[str]] = []
    lines: list[int] = []
    for block_lines, block in _blocks(_rows(text, path, delimiter)):
        if not columns:
            names = block[0] if header else [""] * len(block[0])
            names = [name.strip() or f"column {number}" for number, name in enumerate(names, start=1)]
            columns = [[] for _ in names]
            block_lines, block = block_lines[header:], block[header:]
        _check_widths(block_lines, block, len(names), path)
        lines += block_lines
        for column, values in zip(columns, zip(*block)):
            column += values
    if not lines:
        raise DataError(f"{path} has no rows{' after its heading' if header and names else ''}.")

    def where(row: int) -> str:
        return f"{path}, line {lines[row]:,}"

    missing = frozenset(missing_values)
    texts = {*chosen.as_categories, *(chosen.like.categories if chosen.like is not None else ())}
    parsed = [_parse(column, missing, name in texts) for name, column in zip(names, columns)]
    return assemble(
        str(path), names, chosen.read_texts(names, parsed, where, decimal, delimiter), where, chosen, max_bytes
    )


def column_names(path: FilePath, *, delimiter: str = ",", max_bytes: int = MAX_TABLE_BYTES) -> list[str]:
    r"""The columns of a table's file (CSV or Parquet), as its readers call them. Raises DataError as they do.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pets.csv"
    ...     _ = file.write_text("weight,kind\n4.5,cat\n")
    ...     column_names(file)
    ['weight', 'kind']
    """
    if str(path).endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        try:
            return list(pyarrow.parquet.read_schema(pyarrow.BufferReader(read_bytes(path, max_bytes))).names)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path} is no Parquet file, or is damaged: {str(error).partition(chr(10))[0]}") from error
    first = next(_rows(read_text(path, max_bytes), path, delimiter), None)
    if first is None:
        raise DataError(f"{path} has no rows.")
    return [name.strip() or f"column {number}" for number, name in enumerate(first[1], start=1)]


def read_parquet(path: FilePath, *, max_bytes: int = MAX_TABLE_BYTES, **options: Any) -> Table:
    """A table from a Parquet file; options and errors as `read_csv`, rows counted from 0.

    Raises ImportError without `pyarrow`.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("reading Parquet needs pyarrow: pip install 'chainrule[tables]'") from error
    chosen = Options(**options)
    source = pyarrow.BufferReader(read_bytes(path, max_bytes))
    try:
        schema = pyarrow.parquet.read_schema(source)
        texts = [f.name for f in schema if pyarrow.types.is_string(f.type) or pyarrow.types.is_large_string(f.type)]
        source.seek(0)
        # Texts stay as places in a dictionary: one long text repeated a million times takes no memory.
        file = pyarrow.parquet.ParquetFile(source, read_dictionary=texts)
        if file.metadata.num_rows * max(len(schema), 1) * 8 > max_bytes:
            raise too_large(path, max_bytes, f": {file.metadata.num_rows:,} rows of {len(schema):,} columns")
        kept = [name for name in schema.names if name not in chosen.ignore]
        content = file.read(columns=kept)
        columns: list[Column] = [
            _from_arrow(content.column(name), name, path) if name in kept else [] for name in schema.names
        ]
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no Parquet file, or is damaged: {reason}") from error
    if not file.metadata.num_rows:
        raise DataError(f"{path} has no rows.")

    def where(row: int) -> str:
        return f"{path}, row {row:,}"

    return assemble(str(path), list(schema.names), columns, where, chosen, max_bytes)


def from_frame(frame: Any, *, max_bytes: int = MAX_TABLE_BYTES, **options: Any) -> Table:
    """A table from a pandas data frame; options and errors as `read_csv`, rows called by their index.

    Texts that are numbers are read as numbers; a column of the type "category" is one of categories.
    """
    chosen = Options(**options)
    names = [str(name) for name in frame.columns]
    declared = list(chosen.as_categories)
    columns: list[Column] = []
    for number in range(len(names)):
        series = frame.iloc[:, number]
        kind = getattr(series.dtype, "kind", "O")
        if names[number] in chosen.ignore:
            columns.append([])
        elif kind in "biuf":
            columns.append(series.to_numpy(dtype=np.float64, na_value=np.nan))
        elif kind in "Mmc":
            raise DataError(
                f"the column {names[number]!r} of the data frame has values of {series.dtype}; make it numbers."
            )
        else:
            absent = series.isna().to_numpy()
            columns.append([None if gone else str(value) for value, gone in zip(series, absent)])
            if str(series.dtype) == "category":
                declared.append(names[number])
    if not len(frame):
        raise DataError("the data frame has no rows.")

    def where(row: int) -> str:
        return f"the data frame, row {frame.index[row]!r}"

    columns = dataclasses.replace(chosen, as_categories=declared).read_texts(names, columns, where, ".", ",")
    return assemble("the data frame", names, columns, where, chosen, max_bytes)


def _rows(text: str, path: FilePath, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, and the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {line:,}: {error}.") from error
        if row is None:
            return
        if row:
            yield line, row
        line = reader.line_num + 1


def _blocks(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[list[int], list[list[str]]]]:
    """The rows, some thousand at a time."""
    lines: list[int] = []
    block: list[list[str]] = []
    for line, row in rows:
        lines.append(line)
        block.append(row)
        if len(block) == _BLOCK:
            yield lines, block
            lines, block = [], []
    if block:
        yield lines, block


def _check_widths(lines: list[int], block: list[list[str]], width: int, path: FilePath) -> None:
    for line, row in zip(lines, block):
        if len(row) != width:
            raise DataError(
                f"{path}, line {line:,}: {len(row):,} fields, but the first line has {width:,}. A "
                "field that has the delimiter in it must stand in quotation marks."
            )


def _parse(texts: list[str], missing: frozenset[str], as_texts: bool) -> Column:
    """The column as numbers if Python reads every text as one (or it is missing), else as texts."""
    try:
        if as_texts or any("_" in text for text in texts):  # Python would read 1_000 as a number
            raise ValueError
        return np.fromiter((np.nan if text in missing else float(text) for text in texts), np.float64, len(texts))
    except ValueError:
        stripped = (text.strip() for text in texts)
        return [None if text in missing else text for text in stripped]


def _from_arrow(column: Any, name: str, path: FilePath) -> Column:
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_boolean(kind):
        column, kind = column.cast(pyarrow.int8()), pyarrow.int8()
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        return np.array(column.cast(pyarrow.float64(), safe=False).to_numpy(), np.float64)
    if types.is_dictionary(kind) and (types.is_string(kind.value_type) or types.is_large_string(kind.value_type)):
        texts: list[str | None] = []
        for chunk in column.chunks:
            words = chunk.dictionary.to_pylist()
            texts += [None if place is None else words[place] for place in chunk.indices.to_pylist()]
        return texts
    raise DataError(f"{path}, column {name!r}: values of type {kind} are no features; leave it out: ignore=[{name!r}].")
