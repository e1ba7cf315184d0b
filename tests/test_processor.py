"""What is known of the processor, and what it is measured to reach."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import chainrule
from chainrule.backends.native.emitting.tile import most_rows
from chainrule.backends.native.run import pool, processor, rates
from chainrule.cli import main


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A Linux machine to be described: a function that lays out which logical processor belongs to which core."""

    def lay_out(cores: dict[int, int], usable: set[int]) -> None:
        for number, core in cores.items():
            folder = tmp_path / f"cpu{number}/topology"
            folder.mkdir(parents=True)
            (folder / "core_id").write_text(f"{core % 10}\n")
            (folder / "physical_package_id").write_text(f"{core // 10}\n")
        monkeypatch.setattr(processor, "_CPUS", tmp_path)
        monkeypatch.setattr(processor, "_mac", lambda name: 0)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: usable, raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: max(len(cores), len(usable)))
        processor._core_of_each.cache_clear()
        processor._cores_among.cache_clear()

    yield lay_out
    processor._core_of_each.cache_clear()
    processor._cores_among.cache_clear()


@pytest.mark.parametrize(
    ("cores", "usable", "expected"),
    [
        ({0: 0, 1: 0, 2: 1, 3: 1}, {0, 1, 2, 3}, 2),  # two threads for each core
        ({0: 0, 1: 1, 2: 0, 3: 1}, {0, 1, 2, 3}, 2),  # numbered the other way
        ({0: 0, 1: 0, 2: 1, 3: 1}, {0, 1}, 1),  # bound to one core
        ({0: 0, 1: 0, 2: 1, 3: 1}, {1, 2}, 2),
        ({0: 0, 1: 10, 2: 1, 3: 11}, {0, 1, 2, 3}, 4),  # two packages, whose cores have the same numbers
        ({}, {0, 1, 2}, 3),  # a system that does not say
    ],
)
def test_threads_of_one_core_count_once(
    system: Any, monkeypatch: pytest.MonkeyPatch, cores: dict[int, int], usable: set[int], expected: int
) -> None:
    monkeypatch.setattr(pool, "_wanted", None)
    system(cores, usable)
    assert processor.usable_cores() == chainrule.get_num_threads() == expected


def test_caches_are_read_as_the_kernel_describes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    described = [("1", "Data", "32K", "0,4"), ("1", "Instruction", "64K", "0,4"), ("3", "Unified", "24M", "0-7")]
    for i, texts in enumerate(described):
        folder = tmp_path / f"cpu0/cache/index{i}"
        folder.mkdir(parents=True)
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), texts, strict=True):
            (folder / name).write_text(text + "\n")
    monkeypatch.setattr(processor, "_CPUS", tmp_path)
    assert processor._caches() == ((1, 32 * 2**10, 2), (3, 24 * 2**20, 8))


def test_a_tile_fits_into_the_registers() -> None:
    for bits in (128, 256, 512):
        rows, registers = most_rows(bits), processor.vector_registers(bits)
        assert 2 * rows + 2 + 1 <= registers < 2 * (rows + 1) + 2 + 1


def test_a_core_reaches_no_more_than_vectors_allow() -> None:
    """At most two vectors multiplied and added in a cycle, four on the widest cores, and no core has 8 GHz."""
    found = rates._peak(1)
    assert 0 < found < 4 * 2 * processor.processor().vector_bits / 32 * 8e9


def test_info_can_be_pasted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Other processes put code into the user's directory between the two calls.
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "code"))
    for arguments in (["info", "--no-measure"], ["info", "--no-measure", "--json"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
    out = capsys.readouterr().out
    text, found = out[: out.index("{")], json.loads(out[out.index("{") :])
    assert found["chainrule"] == chainrule.__version__
    for name, value in found.items():
        assert f"{name.replace('_', ' '):12} {value}" in text
    assert {"processor", "cores", "vectors", "caches", "python", "numpy", "llvmlite", "code_kept"} <= set(found)
