"""How long a piece of Python takes, under PyTorch's names: `Timer` and what it answers.

>>> timer = Timer("sum(numbers)", globals={"numbers": range(100)})
>>> timer.timeit(10).number_per_run
10
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chainrule.backends.native.run.pool import get_num_threads, set_num_threads

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["Compare", "Measurement", "Timer"]

#: How a time is shown: the largest of these units that is not larger than it.
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


@dataclass
class Measurement:
    """Times of one piece of code, each of `number_per_run` runs.

    Attributes:
        number_per_run: how often the code ran for each of the times.
        raw_times: seconds, for all these runs together.
        title: what was measured.
        num_threads: on how many threads.
    """

    number_per_run: int
    raw_times: list[float]
    title: str = ""
    label: str = ""
    sub_label: str = ""
    description: str = ""
    num_threads: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> list[float]:
        """Seconds for one run."""
        return [time / self.number_per_run for time in self.raw_times]

    @property
    def mean(self) -> float:
        """Seconds for one run, on average."""
        return statistics.fmean(self.times)

    @property
    def median(self) -> float:
        """Seconds for one run, in the middle: half of the times are longer."""
        return statistics.median(self.times)

    @property
    def iqr(self) -> float:
        """The distance between the times that a quarter lies above and a quarter below."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    def meets_confidence(self, threshold: float = 0.2) -> bool:
        """Whether the quartiles are no further apart than this share of the median."""
        return len(self.times) > 1 and self.iqr <= threshold * self.median

    def __repr__(self) -> str:
        spread = f"\n  IQR: {_shown(self.iqr)}" if len(self.times) > 1 else ""
        count = f"{len(self.times)} measurement{'s' * (len(self.times) > 1)}"
        return (
            f"{self.title}\n  Median: {_shown(self.median)}{spread}\n"
            f"  {count}, {self.number_per_run} runs each, {self.num_threads} thread{'s' * (self.num_threads > 1)}"
        )


def _shown(seconds: float) -> str:
    name, unit = next((u for u in _UNITS if seconds >= u[1]), _UNITS[-1])
    return f"{seconds / unit:.4g} {name}"


class Timer:
    """Measures a statement as `timeit` does, on one thread unless told otherwise.

    Args:
        stmt: the code to measure.
        setup: code that runs once before it, not measured.
        global_setup: taken for PyTorch's sake, where it is C++.
        timer: the clock, in seconds.
        globals: the names that the code may use, beside `chainrule`.
        label: what is measured; `sub_label` and `description` tell variants apart in a table.
        num_threads: how many threads compiled functions use meanwhile.
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timeit.default_timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if getattr(language, "value", language) not in ("python", "py", 0) or global_setup:
            raise ValueError("Timer measures Python: language='python', and no global_setup.")
        import chainrule

        self.stmt, self.num_threads = stmt, num_threads
        self.names: dict[str, Any] = {
            "label": label or "",
            "sub_label": sub_label or "",
            "description": description or "",
        }
        self._timer = timeit.Timer(stmt, setup, timer, {"chainrule": chainrule, **(globals or {})})

    def _run(self, number: int) -> float:
        before = get_num_threads()
        set_num_threads(self.num_threads)
        try:
            return self._timer.timeit(number)
        finally:
            set_num_threads(before)

    def _measurement(self, number: int, times: list[float]) -> Measurement:
        title = ": ".join(part for part in (self.names["label"] or self.stmt, self.names["sub_label"]) if part)
        return Measurement(number, times, title, **self.names, num_threads=self.num_threads)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """One time of so many runs, after some that do not count."""
        self._run(max(number // 100, 1))
        return self._measurement(number, [self._run(number)])

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Times until they add up to `min_run_time` seconds, each of so many runs that the clock does not matter.

        callback: told after each of them how many runs it had and how long they took.
        """
        number = self._enough(min_run_time)
        times: list[float] = []
        while sum(times) < min_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
        return self._measurement(number, times)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Times until `meets_confidence(threshold)`, but for at most `max_run_time` seconds."""
        number = self._enough(min_run_time)
        times: list[float] = []
        while sum(times) < max_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
            found = self._measurement(number, times)
            if len(times) >= 4 and sum(times) >= min_run_time and found.meets_confidence(threshold):
                break
        return self._measurement(number, times)

    def _enough(self, min_run_time: float) -> int:
        """How many runs take a thousandth of the whole time, and at least a microsecond."""
        number = 1
        while (time := self._run(number)) < max(min_run_time / 1000, 1e-6) and time * 10 < min_run_time:
            number *= 10
        return number


class Compare:
    """A table of measurements: a row for each `sub_label`, a column for each `description`.

    >>> table = Compare([Measurement(1, [2e-3], label="sum", sub_label="n=8", description="ours")])
    >>> print(table)
    sum   ours
    n=8   2 ms
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results = list(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """More measurements for the table."""
        self._results.extend(results)

    def __str__(self) -> str:
        columns = list(dict.fromkeys(m.description for m in self._results))
        lines = []
        for label in dict.fromkeys(m.label for m in self._results):
            part = [m for m in self._results if m.label == label]
            rows = [[label, *columns]]
            for row in dict.fromkeys(m.sub_label or m.title for m in part):
                cells = {m.description: _shown(m.median) for m in part if (m.sub_label or m.title) == row}
                rows.append([row, *(cells.get(column, "") for column in columns)])
            widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
            lines += ["   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

    def print(self) -> None:
        """Print the table."""
        print(str(self))

    def trim_significant_figures(self) -> None:
        """Nothing: times are shown with four digits."""

    def colorize(self, rowwise: bool = False) -> None:
        """Nothing: the table has no colours."""
