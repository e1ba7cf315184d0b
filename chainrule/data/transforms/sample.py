"""What a transform is given: an image or a batch, alone or with labels that must change with it.

A user's sample may be an image, a tuple or list that begins with one, or a dictionary; lists and dictionaries may stand
inside. `opened` takes the image and its labels out, and puts the changed ones back where they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from chainrule.data.transforms.conversion import from_picture, to_picture
from chainrule.data.transforms.images import is_picture, need_image
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.pieces import stack
from chainrule.tensor import Tensor


class Sample(NamedTuple):
    """Images with what belongs to them, all as batches.

    images: (N, C, H, W). masks: each (N, M, H, W), any type. points: each (N, K, 2), pairs (x, y) in pixels; the middle
    of the first pixel is (0, 0). single: whether the user gave one image and no batch.
    """

    images: Tensor
    masks: tuple[Tensor, ...] = ()
    points: tuple[Tensor, ...] = ()
    single: bool = False


#: What stands under these names in a dictionary. All else in it stays as it is.
ROLES = {
    "image": "image", "images": "image", "img": "image", "mask": "mask", "masks": "mask",
    "keypoints": "points", "boxes": "boxes",
}  # fmt: skip

Path = tuple[Any, ...]


def leaves(part: Any, path: Path = (), role: str | None = None) -> Iterator[tuple[Path, str | None, Any]]:
    """Each entry with its place, and its role if a dictionary names it."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from leaves(value, (*path, key), ROLES.get(key, "other"))
    elif isinstance(part, (tuple, list)) and role != "other":
        for i, value in enumerate(part):
            yield from leaves(value, (*path, i), role)
    else:
        yield path, role, part


def roles(whole: Any) -> dict[Path, str]:
    """The places that hold an image, masks, keypoints or boxes.

    Outside dictionaries the first image is the image, and the rest goes by its shape: the image's height and width make
    a mask, floats (…, K, 2) keypoints. A label is neither.

    >>> import chainrule
    >>> roles((chainrule.zeros(3, 8, 9), chainrule.zeros(8, 9), chainrule.zeros(4, 2), 5))
    {(0,): 'image', (1,): 'mask', (2,): 'points'}
    """
    found: dict[Path, str] = {}
    image: Any = None
    for path, role, x in leaves(whole):
        if role == "other" or not (is_picture(x) or isinstance(x, Tensor)):
            continue
        if image is None and role in (None, "image"):
            found[path], image = "image", x
        elif role == "image":
            raise ShapeError("a sample has one image (or one batch of them); name what follows it: mask, keypoints.")
        elif role is not None or (role := _guessed(image, x)) is not None:
            found[path] = role
    if image is None:
        if isinstance(whole, (dict, tuple, list)):
            raise DTypeError(
                f"a sample is an image, or a tuple or dictionary with an `image`; there is none in {_kinds(whole)}."
            )
        need_image(whole)
    return found


def _kinds(whole: Any) -> str:
    if isinstance(whole, dict):
        return "{" + ", ".join(f"{key!r}: {type(x).__name__}" for key, x in whole.items()) + "}"
    return "(" + ", ".join(type(x).__name__ for x in whole) + ")"


def _guessed(image: Any, x: Any) -> str | None:
    if image is None:
        return None
    if is_picture(x):
        return "mask" if is_picture(image) and x.size == image.size else None
    if is_picture(image):
        size, ndim = (image.height, image.width), 3
    else:
        size, ndim = tuple(image.shape)[-2:], image.ndim
    if tuple(x.shape)[-2:] == size and x.ndim in (ndim, ndim - 1) and not (x.dtype.is_floating_point and size[1] == 2):
        return "mask"
    if x.dtype.is_floating_point and x.ndim == ndim - 1 and x.shape[-1] == 2:
        return "points"
    return None


def replaced(part: Any, new: dict[Path, Any], path: Path = ()) -> Any:
    """A copy of the sample with other entries at some places."""
    if path in new:
        return new[path]
    if not any(place[: len(path)] == path for place in new):
        return part
    if isinstance(part, dict):
        return {key: replaced(value, new, (*path, key)) for key, value in part.items()}
    parts = [replaced(value, new, (*path, i)) for i, value in enumerate(part)]
    return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)


