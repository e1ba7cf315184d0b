"""Measuring competitors fairly on a shared, noisy machine: in turn, many rounds, medians of ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Comparison:
    """What a comparison found.

    Attributes:
        milliseconds: the median time of each competitor.
        ratio: the median over rounds of (first competitor's time / each one's time in the same round).
    """

    milliseconds: dict[str, float]
    ratio: dict[str, float]


def compare(competitors: dict[str, Callable[[], object]], seconds: float = 1.0, warmup: int = 3) -> Comparison:
    """Run the competitors in turn, round after round, for about `seconds` in all.

    Neighbouring runs meet the same state of the machine, so the ratio within a round is steadier than the times.
    Fast functions are repeated within a run until it takes at least 2 ms.
    """
    repeats = {name: _repeats(function, warmup) for name, function in competitors.items()}
    times: dict[str, list[float]] = {name: [] for name in competitors}
    gc.collect()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 7:
        for name, function in competitors.items():
            times[name].append(_time(function, repeats[name]))
    first = next(iter(times))
    ratio = {
        name: statistics.median(ours / theirs for ours, theirs in zip(times[first], runs, strict=True))
        for name, runs in times.items()
    }
    return Comparison({name: statistics.median(runs) * 1e3 for name, runs in times.items()}, ratio)


def _time(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def _repeats(function: Callable[[], object], warmup: int) -> int:
    for _ in range(warmup):
        function()
    return max(1, int(2e-3 / max(_time(function, 3), 1e-9)))
