"""Where a program's time goes: each kernel measured while the whole program runs."""

from __future__ import annotations

import ctypes
import functools
import html
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.executable import Executable
from chainrule.backends.native.run.machine import Library, compile_text
from chainrule.backends.native.run.pool import get_num_threads
from chainrule.files import write_text
from chainrule.primitives.value import Array


class Row(NamedTuple):
    """One kernel: seconds per run, operations and bytes it cannot do without, what it is, its place in the program."""

    seconds: float
    operations: int
    bytes: int
    parts: int
    title: str
    number: int = 0


class Span(NamedTuple):
    """A kernel on a thread in the shortest run: its place, and the seconds from the beginning to its start and end."""

    thread: int
    number: int
    start: float
    stop: float


class Profile(NamedTuple):
    """All kernels, the slowest first, the seconds of a whole run, and who did what when in the shortest one."""

    seconds: float
    rows: list[Row]
    spans: tuple[Span, ...] = ()

    def __repr__(self) -> str:
        lines = [
            f"{self.seconds * 1e3:.3f} ms a run, {self._inside * 1e3:.3f} ms of it in kernels",
            "      µs  share  GFLOP/s   GB/s  parts  kernel",
        ]
        for spent, share, rate, flow, parts, title in map(self._cells, self.rows):
            lines.append(f"{spent:>8} {share:>6} {rate:>8} {flow:>6} {parts:>6}  {title}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        head = "".join(f"<th>{name}</th>" for name in ("µs", "share", "GFLOP/s", "GB/s", "parts", "kernel"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in self._cells(row)) + "</tr>"
            for row in self.rows
        )
        caption = f"{self.seconds * 1e3:.3f} ms a run, {self._inside * 1e3:.3f} ms of it in kernels"
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"

    @property
    def _inside(self) -> float:
        return sum(row.seconds for row in self.rows)

    def _cells(self, row: Row) -> tuple[str, ...]:
        rate = f"{row.operations / row.seconds / 1e9:.0f}" if row.operations and row.seconds else ""
        flow = row.bytes / row.seconds / 1e9 if row.seconds else 0.0
        share = row.seconds / max(self._inside, 1e-12)
        return f"{row.seconds * 1e6:.1f}", f"{share:.1%}", rate, f"{flow:.1f}", str(row.parts), row.title

    def chrome_trace(self, file: str | Path) -> None:
        """Write who did what when in the shortest run, for chrome://tracing, ui.perfetto.dev and the like.

        The format is the trace events of Chromium: a complete event ("X") for each kernel and thread, in microseconds.
        """
        rows = {row.number: row for row in self.rows}
        threads = sorted({span.thread for span in self.spans})
        events: list[dict[str, Any]] = [
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": thread, "args": {"name": f"thread {thread}"}}
            for thread in threads
        ]
        events += [
            {
                "name": rows[span.number].title,
                "cat": "kernel",
                "ph": "X",
                "pid": 1,
                "tid": span.thread,
                "ts": span.start * 1e6,
                "dur": (span.stop - span.start) * 1e6,
                "args": {"parts": rows[span.number].parts, "operations": rows[span.number].operations},
            }
            for span in self.spans
        ]
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, ensure_ascii=False)
        write_text(file, text)


@functools.cache
def cycle_counter() -> tuple[Any, Callable[[], int]]:
    """The processor's cycle counter, with the library that it lives in."""
    read = "%now = call i64 @llvm.readcyclecounter()"
    text = f"declare i64 @llvm.readcyclecounter()\ndefine i64 @now() {{ {read}\n ret i64 %now }}"
    library = Library(compile_text(text))
    return library, ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("now"))


@functools.cache
def cycles_per_second() -> float:
    """How fast the processor's cycle counter counts."""
    now = cycle_counter()[1]
    cycles, start = now(), time.perf_counter()
    time.sleep(0.05)
    return float((now() - cycles) / (time.perf_counter() - start))


def measure(executable: Executable, run: Callable[[], Any], runs: int) -> Profile:
    """Run a program some times while its kernels are timed on the first thread, waiting included."""
    threads = get_num_threads()
    watch = np.zeros((len(executable.kernels), 1 + 2 * threads), np.int64)
    executable.watch, executable.clock = watch, cycle_counter()[1]
    total, shortest, kept = 0.0, float("inf"), watch
    busiest = np.zeros(len(watch), np.int64)
    try:
        for _ in range(runs):
            watch[:, 1:] = 0
            start = time.perf_counter()
            run()
            spent = time.perf_counter() - start
            total += spent
            busiest += (watch[:, 2::2] - watch[:, 1::2]).max(axis=1)
            if spent < shortest:
                shortest, kept = spent, watch.copy()
    finally:
        executable.watch = None
    seconds = total / runs
    rows = []
    for i, kernel in enumerate(executable.kernels):
        # Where the first thread came too late to do a part, the others' time counts.
        spent = max(watch[i, 0], busiest[i]) / cycles_per_second() / runs
        rows.append(Row(spent, kernel.operations, kernel.bytes, kernel.parts, kernel.title, i))
    return Profile(seconds, sorted(rows, reverse=True), tuple(_spans(kept, threads)))


def _spans(watch: Array, threads: int) -> Iterator[Span]:
    """When each thread began and ended its parts of each kernel; of what runs many times the last time counts."""
    times = watch[:, 1:].reshape(len(watch), threads, 2)
    first = times[times > 0].min(initial=np.iinfo(np.int64).max)
    for number, thread in np.argwhere(times[:, :, 1] > 0):
        begun, ended = (times[number, thread] - first) / cycles_per_second()
        yield Span(int(thread), int(number), float(begun), float(ended))
