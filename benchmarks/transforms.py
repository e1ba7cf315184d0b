"""How fast the usual augmentations are: `python -m benchmarks.transforms`. Eager, compiled, and with Pillow.

A batch of 128 images of 3×32×32. Pillow does the first row's work, from pictures to an array.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

import chainrule
from benchmarks.measure import compare
from chainrule.data import transforms as T

COLOUR = (0.4, 0.5, 0.6)
CHAINS = {
    "RandomCrop with fill, flip, Normalize": [
        T.RandomCrop(32, padding=4, fill=COLOUR),
        T.RandomHorizontalFlip(),
        T.Normalize([0.5] * 3, [0.25] * 3),
    ],
    "RandomCrop, flip": [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip()],
    "RandomCrop": [T.RandomCrop(32, padding=4)],
    "RandomHorizontalFlip": [T.RandomHorizontalFlip()],
    "Normalize": [T.Normalize([0.5] * 3, [0.25] * 3)],
    "RandomResizedCrop": [T.RandomResizedCrop(32)],
    "ColorJitter": [T.ColorJitter(0.2, 0.2, 0.2)],
    "TrivialAugmentWide": [T.TrivialAugmentWide()],
}


def one_by_one(pictures: list[Image.Image]) -> Callable[[], object]:
    """The first chain with Pillow, picture by picture."""
    colour = tuple(round(255 * part) for part in COLOUR)

    def run() -> np.ndarray:
        batch = np.empty((len(pictures), 3, 32, 32), np.float32)
        for i, picture in enumerate(pictures):
            left, top = random.randint(0, 8), random.randint(0, 8)
            part = ImageOps.expand(picture, 4, colour).crop((left, top, left + 32, top + 32))
            part = ImageOps.mirror(part) if random.random() < 0.5 else part
            batch[i] = np.asarray(part).transpose(2, 0, 1)
        return (batch / 255 - 0.5) / 0.25

    return run


def main() -> None:
    """Print the times."""
    images = chainrule.rand(128, 3, 32, 32)
    pictures = [T.functional.to_pil_image(image) for image in images]
    print("| | eager (ms) | compiled (ms) | Pillow (ms) |\n| --- | ---: | ---: | ---: |")
    for name, transforms in CHAINS.items():
        chain = T.Compose(transforms)
        compiled = chainrule.compile(chain)
        runs = {"eager": lambda chain=chain: chain(images), "compiled": lambda compiled=compiled: compiled(images)}
        if name == next(iter(CHAINS)):
            runs["pillow"] = one_by_one(pictures)
        times = compare(runs, seconds=2.0).milliseconds
        cells = (f"{times[kind]:.2f}" if kind in times else "" for kind in ("eager", "compiled", "pillow"))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
