"""What training on real data must reach: `python -m benchmarks.bars [NAME …] [--data FOLDER]`.

Each bar is a run of `chainrule train` as docs/performance.md has it, and what a figure must reach, some way below what
was measured. The exit code is 1 if one does not. Not tests: the data does not come with the project, and the runs take
minutes. It is looked for in the folder that `CHAINRULE_DATA` names, else in `../shared/data`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple


class Bar(NamedTuple):
    """A run and what it must reach.

    Attributes:
        arguments: of `chainrule train`.
        part: "test" or "validation".
        figure: its name in the run's summary.json.
        bound: the least accuracy, or the largest loss.
    """

    arguments: str
    part: str
    figure: str
    bound: float

    def reached(self, value: float) -> bool:
        """Whether the value is at least as good as the bound."""
        return value <= self.bound if self.figure == "loss" else value >= self.bound


BARS = {
    "mnist": Bar("lenet5 --data mnist --epochs 5 --batch-size 64", "test", "accuracy", 0.99),
    "lecun": Bar("lenet5_lecun --data mnist --epochs 40 --batch-size 64 --shift 1", "test", "accuracy", 0.988),
    "cifar10": Bar("resnet10 --data cifar10 --epochs 2 --batch-size 128", "test", "accuracy", 0.60),
    "shakespeare": Bar("decoder --data shakespeare --epochs 7", "validation", "loss", 1.60),
}


def measure(bar: Bar, data: Path) -> float:
    """Train in a process of its own, and read the figure."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            sys.executable, "-c", "from chainrule.cli import main; main()", "train", *bar.arguments.split(),
            "--data-root", str(data), "--output", str(run), "--quiet",
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        value: float = json.loads((run / "summary.json").read_text(encoding="utf-8"))[bar.part][bar.figure]
    return value


def add_names(parser: argparse.ArgumentParser, bars: Collection[str]) -> None:
    """Names of bars as arguments, of all by default; another one is refused before anything is trained."""

    def known(name: str) -> str:
        if name not in bars:
            raise argparse.ArgumentTypeError(f"there is no bar {name}; there are {', '.join(bars)}")
        return name

    parser.add_argument("names", nargs="*", type=known, default=list(bars), help=", ".join(bars))


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data`: the folder with the data."""
    folder = os.environ.get("CHAINRULE_DATA") or Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(folder), help=f"its folder ({folder})")


def main() -> int:
    """Measure, print, and say whether all were reached."""
    parser = argparse.ArgumentParser(description="What training on real data must reach.")
    add_names(parser, BARS)
    add_data(parser)
    options = parser.parse_args()
    missed = 0
    for name in options.names:
        bar, begun = BARS[name], time.monotonic()
        value = measure(bar, options.data)
        verdict = "reached" if bar.reached(value) else "MISSED"
        missed += not bar.reached(value)
        seconds = time.monotonic() - begun
        print(f"{name}: {bar.part} {bar.figure} {value:.4f}, bar {bar.bound} {verdict} ({seconds:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
