"""Whole training runs, from files to a tested model: `chainrule train` against the usual PyTorch script.

    python -m benchmarks.training [mnist] [cifar10] [--epochs 2] [--repeats 3] [--data FOLDER]

Both train the same model with the same batches, optimiser and augmentation, each in a process of its own, in turn. The
PyTorch script is what tutorials show: a data set that makes a tensor of one image at a time, transforms, a DataLoader,
and the loop, in the faster of its forms (none or two workers). Seconds are of the processes, imports and all; the time
of an epoch is that of the fastest one, validation left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent / "pytorch_images.py"
MODELS = {"mnist": ("lenet5", 64), "cifar10": ("resnet10", 128)}


def ours(data: str, epochs: int, folder: str) -> dict[str, float]:
    """A run of `chainrule train`."""
    model, batch = MODELS[data]
    with tempfile.TemporaryDirectory() as runs:
        run = Path(runs) / "run"
        command = [
            sys.executable, "-c", "from chainrule.cli import main; main()", "train", model, "--data", data,
            "--data-root", folder, "--epochs", str(epochs), "--batch-size", str(batch), "--output", str(run), "--quiet",
            "--no-doctor", *(("--shift", "0") if data == "mnist" else ()),
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        summary = json.loads((run / "summary.json").read_text())
        rows = (run / "metrics.csv").read_text().splitlines()
        speeds = [float(row.split(",")[rows[0].split(",").index("samples_per_second")]) for row in rows[1:]]
    return {"seconds": seconds, "samples_per_second": max(speeds), "accuracy": summary["test"]["accuracy"]}


def pytorch(data: str, epochs: int, folder: str, workers: int) -> dict[str, float]:
    """A run of the script."""
    command = [sys.executable, str(SCRIPT), data, folder, str(epochs), str(workers)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"seconds": time.perf_counter() - start, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Run all in turn and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=["mnist", "cifar10"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default="../shared/data")
    chosen = parser.parse_args()
    for data in chosen.data:
        found: dict[str, list[dict[str, Any]]] = {"chainrule": [], "PyTorch": [], "PyTorch, 2 workers": []}
        for _ in range(chosen.repeats):
            found["chainrule"].append(ours(data, chosen.epochs, chosen.folder))
            for name, workers in (("PyTorch", 0), ("PyTorch, 2 workers", 2)):
                found[name].append(pytorch(data, chosen.epochs, chosen.folder, workers))
        print(f"\n{data}, {MODELS[data][0]}, batch {MODELS[data][1]}, {chosen.epochs} epochs, medians")
        for name, runs in found.items():
            median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(
                f"{name:>20}  {median['samples_per_second']:10,.0f} images/s  {median['seconds']:7.1f} s in all  "
                f"test accuracy {median['accuracy']:.4f}"
            )


if __name__ == "__main__":
    main()
