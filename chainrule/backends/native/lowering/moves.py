"""Lowering what moves entries, and reductions: most of it is another view of the same memory.

Each rule answers where the results are, or None if it cannot say the operation natively.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import axes_by_stride, image_order
from chainrule.backends.native.lowering.keys import is_count, sliced
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Inside, LookUp, Place, View, constant, row_major
from chainrule.backends.native.lowering.rows import rows_divided
from chainrule.backends.native.lowering.rules import RULES, rule
from chainrule.backends.native.lowering.scatter import scatter
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.value import Shape, Symbol
from chainrule.program.graph import Equation

# ------------------------------------------------------------------------------------- other views


@rule
def lower_Broadcast(at: Lowering, e: Equation) -> Place:
    """Repeated dimensions: the value does not vary along them."""
    return at.place(e.inputs[0]).broadcast(tuple(e.outputs[0].shape))


@rule
def lower_Permute(at: Lowering, e: Equation) -> Place:
    """Another order of the dimensions."""
    return at.place(e.inputs[0]).permute(tuple(e.parameters["order"]))


@rule
def lower_Reshape(at: Lowering, e: Equation) -> Place:
    """Dimensions of one entry come and go for nothing; others are split and joined in memory."""
    (x,), to = e.inputs, tuple(e.parameters["to"])
    same = at.place(x).with_ones(to) or rows_divided(at, x, to)
    if same is not None:
        return same
    memory = at.memory(x)
    walked = memory.reshape(to) if memory.plain else None
    if walked is None:
        dense = View(at.new_buffer(x.dtype, math.prod(to)), memory.shape, row_major(memory.shape))
        at.into(x, dense)
        walked = dense.reshape(to)
        assert walked is not None, "memory without gaps takes every shape"
    return walked


@rule
def lower_Flip(at: Lowering, e: Equation) -> Place:
    """Negative strides."""
    return at.plain(e.inputs[0]).flip(e.parameters["axes"])


@rule
def lower_Windows(at: Lowering, e: Equation) -> Place:
    """Overlapping windows are strides too."""
    return at.plain(e.inputs[0]).windows(**e.parameters)


@rule
def lower_Pad(at: Lowering, e: Equation) -> Place:
    """What was added is not in memory."""
    (x,), (z,), p = e.inputs, e.outputs, e.parameters
    for before, extent, wanted in zip(p["before"], x.shape, z.shape, strict=True):
        if wanted == 1 and not 0 <= -before < extent:  # along such a dimension there is no axis that could be guarded
            return constant(p["constant"], tuple(z.shape), z.dtype)
    return at.plain(x).pad(p["before"], p["after"], p["constant"])


# ------------------------------------------------------------------------------------- checks


@rule
def lower_Check(at: Lowering, e: Equation) -> Place | None:
    """A kernel looks where the numbers are wrong; without such a value NumPy applies the rule."""
    wrong, (z,) = e.inputs[0], e.outputs
    if at.place(wrong).number:
        return None
    at.check(wrong)
    return constant(True, (), z.dtype)


# ------------------------------------------------------------------------------------- indexing


@rule
def lower_Index(at: Lowering, e: Equation) -> Place | None:
    """Slices are views; arrays of indices move the place by what they hold."""
    x, *places = e.inputs
    (z,), key = e.outputs, e.parameters["key"]
    if any(isinstance(part, bool | np.bool_) for part in key):
        return None
    view = _looked_up(at, x, places, key) if places else at.plain(x).index(key)
    return None if view is None or view.shape != tuple(z.shape) else view


def _looked_up(at: Lowering, x: Any, places: list[Any], key: tuple[Any, ...]) -> View | None:
    """x[key] with arrays of indices: slices first, then each array takes the place of its dimension."""
    if any(isinstance(part, int | np.integer) for part in key):
        return None  # next to arrays an integer counts as one of them
    view, first, marks = sliced(at.plain(x), key)
    joint = np.broadcast_shapes(*(p.shape for p in places))
    shape = (*view.shape[:first], *joint, *view.shape[first + marks :])
    strides = [*view.strides[:first], *(0,) * len(joint), *view.strides[first + marks :]]
    look_ups = []
    for i, place in enumerate(places):
        count = is_count(place)
        skip = first + len(joint) - len(place.shape)
        if count is not None and place.size <= view.shape[first + i]:
            strides[skip + count] += view.strides[first + i]
            continue
        dims = tuple(range(skip, skip + len(place.shape)))
        index, wide = place, joint[skip - first :]
        if not isinstance(place, Symbol) or place.shape != wide:
            index = at.value(at.place(place).broadcast(wide))
        look_ups.append(LookUp(index, dims, view.shape[first + i], view.strides[first + i]))
    return replace(view, shape=shape, strides=tuple(strides), look_ups=tuple(look_ups))


@rule
def lower_IndexUpdate(at: Lowering, e: Equation) -> Place | None:
    """A copy with a part written over."""
    base, new, *places = e.inputs
    if any(isinstance(part, bool | np.bool_) for part in e.parameters["key"]):
        return None
    if places:
        return scatter(at, e)
    view = at.updates.get(e.outputs[0])
    if view is None:
        view = at.copy(base)
        at.into(new, view.index(e.parameters["key"]))
        return view
    part = view.index(e.parameters["key"])  # by a group of its own, which can come last
    dims = range(len(part.shape))
    group = at.group(Nest(list(part.shape)), open=False, order=axes_by_stride(part))
    at.store(Inside(group, at.node(group, new, dims), tuple(dims), part.shape), part)
    at.updating.append(group)
    return view


def _one_per_row(at: Lowering, e: Equation) -> Place | None:
    """z[i, …, p[i, …], …] += y[i, …]: all arrays but one count their dimension, so every row gets one entry.

    Computed for all entries: where the index along the chosen dimension is p, y is added.
    """
    base, new, *places = e.inputs
    (z,) = e.outputs
    if any(part is not ARRAY for part in e.parameters["key"]) or len(places) != len(z.shape):
        return None
    chosen = [i for i, p in enumerate(places) if isinstance(p, Symbol)]
    if len(chosen) != 1 or any(len(x.shape) != len(z.shape) for x in (new, *places)) or new.shape[chosen[0]] != 1:
        return None
    (axis,) = chosen
    if any(p.size != z.shape[i] or is_count(p) is None for i, p in enumerate(places) if i != axis):
        return None
    if any(p.shape[i] != p.size for i, p in enumerate(places) if i != axis):
        return None
    count = np.arange(z.shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(z.shape))])
    start_at = _wrapped(at, places[axis], z.shape[axis])

    def spread(x: Any) -> Symbol:
        return at.value(at.place(x).broadcast(tuple(z.shape)))

    here = at.value(at.map("Equal", [spread(start_at), spread(count)], np.dtype(np.bool_)))
    picked = at.map("Where", [here, spread(new), spread(np.zeros((), z.dtype))], z.dtype)
    return picked if at.place(base).number == 0 else at.map("Add", [base, at.value(picked)], z.dtype)


def _wrapped(at: Lowering, index: Symbol, extent: int) -> Symbol:
    """Indices that count from the end as ones that count from the start."""
    negative = at.value(at.map("Less", [index, at.full(0, index)], np.dtype(np.bool_)))
    moved = at.value(at.map("Add", [index, at.full(extent, index)], index.dtype))
    return at.value(at.map("Where", [negative, moved, index], index.dtype))


def _around(key: Sequence[Any], shape: Shape) -> tuple[Shape, Shape] | None:
    """How many entries lie before and behind a part along each dimension; None if it is no block of neighbours."""
    if not all(isinstance(part, Range) or part is Ellipsis for part in key):
        return None
    named = [part for part in key if part is not Ellipsis]
    where = list(key).index(Ellipsis) if Ellipsis in key else len(named)
    every = [Range(None, None, None)] * (len(shape) - len(named))
    before, after = [], []
    for part, extent in zip([*named[:where], *every, *named[where:]], shape, strict=True):
        start, stop, step = slice(*part).indices(extent)
        if step != 1 or start >= stop:
            return None
        before.append(start)
        after.append(extent - stop)
    return tuple(before), tuple(after)


@rule
def lower_IndexAdd(at: Lowering, e: Equation) -> Place | None:
    """A copy with something added to a part."""
    base, new, *places = e.inputs
    if places:
        return _one_per_row(at, e) or scatter(at, e, "Add")
    if any(isinstance(part, bool | np.bool_) for part in e.parameters["key"]):
        return None
    around = _around(e.parameters["key"], base.shape) if at.place(base).number == 0 else None
    if around is not None:
        return at.plain(new).pad(*around, 0)
    view = at.copy(base)
    at.into(new, view.index(e.parameters["key"]), add=at.place(base).number != 0)
    return view


@rule
def lower_IndexReduce(at: Lowering, e: Equation) -> Place | None:
    """A copy with something taken in at some places."""
    base, new, *places = e.inputs
    key, op = e.parameters["key"], {"prod": "Multiply", "amax": "Maximum", "amin": "Minimum"}[e.parameters["reduce"]]
    if any(isinstance(part, bool | np.bool_) for part in key):
        return None
    if places:
        return scatter(at, e, op)
    view = at.copy(base)
    part = view.index(key)
    at.into(at.value(at.map(op, [at.value(part), new], new.dtype)), part)
    return view


@rule
def lower_Concatenate(at: Lowering, e: Equation) -> Place:
    """Every part is written to its place."""
    (z,), axis = e.outputs, e.parameters["axis"]
    dims = list(range(len(z.shape)))
    order = dims
    for x in e.inputs:
        place = at.place(x)
        if isinstance(place, View) and place.number is None and math.prod(place.shape) > 1:
            order = sorted(dims, key=lambda d: -abs(place.strides[d]))
            break
    halo = at.halos.get(z, ())
    home = at.homes.get(z)
    if home is None or any(halo) or at.writers.get(home.buffer):
        home = at.allocate(z.shape, z.dtype, dims, image_order(z.shape) if any(halo) else order, halo)
    start = 0
    for x in e.inputs:
        stop = start + x.shape[axis]
        at.into(x, home.index((*(Range(None, None, None),) * axis, Range(start, stop, None))), apart=True)
        start = stop
    return home


# ------------------------------------------------------------------------------------- reductions


@rule
def lower_Sum(at: Lowering, e: Equation) -> Place:
    """A reduction."""
    return at.reduce(e.primitive.name, e.inputs[0], _axes(e, len(e.inputs[0].shape)), e.outputs[0].dtype)


RULES["Amax"] = RULES["Product"] = RULES["Argmax"] = lower_Sum


def _axes(e: Equation, rank: int) -> Shape:
    return (e.parameters["axis"] % rank,) if "axis" in e.parameters else tuple(e.parameters["axes"])
