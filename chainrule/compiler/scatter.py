"""Adding at places that other values name: the gradient of every look-up.

The same place may be named many times, so what is added along the indices' own dimensions is added one after the
other, in order: the result is the same on every machine. All other dimensions are walked at the same time.
"""

from __future__ import annotations

from typing import Any

from chainrule.compiler.fuse import Lowering, Memory
from chainrule.compiler.moves import is_count
from chainrule.compiler.nest import Nest, Operand, Term
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation


def scatter_add(at: Lowering, e: Equation) -> bool:
    """z = base, then z[places] += new."""
    base, new, *places = e.inputs
    (z,), key = e.outputs, e.parameters["key"]
    if any(part is not ARRAY and part != Range(None, None, None) for part in key):
        return False
    marks = [i for i, part in enumerate(key) if part is ARRAY]
    if marks != list(range(marks[0], marks[-1] + 1)) or z.dtype.kind != "f":
        return False
    first, joint = marks[0], len(new.shape) - (len(z.shape) - len(marks))
    # The dimensions of `new`: those before the arrays, those the arrays share, those behind.
    dims: dict[int, int] = {d: d for d in range(first)}
    dims.update({first + len(marks) + d: first + joint + d for d in range(len(z.shape) - first - len(marks))})
    terms: list[tuple[int, Any]] = []
    for i, place in enumerate(places):
        count = is_count(place)
        if count is None:
            if not isinstance(place, Symbol):
                return False
            terms.append((first + i, place))
            continue
        dim = first + joint - len(place.shape) + count
        if dim in dims.values() or place.size != new.shape[dim]:
            return False
        dims[first + i] = dim
    source = at.plain(new)
    memory = _start(at, base, z, dims, source.strides)
    nest = Nest(list(new.shape), frozenset(d for d in range(len(new.shape)) if d not in dims.values()))
    nest.sequential = True
    group = at.group(nest, open=False)
    everywhere = list(range(len(new.shape)))
    value = at.load(group, Memory(source), everywhere)
    view = memory.view
    indices = []
    for dim, place in terms:
        skip = first + joint - len(place.shape)
        at.look_up(group, place, z.shape[dim])
        if any(place.shape[d] == 1 != new.shape[skip + d] for d in range(len(place.shape))):
            wide = Symbol(tuple(new.shape[skip : first + joint]), place.dtype)
            at.broadcast(place, wide)
            place = wide
        node = at.load(group, Memory(at.plain(place)), everywhere[skip : first + joint])
        indices.append(Term(node, z.shape[dim], view.strides[dim]))
    strides = {new_dim: view.strides[z_dim] for z_dim, new_dim in dims.items()}
    there, back = (Operand(view.buffer, view.offset, dict(strides), terms=tuple(indices)) for _ in range(2))
    nest.stores.append((nest.add("Add", [nest.load(there), value], z.dtype), back))
    at.read(group, view.buffer)
    at.written(group, view.buffer)
    at.places[z] = memory
    return True


def _start(at: Lowering, base: Any, z: Symbol, dims: dict[int, int], strides: tuple[int, ...]) -> Memory:
    """The base in memory of its own, its dimensions in the order in which what is added lies."""
    other = max(strides, default=1) + 1
    order = sorted(range(len(z.shape)), key=lambda d: -strides[dims[d]] if d in dims else -other)
    named = [d for d in range(len(z.shape)) if d not in dims]
    if len(named) == 1 and named[0] == len(z.shape) - 1 and len(order) > 1 and len(dims) == len(z.shape) - 1:
        # One index behind the others, as a pixel's is: it takes the place of the dimension it was drawn along.
        inner = [d for d in order if d in dims and strides[dims[d]] == 1]
        order = [d for d in order if d not in inner and d != named[0]] + named + inner
    return at.copy(base, order)
