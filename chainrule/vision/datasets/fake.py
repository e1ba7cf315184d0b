"""Images of noise, to try a program with before the data is there."""

from __future__ import annotations

from typing import Any

import chainrule.random as random
from chainrule.dtypes import uint8
from chainrule.random import Generator
from chainrule.vision.datasets.dataset import Transform, VisionDataset


class FakeData(VisionDataset):
    """Images of noise with labels by chance; the same index gives the same sample.

    Args:
        size: how many.
        image_size: (C, H, W), with 1 or 3 channels.
        num_classes: labels are 0 to num_classes − 1.
        transform: done to each image (of Pillow).
        target_transform: done to each label.
        random_offset: another number, other samples.

    >>> data = FakeData(size=5, image_size=(3, 4, 6))
    >>> image, label = data[0]
    >>> len(data), image.size, 0 <= label < 10
    (5, (6, 4), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        if len(image_size) != 3 or image_size[0] not in (1, 3):
            raise ValueError(f"image_size is (1, H, W) or (3, H, W), got {image_size}.")
        self.size, self.image_size, self.num_classes = size, image_size, num_classes
        self.random_offset = random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        if not 0 <= index < self.size:
            raise IndexError(f"sample {index} of {self.size}.")
        generator = Generator(index + self.random_offset)
        pixels = random.randint(0, 256, self.image_size, generator=generator, dtype=uint8).numpy()
        label = int(random.randint(0, self.num_classes, (1,), generator=generator)[0])
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
        return self.transformed(image, label)
