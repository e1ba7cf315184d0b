"""Lowering what slides windows over images: sums of windows, windows laid back, the largest entries and their gradient.

The largest entries of small windows are found entry after entry, all windows at the same time; the gradient of max
pooling is looked up: each place of the image takes what came to those windows that it is the largest entry of. So both
are elementwise operations, and what comes before and behind them joins.

>>> import chainrule
>>> from chainrule.nn import functional as F
>>> @chainrule.compile
... def gradient(x, g):
...     return chainrule.autograd.grad(F.max_pool2d(x.relu(), 2), x, g)
>>> x = chainrule.ones(1, 16, 5, 5, requires_grad=True)
>>> _ = gradient(x, chainrule.ones(1, 16, 2, 2)); print(gradient.explain())
3 kernels in 3 stages, 3 functions, 0.0 MB of working memory, on one thread
   0  [1×16×5×5] Maximum  /relu
   1  [1×16×2×2] Less Equal BitwiseNot BitwiseOr Where Maximum …
   2  [1×16×5×5] position Equal Where Add Less Cast …
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import LITTLE, axes_by_stride
from chainrule.backends.native.lowering.place import Inside, Place, View, row_major
from chainrule.backends.native.lowering.rules import rule
from chainrule.primitives.value import DataType, Shape, Symbol
from chainrule.primitives.window import are_apart, first_inside, windows_of_a_place
from chainrule.program.graph import Equation

_bool = np.dtype(np.bool_)
#: Windows of at most so many entries are written out.
FEW = 9


@rule
def lower_WindowSum(at: Lowering, e: Equation) -> Place:
    """The sum over the last dimensions of the windows."""
    (x,), (z,) = e.inputs, e.outputs
    windows = at.value(_windows(at, x, e))
    return at.reduce("Sum", windows, tuple(range(len(z.shape), len(windows.shape))), z.dtype)


@rule
def lower_Fold(at: Lowering, e: Equation) -> Place:
    """Entry after entry of the window, in the eager order: each adds all windows' to where they came from.

    Where no two windows meet nothing is added up.
    """
    (x,), (z,), p = e.inputs, e.outputs, e.parameters
    windows, rank = at.plain(x), len(z.shape)
    order = sorted(range(rank), key=lambda d: -abs(windows.strides[d]))
    view = at.allocate(z.shape, z.dtype, range(rank), order, ())
    apart = are_apart(p["kernel"], p["stride"], p["dilation"])
    if not (apart and x.size == z.size):
        at.into(at.full(0, z), view)
    laid = view.windows(p["kernel"], p["stride"], p["dilation"])
    for place in np.ndindex(*p["kernel"]):
        at.into(at.value(windows.index((..., *place))), laid.index((..., *place)), add=not apart)
    return view


def _windows(at: Lowering, x: Any, e: Equation) -> View:
    return at.plain(x).windows(**{name: e.parameters[name] for name in ("kernel", "stride", "dilation")})


# ------------------------------------------------------------------------------------- the largest entries


@rule
def lower_MaxPool(at: Lowering, e: Equation) -> tuple[Place, Place]:
    """The largest of every window, and where in the image it stands.

    The place is counted in the smallest type that can, for the gradient (`at.narrow`), and in int64 for everybody else.
    """
    indices = e.outputs[1]
    few = math.prod(e.parameters["kernel"]) <= FEW
    largest, place = (_found_one_by_one if few else _found_by_walking)(at, e)
    if any(e.parameters.get("padding", ())):  # where all is −∞, no padding is chosen
        nothing = at.value(at.map("Equal", [largest, at.full(-np.inf, largest)], _bool))
        first = at.value(at.place(_first_places(e, place.dtype)).broadcast(tuple(indices.shape)))
        place = at.map("Where", [nothing, first, at.value(place)], place.dtype)
    at.narrow[indices] = at.value(place)
    wide = place.group.nest.add("Cast", [place.node], indices.dtype)
    return at.place(largest), replace(place, node=wide)


def _counting(size: Shape) -> DataType:
    """The smallest type that counts the places of an image."""
    return np.dtype(next(t for t in (np.int16, np.int32, np.int64) if math.prod(size) <= np.iinfo(t).max))


def _places_in_window(e: Equation, integer: DataType) -> Any:
    """How far each entry of a window stands behind its first one, in the flattened image."""
    kernel, dilation, size = e.parameters["kernel"], e.parameters["dilation"], e.inputs[0].shape[2:]
    steps = [[i * d for i, d in zip(k, dilation, strict=True)] for k in np.ndindex(*kernel)]
    return np.array([np.ravel_multi_index(step, size) for step in steps], integer)


def _first_places(e: Equation, integer: DataType) -> Any:
    """For each window, where its first entry stands that is no padding."""
    p, out, size = e.parameters, e.outputs[1].shape[2:], e.inputs[0].shape[2:]
    within = _places_in_window(e, integer)[first_inside(out, p["kernel"], p["stride"], p["dilation"], p["padding"])]
    corners = np.ix_(*(np.arange(o) * s for o, s in zip(out, p["stride"], strict=True)))
    return (within + np.ravel_multi_index(corners, size)).astype(integer)


def _found_one_by_one(at: Lowering, e: Equation) -> tuple[Symbol, Inside]:
    """Entry after entry of the window. A later one is better if it is larger, or NaN."""
    (x,), windows, kernel = e.inputs, _windows(at, e.inputs[0], e), e.parameters["kernel"]
    integer, real = _counting(x.shape[2:]), x.dtype.kind == "f" or is_half(x.dtype)
    entries = [at.value(windows.index((..., *k))) for k in np.ndindex(*kernel)]
    shape = tuple(entries[0].shape)
    group, axes = at.new_group(entries[:1], shape)
    nest = group.nest
    largest, *others = [at.node(group, entry, axes) for entry in entries]
    place, *places = [nest.constant(here, integer) for here in _places_in_window(e, integer)]
    for entry, here in zip(others, places, strict=True):
        better = nest.add("Less", [largest, entry], _bool)
        if real:
            nan = nest.add("BitwiseNot", [nest.add("Equal", [entry, entry], _bool)], _bool)
            better = nest.add("BitwiseOr", [better, nan], _bool)
        place = nest.add("Where", [better, here, place], integer)
        largest = nest.add("Maximum", [largest, entry], x.dtype)
    found = _behind_corner(Inside(group, place, tuple(axes), shape), e)
    return at.value(Inside(group, largest, tuple(axes), shape)), found


def _found_by_walking(at: Lowering, e: Equation) -> tuple[Symbol, Inside]:
    """Large windows: loops along them look for the largest entry, and for its number within the window."""
    (x,), (_, indices), kernel = e.inputs, e.outputs, e.parameters["kernel"]
    view = _windows(at, x, e)
    if any(n > 1 and not stride for n, stride in zip(view.shape, view.strides, strict=True)):
        view = _windows(at, at.value(at.copy(x)), e)  # every dimension is an axis: places are counted along them
    windows, inner = at.value(view), tuple(range(len(indices.shape), len(view.shape)))
    largest = at.value(at.reduce("Amax", windows, inner, x.dtype))
    chosen = at.reduce("Argmax", windows, inner, indices.dtype)
    nest, integer = chosen.group.nest, indices.dtype
    if chosen.node.op == "Argmax":
        chosen.node.settings = "last NaN"
    place, rest, step = nest.constant(0, integer), chosen.node, 1
    for d in reversed(range(len(kernel))):
        size = nest.constant(kernel[d], integer)
        here = rest if d == 0 else nest.add("Remainder", [rest, size], integer)
        rest = rest if d == 0 else nest.add("FloorDivide", [rest, size], integer)
        here = nest.add("Multiply", [here, nest.constant(e.parameters["dilation"][d] * step, integer)], integer)
        place, step = nest.add("Add", [place, here], integer), step * x.shape[2 + d]
    found = _behind_corner(replace(chosen, node=place), e)
    return largest, replace(found, node=nest.add("Cast", [found.node], _counting(x.shape[2:])))


def _behind_corner(within: Inside, e: Equation) -> Inside:
    """A place within each window as one in the image: behind where the window begins."""
    nest, dtype, steps = within.group.nest, within.dtype, row_major(e.inputs[0].shape[2:])
    strides = [stride * step for stride, step in zip(e.parameters["stride"], steps, strict=True)]
    corner = nest.position(within.axes[2:], strides, dtype)
    return replace(within, node=nest.add("Add", [within.node, corner], dtype))


@rule
def lower_MaxPoolGradient(at: Lowering, e: Equation) -> Place | None:
    """Each place of the image takes, in the order of the windows, what came to those that it is the largest entry of.

    Along a dimension place i is in the windows i // stride, the one before it, and so on while these reach it.
    """
    (y, indices), (z,), p = e.inputs, e.outputs, e.parameters
    if z.dtype == np.bool_:
        return None
    indices = at.narrow.get(indices, indices) if isinstance(indices, Symbol) else indices
    came, stood = at.plain(y), at.plain(indices)
    order = axes_by_stride(stood)
    if came.strides[order[-1]] != stood.strides[order[-1]] == 1 and y.size >= LITTLE:
        came = at.copy(y, order)  # rows that were an image's: turned once, not at every place
    size, stride = tuple(p["size"]), p["stride"]
    shifts = [range(n)[::-1] for n in windows_of_a_place(p["kernel"], stride, p["dilation"])]
    windows = []
    for shift in itertools.product(*shifts):
        views = [_seen_from_image(view, size, stride, shift) for view in (came, stood)]
        if all(guard.low < guard.high for guard in views[0].guards):
            windows.append([at.value(view) for view in views])
    group, axes = at.new_group(windows[-1], tuple(z.shape))
    nest = group.nest
    here = nest.position(axes[2:], row_major(size), stood.dtype)
    zero = total = nest.constant(0, z.dtype)
    for values, places in windows:
        is_largest = nest.add("Equal", [at.node(group, places, axes), here], _bool)
        value = at.node(group, values, axes)
        value = value if value.dtype == z.dtype else nest.add("Cast", [value], z.dtype)
        total = nest.add("Add", [total, nest.add("Where", [is_largest, value, zero], z.dtype)], z.dtype)
    return Inside(group, total, tuple(axes), tuple(z.shape))


def _seen_from_image(view: View, size: Shape, stride: Shape, shift: Shape) -> View:
    """What belongs to windows, for each place of the image: of the window there, or so many before it."""
    for d, (extent, times, before) in enumerate(zip(size, stride, shift, strict=True), 2):
        view = view.repeat(d, times, before, extent)
    return view
