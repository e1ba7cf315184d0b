"""docs/transforms.md and its figure: a shipped digit under every transform, its mask and a keypoint with it.

`python -m docs.make.transforms` makes both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule.data import transforms as T
from chainrule.data.optdigits import load_digits_arrays

DOCS = Path(__file__).parents[1]
SIZE = 64
#: How many random results are shown of each transform.
TIMES = 4


class Row(NamedTuple):
    """A transform as it is written, and what it does."""

    source: str
    text: str

    @property
    def name(self) -> str:
        """The name alone."""
        return self.source.split("(")[0]


MOVED = [
    Row("RandomHorizontalFlip(p=0.5)", "left and right exchanged; not for digits or letters"),
    Row("RandomVerticalFlip(p=0.5)", "top and bottom exchanged: aerial images, cells"),
    Row("Pad(12, padding_mode='reflect')", "pixels added around: a colour, the edge again, or mirrored"),
    Row("CenterCrop(44)", "the middle; for validation"),
    Row("RandomCrop(64, padding=12)", "a part at a random place; with padding 4 the augmentation of CIFAR-10"),
    Row("FiveCrop(40)", "four corners and the middle, as five images; for testing"),
    Row("TenCrop(40)", "the five and their mirror images"),
    Row("Resize(16)", "another number of pixels; smooth where the image shrinks (antialias)"),
    Row("RandomResizedCrop(64)", "a part of random area and shape, resized: the augmentation of ImageNet"),
    Row("RandomRotation(30, 'bilinear')", "turned by a random angle"),
    Row(
        "RandomAffine(20, (0.1, 0.1), (0.7, 1.1), 15, 'bilinear')",
        "turned, moved, scaled and sheared, in one reading of the pixels",
    ),
    Row("RandomPerspective(0.5, p=1.0)", "a plane seen from elsewhere"),
    Row("ElasticTransform(60.0, 5.0)", "pulled about; made for handwriting"),
]
LOOKS = [
    Row("ColorJitter(0.5, 0.5, 0.5, 0.3)", "brightness, contrast, saturation and hue, in random order"),
    Row("Grayscale(3)", "brightness alone"),
    Row("RandomGrayscale(p=0.5)", "that, now and then"),
    Row("RandomInvert(p=0.5)", "the negative"),
    Row("RandomPosterize(2, p=0.5)", "fewer levels"),
    Row("RandomSolarize(0.4, p=0.5)", "the negative of what is bright"),
    Row("RandomAdjustSharpness(6, p=0.5)", "sharper or softer"),
    Row("RandomAutocontrast(p=0.5)", "each channel over the whole range"),
    Row("RandomEqualize(p=0.5)", "all levels about equally often"),
    Row("GaussianBlur(13, (0.5, 4.0))", "smoothed, by a random width"),
    Row("GaussianNoise(sigma=0.15)", "independent noise on every pixel"),
    Row("RandAugment(num_ops=2, magnitude=9)", "some of fourteen changes of a set strength; takes the place of tuning"),
    Row("TrivialAugmentWide()", "one of fourteen changes of any strength: nothing to tune at all"),
    Row("RandomErasing(p=1.0, value='random')", "a random rectangle replaced; after ToTensor"),
]
MIXED = [
    Row("MixUp(alpha=1.0, num_classes=10)", "two images, and their labels, in random shares"),
    Row("CutMix(alpha=1.0, num_classes=10)", "a rectangle of another image, and as much of its label as it covers"),
]
COMBINED = [
    Row("Compose([…])", "one after the other"),
    Row("RandomApply([…], p=0.5)", "all of them or none"),
    Row("RandomChoice([…], p=None)", "one of them"),
    Row("RandomOrder([…])", "all, in random order"),
    Row("Lambda(function)", "a function of yours on the image; a plain function in a list counts as one"),
    Row("Identity()", "nothing"),
    Row("ToTensor()", "pictures and arrays (H, W, C) to tensors (C, H, W) in [0, 1]"),
    Row("PILToTensor()", "pictures to tensors of their own numbers"),
    Row("ToImage()", "the same, arrays too"),
    Row("ToPILImage(mode=None)", "tensors and arrays to pictures"),
    Row("ConvertImageDtype(dtype)", "another type with its own range: 1 in floats is 255 in bytes"),
    Row("ToDtype(dtype, scale=False)", "another type, by the numbers alone unless `scale`"),
    Row("Normalize(mean, std)", "(x − mean)/std for each channel; statistics of the training split; comes last"),
    Row("LinearTransformation(matrix, mean)", "(x − mean)·matrix of the whole image: whitening"),
]


def digit() -> tuple[Any, Any, Any]:
    """A five on ruled, coloured paper (3, 64, 64), its mask, and two keypoints."""
    image = chainrule.tensor(load_digits_arrays()[0][5] / 16, dtype="float32").reshape(1, 8, 8)
    smooth = T.functional.pad(T.functional.resize(image, 48, "bicubic"), (SIZE - 48) // 2)[0].numpy()
    ink = np.clip((smooth - 0.55) * 6 + 0.5, 0, 1)  # a pen's edge, not a camera's
    rows, columns = np.mgrid[:SIZE, :SIZE] / (SIZE - 1)
    paper = np.stack([0.25 + 0.3 * columns, 0.45 + 0.2 * rows, 0.75 - 0.3 * columns])
    paper[:, 4::8] *= 0.75
    pen = np.reshape([0.95, 0.75, 0.2], (3, 1, 1))
    colours = chainrule.tensor(paper * (1 - ink) + pen * ink, dtype="float32")
    points = chainrule.tensor([[43.0, 13.0], [23.0, 47.0]])
    return colours, chainrule.tensor(ink > 0.5), points


def shown(row: Row) -> list[tuple[Any, Any, Any]]:
    """What a transform makes of the digit, TIMES times: image, mask and keypoints."""
    image, mask, points = digit()
    transform = eval(f"T.{row.source}", {"T": T})
    chainrule.manual_seed(len(row.source))
    if row.name in ("FiveCrop", "TenCrop"):
        return [(part, None, None) for part in transform(image)[-TIMES:]]
    if row in MIXED:
        batch = chainrule.stack([image, image.flip(1, 2), 1 - image.transpose(1, 2), image.flip(0)])
        return [(part, None, None) for part in transform(batch, chainrule.arange(TIMES))[0]]
    many = (x.unsqueeze(0).expand(TIMES, *x.shape) for x in (image, mask, points))
    return list(zip(*transform(*many), strict=True))


FIRST = """# Transforms of images

