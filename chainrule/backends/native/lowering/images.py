"""Images in memory, as convolutions want them: with a border of zeros, in an order of dimensions, phase by phase."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import FEW_CHANNELS, Group, image_order
from chainrule.backends.native.lowering.place import Inside, View, whole_images
from chainrule.primitives.value import Shape
from chainrule.program.graph import Equation

#: So many bytes of a pixel's channels are a narrow group at most: half a vector of 512 bits.
NARROW = 32


def settings_of(e: Equation) -> tuple[Shape, Shape, Shape]:
    """Stride, padding and dilation of a convolution."""
    p = e.parameters
    return tuple(p["stride"]), tuple(p["padding"]), tuple(p["dilation"])


def is_depthwise(e: Equation) -> bool:
    """Whether every group of a convolution has a single channel of the image."""
    return _width_of_groups(e) == 1


def has_narrow_groups(e: Equation) -> bool:
    """Whether the groups of a convolution are no products but sums over a window (`depthwise.py`).

    They have a single channel of the image; or as many as of the result, so few that a vector holds several groups.
    """
    width, channels = _width_of_groups(e), _image_of(e).shape[1]
    few = 0 < width * e.inputs[0].dtype.itemsize <= NARROW
    return width == 1 or (few and channels == _result_of(e).shape[1] and channels >= FEW_CHANNELS)


def copies_of_channels(e: Equation) -> int:
    """How many channels of the result read each channel of the image, in a convolution of narrow groups."""
    return int(_result_of(e).shape[1] // _image_of(e).shape[1])


def _image_of(e: Equation) -> Any:
    return e.outputs[0] if e.primitive.name == "ConvolutionTranspose" else e.inputs[0]


def _result_of(e: Equation) -> Any:
    return {"Convolution": e.outputs[0], "ConvolutionTranspose": e.inputs[0]}.get(e.primitive.name, e.inputs[-1])


def _width_of_groups(e: Equation) -> int:
    """How many channels of the image a group has; 0 if all channels are one group."""
    groups = e.parameters.get("groups", 1)
    return int(_image_of(e).shape[1] // groups) if groups > 1 else 0


def halo_of(e: Equation) -> list[tuple[Any, Shape]]:
    """The borders of zeros that a convolution would like around what it reads: (value, width for each dimension)."""
    p = e.parameters
    if is_depthwise(e) and copies_of_channels(e) > 1:
        return []  # it reads a copy of its own
    if e.primitive.name in ("WinogradConvolution", "WinogradTranspose"):
        transposed, size = e.primitive.name == "WinogradTranspose", e.outputs[0].shape[2:]
        return [(e.inputs[0], winograd_border(p["padding"], size, transposed))]
    if e.primitive.name in ("Convolution", "ConvolutionWeight", "WinogradWeight"):
        return [(e.inputs[0], tuple(p["padding"]))]
    low = [reach(e, d) for d in range(len(p["stride"]))]
    return [(e.inputs[0], tuple(max(low_high) for low_high in low))]


def winograd_border(padding: Shape, size: Shape, transposed: bool) -> Shape:
    """The border that tiles of 2×2 results read: one more at the end where the last tile reaches over the edge."""
    around = [2 - p if transposed else p for p in padding]
    return tuple(p + n % 2 for p, n in zip(around, size, strict=True))


def reach(e: Equation, d: int) -> tuple[int, int]:
    """How far a transposed convolution reads beyond the first and the last entry along a dimension."""
    p, w, y = e.parameters, e.inputs[1], e.inputs[0]
    stride, padding, dilation = p["stride"][d], p["padding"][d], p["dilation"][d]
    low = high = 0
    for place in range(min(stride, p["size"][d])):
        last = place + (p["size"][d] - 1 - place) // stride * stride
        for k in range(w.shape[2 + d]):
            if (place + padding - k * dilation) % stride == 0:
                low = max(low, -((place + padding - k * dilation) // stride))
                high = max(high, (last + padding - k * dilation) // stride - (y.shape[2 + d] - 1))
    return low, high


def bordered(at: Lowering, x: Any, low: Sequence[int], high: Sequence[int], channels_last: bool = False) -> View:
    """An image in memory, in its best order, with at least so many zeros around it."""
    wanted = tuple(max(a, b) for a, b in zip(low, high, strict=True))
    memory = at.memory(x)
    order = image_order(memory.shape)
    if channels_last:
        order = [0, *range(2, len(memory.shape)), 1]
    right = memory.plain and (memory.strides[order[-1]] == 1 or memory.shape[1] == 1)
    if right and (not any(wanted) or _has_border(at, memory, wanted)):
        return memory
    key = (at.key(x), wanted, tuple(order))
    if key not in at.copies:
        shape = memory.shape
        view = at.allocate(shape, x.dtype, range(len(shape)), order, wanted)
        at.into(x, view)
        at.copies[key] = view
    return at.copies[key]


def _has_border(at: Lowering, view: View, wanted: Shape) -> bool:
    """Whether at least so many zeros lie around each image: what is around a part of it is the rest of it."""
    image, have = at.borders.get(view.buffer, (view, ()))
    return bool(have) and whole_images(view, image) and all(h >= w for h, w in zip(have, wanted, strict=True))


def pixels_last(at: Lowering, x: Any) -> View:
    """A value in memory whose last dimension is contiguous."""
    view = at.plain(x)
    if view.strides[-1] == 1:
        return view
    key = (at.key(x), "pixels")
    if key not in at.copies:
        at.copies[key] = at.copy(x)
    return at.copies[key]


def weight_in_order(at: Lowering, w: Any, order: Shape) -> View:
    """The weight walked in another order of its dimensions, the last of them contiguous; packed if it is not."""
    view = at.plain(w)
    moved = view.permute(order)
    if moved.strides[-1] == 1 or moved.shape[-1] == 1:
        return moved
    key = (at.key(w), order)
    if key not in at.copies:
        at.copies[key] = at.copy(w, order)
    return at.copies[key].permute(order)


def sum_of_products(
    at: Lowering, x: View, y: View, axes: Shape, order: Sequence[int] | None = None
) -> tuple[Inside, Group]:
    """Σ x·y over some dimensions of two views of one shape, and the group that multiplies.

    `order` says how the result will lie in memory.
    """
    product = at.map("Multiply", [at.value(x), at.value(y)], x.dtype)
    product.group.order = list(range(len(x.shape)) if order is None else order)
    return at.reduce("Sum", at.value(product), axes, x.dtype), product.group


def phases(stride: Shape, size: Shape) -> list[Shape]:
    """The places at which the phases of a transposed convolution begin."""
    return list(itertools.product(*(range(min(s, n)) for s, n in zip(stride, size, strict=True))))


def phase_view(view: View, stride: Shape, place: Shape) -> View:
    """The entries of one phase: every stride-th from its place on."""
    n = len(stride)
    shape = tuple(-(-(view.shape[2 + d] - place[d]) // stride[d]) for d in range(n))
    strides = tuple(view.strides[2 + d] * stride[d] for d in range(n))
    offset = view.offset + sum(place[d] * view.strides[2 + d] for d in range(n))
    return view.walked((*view.shape[:2], *shape), (*view.strides[:2], *strides), offset)


@dataclass(frozen=True)
class Phase:
    """The entries of a transposed convolution's result at places `place` + a multiple of the stride.

    All of them meet the same entries of the kernel: `first`, `first` + `step`, …, so many that they are `count`. The
    last of these reads y at `start` for the first entry of the phase; each one before it `back` entries further on.
    """

    place: Shape
    size: Shape
    first: Shape
    step: Shape
    count: Shape
    start: Shape
    back: Shape

    def kernel(self, w: View) -> View:
        """Those entries of a weight (o, c, kernel…)."""
        strides = tuple(s * step for s, step in zip(w.strides[2:], self.step, strict=True))
        offset = w.offset + sum(k * s for k, s in zip(self.first, w.strides[2:], strict=True))
        return w.walked((*w.shape[:2], *self.count), (*w.strides[:2], *strides), offset)


def phase_of(e: Equation, place: Shape) -> Phase | None:
    """What a phase of a transposed convolution reads; None if it meets no entry of the kernel."""
    (w, (x,)), n = (e.inputs[1], e.outputs), len(place)
    stride, padding, dilation = settings_of(e)
    first, step, count, start, back = [], [], [], [], []
    for d in range(n):
        meets = [k for k in range(w.shape[2 + d]) if (place[d] + padding[d] - k * dilation[d]) % stride[d] == 0]
        if not meets:
            return None
        common = gcd(stride[d], dilation[d])
        first.append(meets[0])
        step.append(stride[d] // common)
        count.append(len(meets))
        start.append((place[d] + padding[d] - meets[-1] * dilation[d]) // stride[d])
        back.append(dilation[d] // common)
    size = tuple(-(-(x.shape[2 + d] - place[d]) // stride[d]) for d in range(n))
    return Phase(place, size, tuple(first), tuple(step), tuple(count), tuple(start), tuple(back))


def windows_of(image: View, e: Equation, kernel: Shape) -> View:
    """All windows that a convolution reads of a bordered image: (n, c, out…, kernel…)."""
    stride, padding, dilation = settings_of(e)
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    size = tuple(s + 2 * p for s, p in zip(image.shape[2:], padding, strict=True))
    return image.walked((*image.shape[:2], *size), image.strides, offset).windows(tuple(kernel), stride, dilation)
