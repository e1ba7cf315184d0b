"""Transforms made of transforms, and those that only change the form: pictures to tensors and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from chainrule.data.transforms import conversion
from chainrule.data.transforms.images import is_picture
from chainrule.data.transforms.sample import Sample, leaves, replaced, roles
from chainrule.data.transforms.transform import Transform, chosen, probability
from chainrule.dtypes import as_dtype
from chainrule.functions.creation import tensor
from chainrule.random import Generator, rand
from chainrule.tensor import Tensor


class _Form(Transform):
    """A change of the image alone, as the user gave it: a picture, an array or a tensor."""

    def convert(self, image: Any) -> Any:
        raise NotImplementedError

    def convert_mask(self, mask: Any) -> Any:
        return mask

    def forward(self, *inputs: Any) -> Any:
        """The sample with another image."""
        whole = inputs[0] if len(inputs) == 1 else inputs
        if not isinstance(whole, (dict, tuple, list)):
            return self.convert(whole)
        first = _first_image(whole)
        found = roles(replaced(whole, {first[0]: conversion.to_image(first[1])})) if first else roles(whole)
        new = {}
        for path, _, x in leaves(whole):
            if first and path == first[0]:
                new[path] = self.convert(x)
            elif found.get(path) == "mask" or (is_picture(x) and path not in found):
                new[path] = self.convert_mask(x)
        return replaced(whole, new)

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """The images converted."""
        return self.convert(images)


def _first_image(whole: Any) -> tuple[Any, Any] | None:
    """The place of the first entry that can become an image, and the entry."""
    for path, role, x in leaves(whole):
        array = type(x).__module__ == "numpy" and getattr(x, "ndim", 0) in (2, 3)
        if role in (None, "image") and (array or is_picture(x) or isinstance(x, Tensor)):
            return path, x
    return None


class ToTensor(_Form):
    """Pictures and arrays (H, W, C) become tensors (C, H, W), bytes floats in [0, 1]; see `functional.to_tensor`.

    Masks that are pictures become tensors of their own numbers.

    >>> import numpy as np
    >>> ToTensor()(np.full((2, 3, 1), 255, np.uint8)).shape
    Size([1, 2, 3])
    """

    def convert(self, image: Any) -> Any:
        """The tensor."""
        return conversion.to_tensor(image)

    def convert_mask(self, mask: Any) -> Any:
        """The mask as a tensor."""
        return conversion.pil_to_tensor(mask) if is_picture(mask) else mask


class PILToTensor(ToTensor):
    """Pictures become tensors (C, H, W) of their own numbers; see `functional.pil_to_tensor`.

    >>> from PIL import Image
    >>> PILToTensor()(Image.new("L", (1, 1), 7))
    tensor([[[7]]], dtype=chainrule.uint8)
    """

    def convert(self, image: Any) -> Any:
        """The tensor."""
        return conversion.pil_to_tensor(image)


class ToImage(ToTensor):
    """Pictures and arrays (H, W, C) become tensors (C, H, W) of their own numbers; tensors stay.

    >>> import numpy as np
    >>> ToImage()(np.full((2, 3, 1), 255, np.uint8)).dtype
    chainrule.uint8
    """

    def convert(self, image: Any) -> Any:
        """The tensor."""
        return conversion.to_image(image)


class ToPILImage(_Form):
    """A tensor (C, H, W) or an array (H, W, C) becomes a picture; see `functional.to_pil_image`.

    >>> import chainrule
    >>> ToPILImage()(chainrule.zeros(1, 2, 4))
    <PIL.Image.Image image mode=L size=4x2 at ...>
    """

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def convert(self, image: Any) -> Any:
        """The picture."""
        return conversion.to_pil_image(image, self.mode)

    def extra_repr(self) -> str:
        """The mode."""
        return "" if self.mode is None else f"mode={self.mode}"


class ConvertImageDtype(Transform):
    """Another type with the range that goes with it; see `functional.convert_image_dtype`.

    >>> import chainrule
    >>> ConvertImageDtype(chainrule.float32)(chainrule.tensor([[[255]]], dtype=chainrule.uint8))
    tensor([[[1.]]])
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = as_dtype(dtype)

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Converted."""
        return conversion.convert_image_dtype(images, self.dtype)

    def extra_repr(self) -> str:
        """The type."""
        return f"dtype={self.dtype}"


class ToDtype(Transform):
    """Images in another type: with `scale` in the range that goes with it, else by the numbers alone.

    >>> import chainrule
    >>> ToDtype(chainrule.float32, scale=True)(chainrule.tensor([[[255]]], dtype=chainrule.uint8))
    tensor([[[1.]]])
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = as_dtype(dtype), scale

    def change_images(self, images: Tensor, settings: Any) -> Tensor:
        """Converted."""
        return conversion.to_dtype(images, self.dtype, self.scale)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dtype={self.dtype}, scale={self.scale}"


class Lambda(_Form):
    """A function of yours on the image, labels as they are.

    >>> import chainrule
    >>> Lambda(lambda x: x * 2)(chainrule.ones(1, 1, 1), 3)
    (tensor([[[2.]]]), 3)
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        super().__init__()
        if not callable(lambd):
            raise TypeError(f"Lambda takes a function, got {type(lambd).__name__}.")
        self.lambd = lambd

    def convert(self, image: Any) -> Any:
        """What the function makes of it."""
        return self.lambd(image)

    def change(self, sample: Sample) -> Sample:
        """A single image is given to the function as one."""
        images = self.lambd(sample.images[0])[None] if sample.single else self.lambd(sample.images)
        return sample._replace(images=images)

    def extra_repr(self) -> str:
        """The function's name."""
        return getattr(self.lambd, "__name__", type(self.lambd).__name__)


