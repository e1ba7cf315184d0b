"""Where the entries of a value are: one index expression, whether they are in memory or within a group's loops.

A place is a source and a way through it. Entry (i, j, …) of a value in memory is at offset + i·strides[0] +
j·strides[1] + …; of a value that a group computes it is where the group's axes[0] stands at i, axes[1] at j, ….
Along a dimension with stride 0, or without an axis, all entries are the same. One number is memory of one entry.

Moving operations compute nothing: each is another way through the same source. Dimensions are put in another order, or
new ones in; a walk begins elsewhere, takes longer steps, goes backwards. Three things bend the way: a *guard* says
between which places along a dimension there are entries, a *repeat* that some neighbours along it are one entry, and a
*look-up* moves by what another value holds. At last a group's axes are put in for the dimensions, and the place is an
operand of its nest (`nest.operand_of`).

All strides and offsets count entries, not bytes.

>>> import numpy as np
>>> x = View(Buffer(np.dtype(np.float32), 12), (3, 4), (4, 1))
>>> x.permute((1, 0)).strides, x.broadcast((2, 3, 4)).strides, x.flip((1,)).offset
((1, 4), (0, 4, 1), 3)
>>> row = x.index((1, Range(None, None, 2))); row.offset, row.shape, row.strides
(4, (2,), (2,))
>>> wide = x.pad((0, 2), (0, 0), -1.0); wide.shape, wide.guards, wide.offset
((3, 6), (Guard(axis=1, low=2, high=6),), -2)
>>> wide.permute((1, 0)).guards
(Guard(axis=0, low=2, high=6),)
>>> x.repeat(0, 2, 0, 7).guards, x.repeat(0, 2, 0, 7).repeats  # rows 0, 0, 1, 1, 2, 2, and one that is not there
((Guard(axis=0, low=0, high=6),), (Repeat(axis=0, times=2),))
>>> constant(3, (2, 5), x.dtype).permute((1, 0)).number
np.float32(3.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from chainrule.primitives.indexing import Range
from chainrule.primitives.value import Array, DataType, Shape

if TYPE_CHECKING:
    from chainrule.backends.native.lowering.groups import Group
    from chainrule.backends.native.lowering.nest import Node


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

    @property
    def moves(self) -> bool:
        """Whether it is a row of a sequence: it is elsewhere each time a loop goes round."""
        return isinstance(self.origin, str) and self.origin == "moving"


class Guard(NamedTuple):
    """Along an axis, memory holds entries only at low ≤ index < high; elsewhere is a constant."""

    axis: int
    low: int
    high: int

    def along(self, axes: Mapping[int, int]) -> Guard:
        """The same with another axis in the place of its own."""
        return self._replace(axis=axes[self.axis])


class Repeat(NamedTuple):
    """Along an axis, so many neighbours are one entry: place i has the entry i // times."""

    axis: int
    times: int

    def along(self, axes: Mapping[int, int]) -> Repeat:
        """The same with another axis in the place of its own."""
        return self._replace(axis=axes[self.axis])


class LookUp(NamedTuple):
    """An index in another value that moves a place.

    Attributes:
        symbol: the other value.
        dims: which dimensions of the place its dimensions are; None for one that has a single entry.
        extent, stride: how many places there are, and how far apart they are.
    """

    symbol: Any
    dims: tuple[int | None, ...]
    extent: int
    stride: int


class Place:
    """Where a value is; either a View of memory, or Inside of a group."""

    shape: Shape

    @property
    def dtype(self) -> DataType:
        """The data type of the entries."""
        raise NotImplementedError

    @property
    def number(self) -> Any:
        """The number that all entries are, if that is known; otherwise None."""
        return None

    @property
    def varying(self) -> list[int]:
        """The dimensions along which entries differ."""
        raise NotImplementedError

    def rearrange(self, dims: Sequence[int | None], shape: Shape) -> Self:
        """Under another shape, each of whose dimensions is one of ours, or None if all along it is the same.

        Ours that are left out have one entry.
        """
        raise NotImplementedError

    def permute(self, order: Shape) -> Self:
        """Dimension i is dimension order[i] of this."""
        return self.rearrange(order, tuple([self.shape[d] for d in order]))

    def broadcast(self, to: Shape) -> Self:
        """Repeated to a larger shape."""
        new = [None] * (len(to) - len(self.shape))
        return self.rearrange([*new, *(None if n == 1 else d for d, n in enumerate(self.shape))], to)

    def with_ones(self, to: Shape) -> Self | None:
        """Under a shape in which only dimensions of one entry come and go; None if others change."""
        old = [d for d, extent in enumerate(self.shape) if extent != 1]
        if [self.shape[d] for d in old] != [extent for extent in to if extent != 1]:
            return None
        left = iter(old)
        return self.rearrange([None if extent == 1 else next(left) for extent in to], to)


@dataclass(frozen=True)
class Inside(Place):
    """A value that a group computes; for each dimension the group's axis, None where it is the same all along."""

    group: Group
    node: Node
    axes: tuple[int | None, ...]
    shape: Shape

    @property
    def dtype(self) -> DataType:
        """The data type of the entries."""
        return self.node.dtype

    @property
    def varying(self) -> list[int]:
        """The dimensions along which entries differ."""
        return [d for d, axis in enumerate(self.axes) if axis in self.node.axes and self.shape[d] != 1]

    def rearrange(self, dims: Sequence[int | None], shape: Shape) -> Inside:
        """Other axes for other dimensions."""
        return replace(self, axes=tuple([None if d is None else self.axes[d] for d in dims]), shape=shape)


