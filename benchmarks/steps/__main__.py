"""Measure all workloads: see `benchmarks/steps/__init__.py`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_text, peak
from benchmarks.steps.worker import FRAMEWORKS, HALVES
from benchmarks.steps.workloads import LARGE, WORKLOADS, start_of


class Worker:
    """A framework's process. It is stopped while others are measured, so that its idle threads do not disturb them."""

    def __init__(self, workload: str, framework: str, path: Path) -> None:
        self.framework = framework
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.steps.worker", workload, framework, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        self._read()
        self.seconds: list[float] = []

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        while line and line[0] not in '["-0123456789':
            line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(self.log.read()[-2000:])
        return json.loads(line)

    def ask(self, question: str) -> Any:
        """Wake it, ask, and stop it again."""
        assert self.process.stdin is not None
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self._read()
        os.kill(self.process.pid, signal.SIGSTOP)
        return answer

    def close(self) -> None:
        """End the process."""
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def weights_and_batch(workload: str, path: Path) -> None:
    """Write the weights that all start from, and the batch, into a file."""
    weights, x, y = start_of(workload)
    np.savez(path, **weights, **{"batch.x": x, "batch.y": y})


def measure(workload: str, frameworks: list[str], rounds: int, console: Console, busy: bool) -> dict[str, Any]:
    """All frameworks on one workload; with `busy` also while another process takes what it can get of one core."""
    workers: list[Worker] = []
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.npz"
        weights_and_batch(workload, path)
        for framework in frameworks:
            try:
                worker = Worker(workload, framework, path)
                first, loss = worker.ask("first")
                losses = [loss, *worker.ask("losses 4")]
            except (RuntimeError, BrokenPipeError) as error:
                reason = str(error).strip().splitlines() or ["ended"]
                console.print(f"{workload}: {framework} left out: {reason[-1][:150]}")
                continue
            workers.append(worker)
            result[framework] = {"first": first, "losses": losses}
        for worker in workers:
            pilot = statistics.median(worker.ask("run 5"))
            result[worker.framework]["burst"] = max(3, min(100, int(0.3 / pilot)))
        for _ in range(rounds):
            for worker in workers:
                burst = result[worker.framework]["burst"]
                worker.ask("run 2")  # after being stopped
                worker.seconds += worker.ask(f"run {burst}")
        for worker in workers:
            row = result[worker.framework]
            row["milliseconds"] = statistics.median(worker.seconds) * 1e3
            row["fastest"] = min(worker.seconds) * 1e3
            row["memory"] = worker.ask("memory")
        if busy:
            for framework, slowdown in _in_company(workers, result, rounds).items():
                result[framework]["slowdown"] = slowdown
        for worker in workers:
            worker.close()
    _check_losses(workload, result, console)
    return result


def _in_company(workers: list[Worker], result: dict[str, Any], rounds: int) -> dict[str, float]:
    """How many times as long a step takes beside a process that never rests; means, since only some steps wait."""
    factors: dict[str, list[float]] = {worker.framework: [] for worker in workers}
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for _ in range(rounds):
            for worker in workers:
                command = f"run {2 * result[worker.framework]['burst']}"
                means = []
                for signal_number in (signal.SIGSTOP, signal.SIGCONT):
                    os.kill(other.pid, signal_number)
                    worker.ask("run 2")
                    means.append(statistics.mean(worker.ask(command)))
                factors[worker.framework].append(means[1] / means[0])
    finally:
        other.kill()
        other.wait()
    return {framework: statistics.median(found) for framework, found in factors.items()}


def _check_losses(workload: str, result: dict[str, Any], console: Console) -> None:
    reference = next(iter(result.values()))["losses"]
    for framework, row in result.items():
        near = 2e-2 if framework in HALVES else 2e-3  # a bfloat16 has 8 bits of a float32's 24
        row["agrees"] = bool(np.allclose(row["losses"], reference, rtol=near, atol=2e-4))
        if not row["agrees"]:
            console.print(f"{workload}: {framework} computes other losses: {row['losses']} against {reference}")


def table_of(results: dict[str, Any]) -> Table:
    """All figures. The floor is a step's operations at the processor's measured peak."""
    heads = ["workload, framework", "ms", "ms, best", "times ours", "of the floor", "first step, s", "MB"]
    company = any("slowdown" in row for rows in results.values() for row in rows.values())
    table = Table(*heads, *["times as long in company"] * company)
    for workload, rows in results.items():
        floor = WORKLOADS[workload].operations / peak() * 1e3
        ours = rows.get("chainrule", {}).get("milliseconds")
        table.add_row(f"[bold]{workload}[/], floor {floor:.2f} ms")
        for framework, row in rows.items():
            ratio = f"{row['milliseconds'] / ours:.2f}" if ours else ""
            table.add_row(
                f"  {framework}", f"{row['milliseconds']:.2f}", f"{row['fastest']:.2f}", ratio,
                f"{floor / row['milliseconds']:.0%}", f"{row['first']:.2f}", f"{row['memory']:.0f}",
                *([f"{row['slowdown']:.2f}"] if "slowdown" in row else []),
            )  # fmt: skip
        table.add_section()
    return table


def mean_gain(results: dict[str, Any]) -> str:
    """How many times as long the fastest peer takes in float32: the geometric mean over the workloads."""
    gains = []
    for rows in results.values():
        single = {framework: row for framework, row in rows.items() if framework not in HALVES}
        peers = [row["milliseconds"] for framework, row in single.items() if not framework.startswith("chainrule")]
        if peers and "chainrule" in rows:
            gains.append(min(peers) / rows["chainrule"]["milliseconds"])
    if not gains:
        return "No peer was measured."
    listed = ", ".join(f"{gain:.2f}" for gain in gains)
    return f"The fastest peer takes {statistics.geometric_mean(gains):.2f} times as long as chainrule ({listed})."


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(w for w in WORKLOADS if w not in LARGE),
                        help="workloads, separated by commas")  # fmt: skip
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS),
                        help=f"frameworks, separated by commas; also {', '.join(HALVES)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--busy", action="store_true", help="measure also beside a process that never rests")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    results: dict[str, Any] = {}
    for workload in options.only.split(","):
        frameworks = options.frameworks.split(",")
        if workload not in ("lenet", "resnet18", "unet", "mobilenet", "vit"):
            frameworks = [f for f in frameworks if not f.startswith("torch channels last")]
        results[workload] = measure(workload, frameworks, options.rounds, console, options.busy)
        console.print(f"{workload} done")
    console.print(machine_text())  # only now: what this process has touched counts as its children's memory
    console.print(table_of(results))
    console.print(mean_gain(results))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine_text(), **results}, indent=1))


if __name__ == "__main__":
    main()
