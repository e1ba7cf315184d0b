"""Adding and writing at places that other values name: the gradient of every look-up, and `index_put`.

The same place may be named many times, so along the indices' own dimensions one comes after the other, in order: the
result is the same on every machine. All other dimensions are walked at the same time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.keys import is_count, sliced
from chainrule.backends.native.lowering.nest import Nest, Term, operand_of
from chainrule.backends.native.lowering.place import Place, View
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation


def scatter(at: Lowering, e: Equation, op: str = "") -> Place | None:
    """z = base, then z[places] = op(z[places], new); without an operation z[places] = new, where the last one stays."""
    base, new, *places = e.inputs
    (z,), key = e.outputs, e.parameters["key"]
    if any(isinstance(part, int | np.integer) for part in key) or (op == "Add" and z.dtype == np.bool_):
        return None
    part, first, marks = sliced(at.plain(base), key)
    joint = len(new.shape) - (len(part.shape) - marks)
    # From the dimensions of the part to those of `new`: those before the arrays, and those behind what they share.
    dims: dict[int, int] = {d: d for d in range(first)}
    dims.update({first + marks + d: first + joint + d for d in range(len(part.shape) - first - marks)})
    terms: list[tuple[int, Any]] = []
    for i, place in enumerate(places):
        count = is_count(place)
        if count is None:
            terms.append((first + i, place))
            continue
        dim = first + joint - len(place.shape) + count
        if dim in dims.values() or place.size != new.shape[dim] or place.size > part.shape[first + i]:
            terms.append((first + i, place))
            continue
        dims[first + i] = dim
    source = at.plain(new)
    memory = None if op else at.updates.get(z)
    if memory is not None:
        for dim, place in terms:  # before anything is written
            _check_range(at, place, part.shape[dim])
    else:
        whole = all(k is ARRAY or k == Range(None, None, None) for k in key) and part.shape == z.shape and len(dims)
        memory = _start(at, base, z, dims, source.strides) if whole and first == key.index(ARRAY) else at.copy(base)
    view = sliced(memory, key)[0]
    nest = Nest(list(new.shape), frozenset(d for d in range(len(new.shape)) if d not in dims.values()))
    nest.sequential = True
    group = at.group(nest, open=False)
    everywhere = list(range(len(new.shape)))
    value = at.load(group, source, everywhere)
    indices = []
    for dim, place in terms:
        skip = first + joint - len(place.shape)
        at.look_up(group, place, part.shape[dim])
        if any(place.shape[d] == 1 != new.shape[skip + d] for d in range(len(place.shape))):
            place = at.value(at.place(place).broadcast(tuple(new.shape[skip : first + joint])))
        node = at.load(group, at.plain(place), everywhere[skip : first + joint])
        indices.append(Term(node, part.shape[dim], view.strides[dim]))
    there, back = (operand_of(view, [dims.get(d) for d in range(len(view.shape))], tuple(indices)) for _ in range(2))
    nest.stores.append((nest.add(op, [nest.load(there), value], z.dtype) if op else value, back))
    if op:
        at.read(group, view.buffer)
    at.written(group, view.buffer)
    if z in at.updates:
        at.updating.append(group)
    return memory


def _check_range(at: Lowering, index: Any, extent: int) -> None:
    """Look at an index in a group of its own, which has run before anything outside is written."""
    if (at.key(index), extent) in at.checked:
        return
    low, high = at.full(-extent, index), at.full(extent, index)
    wrong = [at.map("Less", [index, low], np.dtype(np.bool_)), at.map("LessEqual", [high, index], np.dtype(np.bool_))]
    at.check(at.value(at.map("BitwiseOr", list(map(at.value, wrong)), np.dtype(np.bool_))))
    at.checked.add((at.key(index), extent))


def _start(at: Lowering, base: Any, z: Symbol, dims: dict[int, int], strides: tuple[int, ...]) -> View:
    """The base in memory of its own, its dimensions in the order in which what is added lies."""
    other = max(strides, default=1) + 1
    order = sorted(range(len(z.shape)), key=lambda d: -strides[dims[d]] if d in dims else -other)
    named = [d for d in range(len(z.shape)) if d not in dims]
    if len(named) == 1 and named[0] == len(z.shape) - 1 and len(order) > 1 and len(dims) == len(z.shape) - 1:
        # One index behind the others, as a pixel's is: it takes the place of the dimension it was drawn along.
        inner = [d for d in order if d in dims and strides[dims[d]] == 1]
        order = [d for d in order if d not in inner and d != named[0]] + named + inner
    return at.copy(base, order)
