"""What all data sets of images have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Transform = Callable[[Any], Any]


class VisionDataset:
    """A data set of images: where it is, and what is done to its samples.

    Args:
        root: the folder it is in.
        transforms: a function of image and label that gives both anew; instead of the next two.
        transform: a function of the image.
        target_transform: a function of the label.

    Raises ValueError for `transforms` together with one of the others.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError("give either transforms, or transform and target_transform, but not both.")
        self.root = root
        self.transforms, self.transform, self.target_transform = transforms, transform, target_transform

    def transformed(self, image: Any, label: Any) -> tuple[Any, Any]:
        """The sample after what was asked to be done to it."""
        if self.transforms is not None:
            return self.transforms(image, label)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """A line for `repr` on what distinguishes this one."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        for title, function in (("Transform", self.transform), ("Target transform", self.target_transform)):
            if function is not None:
                lines.append(f"{title}: {function!r}")
        return "\n".join([f"Dataset {type(self).__name__}", *(f"    {line}" for line in lines)])