@dataclass(frozen=True)
class View(Place):
    """The entries of a value in a buffer: entry (i, j, …) is at offset + i·strides[0] + j·strides[1] and so on.

    Attributes:
        guards: outside of these every entry is `filler`.
        repeats: along which dimensions neighbours are one entry.
        look_ups: indices from other values that move the place.
    """

    buffer: Buffer
    shape: Shape
    strides: Shape
    offset: int = 0
    guards: tuple[Guard, ...] = ()
    filler: float = 0
    look_ups: tuple[LookUp, ...] = ()
    repeats: tuple[Repeat, ...] = ()

    @property
    def dtype(self) -> DataType:
        """The data type of the entries."""
        return self.buffer.dtype

    @property
    def plain(self) -> bool:
        """Whether strides say everything."""
        return not self.guards and not self.look_ups and not self.repeats

    @property
    def number(self) -> Any:
        """The number that all entries are, if that is known; otherwise None."""
        origin = self.buffer.origin
        known = self.buffer.size == 1 and isinstance(origin, np.ndarray) and self.plain
        return origin[()] if known else None

    @property
    def varying(self) -> list[int]:
        """The dimensions along which entries differ; one that was looked up at one place may be repeated."""
        strides = self.strides
        if self.plain:
            return [d for d, extent in enumerate(self.shape) if extent != 1 and strides[d]]
        bent = {guard.axis for guard in self.guards}
        for x in self.look_ups:
            bent |= {d for d, n in zip(x.dims, x.symbol.shape, strict=True) if d is not None and n != 1}
        return [d for d, extent in enumerate(self.shape) if extent != 1 and (strides[d] or d in bent)]

    # ------------------------------------------------------------------------------- other ways to walk

    def rearrange(self, dims: Sequence[int | None], shape: Shape) -> View:
        """Strides, guards, repeats and look-ups in another order."""
        strides = tuple([0 if d is None else self.strides[d] for d in dims])
        if self.plain:
            return View(self.buffer, shape, strides, self.offset)
        now = {d: new for new, d in enumerate(dims) if d is not None}
        guards = tuple([guard.along(now) for guard in self.guards])
        moved = tuple([x._replace(dims=tuple([now.get(d) for d in x.dims])) for x in self.look_ups])  # type: ignore[arg-type]
        repeats = tuple([x.along(now) for x in self.repeats])
        return replace(self, shape=shape, strides=strides, guards=guards, look_ups=moved, repeats=repeats)

    def walked(self, shape: Shape, strides: Shape, offset: int | None = None) -> View:
        """Another walk through the same memory, of which strides must say everything."""
        assert self.plain, "guards, repeats and look-ups belong to the dimensions that there were"
        return View(self.buffer, shape, strides, self.offset if offset is None else offset)

    def flip(self, axes: Shape) -> View:
        """Backwards along the axes."""
        offset = self.offset + sum((self.shape[a] - 1) * self.strides[a] for a in axes)
        return self.walked(self.shape, tuple(-s if a in axes else s for a, s in enumerate(self.strides)), offset)

    def pad(self, before: Shape, after: Shape, filler: float) -> View:
        """With more entries around, which are not in memory: a guard knows where memory ends. Negative ones cut off."""
        offset, guards = self.offset, []
        for d, (low, high, extent) in enumerate(zip(before, after, self.shape, strict=True)):
            offset -= low * self.strides[d]
            if low > 0 or high > 0:
                guards.append(Guard(d, max(low, 0), low + extent))
        shape = tuple(low + extent + high for low, extent, high in zip(before, self.shape, after, strict=True))
        return replace(self.walked(shape, self.strides, offset), guards=tuple(guards), filler=filler)

    def repeat(self, d: int, times: int, shift: int, extent: int) -> View:
        """Along a dimension, place i of `extent` has our entry i // times − shift; 0 where there is none."""
        low, high = shift * times, (shift + self.shape[d]) * times
        guards, repeats = self.guards, self.repeats
        if low > 0 or high < extent:
            guards += (Guard(d, low, min(high, extent)),)
        if times > 1 and extent > 1:
            repeats += (Repeat(d, times),)
        shape = tuple([extent if i == d else n for i, n in enumerate(self.shape)])
        offset = self.offset - shift * self.strides[d]
        return replace(self, shape=shape, offset=offset, guards=guards, repeats=repeats)

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
        return self.walked((*self.shape[:first], *out, *kernel), strides)

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
        return self.walked(tuple(shape), tuple(strides), offset)

    def reshape(self, to: Shape) -> View | None:
        """The same entries in row-major order under another shape, if strides can say so; None if they cannot."""
        strides = reshaped_strides(self.shape, self.strides, to)
        return None if strides is None else self.walked(to, strides)

    @property
    def row_major(self) -> bool:
        """Whether the entries lie one behind the other in the order of the dimensions."""
        return all(
            extent == 1 or stride == expected
            for extent, stride, expected in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )


def constant(value: Any, shape: Shape, dtype: DataType) -> View:
    """The same number everywhere: memory of one entry."""
    return View(Buffer(dtype, 1, np.full((), value, dtype)), shape, (0,) * len(shape))


def literal(array: Array) -> View:
    """An array that is known: memory of its own, or a number."""
    if array.size == 1:
        return View(Buffer(array.dtype, 1, array.reshape(())), array.shape, (0,) * array.ndim)
    return View(Buffer(array.dtype, array.size, np.ascontiguousarray(array)), array.shape, row_major(array.shape))


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
