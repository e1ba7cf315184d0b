"""Safetensors files whose header lies: refused, named, and small in memory, from a path and from a stream."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.serialization import _checksum


def file(header: Any, data: int = 8) -> bytes:
    """A file with any header, and so many bytes of zeros as data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def entry(shape: Any = (2,), at: Any = (0, 8), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(at)}


def described(structure: str, version: int = 1) -> bytes:
    """A file that calls itself one of ours, with this description of what was saved, and its checksum if it has one."""
    try:
        checksum = _checksum(json.loads(structure), {"a": np.zeros(2, np.float32)})
    except (ValueError, RecursionError):
        checksum = 0
    record = f'{{"version": {version}, "checksum": {checksum}, "object": {structure}}}'
    return file({"__metadata__": {"chainrule": record}, "a": entry()})


LIES = {
    "two in one place": file({"a": entry(), "b": entry()}),
    "overlapping": file({"a": entry(), "b": entry(at=(4, 12))}, 12),
    "a hole": file({"a": entry(), "b": entry(at=(16, 24))}, 24),
    "more data": file({"a": entry()}, 9),
    "less data": file({"a": entry((200,), (0, 800))}),
    "another size": file({"a": entry((3,))}),
    "backwards": file({"a": entry(at=(8, 0))}),
    "negative place": file({"a": entry(at=(-8, 0))}),
    "negative shape": file({"a": entry((-2,))}),
    "overflow": file({"a": entry((2**62, 8))}),
    "overflow of nothing": file({"a": entry((2**40, 2**40, 0), (0, 0))}, 0),
    "unknown type": file({"a": entry(dtype="F99")}),
    "no entry": file({"a": "x"}),
    "no dictionary": file([1, 2]),
    "no text": file(b"\xff\xfe{}"),
    "deep": file(b"[" * 100_000),
    "deep entry": file(b'{"a":' + b"[" * 100_000),
    "metadata that is no text": file({"__metadata__": {"x": 3}, "a": entry()}),
    "metadata that is a list": file({"__metadata__": [1], "a": entry()}),
    "a longer header than the file": (2**40).to_bytes(8, "little") + b"{}",
    "another version": described("1", 99),
    "our checksum is wrong": described("1").replace(b"F32", b"I32"),
    "a tensor that is not there": described('{"tensor": {"name": "b"}}'),
    "an object of no kind": described('{"call": ["os.system", "true"]}'),
    "no name": described('{"tensor": [1]}'),
    "our description is deep": described("[" * 700 + "]" * 700),
    "our description is very deep": described("[" * 100_000 + "]" * 100_000),
    "our description is cut": described("["),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "lie.safetensors"
    path.write_bytes(LIES[lie])
    tracemalloc.start()
    with pytest.raises(chainrule.CheckpointError, match=r"lie\.safetensors"):
        chainrule.load(path)
    with pytest.raises(chainrule.CheckpointError):
        chainrule.load(io.BytesIO(LIES[lie]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_an_honest_header_is_read() -> None:
    assert chainrule.load(io.BytesIO(file({"a": entry()})))["a"].tolist() == [0, 0]
    assert chainrule.load(io.BytesIO(described('{"tuple": [1, {"tensor": {"name": "a"}}]}')))[0] == 1


def test_bfloat16_is_read_where_nothing_has_asked_for_it_before(tmp_path: Path) -> None:
    """NumPy learns the type from another package; a new process has not met it."""
    (tmp_path / "a.safetensors").write_bytes(file({"a": entry((2,), (0, 4), "BF16")}, 4))
    program = (
        f"import chainrule; a = chainrule.load({str(tmp_path / 'a.safetensors')!r})['a']; print(a.dtype, a.tolist())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.split() == ["chainrule.bfloat16", "[0.0,", "0.0]"], found.stderr
