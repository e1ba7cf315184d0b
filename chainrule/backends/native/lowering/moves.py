"""Lowering what moves entries, and reductions: most of it is another view of the same memory.

Each rule takes the lowering and an equation, and answers whether it could say the operation natively.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Constant, Gather, Inside, Memory, image_order
from chainrule.backends.native.lowering.keys import is_count, sliced
from chainrule.backends.native.lowering.rules import RULES, rule
from chainrule.backends.native.lowering.scatter import scatter
from chainrule.backends.native.lowering.views import View, row_major
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.value import Shape, Symbol
from chainrule.primitives.window import first_inside
from chainrule.program.graph import Equation

# ------------------------------------------------------------------------------------- other views


@rule
def lower_Broadcast(at: Lowering, e: Equation) -> bool:
    """Repeated dimensions: the value does not vary along them."""
    at.broadcast(e.inputs[0], e.outputs[0])
    return True


@rule
def lower_Permute(at: Lowering, e: Equation) -> bool:
    """Another order of the dimensions."""
    place, order = at.place(e.inputs[0]), e.parameters["order"]
    (z,) = e.outputs
    if isinstance(place, Constant):
        at.places[z] = place._replace(shape=z.shape)
    elif isinstance(place, Inside):
        at.put(z, replace(place, axes=tuple(place.axes[i] for i in order), shape=z.shape))
    else:
        back = {old: new for new, old in enumerate(order)}
        guards = tuple((back[d], low, high) for d, low, high in place.guards)
        gathers = tuple(g._replace(dims=tuple(back[d] for d in g.dims)) for g in place.gathers)
        at.places[z] = replace(place, view=place.view.permute(order), guards=guards, gathers=gathers)
    return True


@rule
def lower_Reshape(at: Lowering, e: Equation) -> bool:
    """Dimensions of one entry come and go for nothing; others are split and joined in memory."""
    (x,), (z,), to = e.inputs, e.outputs, e.parameters["to"]
    place = at.place(x)
    if isinstance(place, Constant):
        at.places[z] = place._replace(shape=to)
        return True
    old = [d for d, extent in enumerate(place.shape) if extent != 1]
    new = [d for d, extent in enumerate(to) if extent != 1]
    same = [place.shape[d] for d in old] == [to[d] for d in new]
    if same and isinstance(place, Inside):
        axes: list[int | None] = [None] * len(to)
        for a, b in zip(old, new, strict=True):
            axes[b] = place.axes[a]
        at.put(z, replace(place, axes=tuple(axes), shape=to))
        return True
    memory = at.memory(x)
    if same and not memory.plain:
        back = dict(zip(old, new, strict=True))
        strides = [0] * len(to)
        for a, b in back.items():
            strides[b] = memory.view.strides[a]
        view = replace(memory.view, shape=to, strides=tuple(strides))
        if all(d in back for d, _, _ in memory.guards) and all(d in back for g in memory.gathers for d in g.dims):
            guards = tuple((back[d], low, high) for d, low, high in memory.guards)
            gathers = tuple(g._replace(dims=tuple(back[d] for d in g.dims)) for g in memory.gathers)
            at.places[z] = replace(memory, view=view, guards=guards, gathers=gathers)
            return True
    walked = memory.view.reshape(to) if memory.plain else None
    if walked is None:
        dense = View(at.new_buffer(x.dtype, math.prod(place.shape)), place.shape, row_major(place.shape))
        at.into(x, dense)
        walked = dense.reshape(to)
        assert walked is not None, "memory without gaps takes every shape"
    at.places[z] = Memory(walked)
    return True


@rule
def lower_Flip(at: Lowering, e: Equation) -> bool:
    """Negative strides."""
    (x,), (z,) = e.inputs, e.outputs
    place = at.place(x)
    if isinstance(place, Constant):
        at.places[z] = place
    else:
        at.places[z] = Memory(at.plain(x).flip(e.parameters["axes"]))
    return True


@rule
def lower_Windows(at: Lowering, e: Equation) -> bool:
    """Overlapping windows are strides too."""
    at.places[e.outputs[0]] = Memory(at.plain(e.inputs[0]).windows(**e.parameters))
    return True


@rule
def lower_Pad(at: Lowering, e: Equation) -> bool:
    """What was added is not in memory: a guard knows where memory ends."""
    (x,), (z,), p = e.inputs, e.outputs, e.parameters
    for before, extent, wanted in zip(p["before"], x.shape, z.shape, strict=True):
        if wanted == 1 and not 0 <= -before < extent:  # along such a dimension there is no axis that could be guarded
            at.places[z] = Constant(z.dtype.type(p["constant"]), tuple(z.shape), z.dtype)
            return True
    view, offset = at.plain(x), 0
    guards = []
    for d, (before, after, extent) in enumerate(zip(p["before"], p["after"], view.shape, strict=True)):
        offset -= before * view.strides[d]
        if before > 0 or after > 0:
            guards.append((d, max(before, 0), before + extent))
    moved = replace(view, shape=z.shape, offset=view.offset + offset)
    at.places[z] = Memory(moved, tuple(guards), p["constant"])
    return True


# ------------------------------------------------------------------------------------- checks


@rule
def lower_Check(at: Lowering, e: Equation) -> bool:
    """A kernel looks where the numbers are wrong; without such a value NumPy applies the rule."""
    wrong, (z,) = e.inputs[0], e.outputs
    if isinstance(at.place(wrong), Constant) and at.place(wrong).value:  # type: ignore[union-attr]
        return False
    at.check(wrong)
    at.places[z] = Constant(np.True_, (), z.dtype)
    return True


# ------------------------------------------------------------------------------------- indexing


@rule
def lower_Index(at: Lowering, e: Equation) -> bool:
    """Slices are views; arrays of indices move the place by what they hold."""
    x, *places = e.inputs
    (z,), key = e.outputs, e.parameters["key"]
    if any(isinstance(part, bool | np.bool_) for part in key):
        return False
    if not places:
        at.places[z] = Memory(at.plain(x).index(key))
        return True
    memory = _gathered(at, x, places, key)
    if memory is None or memory.shape != z.shape:
        return False
    at.places[z] = memory
    return True


def _gathered(at: Lowering, x: Any, places: list[Any], key: tuple[Any, ...]) -> Memory | None:
    """x[key] with arrays of indices: slices first, then each array takes the place of its dimension."""
    if any(isinstance(part, int | np.integer) for part in key):
        return None  # next to arrays an integer counts as one of them
    view, first, marks = sliced(at.plain(x), key)
    joint = np.broadcast_shapes(*(p.shape for p in places))
    shape = (*view.shape[:first], *joint, *view.shape[first + marks :])
    strides = (*view.strides[:first], *(0,) * len(joint), *view.strides[first + marks :])
    gathers = []
    moving = list(strides)
    for i, place in enumerate(places):
        count = is_count(place)
        if count is not None and place.size <= view.shape[first + i]:
            moving[first + len(joint) - len(place.shape) + count] += view.strides[first + i]
            continue
        skip = len(joint) - len(place.shape)
        dims = tuple(first + skip + d for d in range(len(place.shape)))
        if any(place.shape[d] == 1 != joint[skip + d] for d in range(len(place.shape))):
            wide = Symbol(tuple(joint[skip:]), place.dtype)
            at.broadcast(place, wide)
            place = wide
        extent, stride = view.shape[first + i], view.strides[first + i]
        gathers.append(Gather(place if isinstance(place, Symbol) else _held(at, place), dims, extent, stride))
    return Memory(replace(view, shape=shape, strides=tuple(moving)), gathers=tuple(gathers))


def _held(at: Lowering, array: Any) -> Any:
    """A literal array as something that places know."""
    symbol = Symbol(array.shape, array.dtype)
    at.places[symbol] = at.place(array)
    return symbol


@rule
def lower_IndexUpdate(at: Lowering, e: Equation) -> bool:
    """A copy with a part written over."""
    base, new, *places = e.inputs
    if any(isinstance(part, bool | np.bool_) for part in e.parameters["key"]):
        return False
    if places:
        return scatter(at, e)
    memory = at.copy(base)
    at.into(new, memory.view.index(e.parameters["key"]))
    at.places[e.outputs[0]] = memory
    return True


def _one_per_row(at: Lowering, e: Equation) -> bool:
    """z[i, …, p[i, …], …] += y[i, …]: all arrays but one count their dimension, so every row gets one entry.

    Computed for all entries: where the index along the chosen dimension is p, y is added.
    """
    base, new, *places = e.inputs
    (z,) = e.outputs
    if any(part is not ARRAY for part in e.parameters["key"]) or len(places) != len(z.shape):
        return False
    chosen = [i for i, p in enumerate(places) if isinstance(p, Symbol)]
    if len(chosen) != 1 or any(len(x.shape) != len(z.shape) for x in (new, *places)) or new.shape[chosen[0]] != 1:
        return False
    (axis,) = chosen
    if any(p.size != z.shape[i] or is_count(p) is None for i, p in enumerate(places) if i != axis):
        return False
    if any(p.shape[i] != p.size for i, p in enumerate(places) if i != axis):
        return False
    count = np.arange(z.shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(z.shape))])
    start_at = _wrapped(at, places[axis], z.shape[axis])

    def spread(x: Any) -> Symbol:
        wide = Symbol(z.shape, x.dtype)
        at.broadcast(x, wide)
        return wide

    here, picked, zero = Symbol(z.shape, np.dtype(np.bool_)), Symbol(z.shape, z.dtype), np.zeros((), z.dtype)
    at.map("Equal", [spread(start_at), spread(count)], here, z.shape, here.dtype)
    at.map("Where", [here, spread(new), spread(zero)], picked, z.shape, z.dtype)
    start = at.place(base)
    if isinstance(start, Constant) and start.value == 0:
        place = at.places[picked]
        assert isinstance(place, Inside)
        at.put(z, place)
    else:
        at.map("Add", [base, picked], z, z.shape, z.dtype)
    return True


def _wrapped(at: Lowering, index: Symbol, extent: int) -> Symbol:
    """Indices that count from the end as ones that count from the start."""
    shape = index.shape
    negative = Symbol(shape, np.dtype(np.bool_))
    moved, answer = Symbol(shape, index.dtype), Symbol(shape, index.dtype)
    at.map("Less", [index, at.full(0, index)], negative, shape, negative.dtype)
    at.map("Add", [index, at.full(extent, index)], moved, shape, index.dtype)
    at.map("Where", [negative, moved, index], answer, shape, index.dtype)
    return answer


@rule
def lower_IndexAdd(at: Lowering, e: Equation) -> bool:
    """A copy with something added to a part."""
    base, new, *places = e.inputs
    if places:
        return _one_per_row(at, e) or scatter(at, e, "Add")
    if any(isinstance(part, bool | np.bool_) for part in e.parameters["key"]):
        return False
    memory = at.copy(base)
    zero = at.place(base)
    empty = isinstance(zero, Constant) and zero.value == 0
    at.into(new, memory.view.index(e.parameters["key"]), add=not empty)
    at.places[e.outputs[0]] = memory
    return True


@rule
def lower_IndexReduce(at: Lowering, e: Equation) -> bool:
    """A copy with something taken in at some places."""
    base, new, *places = e.inputs
    key, op = e.parameters["key"], {"prod": "Multiply", "amax": "Maximum", "amin": "Minimum"}[e.parameters["reduce"]]
    if any(isinstance(part, bool | np.bool_) for part in key):
        return False
    if places:
        return scatter(at, e, op)
    memory = at.copy(base)
    view = memory.view.index(key)
    part, taken = (Symbol(new.shape, new.dtype) for _ in range(2))
    at.places[part] = Memory(view)
    at.map(op, [part, new], taken, new.shape, new.dtype)
    at.into(taken, view)
    at.places[e.outputs[0]] = memory
    return True


@rule
def lower_Concatenate(at: Lowering, e: Equation) -> bool:
    """Every part is written to its place."""
    (z,), axis = e.outputs, e.parameters["axis"]
    dims = list(range(len(z.shape)))
    order = dims
    for x in e.inputs:
        place = at.place(x)
        if isinstance(place, Memory) and math.prod(place.shape) > 1:
            order = sorted(dims, key=lambda d: -abs(place.view.strides[d]))
            break
    halo = at.halos.get(z, ())
    home = at.homes.get(z)
    if home is None or any(halo) or at.writers.get(home.buffer):
        home = at.allocate(z.shape, z.dtype, dims, image_order(z.shape) if any(halo) else order, halo)
    view, start = home, 0
    for x in e.inputs:
        stop = start + x.shape[axis]
        at.into(x, view.index((*(Range(None, None, None),) * axis, Range(start, stop, None))), apart=True)
        start = stop
    at.places[z] = Memory(view)
    return True


# ------------------------------------------------------------------------------------- reductions


@rule
def lower_Sum(at: Lowering, e: Equation) -> bool:
    """A reduction."""
    (x,), (z,) = e.inputs, e.outputs
    at.reduce(e.primitive.name, x, _axes(e, len(x.shape)), z, z.dtype)
    return True


RULES["Amax"] = RULES["Product"] = RULES["Argmax"] = lower_Sum


def _axes(e: Equation, rank: int) -> Shape:
    return (e.parameters["axis"] % rank,) if "axis" in e.parameters else tuple(e.parameters["axes"])


@rule
def lower_WindowSum(at: Lowering, e: Equation) -> bool:
    """The sum over the last dimensions of the windows."""
    (x,), (z,) = e.inputs, e.outputs
    windows = _windows(at, x, e)
    at.reduce("Sum", windows, tuple(range(len(z.shape), len(windows.shape))), z, z.dtype)
    return True


@rule
def lower_Fold(at: Lowering, e: Equation) -> bool:
    """Entry after entry of the window, in the eager order: each adds all windows' to where they came from."""
    (x,), (z,), p = e.inputs, e.outputs, e.parameters
    windows, rank = at.plain(x), len(z.shape)
    order = sorted(range(rank), key=lambda d: -abs(windows.strides[d]))
    view = at.allocate(z.shape, z.dtype, range(rank), order, ())
    at.into(at.full(0, z), view)
    laid = view.windows(p["kernel"], p["stride"], p["dilation"])
    for place in np.ndindex(*p["kernel"]):
        part = Symbol(x.shape[:rank], x.dtype)
        at.places[part] = Memory(windows.index((..., *place)))
        at.into(part, laid.index((..., *place)), add=True)
    at.places[z] = Memory(view)
    return True


