"""MNIST, Fashion-MNIST and Kuzushiji-MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from chainrule.data.mnist import CLASSES, load_mnist_arrays
from chainrule.functions.creation import from_numpy
from chainrule.tensor import Tensor
from chainrule.vision.datasets.dataset import Transform, VisionDataset


class MNIST(VisionDataset):
    """Handwritten digits: grey images of 28 × 28 pixels, labels 0 to 9.

    Args:
        root: the folder with the IDX files, plain or compressed: in it, or in its `MNIST/raw`, `MNIST` or `mnist`.
        train: the 60,000 for training, or the 10,000 for testing.
        transform: done to each image (of Pillow, mode "L") when it is asked for.
        target_transform: done to each label.
        download: get the files into `root/MNIST/raw` if they are not there.

    Attributes:
        data: all images, a uint8 tensor (N, 28, 28).
        targets: all labels, an int64 tensor (N,).
        train_data, test_data, train_labels, test_labels: old names of both, whichever part it is.
        classes: their names.

    Raises DataError as `chainrule.data.mnist.load_mnist_arrays`.
    """

    name: ClassVar[str] = "mnist"
    classes: ClassVar[list[str]] = CLASSES["mnist"]

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
        images, labels = load_mnist_arrays(self.name, train, root, download)
        self.data: Tensor = from_numpy(images)
        self.targets: Tensor = from_numpy(labels)

    @property
    def train_data(self) -> Tensor:
        """The images, by their old name."""
        return self.data

    @property
    def train_labels(self) -> Tensor:
        """The labels, by their old name."""
        return self.targets

    test_data, test_labels = train_data, train_labels

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class's name."""
        return {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        return self.transformed(Image.fromarray(self.data[index].numpy()), int(self.targets[index]))

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Pictures of clothes in the form of MNIST; found in `root` or its `FashionMNIST/raw`. Arguments as `MNIST`."""

    name = "fashion-mnist"
    classes = CLASSES["fashion-mnist"]


class KMNIST(MNIST):
    """Old Japanese letters in the form of MNIST; found in `root` or its `KMNIST/raw`. Arguments as `MNIST`.

    The four files are not downloaded: where they are not there, a DataError says where to get them.
    """

    name = "kmnist"
    classes = CLASSES["kmnist"]
