"""What all tasks share whose samples are images and whose targets are not one class: division, scaling, pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.dataset import TensorDataset
from chainrule.data.known import pixel_statistics, standardise_images
from chainrule.data.split import stratified_split
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, zeros
from chainrule.tasks.images import fitted, image_files
from chainrule.tasks.task import Parts, Task
from chainrule.tensor import Tensor


class PictureTask(Task):
    """Images (N, C, H, W), standardised, and a target for each. Facts: "shape" (C, H, W), "mean" and "std"."""

    samples = "images"
    asks = "image"

    def build_transform(self) -> Callable[[Any], Any] | None:
        """None: what moves the images would have to move the targets too."""
        if self.settings.shift or self.settings.flip:
            raise ValueError(
                f"--shift and --flip move images only, and the targets of {self.settings.model} would stay; train from "
                "Python, with chainrule.data.transforms, which move masks and points along."
            )
        return None

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, *self.facts["shape"])

    def sample_from(self, given: Any, place: str) -> Any:
        """An image file's bytes as the network wants it, (1, C, H, W)."""
        from chainrule.data.readers.folder import decode_image

        return self._standardised(decode_image(given, place, self._mode))

    @property
    def _mode(self) -> str:
        return "L" if self.facts["shape"][0] == 1 else "RGB"

    def _standardised(self, image: Any) -> Tensor:
        """A decoded image as the network wants it, (1, C, H, W)."""
        from chainrule.data.readers.folder import channels_first

        _, height, width = self.facts["shape"]
        mean, std = (np.asarray(self.facts[name]) for name in ("mean", "std"))
        pixels = channels_first(fitted(image, height, width))[None]
        return from_numpy(standardise_images(pixels, np.arange(1), mean, std))

    def pixels(self, images: Any) -> np.ndarray:
        """Standardised images (N, C, H, W) as pixels in 0 … 1: (N, H, W) grey or (N, H, W, 3)."""
        mean, std = (np.asarray(self.facts[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
        shown = np.clip(np.asarray(images) * std + mean, 0, 1)
        return shown[:, 0] if shown.shape[1] == 1 else np.moveaxis(shown, 1, -1)


def divide(images: Sequence[np.ndarray], targets: Sequence[np.ndarray], seed: int) -> tuple[dict[str, Any], Parts]:
    """Facts and parts from uint8 images (N, C, H, W) and targets (N, …): given in three parts, or in one to be divided.

    One is divided 80 : 10 : 10 at random. The training part's mean and deviation scale all.
    """
    if len(images) == 1:
        count = len(images[0])
        if count < 10:
            raise DataError(f"there are {count} images; to divide them at least 10 are needed.")
        rows = stratified_split(np.zeros(count, np.int64), (0.8, 0.1, 0.1), seed)
        images, targets = [images[0][part] for part in rows], [targets[0][part] for part in rows]
    mean, std = pixel_statistics(images[0], np.arange(len(images[0])))
    sets = [
        TensorDataset(from_numpy(standardise_images(part, np.arange(len(part)), mean, std)), from_numpy(target))
        for part, target in zip(images, targets, strict=True)
    ]
    facts = {"shape": list(images[0].shape[1:]), "mean": mean.tolist(), "std": std.tolist()}
    return facts, Parts(*sets)


def is_known(data: str) -> bool:
    """Whether this is the name of a known data set, and no path."""
    from chainrule.data import names

    return data in names()


def read_pictures(files: Sequence[Path], size: int | None) -> np.ndarray:
    """Image files as uint8 (N, 3, size, size): the largest middle part of each, resized."""
    from chainrule.data.readers.folder import channels_first, read_image
    from chainrule.tasks.images import FOLDER_SIZE

    if size is None:
        size = min(FOLDER_SIZE, *read_image(files[0]).size)
    images = np.empty((len(files), 3, size, size), np.uint8)
    for number, file in enumerate(files):
        images[number] = channels_first(fitted(read_image(file), size, size))
    return images


def files_by_stem(folder: Path) -> dict[str, Path]:
    """The image files in a folder by their names without the ending. Raises DataError if there are none."""
    found = {file.stem: file for file in image_files([str(folder)])}
    return dict(sorted(found.items()))