def opened(whole: Any) -> tuple[Sample, Callable[[Sample], Any]]:
    """The sample as batches, and the function that puts a changed one into the user's form."""
    if isinstance(whole, Tensor) and whole.ndim == 4 and 0 not in whole.shape[1:]:  # the common case, without a walk
        return Sample(whole), lambda sample: sample.images
    places = roles(whole)
    entries = dict((path, x) for path, _, x in leaves(whole) if path in places)
    image_path = next(path for path, role in places.items() if role == "image")
    image = entries[image_path]
    x = from_picture(image) if is_picture(image) else need_image(image)
    lead, single = tuple(x.shape)[:-3], x.ndim == 3
    images = x if x.ndim == 4 else x.reshape(-1, *tuple(x.shape)[-3:])
    of_kind = {role: [path for path, r in places.items() if r == role] for role in ("mask", "points", "boxes")}
    masks = tuple(_mask(entries[path], images, single) for path in of_kind["mask"])
    boxes = tuple(_corners(_points(entries[path], images, 4)) for path in of_kind["boxes"])
    points = tuple(_points(entries[path], images, 2) for path in of_kind["points"])

    def put_back(sample: Sample) -> Any:
        new: dict[Path, Any] = {}
        if is_picture(image):
            new[image_path] = to_picture(sample.images[0], None if image.mode == "P" else image)
        else:
            y = sample.images
            new[image_path] = y if x.ndim == 4 else y.reshape(*lead, *tuple(y.shape)[1:])
        for path, mask in zip(of_kind["mask"], sample.masks, strict=True):
            old = entries[path]
            if is_picture(old):
                new[path] = to_picture(mask[0], old)
            else:
                new[path] = mask.reshape(*tuple(old.shape)[:-2], *tuple(mask.shape)[-2:])
        for path, moved in zip(of_kind["points"], sample.points, strict=False):
            new[path] = moved.reshape(*entries[path].shape)
        for path, moved in zip(of_kind["boxes"], sample.points[len(points) :], strict=True):
            height, width = tuple(sample.images.shape)[-2:]
            new[path] = _around(moved, height, width).reshape(*entries[path].shape)
        return replaced(whole, new)

    return Sample(images, masks, points + boxes, single), put_back


def _mask(x: Any, images: Tensor, single: bool) -> Tensor:
    mask = from_picture(x, colours=False) if is_picture(x) else x
    n, _, h, w = images.shape
    if tuple(mask.shape)[-2:] != (h, w) or mask.ndim not in ((2, 3) if single else (3, 4)):
        raise ShapeError(f"a mask for images {tuple(images.shape)} ends in {h} × {w}, got {tuple(mask.shape)}.")
    if not single and mask.shape[0] != n:
        raise ShapeError(f"{n} images go with {n} masks, got {tuple(mask.shape)}.")
    return mask.reshape(n, -1, h, w)


def _points(x: Any, images: Tensor, width: int) -> Tensor:
    n = images.shape[0]
    if not isinstance(x, Tensor) or x.ndim < 1 or x.shape[-1] != width or x.numel() % (n * width):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ShapeError(f"{'keypoints' if width == 2 else 'boxes'} are (…, {width}) for each image, got {shape}.")
    points = x.reshape(n, x.numel() // (n * width), width)
    return points if points.dtype.is_floating_point else points.float()


def _corners(boxes: Tensor) -> Tensor:
    """(N, K, 4), edges (left, top, right, bottom), as 4K places in pixel centres."""
    left, top, right, bottom = (boxes[..., i] - 0.5 for i in range(4))
    corners = [stack([x, y], -1) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
    return stack(corners, 2).reshape(boxes.shape[0], -1, 2)


def _around(corners: Tensor, height: int, width: int) -> Tensor:
    """The upright boxes around four corners each, within the image."""
    four = corners.reshape(corners.shape[0], -1, 4, 2) + 0.5
    low, high = four.amin(2), four.amax(2)
    edges = [low[..., 0].clamp(0, width), low[..., 1].clamp(0, height)]
    return stack([*edges, high[..., 0].clamp(0, width), high[..., 1].clamp(0, height)], -1)
