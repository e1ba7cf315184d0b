"""Which pixel belongs to which digit: a U-Net on scenes that are composed of two digits each.

What to see: the network draws exact borders because of its shortcuts. Without them (an encoder and a decoder, the same
otherwise) it knows about where the digits are, and smears. After 20 epochs the mean intersection over union of the
eleven classes is about 0.75 with shortcuts and about 0.45 without; of the pixels 97.6% and 92.2% are right.

    python examples/segmentation.py
    python examples/segmentation.py --epochs 3 --figure segmentation.png
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import chainrule
from chainrule import metrics, models, nn, optim, train
from chainrule.data import DataLoader
from chainrule.data.scenes import digit_scenes
from chainrule.tasks.pictures import divide

CLASSES = 11  # nothing, and the ten digits


class WithoutShortcuts(models.UNet):
    """A U-Net whose levels on the way up get zeros instead of what was seen on the way down."""

    def forward(self, x: chainrule.Tensor) -> chainrule.Tensor:
        """Scores for every pixel."""
        sizes = []
        for block in self.down:
            x = block(x)
            sizes.append(x.shape)
            x = self.pool(x)
        x = self.bottom(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            coarse = grow(x, output_size=sizes[-1][2:])
            x = block(chainrule.cat([chainrule.zeros(*sizes.pop()), coarse], 1))
        return self.head(x)


def fit(model: nn.Module, parts: Any, epochs: int) -> dict[str, float]:
    """Train, and measure on the test scenes."""
    optimizer = optim.AdamW(model.parameters(), lr=5e-3)
    batches = DataLoader(parts.train, 16, shuffle=True)
    schedule = optim.lr_scheduler.warmup_cosine(optimizer, len(batches), epochs * len(batches))
    trainer = train.Trainer(
        model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy", metrics.IoU()], schedule=schedule
    )
    trainer.fit(batches, DataLoader(parts.validation, 128), epochs=epochs)
    return trainer.evaluate(DataLoader(parts.test, 128))


def draw(path: str, found: dict[str, nn.Module], parts: Any) -> None:
    """Scenes, their masks, and what each network says."""
    from matplotlib.figure import Figure

    images, masks = parts.test[:6]
    rows = {"scene": images[:, 0].numpy(), "truth": masks.numpy()}
    for name, model in found.items():
        with chainrule.no_grad():
            rows[name] = model.eval()(images).argmax(1).numpy()
    figure = Figure(figsize=(8, 1.4 * len(rows)), dpi=110, layout="constrained")
    grid = figure.subplots(len(rows), 6)
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            colours: dict[str, Any] = {"cmap": "gray"} if name == "scene" else {"cmap": "tab20", "vmin": 0, "vmax": 19}
            axes.imshow(np.asarray(picture), **colours)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)
    figure.savefig(path)


def main() -> None:
    """Print the figures of both networks, and draw."""
    parser = argparse.ArgumentParser(description="Segmentation with and without shortcuts.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--figure", help="where to draw scenes and answers")
    options = parser.parse_args()

    scenes = digit_scenes("digits", size=32, digits=2)
    _, parts = divide([part.images for part in scenes], [part.masks for part in scenes], seed=0)
    found: dict[str, nn.Module] = {}
    for name, kind in (("with shortcuts", models.UNet), ("without", WithoutShortcuts)):
        chainrule.manual_seed(0)
        found[name] = kind(in_channels=1, num_classes=CLASSES, base=16, depth=3)
        result = fit(found[name], parts, options.epochs)
        print(f"{name:15} accuracy of pixels {result['accuracy']:.1%}, mean IoU {result['iou']:.3f}")
    if options.figure:
        draw(options.figure, found, parts)


if __name__ == "__main__":
    main()
