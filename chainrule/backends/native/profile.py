"""Where a program's time goes: each kernel measured while the whole program runs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.executable import Executable, describe
from chainrule.backends.native.run.machine import Library, compile_text


class Row(NamedTuple):
    """One kernel: seconds per run, operations and bytes it cannot do without, and what it is."""

    seconds: float
    operations: int
    bytes: int
    parts: int
    title: str


class Profile(NamedTuple):
    """All kernels, the slowest first, and the seconds of a whole run."""

    seconds: float
    rows: list[Row]

    def __repr__(self) -> str:
        inside = sum(row.seconds for row in self.rows)
        lines = [
            f"{self.seconds * 1e3:.3f} ms a run, {inside * 1e3:.3f} ms of it in kernels",
            "      µs  share  GFLOP/s   GB/s  parts  kernel",
        ]
        for row in self.rows:
            rate = f"{row.operations / row.seconds / 1e9:8.0f}" if row.operations and row.seconds else " " * 8
            flow = row.bytes / row.seconds / 1e9 if row.seconds else 0.0
            share = row.seconds / max(inside, 1e-12)
            lines.append(f"{row.seconds * 1e6:8.1f} {share:6.1%} {rate} {flow:6.1f} {row.parts:6d}  {row.title}")
        return "\n".join(lines)


@functools.cache
def cycles_per_second() -> float:
    """How fast the processor's cycle counter counts."""
    import ctypes

    read = "%now = call i64 @llvm.readcyclecounter()"
    text = f"declare i64 @llvm.readcyclecounter()\ndefine i64 @now() {{ {read}\n ret i64 %now }}"
    library = Library(compile_text(text))
    now = ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("now"))
    cycles, start = now(), time.perf_counter()
    time.sleep(0.05)
    return float((now() - cycles) / (time.perf_counter() - start))


def measure(executable: Executable, run: Callable[[], Any], runs: int) -> Profile:
    """Run a program some times while its kernels are timed on the first thread, waiting included."""
    counts = np.zeros(len(executable.groups), np.int64)
    executable.watch = counts
    start = time.perf_counter()
    try:
        for _ in range(runs):
            run()
    finally:
        executable.watch = None
    seconds = (time.perf_counter() - start) / runs
    rows = []
    for i, (row, call) in enumerate(zip(executable.rows, executable.calls, strict=True)):
        group = row.group
        spent = counts[i] / cycles_per_second() / runs
        operations = row.times * group.product.operations if group.product is not None else 0
        touched = row.times * sum(buffer.bytes for buffer in group.reads | group.writes) if group.loop is None else 0
        rows.append(Row(spent, operations, touched, call.parts if call else 0, describe(group)))
    return Profile(seconds, sorted(rows, reverse=True))