`chainrule.data.transforms` has functions (`functional`) and classes with PyTorch-vision's names; they are under
`chainrule.vision.transforms` too, with `v2` and `functional`. This page is made by `python -m docs.make.transforms`.

```python
import chainrule
from chainrule.data import transforms as T

images, masks = chainrule.rand(8, 3, 40, 40), chainrule.zeros(8, 1, 40, 40)
points, mean, std = chainrule.rand(8, 5, 2) * 40, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)

augment = T.Compose([
    T.RandomCrop(32, padding=4),
    T.RandomHorizontalFlip(),
    T.ColorJitter(0.2, 0.2, 0.2),
    T.Normalize(mean, std),
])
small = augment(images)                   # (N, 3, 32, 32): every image gets its own numbers
small, masks = augment(images, masks)     # masks go along, by the nearest pixel
small, points = augment(images, points)   # keypoints (N, K, 2) too
```

![A digit under every transform](figures/transforms.png)

Four draws of each. The white line is the edge of the mask, the dots are keypoints; both were transformed with the
image.
"""

LAST = """## What goes in

- **An image** (C, H, W), **a batch** (N, C, H, W), or a picture of Pillow's, which comes back as one. Floats are in
  [0, 1] where colours are changed; uint8 is computed in floats and rounded.
- **With labels**: `t(image, mask)`, `t((image, keypoints))` or a dictionary. In a dictionary the names `image`,
  `mask`, `masks`, `keypoints` and `boxes` count, and nothing else is touched. Elsewhere the shape decides: height and
  width of the image make a mask, floats (K, 2) for each image keypoints; all else, such as a class number, is handed
  through.
- **Masks** take the nearest pixel, so they keep their set of values; what comes in from outside is 0.
- **Keypoints** are (x, y) in pixels, and the middle of the first pixel is (0, 0). They may leave the image.
  **Boxes** are edges (left, top, right, bottom), and end at the image's border.

## Chance

Random numbers come from chainrule's generator (`chainrule.manual_seed`), or from one given as `generator=`. There is
no loop over images: a crop of a batch reads rows and columns, a turn reads at places computed for all. No transform
asks for the value of a tensor, so `chainrule.compile` makes one program of it, and of the training step around it;
from the same seed it gives the same images. What follows from that: `RandomApply`, `RandomChoice` and `RandomOrder`
compute every branch and take the one that was drawn, and all branches must give images of one size.

Augment the training split only. What a model sees in validation is resized, cropped in the middle and normalised by
the training split's statistics; anything random there only blurs the measurement.

## Where this differs from PyTorch-vision

- A batch is many images, each with its own random numbers; there all get the same.
- uint8 results are rounded; there some are cut off below.
- `RandomRotation(expand=True)` gives a canvas for every angle of its range, since a batch has one size.
- `mixup` and `cutmix` draw one share for each image; there, and in the papers, one for the batch.
- Every transform takes masks and keypoints, `RandAugment` and `TrivialAugmentWide` among them.
- `AutoAugment` and `AugMix` are not there yet.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [FIRST]
    groups = {"Pixels move": MOVED, "Pixels look different": LOOKS, "Images are mixed": MIXED, "The frame": COMBINED}
    for title, rows in groups.items():
        lines = [f"## {title}\n", "| | |", "| --- | --- |", *(f"| `{row.source}` | {row.text} |" for row in rows)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, LAST])


def draw() -> None:
    """The figure: three blocks of groups of TIMES pictures."""
    from matplotlib.figure import Figure

    rows = [*MOVED, *LOOKS, *MIXED]
    blocks = 3
    height = -(-len(rows) // blocks)
    figure = Figure(figsize=(blocks * 4.1, height * 1.22), dpi=90)
    place_of = figure.add_gridspec(
        height, blocks, left=0.01, right=0.99, top=0.97, bottom=0.01, hspace=0.28, wspace=0.05
    )
    for i, row in enumerate(rows):
        inner = place_of[i % height, i // height].subgridspec(1, TIMES, wspace=0.03)
        for k, (image, mask, points) in enumerate(shown(row)[:TIMES]):
            place = figure.add_subplot(inner[0, k])
            place.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
            place.axis("off")
            if k == 0:
                place.set_title(row.source, fontsize=7.5, loc="left", pad=3, family="monospace")
            if mask is not None and bool(mask.any()):
                place.contour(mask.numpy().astype(float), [0.5], colors="white", linewidths=0.6)
            if points is not None:
                place.scatter(*points.numpy().T, s=9, c="red", edgecolors="white", linewidths=0.5)
            place.set(xlim=(-0.5, image.shape[2] - 0.5), ylim=(image.shape[1] - 0.5, -0.5))
    figure.savefig(DOCS / "figures" / "transforms.png")


def main() -> None:
    """Make page and figure."""
    draw()
    (DOCS / "transforms.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
