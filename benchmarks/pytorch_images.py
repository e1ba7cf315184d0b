"""The usual PyTorch script for MNIST or CIFAR-10: what `benchmarks.training` compares with.

    python benchmarks/pytorch_images.py mnist FOLDER EPOCHS WORKERS

torchvision's data set and transforms are written out here, as it does them: an image of Pillow's for each sample, made
a tensor, scaled and normalised.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    """Images (N, H, W) or (N, H, W, 3), uint8, one at a time, as torchvision's data sets give them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Any) -> None:
        self.data, self.targets = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(labels, np.int64))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(image.numpy())), target


class Compose:
    """One after the other."""

    def __init__(self, *transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        """All of them."""
        for transform in self.transforms:
            image = transform(image)
        return image


class Moved(nn.Module):
    """RandomCrop with padding, of a picture."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, image: Any) -> Any:
        """A part of the padded picture, at a random place."""
        width, height = image.size
        image = ImageOps.expand(image, self.shift)
        top = int(torch.randint(0, 2 * self.shift + 1, size=(1,)).item())
        left = int(torch.randint(0, 2 * self.shift + 1, size=(1,)).item())
        return image.crop((left, top, left + width, top + height))


class Mirrored(nn.Module):
    """RandomHorizontalFlip of a picture."""

    def forward(self, image: Any) -> Any:
        """Half of them turned."""
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(1) < 0.5 else image


class ToTensor:
    """A picture as numbers from 0 to 1, channels first."""

    def __call__(self, picture: Any) -> torch.Tensor:
        """Of one picture."""
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], len(picture.getbands()))
        return pixels.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


class Normalize(nn.Module):
    """Without mean, divided by the standard deviation."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Of one image."""
        image = image.clone()
        mean, std = (torch.as_tensor(x, dtype=image.dtype, device=image.device) for x in (self.mean, self.std))
        if (std == 0).any():
            raise ValueError("a standard deviation is 0")
        return image.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


def read_mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels."""
    arrays = []
    for name, skip in ((f"{part}-images-idx3-ubyte.gz", 16), (f"{part}-labels-idx1-ubyte.gz", 8)):
        with gzip.open(folder / "mnist" / name) as file:
            arrays.append(np.frombuffer(file.read(), np.uint8, offset=skip))
    return arrays[0].reshape(-1, 28, 28), arrays[1]


def read_cifar(folder: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) and labels; chainrule's reader, outside of what is measured."""
    from chainrule.data.cifar import load_cifar_arrays

    images, labels, _ = load_cifar_arrays(10, train, folder)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels


def lenet5() -> nn.Module:
    """As chainrule.models.LeNet5 for 28 × 28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    """A basic residual block."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.short = nn.Identity()
        if stride != 1 or before != after:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions and the way around them."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.short(x)).relu()


def resnet10() -> nn.Module:
    """As chainrule.models.resnet10."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Block(32, 32, 1), Block(32, 64, 2),
        Block(64, 128, 2), Block(128, 256, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def main() -> None:
    """Train, test, and print what came out as JSON."""
    data, folder, epochs, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.manual_seed(0)
    if data == "mnist":
        (images, labels), (test_images, test_labels) = (read_mnist(folder, part) for part in ("train", "t10k"))
        model, batch, scale = lenet5(), 64, Normalize([0.1307], [0.3081])
        augmented = Compose(ToTensor(), scale)
    else:
        (images, labels), (test_images, test_labels) = (read_cifar(folder, train) for train in (True, False))
        model, batch, scale = resnet10(), 128, Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
        augmented = Compose(Moved(4), Mirrored(), ToTensor(), scale)
    count = len(images) * 9 // 10  # the rest would be for validation
    options = {"num_workers": workers, "persistent_workers": workers > 0}
    train = DataLoader(Images(images[:count], labels[:count], augmented), batch, shuffle=True, **options)
    test = DataLoader(Images(test_images, test_labels, Compose(ToTensor(), scale)), 256, **options)
    loss_function, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train))
    speeds = []
    for _ in range(epochs):
        model.train()
        start = time.perf_counter()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss = loss_function(model(inputs), targets)
            loss.backward()
            optimizer.step()
            schedule.step()
        speeds.append(count / (time.perf_counter() - start))
    model.eval()
    with torch.no_grad():
        right = sum(int((model(inputs).argmax(1) == targets).sum()) for inputs, targets in test)
    print(json.dumps({"samples_per_second": max(speeds), "accuracy": right / len(test_labels)}))


if __name__ == "__main__":
    main()