def _windows(at: Lowering, x: Any, e: Equation) -> Symbol:
    view = at.plain(x).windows(**{name: e.parameters[name] for name in ("kernel", "stride", "dilation")})
    windows = Symbol(view.shape, view.dtype)
    at.places[windows] = Memory(view)
    return windows


@rule
def lower_MaxPool(at: Lowering, e: Equation) -> bool:
    """The largest of every window, and where in the image it stands, from where in the window it does."""
    (x,), (values, indices) = e.inputs, e.outputs
    kernel, stride, dilation = (e.parameters[name] for name in ("kernel", "stride", "dilation"))
    windows = _windows(at, x, e)
    padding = e.parameters.get("padding", ())
    inner = tuple(range(len(values.shape), len(windows.shape)))
    at.reduce("Amax", windows, inner, values, values.dtype)
    chosen = Symbol(values.shape, indices.dtype)
    at.reduce("Argmax", windows, inner, chosen, indices.dtype)
    if any(padding):  # where all is −∞, no padding is chosen
        first = first_inside(tuple(values.shape[2:]), kernel, stride, dilation, padding)
        nothing, spread, inside = (
            Symbol(values.shape, dtype) for dtype in (np.dtype(bool), chosen.dtype, chosen.dtype)
        )
        at.map("Equal", [values, at.full(-np.inf, values)], nothing, values.shape, nothing.dtype)
        at.broadcast(first.astype(chosen.dtype), spread)
        at.map("Where", [nothing, spread, chosen], inside, values.shape, chosen.dtype)
        chosen = inside
    group = at.places[values].group  # type: ignore[union-attr]
    place = at.places[chosen]
    assert isinstance(place, Inside)
    if place.node.op == "Argmax":
        place.node.settings = "last NaN"
    if place.group is not group:
        group = place.group
    nest, integer = group.nest, indices.dtype

    def number(value: int) -> Any:
        return nest.constant(value, integer)

    position, rest, step = number(0), place.node, 1
    size = x.shape[2:]
    for d in reversed(range(len(kernel))):
        within = rest if d == 0 else nest.add("Remainder", [rest, number(kernel[d])], integer)
        rest = rest if d == 0 else nest.add("FloorDivide", [rest, number(kernel[d])], integer)
        axis = place.axes[2 + d]
        at_d = number(0) if axis is None else nest.position(axis, integer)
        corner = nest.add("Multiply", [at_d, number(stride[d])], integer)
        here = nest.add("Add", [corner, nest.add("Multiply", [within, number(dilation[d])], integer)], integer)
        position = nest.add("Add", [position, nest.add("Multiply", [here, number(step)], integer)], integer)
        step *= size[d]
    at.put(indices, replace(place, node=position))
    return True
