"""Columns of numbers as spreadsheets and people write them: read by the stated rule, or named with row and column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chainrule.cli import main
from chainrule.data.readers import from_frame, read_csv
from chainrule.errors import DataError


def table(folder: Path, values: list[str], **options):
    """A table with one column of these values, as a feature; quoted, so that commas are no delimiters."""
    file = folder / "t.csv"
    file.write_text("x\n" + "".join(f'"{value}"\n' for value in values), encoding="utf-8")
    return read_csv(file, **options)


@pytest.mark.parametrize(
    ("values", "options", "numbers"),
    [
        (["1,234", "999", "-1,234,567.5"], {}, [1234, 999, -1234567.5]),
        (["1 234", "5"], {}, [1234, 5]),
        (["1'234'567", "5"], {}, [1234567, 5]),
        (["3,14", "1.234,5", "7"], {"decimal": ","}, [3.14, 1234.5, 7]),
        (["1,234", "0,5"], {"decimal": ",", "delimiter": ";"}, [1.234, 0.5]),
        (["$5", "$1,000", "-$2.50"], {}, [5, 1000, -2.5]),
        (["5 €", "1,000 €"], {}, [5, 1000]),
        (["5 %", "12.5%"], {}, [5, 12.5]),
        (["\N{MINUS SIGN}5", "1e3"], {}, [-5, 1000]),
        ([".5", "5."], {}, [0.5, 5]),
        (["1", "-", "3", "n/a"], {"missing": "mean"}, [1, 2, 3, 2]),
    ],
)
def test_numbers_are_read_by_the_rule(tmp_path, values, options, numbers):
    found = table(tmp_path, values, **options)
    assert found.names == ["x"]
    np.testing.assert_allclose(found.features[:, 0], numbers, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            ["1", "2", "unknown", "4"],
            {},
            r"t\.csv, line 4, column 'x': 'unknown' is no number, but others are, such as '1'",
        ),
        (["1", "-"], {}, "line 3, column 'x': the value is missing"),
        (["3,14", "2,7"], {}, "line 2, column 'x': '3,14' is no number with the decimal mark '.'"),
        (["1,234", "2,7"], {}, "line 3, column 'x': '2,7' is no number, but others are.*decimal=','"),
        (["1,234", "5"], {"delimiter": ";"}, "line 2, column 'x': is '1,234' above a thousand"),
        (["$5", "€5"], {}, "line 3, column 'x': '€5' has not the unit of '\\$5' \\(.*line 2\\)"),
        (["5 %", "5"], {}, "line 3, column 'x': '5' has not the unit of '5 %'"),
        (["1", "12a"], {}, "as_categories=\\['x'\\]"),
        ([f"{n} kg" for n in range(30)], {}, "line 2, column 'x': '0 kg' is no number, and 30 of 30 values differ"),
        ([f"2024-01-{n:02}" for n in range(1, 31)], {}, "dates"),
        ([f"1,23,{n}" for n in range(30)], {}, "line 2"),
    ],
)
def test_what_is_almost_numbers_is_named_with_row_and_column(tmp_path, values, options, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, values, **options)


def test_what_is_said_to_be_categories_is(tmp_path):
    mixed = table(tmp_path, ["1", "12a", "1"], as_categories=["x"])
    assert mixed.categories == {"x": ["1", "12a"]}
    assert table(tmp_path, ["1", "2"], as_categories=["x"]).names == ["x=1", "x=2"]
    again = table(tmp_path, ["1"], like=mixed)
    np.testing.assert_array_equal(again.features, [[1, 0]])
    with pytest.raises(DataError, match="no column 'y'"):
        table(tmp_path, ["1"], as_categories=["y"])


def test_a_target_of_numbers_stays_one(tmp_path):
    with pytest.raises(DataError, match="'b' is no number.*target_classes=True"):
        table(tmp_path, ["1", "b", "2"], target="x", ignore=[])
    file = tmp_path / "two.csv"
    file.write_text('x,y\n1,"1,000"\n2,"2,500"\n')
    found = read_csv(file, target="y")
    assert found.classes is None
    np.testing.assert_array_equal(found.target, [1000, 2500])
    file.write_text("x,y\n1,a\n2,7\n")
    assert read_csv(file, target="y", target_classes=True).classes == ["7", "a"]


def test_a_decimal_mark_is_one(tmp_path):
    for decimal in ("'", ""):
        with pytest.raises(ValueError, match="decimal mark"):
            table(tmp_path, ["1"], decimal=decimal)


def test_frames_are_read_by_the_same_rule():
    pandas = pytest.importorskip("pandas")
    found = from_frame(pandas.DataFrame({"x": ["1,234", "5"]}))
    np.testing.assert_array_equal(found.features, [[1234], [5]])
    with pytest.raises(DataError, match="row 1, column 'x': 'none' is no number"):
        from_frame(pandas.DataFrame({"x": ["1", "none"]}))
    kept = from_frame(pandas.DataFrame({"x": pandas.Series(["1", "none"], dtype="category")}))
    assert kept.names == ["x=1", "x=none"]


@pytest.mark.parametrize(
    "content",
    [
        "data = 5",
        "data-root = 5",
        "epochs = '3'",
        "epochs = 2.5",
        "epochs = true",
        "learning-rate = 'fast'",
        "learning-rate = true",
        "learning-rate = nan",
        "seed = -1",
        "optimizer = ['adam']",
        "optimizer = 3",
        "ignore = 'x'",
        "ignore = [1]",
        "ignore = 5",
        "as-categories = 'x'",
        "decimal = 1",
        "missing = 3",
        "flip = 'no'",
        "compile = 1",
        "model-options = 3",
        "model = 'mlp'\n[model-options]\nhidden = 'wide'",
        "model = 'lenet5'\n[model-options]\nactivation = 5",
        "model = 'convnet'\n[model-options]\nwidth = 'wide'",
        "size = 1979-05-27",
        "[data]\nname = 'digits'",
        "data = 'digits'\ndata = 'mnist'",
        "x = " + "[" * 5000 + "]" * 5000,
    ],
)
def test_a_wrong_type_in_a_settings_file_is_one_line(tmp_path, capsys, content):
    file = tmp_path / "run.toml"
    file.write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(file), "--output", str(tmp_path / "run"), "-q"])
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert len(printed.err.splitlines()) == 1 and not printed.out
    assert printed.err.startswith("chainrule: ")


@pytest.mark.parametrize("content", ["[]", "3", '{"settings": []}', '{"settings": {"seed": null}}', '{"settings": 3}'])
def test_a_wrong_type_in_a_run_is_one_line(tmp_path, capsys, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["train", "--resume", str(tmp_path), "-q"])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_command_reads_such_tables(tmp_path, capsys):
    rows = "".join(f'"{n},5",{n % 3},"{1000 * n + 1},25"\n' for n in range(1, 41))
    (tmp_path / "t.csv").write_text("x,zone,price\n" + rows)
    given = ["train", "--data", str(tmp_path / "t.csv"), "--target", "price", "--epochs", "2", "-q"]
    with pytest.raises(SystemExit) as stop:
        main([*given, "--output", str(tmp_path / "a")])
    assert stop.value.code == 2 and "decimal=','" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([*given, "--output", str(tmp_path / "b"), "--decimal", ",", "--category", "zone"])
    assert stop.value.code == 0
    facts = json.loads((tmp_path / "b" / "facts.json").read_text())
    assert facts["names"] == ["x", "zone=0", "zone=1", "zone=2"] and facts["classes"] is None
    for edit in ({}, {"names": 3}, {**facts, "mean": "x"}):
        (tmp_path / "b" / "facts.json").write_text(json.dumps(edit))
        with pytest.raises(SystemExit) as stop:
            main(["predict", str(tmp_path / "b"), str(tmp_path / "t.csv")])
        assert stop.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1
