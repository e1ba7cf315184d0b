"""What a run needs of a generative model of images, whatever its kind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.tensor import Tensor


class Maker(nn.Module):
    """Takes images with pixels in [0, 1], gives the parts of its loss for them, and draws new ones.

    Args:
        shape: (C, H, W) of an image.
        classes: how many it is told; 0 for none.

    Attributes:
        parts: the names of the parts of the loss.
        weights: how much each counts.
        grid: how many images are drawn to be looked at while it learns.
        draw: a method from a count, classes (count,) or None, and options by name, to new images (count, C, H, W) with
            pixels in [0, 1].
    """

    parts: ClassVar[tuple[str, ...]]
    weights: tuple[float, ...]
    grid: ClassVar[int] = 64
    draw: Callable[..., Tensor]

    def __init__(self, shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1 or classes < 0:
            raise ValueError(f"images are (C, H, W) and classes not negative, got {tuple(shape)} and {classes}.")
        self.shape, self.classes = tuple(shape), classes

    @abstractmethod
    def forward(self, inputs: Any) -> Tensor:
        """The parts of the loss, (N, parts), for images (N, C, H, W), or for a pair of images and classes (N,)."""

    def taken_apart(self, inputs: Any) -> tuple[Tensor, Tensor | None]:
        """Images and classes. Raises ShapeError for images of another shape."""
        images, labels = inputs if isinstance(inputs, tuple | list) else (inputs, None)
        if tuple(images.shape[1:]) != self.shape:
            raise ShapeError(f"takes images (N, {', '.join(map(str, self.shape))}), got {tuple(images.shape)}.")
        return images, labels

    def refuse_labels(self, labels: Tensor | None) -> None:
        """Raise ValueError where there are classes and this model is told none."""
        if labels is not None:
            raise ValueError("this model is told no classes, so it cannot draw one of them.")
