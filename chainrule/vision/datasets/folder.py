"""Images in folders, one for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainrule.data.readers.folder import IMAGE_ENDINGS, find_classes, find_images, read_image
from chainrule.errors import DataError
from chainrule.vision.datasets.dataset import Transform, VisionDataset


def default_loader(path: str) -> Any:
    """The image in a file, of Pillow, in mode "RGB"."""
    return read_image(path)


class ImageFolder(VisionDataset):
    """The images in `root/<class>/…`, decoded when they are asked for.

    Args:
        root: the folder.
        transform: done to each image.
        target_transform: done to each label.
        loader: reads a file; by default an image of Pillow in mode "RGB".
        is_valid_file: says of a path whether it is taken; by default images by their endings.
        allow_empty: take a class without images.

    Attributes:
        classes: the folders' names, sorted.
        class_to_idx: the label of each.
        samples, imgs: (path, label) of each sample.
        targets: the labels.

    Raises:
        DataError: `root` has no folders, or one without images; later, an image that cannot be decoded.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self.classes = find_classes(root)
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        found = find_images(root, self.classes, IMAGE_ENDINGS if is_valid_file is None else ("",))
        self.samples = [(path, label) for path, label in found if is_valid_file is None or is_valid_file(path)]
        self.imgs = self.samples
        self.targets = [label for _, label in self.samples]
        empty = set(self.classes) - {self.classes[label] for label in self.targets}
        if empty and not allow_empty:
            raise DataError(f"{os.path.join(root, min(empty))} has no images in it ({', '.join(IMAGE_ENDINGS)}).")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        return self.transformed(self.loader(path), label)