class Identity(Transform):
    """Nothing.

    >>> Identity()(5)
    5
    """

    def forward(self, *inputs: Any) -> Any:
        """The sample itself."""
        return inputs[0] if len(inputs) == 1 else inputs

    def change(self, sample: Sample) -> Sample:
        """The sample itself."""
        return sample


# ---------------------------------------------------------------------------------------------------- containers


class _Container(Transform):
    def __init__(self, transforms: Sequence[Any], generator: Generator | None = None) -> None:
        super().__init__(generator)
        if callable(transforms) or not all(callable(t) for t in transforms):
            raise TypeError(f"{type(self).__name__} takes a list of transforms, got {transforms!r}.")
        self.transforms = list(transforms)

    def steps(self) -> list[Transform]:
        """The transforms; a plain function is one of the image."""
        return [t if isinstance(t, Transform) else Lambda(t) for t in self.transforms]

    def __repr__(self) -> str:
        inside = "".join(f"\n    {line}" for t in self.transforms for line in repr(t).splitlines())
        first = self.extra_repr()
        return f"{type(self).__name__}({'' if not first else chr(10) + '    ' + first}{inside}\n)"


class Compose(_Container):
    """One after the other. A function of yours among them is given the sample as it is then, a dictionary for instance.

    >>> Compose([Identity(), lambda sample: {**sample, "label": 3}])({"image": 1})
    {'image': 1, 'label': 3}
    """

    def forward(self, *inputs: Any) -> Any:
        """The sample through all of them."""
        whole = inputs[0] if len(inputs) == 1 else inputs
        for transform in self.transforms:
            whole = transform(whole) if len(inputs) == 1 else transform(*whole)
        return whole

    def change(self, sample: Sample) -> Sample:
        """The sample through all of them."""
        for transform in self.steps():
            sample = transform.change(sample)
        return sample


class RandomApply(_Container):
    """All of them, one after the other, with probability p, else none.

    For a batch all images are computed and some are taken, so the size of the images must stay.

    >>> import chainrule
    >>> RandomApply([Lambda(lambda x: x + 1)], p=1.0)(chainrule.zeros(1, 1, 1))
    tensor([[[1.]]])
    """

    def __init__(self, transforms: Sequence[Any], p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(transforms, generator)
        self.p = probability(p)

    def change(self, sample: Sample) -> Sample:
        """Those images changed that chance decides for."""
        flags = rand(sample.images.shape[0], generator=self.generator) < self.p
        changed = sample
        for transform in self.steps():
            changed = transform.change(changed)
        return chosen(flags, changed, sample, self)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class RandomChoice(_Container):
    """One of them, each image its own: with equal probability, or in proportion to `p`.

    >>> import chainrule
    >>> RandomChoice([Lambda(lambda x: x + 1), Lambda(lambda x: x + 1)])(chainrule.zeros(1, 1, 1))
    tensor([[[1.]]])
    """

    def __init__(
        self, transforms: Sequence[Any], p: Sequence[float] | None = None, *, generator: Generator | None = None
    ) -> None:
        super().__init__(transforms, generator)
        if not self.transforms:
            raise ValueError("RandomChoice needs something to choose from.")
        if p is not None and (len(p) != len(self.transforms) or min(p) < 0 or sum(p) <= 0):
            raise ValueError(f"p has a weight of at least 0 for each of {len(self.transforms)} transforms, got {p!r}.")
        self.p = p

    def change(self, sample: Sample) -> Sample:
        """Everything computed, for each image one taken."""
        weights = [1.0] * len(self.transforms) if self.p is None else list(self.p)
        edges = [edge / sum(weights) for edge in accumulate(weights)]
        draws = rand(sample.images.shape[0], dtype="float64", generator=self.generator)
        which = (draws.unsqueeze(1) >= tensor(edges[:-1], dtype="float64")).sum(1)
        return select(which, [t.change(sample) for t in self.steps()], self)

    def extra_repr(self) -> str:
        """The weights."""
        return "" if self.p is None else f"p={list(self.p)}"


def select(which: Tensor, changed: list[Sample], who: Any) -> Sample:
    """For each image, with its labels, one of several samples."""
    result = changed[0]
    for i, other in enumerate(changed[1:], 1):
        result = chosen(which == i, other, result, who)
    return result


class RandomOrder(_Container):
    """All of them in random order, each image its own. In every round all are computed and one is taken.

    >>> import chainrule
    >>> RandomOrder([Lambda(lambda x: x + 1), Lambda(lambda x: x + 2)])(chainrule.zeros(1, 1, 1))
    tensor([[[3.]]])
    """

    def __init__(self, transforms: Sequence[Any], *, generator: Generator | None = None) -> None:
        super().__init__(transforms, generator)

    def change(self, sample: Sample) -> Sample:
        """Round by round."""
        steps = self.steps()
        order = rand(sample.images.shape[0], len(steps), generator=self.generator).argsort(-1)
        for i in range(len(steps)):
            sample = select(order[:, i], [t.change(sample) for t in steps], self)
        return sample


__all__ = [
    "Compose",
    "ConvertImageDtype",
    "Identity",
    "Lambda",
    "PILToTensor",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
]
