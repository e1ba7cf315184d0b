"""A run that is meant to be killed: `python -m tests.interrupted_run FOLDER` goes on from where it was, and ends.

It saves after every third batch, so kills come while a checkpoint is written too. At the end the weights are in
FOLDER/done.safetensors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import chainrule
from chainrule import nn
from chainrule.data import DataLoader, TensorDataset
from chainrule.train import Checkpoints, CSVLog, EarlyStopping, Trainer, WeightAveraging, save_weights

EPOCHS = 8


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
    )  # fmt: skip
    checkpoints.resume(trainer)
    trainer.fit(DataLoader(data, 8, shuffle=True), DataLoader(data, 80), epochs=EPOCHS)
    save_weights(model, folder / "done.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
