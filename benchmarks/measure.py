"""Measuring competitors fairly on a shared, noisy machine: in turn, many rounds, medians of ratios."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
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
    return _summary(times)


def _time(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def _repeats(function: Callable[[], object], warmup: int) -> int:
    for _ in range(warmup):
        function()
    return max(1, int(2e-3 / max(_time(function, 3), 1e-9)))


class Apart:
    """A competitor in a process of its own: two libraries' idle threads spin, and would slow each other down.

    `module` is run with the given arguments; it must call `serve(function)`. The processes that it starts (those that
    compile for PyTorch) stop and go with it.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )

    def seconds(self, what: str = "go") -> float:
        """Let it run once, and answer with the time of one call; `what` names it to `serve_many`."""
        assert self.process.stdin and self.process.stdout
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        answer = float(self.process.stdout.readline())
        os.killpg(self.process.pid, signal.SIGSTOP)  # idle threads spin for a while, and would take a core
        return answer

    def close(self) -> None:
        """Let the process end."""
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.communicate()


def serve(function: Callable[[], object], calls: int = 10) -> None:
    """In a process made by `Apart`: answer each line with the mean time of some calls."""
    warm_up(function)
    for _ in sys.stdin:
        function()
        print(_time(function, calls), flush=True)


def serve_many(make: Callable[[str], Callable[[], object]]) -> None:
    """In a process made by `Apart`: answer each line, a name, with the mean time of a call of `make(name)`."""
    name, function, calls = "", None, 1
    for line in sys.stdin:
        if line.strip() != name or function is None:
            name = line.strip()
            function = make(name)
            warm_up(function)
            calls = max(1, min(500, int(0.1 / max(_time(function, 1), 1e-9))))
        function()
        print(_time(function, calls), flush=True)


def warm_up(function: Callable[[], object], calls: int = 70, seconds: float = 3.0) -> None:
    """Call until what happens early is over: our compiled steps are compared with a new trace up to call 64."""
    end = time.perf_counter() + seconds
    for done in range(calls):
        function()
        if done >= 2 and time.perf_counter() > end:
            return


def compare_apart(competitors: dict[str, Apart], rounds: int = 15, what: str = "go") -> Comparison:
    """As `compare`, with each competitor in its own process; only one runs at a time."""
    times: dict[str, list[float]] = {name: [] for name in competitors}
    for _ in range(rounds):
        for name, competitor in competitors.items():
            times[name].append(competitor.seconds(what))
    return _summary(times)


def row_options(description: str | None, sides: Iterable[str]) -> argparse.ArgumentParser:
    """What benchmarks of rows are told: which rows, how often, where the figures go; and, to themselves, which side."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--side", choices=list(sides), help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="rows whose name contains one of these words, with commas between")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="where to keep the figures")
    return parser


def chosen(names: Iterable[str], only: str) -> list[str]:
    """The names that contain one of the words."""
    return [name for name in names if any(word in name for word in only.split(","))]


def same_loss(name: str, ours: float, theirs: float, share: float) -> None:
    """End the program unless two first losses, from the same weights, differ by no more than a share of them."""
    if abs(ours - theirs) > share * max(abs(ours), abs(theirs), 0.1):
        raise SystemExit(f"{name}: the first losses are {ours:.6f} and {theirs:.6f}: not the same step.")


def print_rows(
    competitors: dict[str, Apart], rows: dict[str, Sequence[str]], rounds: int, keep: str | None = None
) -> None:
    """Measure rows one after the other, print each, and let the competitors end.

    Args:
        competitors: all that there are, ours first.
        rows: the names that they are asked for, each with who takes part.
        rounds: of each row.
        keep: a file for the milliseconds.

    The last column is the fastest of theirs over ours: the median within rounds.
    """
    wide = max((len(name) for name in rows), default=0)
    print(f"{'':{wide}} " + " ".join(f"{side:>18}" for side in competitors) + "   best of theirs / ours")
    kept = {}
    for name, sides in rows.items():
        found = compare_apart({side: competitors[side] for side in sides}, rounds, name)
        kept[name] = found.milliseconds
        times = " ".join(f"{found.milliseconds.get(side, float('nan')):15.2f} ms" for side in competitors)
        print(f"{name:{wide}} {times}   {1 / max(found.ratio[side] for side in sides[1:]):.2f}", flush=True)
    for competitor in competitors.values():
        competitor.close()
    if keep:
        with open(keep, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=2)


def _summary(times: dict[str, list[float]]) -> Comparison:
    first = next(iter(times))
    ratio = {
        name: statistics.median(ours / theirs for ours, theirs in zip(times[first], runs, strict=True))
        for name, runs in times.items()
    }
    return Comparison({name: statistics.median(runs) * 1e3 for name, runs in times.items()}, ratio)
