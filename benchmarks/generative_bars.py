"""What generative models must reach on MNIST: `python -m benchmarks.generative_bars [NAME …]`, of those below.

A classifier that reads at least 99% of the test images is trained first: it reads what the others draw, and its last
hidden layer (84 numbers) gives the features of the Fréchet distances, which therefore compare with nobody else's.

- dcgan: each digit is 5 to 15% of 10,000 samples (with batch normalisation one was 17.8%).
- conditional: at least 97% of 10,000 samples are read as the digit that was asked for.
- ddpm: the Fréchet distance of 5,000 samples to 5,000 test images is below that of dcgan's samples, and at most five
  times that of the test images' two halves; the mean of three draws. The model is told which digits, all in turn.
- realnvp, pixelcnn: bits per dimension of the test images, less than what pixels take that know nothing of each other.

The runs are those of `chainrule train`, kept in `--runs FOLDER`: one that is there is not trained again, one that was
stopped goes on. The data is looked for in the folder that `CHAINRULE_DATA` names, else in `../shared/data`. The exit
code is 1 if a bar is missed. Hours on two cores, ddpm most of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from benchmarks.bars import add_data, add_names
from chainrule.data.mnist import load_mnist_arrays
from chainrule.metrics.samples import frechet_distance
from chainrule.tasks.run import OpenRun, open_run

RUNS = {
    "classifier": "lenet5 --epochs 10 --batch-size 64",
    "dcgan": "dcgan --set normalisation=spectral --epochs 20",
    "conditional": "dcgan --set conditional=true --epochs 20",
    "ddpm": "ddpm --epochs 16 --set schedule=cosine --set conditional=true --set widths=1,2,4 --precision bfloat16 "
    "--average 0.999",
    "realnvp": "realnvp --epochs 10",
    "pixelcnn": "pixelcnn --epochs 5",
}
#: How a run can have ended; one that was interrupted goes on.
DONE = ("finished", "stopped")
SAMPLES = 10_000
#: Halves of the test images are compared with each other, so samples are compared in the same number.
HALF = 5_000


def trained(name: str, runs: Path, data: Path) -> OpenRun:
    """The run of this name: opened, or trained (on) first."""
    path = runs / name
    summary = path / "summary.json"
    if not summary.is_file() or json.loads(summary.read_text(encoding="utf-8"))["status"] not in DONE:
        begun = time.monotonic()
        command = [sys.executable, "-m", "chainrule", "train"]
        if path.is_dir():
            command += ["--resume", str(path)]
        else:
            command += [*RUNS[name].split(), "--data", "mnist", "--data-root", str(data), "--output", str(path)]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        print(f"{name}: trained in {time.monotonic() - begun:.0f} s", flush=True)
    return open_run(path)


class Reader:
    """The classifier: digits read, and the features of its last hidden layer, of images (N, 1, 28, 28) in [0, 1]."""

    def __init__(self, run: OpenRun) -> None:
        self.model = run.model.eval()
        self.mean, self.deviation = run.task.facts["mean"][0], run.task.facts["std"][0]

    def read(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """Digits (N,) and features (N, 84)."""
        digits, features = [], []
        model: Any = self.model
        with chainrule.no_grad():
            for part in chainrule.as_tensor(images).split(500):
                hidden = model.classifier[:-1](model.features((part - self.mean) / self.deviation))
                features.append(hidden.numpy())
                digits.append(model.classifier[-1](hidden).argmax(1).numpy())
        return np.concatenate(digits), np.concatenate(features)


def drawn(run: OpenRun, count: int, seed: int, **options: Any) -> Any:
    """Samples (count, 1, 28, 28), made 1,000 at a time; of all classes in turn where the model is told them."""
    task: Any = run.task
    parts = [task.draw(run.model, 1000, None, 1000 * seed + i, **options) for i in range(count // 1000)]
    return chainrule.cat(parts)


def shares(reader: Reader, run: OpenRun) -> tuple[bool, str]:
    """How often each digit is drawn."""
    found = np.bincount(reader.read(drawn(run, SAMPLES, 0))[0], minlength=10) / SAMPLES
    return bool(found.min() >= 0.05 and found.max() <= 0.15), " ".join(f"{share:.1%}" for share in found)


def as_asked(reader: Reader, run: OpenRun) -> tuple[bool, str]:
    """How many samples are the digit that was asked for; digits are asked for in turn."""
    right = float((reader.read(drawn(run, SAMPLES, 0))[0] == np.arange(SAMPLES) % 10).mean())
    return right >= 0.97, f"{right:.2%} read as asked"


def distances(reader: Reader, run: OpenRun, rival: OpenRun, seeds: int = 3) -> tuple[bool, str]:
    """Diffusion (50 steps with DDPM's noise) against DCGAN and against the data's own."""
    test = chainrule.tensor(load_mnist_arrays(train=False)[0]).float().unsqueeze(1) / 255
    order = np.random.default_rng(0).permutation(len(test))
    first, second = (reader.read(test[rows])[1] for rows in (order[:HALF], order[HALF:]))
    own = frechet_distance(first, second)

    def mean(model: OpenRun, **options: Any) -> float:
        each = [frechet_distance(first, reader.read(drawn(model, HALF, s, **options))[1]) for s in range(seeds)]
        return float(np.mean(each))

    theirs, ours = mean(rival), mean(run, steps=50, eta=1.0)
    return ours < theirs and ours <= 5 * own, f"distance {ours:.2f}, dcgan's {theirs:.2f}, between halves {own:.2f}"


def alone() -> float:
    """Bits per dimension of the test images if each pixel has its own distribution, counted in the training images."""
    train, test = (load_mnist_arrays(train=part)[0].reshape(-1, 784) for part in (True, False))
    bits = 0.0
    for known, new in zip(train.T, test.T, strict=True):
        counts = np.bincount(known, minlength=256) + 1 / 256  # one more image, of every value alike
        bits -= float(np.log2(counts[new] / counts.sum()).mean())
    return bits / train.shape[1]


def likelihood(run: OpenRun) -> tuple[bool, str]:
    """What the run's best weights take for the test images."""
    taken = json.loads((run.path / "summary.json").read_text(encoding="utf-8"))["test"]["loss"]
    bound = alone()
    return taken < bound, f"{taken:.3f} bits per dimension, pixels alone {bound:.3f}"


def main() -> int:
    """Train, measure, print, and say whether all bars were reached."""
    parser = argparse.ArgumentParser(description="What generative models must reach on MNIST.")
    add_names(parser, [name for name in RUNS if name != "classifier"])
    add_data(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs/generative-bars"), help="where the runs are kept")
    options = parser.parse_args()
    os.environ["CHAINRULE_DATA"] = str(options.data)
    options.runs.mkdir(parents=True, exist_ok=True)

    def run_of(name: str) -> OpenRun:
        return trained(name, options.runs, options.data)

    reader = Reader(run_of("classifier"))
    images, labels = load_mnist_arrays(train=False)
    read = reader.read(chainrule.tensor(images).float().unsqueeze(1) / 255)[0]
    accuracy = float((read == labels).mean())
    verdicts = {"classifier": (accuracy >= 0.99, f"{accuracy:.2%} of the test images")}
    print("classifier:", verdicts["classifier"][1], flush=True)
    for name in options.names:
        if name == "ddpm":
            verdict = distances(reader, run_of("ddpm"), run_of("dcgan"))
        elif name in ("realnvp", "pixelcnn"):
            verdict = likelihood(run_of(name))
        else:
            verdict = {"dcgan": shares, "conditional": as_asked}[name](reader, run_of(name))
        verdicts[name] = verdict
        print(f"{name}: {verdict[1]}: {'reached' if verdict[0] else 'MISSED'}", flush=True)
    return 0 if all(reached for reached, _ in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
