"""CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule.data.cifar import load_cifar_arrays
from chainrule.vision.datasets.dataset import Transform, VisionDataset


class CIFAR10(VisionDataset):
    """Small photographs in ten classes: colour images of 32 × 32 pixels.

    Args:
        root: the folder with `cifar-10-batches-bin` (the binary version), its archive, or an image folder of them; see
            `chainrule.data.cifar.load_cifar_arrays`. The "Python version" is a pickle, which could run code: not read.
        train: the 50,000 for training, or the 10,000 for testing.
        transform: done to each image (of Pillow, mode "RGB") when it is asked for.
        target_transform: done to each label.
        download: get the binary version into `root` if nothing is there.

    Attributes:
        data: all images, uint8 of NumPy, (N, 32, 32, 3).
        targets: all labels, a list.
        classes: their names.
    """

    count: ClassVar[int] = 10

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        images, labels, self.classes = load_cifar_arrays(self.count, train, root, download)
        self.data: np.ndarray = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.targets: list[int] = labels.tolist()
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        return self.transformed(Image.fromarray(self.data[index]), self.targets[index])

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Small photographs in a hundred classes; in `root/cifar-100-binary`. Arguments as `CIFAR10`."""

    count = 100
