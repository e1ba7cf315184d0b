"""Pictures side by side in one, and tensors as files of pictures, as in PyTorch-vision's `utils`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import IO, Any

from chainrule.autodiff.mode import no_grad
from chainrule.data.transforms.conversion import to_pil_image
from chainrule.errors import ShapeError
from chainrule.files import write_atomically
from chainrule.functions.pieces import stack
from chainrule.nn import functional as F
from chainrule.tensor import Tensor


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Many pictures as one, `nrow` in each row, with `padding` pixels of `pad_value` around and between them.

    tensor: (N, C, H, W), a list of (C, H, W), or one picture (C, H, W) or (H, W). One channel becomes three equal ones.
    With `normalize` the numbers are brought to [0, 1]: from `value_range`, or from the least and the largest of all
    (`scale_each`: of each picture). Gives (3, rows·(H + padding) + padding, columns·(W + padding) + padding); of a
    single picture the picture. Raises ShapeError for other shapes.

    >>> import chainrule
    >>> make_grid(chainrule.ones(5, 1, 4, 6), nrow=3).shape
    Size([3, 14, 26])
    """
    images = _colours(tensor if isinstance(tensor, Tensor) else stack(list(tensor)))
    if normalize:
        images = _scaled(images, value_range, scale_each)
    count, channels, height, width = images.shape
    if count == 1:
        return images[0]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    grid = images.new_full((rows * columns, channels, height + padding, width + padding), pad_value)
    grid[:count, :, padding:, padding:] = images
    grid = grid.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    return F.pad(grid, (0, padding, 0, padding), value=pad_value)


def _colours(images: Tensor) -> Tensor:
    """(N, C, H, W) with three channels where there was one."""
    if not 2 <= images.ndim <= 4:
        raise ShapeError(
            f"make_grid takes pictures (N, C, H, W), (C, H, W) or (H, W), got shape {tuple(images.shape)}."
        )
    images = images[None] if images.ndim == 2 else images
    images = images[None] if images.ndim == 3 else images
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def _scaled(images: Tensor, value_range: tuple[float, float] | None, each: bool) -> Tensor:
    """From the range to [0, 1]; a picture of one colour is not divided by zero."""
    if value_range is not None:
        low, high = value_range
        return (images.clamp(low, high) - low) / max(high - low, 1e-5)
    dims = (1, 2, 3) if each else (0, 1, 2, 3)
    least = images.amin(dims, keepdim=True)
    return (images - least) / (images.amax(dims, keepdim=True) - least).clamp(min=1e-5)


@no_grad()
def save_image(
    tensor: Tensor | Sequence[Tensor],
    fp: str | os.PathLike[str] | IO[bytes],
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """The picture that `make_grid(tensor, **kwargs)` makes as a file; its kind by `format`, or by the file's name.

    Numbers are taken to be in [0, 1]; what is outside becomes black or white.

    >>> import chainrule, io
    >>> save_image(chainrule.ones(4, 3, 8, 8), io.BytesIO(), format="png")
    """
    picture = to_pil_image(make_grid(tensor, **kwargs))
    if isinstance(fp, (str, os.PathLike)):
        write_atomically(fp, lambda temporary: picture.save(temporary, format=format))
    else:
        picture.save(fp, format=format)
