"""Products with matrices in 8 and 4 bits: the numbers are widened in registers, and the matrix is never written out.

With one row of inputs the time is that of reading the numbers: a nest walks along them, and sums up products. With
more it is a product like others, Yᵀ = W·Xᵀ, whose A is packed: each part widens its rows of W into its scratch memory.

>>> import chainrule
>>> layer = chainrule.nn.QuantizedLinear(chainrule.nn.Linear(64, 48), bits=4)
>>> run = chainrule.compile(lambda x: layer(x))
>>> _ = run(chainrule.ones(8, 64)); print(run.explain().splitlines()[-1])
   1  product 48×8×64 of int4 → [8×48] Add
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.backends.native.lowering.contract import Product, contract, split
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Memory
from chainrule.backends.native.lowering.rules import rule
from chainrule.backends.native.lowering.views import View
from chainrule.primitives.indexing import Range
from chainrule.primitives.low_bits import GROUP
from chainrule.primitives.value import DataType, Shape, Symbol
from chainrule.program.graph import Equation

_ALL = Range(None, None, None)


@rule
def lower_LowBitsMatMul(at: Lowering, e: Equation) -> bool:
    """One row as a nest, more as a product."""
    x, numbers, _ = e.inputs
    if x.shape[0] == 1 or x.dtype == np.float64:
        (_sum_of_fours if len(numbers.shape) == 3 else _sum_of_bytes)(at, e)
    else:
        _product(at, e)
    return True


def _product(at: Lowering, e: Equation) -> None:
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    rows, four = x.shape[0], len(numbers.shape) == 3
    a, s = _contiguous(at, numbers), at.plain(scales)
    b = at.copy(x, (1, 0)).view.permute((1, 0))
    step = b.strides[0]
    if four:
        segments, run = [(numbers.shape[1], a.strides[1], GROUP * step)], (GROUP, 0, step)
    else:
        segments, run = [], (numbers.shape[1], 1, step)
    product = Product(
        "rows", (a.buffer, a.offset), (b.buffer, b.offset), [], [(y.shape[1], a.strides[0])], segments, run, rows, [1],
        0, scaled="int4" if four else "int8",
        scales=(s.buffer, s.offset, s.strides[0], s.strides[1] if four else 0),
    )  # fmt: skip
    if four:
        split(product)
    contract(at, product, y, y.shape, [1, 0])


def _contiguous(at: Lowering, numbers: Any) -> View:
    view = at.plain(numbers)
    return view if view.strides[-1] == 1 or view.shape[-1] == 1 else at.copy(numbers).view


class _Nest:
    """Symbols of one shape (rows, out, …) and the operations between them."""

    def __init__(self, at: Lowering, shape: Shape, dtype: DataType) -> None:
        self.at, self.shape, self.dtype = at, shape, dtype

    def spread(self, view: View, dims: Sequence[int]) -> Symbol:
        """What is in memory, whose dimensions are these of the nest."""
        strides = [0] * len(self.shape)
        for d, stride in zip(dims, view.strides, strict=True):
            strides[d] = stride
        symbol = Symbol(self.shape, view.dtype)
        self.at.places[symbol] = Memory(View(view.buffer, self.shape, tuple(strides), view.offset))
        return symbol

    def op(self, name: str, *inputs: Symbol, dtype: DataType | None = None) -> Symbol:
        """One operation on all entries."""
        result = Symbol(inputs[0].shape, dtype or self.dtype)
        self.at.map(name, inputs, result, result.shape, result.dtype)
        return result


def _sum_of_bytes(at: Lowering, e: Equation) -> None:
    """y[n, o] = s[o] · Σ_i x[n, i]·q[o, i]."""
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    nest = _Nest(at, (x.shape[0], *numbers.shape), x.dtype)
    whole = nest.op("Cast", nest.spread(at.plain(numbers), (1, 2)))
    terms = nest.op("Multiply", nest.spread(at.plain(x), (0, 2)), whole)
    total = Symbol(y.shape, y.dtype)
    at.reduce("Sum", terms, (2,), total, y.dtype)
    scale = _Nest(at, tuple(y.shape), x.dtype).spread(at.plain(scales).index((..., 0)), (1,))
    at.map("Multiply", [total, scale], y, y.shape, y.dtype)


def _sum_of_fours(at: Lowering, e: Equation) -> None:
    """y[n, o] = Σ_g s[o, g] · Σ_i (x[n, g, i]·lower[o, g, i] + x[n, g, 16 + i]·upper[o, g, i])."""
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    nest = _Nest(at, (x.shape[0], *numbers.shape), x.dtype)
    halves = at.plain(x).reshape((x.shape[0], numbers.shape[1], 2, GROUP // 2))
    if halves is None:
        halves = at.copy(x).view.reshape((x.shape[0], numbers.shape[1], 2, GROUP // 2))
    assert halves is not None
    byte, parts = nest.spread(at.plain(numbers), (1, 2, 3)), []
    for half, name in enumerate(("LowerFour", "UpperFour")):
        whole = nest.op("Cast", nest.op(name, byte, dtype=np.dtype(np.int32)))
        parts.append(nest.op("Multiply", nest.spread(halves.index((..., half, _ALL)), (0, 2, 3)), whole))
    scale = nest.spread(at.plain(scales).index((..., 0)), (1, 2))
    at.reduce("Sum", nest.op("Multiply", nest.op("Add", *parts), scale), (2, 3), y, y.dtype)
