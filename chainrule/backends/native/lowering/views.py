"""Where the entries of a value lie in memory: a buffer, and strides into it.

Moving operations (permute, broadcast, slices, windows, most reshapes) compute nothing: they are another way of
walking through the same memory. All strides and offsets count entries, not bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from chainrule.primitives.indexing import Range
from chainrule.primitives.value import DataType, Shape


@dataclass(eq=False)
class Buffer:
    """A piece of memory for the entries of one value.

    Attributes:
        dtype: of its entries.
        size: how many there are, gaps included.
        origin: what gives the memory: None for the program's own arena; otherwise a cell, an argument, an array.
        zeroed: must be filled with zeros before it is written to (it has a border, or gaps, that will be read).
    """

    dtype: DataType
    size: int
    origin: Any = None
    zeroed: bool = False
    name: str = ""

    @property
    def bytes(self) -> int:
        """Its size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def lasting(self) -> bool:
        """Whether it was there before the run: what is written there cannot be taken back."""
        return self.origin is not None and not isinstance(self.origin, str)


@dataclass(frozen=True)
class View:
    """The entries of a value in a buffer: entry (i, j, …) is at offset + i·strides[0] + j·strides[1] and so on."""

    buffer: Buffer
    shape: Shape
    strides: Shape
    offset: int = 0
    dtype: DataType = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", self.buffer.dtype)

    # ------------------------------------------------------------------------------- other ways to walk

    def permute(self, order: Shape) -> View:
        """Dimension i is dimension order[i] of this."""
        return replace(self, shape=tuple(self.shape[i] for i in order), strides=tuple(self.strides[i] for i in order))

    def broadcast(self, to: Shape) -> View:
        """Repeated to a larger shape: stride 0 along what is repeated."""
        new = len(to) - len(self.shape)
        strides = (0,) * new + tuple(
            0 if extent == 1 else stride for extent, stride in zip(self.shape, self.strides, strict=True)
        )
        return replace(self, shape=to, strides=strides)

    def flip(self, axes: Shape) -> View:
        """Backwards along the axes."""
        offset = self.offset + sum((self.shape[a] - 1) * self.strides[a] for a in axes)
        strides = tuple(-s if a in axes else s for a, s in enumerate(self.strides))
        return replace(self, strides=strides, offset=offset)

    def windows(self, kernel: Shape, stride: Shape, dilation: Shape) -> View:
        """Every window of the last dimensions; the place within the window comes last."""
        first = len(self.shape) - len(kernel)
        spatial, size = self.strides[first:], self.shape[first:]
        out = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True))
        strides = (
            *self.strides[:first],
            *(step * s for step, s in zip(spatial, stride, strict=True)),
            *(step * d for step, d in zip(spatial, dilation, strict=True)),
        )
        return replace(self, shape=(*self.shape[:first], *out, *kernel), strides=strides)

    def index(self, key: tuple[Any, ...]) -> View:
        """x[key] for integers, ranges, None and Ellipsis."""
        named = sum(part is not None and part is not Ellipsis for part in key)
        shape: list[int] = []
        strides: list[int] = []
        offset, axis = self.offset, 0
        for part in key if Ellipsis in key else (*key, Ellipsis):
            if part is Ellipsis:
                rest = len(self.shape) - named
                shape += self.shape[axis : axis + rest]
                strides += self.strides[axis : axis + rest]
                axis += rest
            elif part is None:
                shape.append(1)
                strides.append(0)
            elif isinstance(part, Range):
                start, stop, step = slice(*part).indices(self.shape[axis])
                shape.append(max(0, -(-(stop - start) // step)))
                strides.append(self.strides[axis] * step)
                offset += start * self.strides[axis]
                axis += 1
            else:
                offset += (int(part) % max(self.shape[axis], 1)) * self.strides[axis]
                axis += 1
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def reshape(self, to: Shape) -> View | None:
        """The same entries in row-major order under another shape, if strides can say so; None if they cannot."""
        strides = reshaped_strides(self.shape, self.strides, to)
        return None if strides is None else replace(self, shape=to, strides=strides)

    @property
    def row_major(self) -> bool:
        """Whether the entries lie one behind the other in the order of the dimensions."""
        return all(
            extent == 1 or stride == expected
            for extent, stride, expected in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )


def row_major(shape: Shape) -> Shape:
    """The strides of entries that lie in the order of the dimensions.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def reshaped_strides(shape: Shape, strides: Shape, to: Shape) -> Shape | None:
    """Strides that show a walk through `shape` as one through `to`; None if there are none.

    >>> reshaped_strides((2, 3, 4), (12, 4, 1), (6, 4)), reshaped_strides((2, 3, 4), (12, 1, 3), (6, 4))
    ((4, 1), None)
    """
    if math.prod(shape) == 0:
        return row_major(to)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    answer: list[int] = []
    at, left = 0, 1  # `left` entries of the current group of old dimensions are still to be dealt out
    stack: list[tuple[int, int]] = []
    for extent in to:
        if extent == 1:
            answer.append(0)
            continue
        if left == 1:
            # Join old dimensions until the new one divides them.
            count, step = 1, 0
            while count % extent:
                if at == len(old):
                    return None
                n, s = old[at]
                if count > 1 and step != n * s:
                    return None
                count, step, at = count * n, s, at + 1
            left, stack = count, [(count, step)]
        count, step = stack[0]
        if left % extent:
            # The new dimension reaches beyond what is left: the next old dimension must follow without a gap.
            while left % extent:
                if at == len(old) or step != old[at][0] * old[at][1]:
                    return None
                n, s = old[at]
                left, step, at = left * n, s, at + 1
            stack = [(left, step)]
        left //= extent
        answer.append(step * left)
    return tuple(answer)


def whole_images(view: View, images: View) -> bool:
    """Whether a view of images (N, C, …) of the same memory shows all pixels of those that it shows, in their order.

    >>> import numpy as np
    >>> images = View(Buffer(np.dtype(np.float32), 96), (2, 3, 4, 4), (48, 16, 4, 1))
    >>> every, part = Range(None, None, None), Range(1, None, None)
    >>> whole_images(images.index((part, 0)), images), whole_images(images.index((part, part)), images)
    (False, True)
    >>> whole_images(images.index((every, every, part)), images)
    False
    """
    if view.shape[2:] != images.shape[2:] or view.strides[2:] != images.strides[2:]:
        return False
    rest = view.offset - images.offset
    for stride, extent in sorted(zip(images.strides[:2], images.shape[:2], strict=True), reverse=True):
        steps, rest = divmod(rest, stride) if stride else (0, rest)
        if not 0 <= steps < extent:
            return False
    return rest == 0
