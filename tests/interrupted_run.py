"""A run that is meant to be killed: `python -m tests.interrupted_run FOLDER` goes on from where it was, and ends.

It saves after every third batch. At the end the weights are in FOLDER/done.safetensors, and it prints how often it
touched a file in FOLDER. With a number n as second argument it kills itself when it is about to do so for the n-th
time: what is on the disk changes at these moments only, so they stand for all others, on quick and slow machines.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule import nn
from chainrule.data import DataLoader, TensorDataset
from chainrule.train import Checkpoints, CSVLog, EarlyStopping, Trainer, WeightAveraging, save_weights

EPOCHS = 8


class Touches:
    """Counts how often files in a folder are opened, renamed or removed, and ends the process at the n-th time.

    A file that was just written beside its place is cut to half its length then, as if it had happened while writing.
    """

    def __init__(self, folder: Path, last: int = -1) -> None:
        self.folder, self.last, self.count = str(folder), last, 0
        sys.addaudithook(self.look)

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What Python calls for each of its events."""
        if event not in ("open", "os.rename", "os.remove") or not str(arguments[0]).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.last:
            written = Path(arguments[0])
            if ".writing" in written.name and written.exists():
                os.truncate(written, written.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    """Train to the end."""
    chainrule.manual_seed(1)
    x = np.random.default_rng(0).standard_normal((160, 12)).astype(np.float32)
    data = TensorDataset(chainrule.tensor(x), chainrule.tensor((x[:, 0] * x[:, 1] > 0).astype(np.int64)))
    model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 2))
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=0.01)
    schedule = chainrule.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=EPOCHS * 20)
    checkpoints = Checkpoints(folder, every_batches=3)
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], schedule=schedule,
        callbacks=[checkpoints, CSVLog(folder / "metrics.csv"), EarlyStopping(100), WeightAveraging(0.9)],
        compile=bool(os.environ.get("CHAINRULE_NIGHTLY")),  # each of many processes would do it again
    )  # fmt: skip
    checkpoints.resume(trainer)
    trainer.fit(DataLoader(data, 8, shuffle=True), DataLoader(data, 80), epochs=EPOCHS)
    save_weights(model, folder / "done.safetensors")


if __name__ == "__main__":
    touches = Touches(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    main(Path(sys.argv[1]))
    print(touches.count)
