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

from typing import Any

import numpy as np

from chainrule.backends.native.lowering.contract import Product, contract, split
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.place import Place, View
from chainrule.backends.native.lowering.rules import rule
from chainrule.primitives.indexing import Range
from chainrule.primitives.low_bits import GROUP
from chainrule.primitives.value import DataType, Symbol
from chainrule.program.graph import Equation

_ALL = Range(None, None, None)


@rule
def lower_LowBitsMatMul(at: Lowering, e: Equation) -> Place:
    """One row as a nest, more as a product."""
    x, numbers, _ = e.inputs
    if x.shape[0] == 1 or x.dtype == np.float64:  # what follows has vectors along the outputs, so it is another nest
        return at.memory(at.value((_sum_of_fours if len(numbers.shape) == 3 else _sum_of_bytes)(at, e)))
    return _product(at, e)


def _product(at: Lowering, e: Equation) -> Place:
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    rows, four = x.shape[0], len(numbers.shape) == 3
    a, s = _contiguous(at, numbers), at.plain(scales)
    b = at.copy(x, (1, 0)).permute((1, 0))
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
        split(at, product)
    return contract(at, product, y.shape, [1, 0])


def _contiguous(at: Lowering, numbers: Any) -> View:
    view = at.plain(numbers)
    return view if view.strides[-1] == 1 or view.shape[-1] == 1 else at.copy(numbers)


def _sum_of_bytes(at: Lowering, e: Equation) -> Place:
    """y[n, o] = s[o] · Σ_i x[n, i]·q[o, i]."""
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    shape = (x.shape[0], *numbers.shape)
    inputs = at.value(at.plain(x).rearrange((0, None, 1), shape))
    whole = _as_real(at, at.value(at.plain(numbers).rearrange((None, 0, 1), shape)), x.dtype)
    terms = at.value(at.map("Multiply", [inputs, whole], x.dtype))
    total = at.value(at.reduce("Sum", terms, (2,), y.dtype))
    scale = at.value(at.plain(scales).index((..., 0)).broadcast(tuple(y.shape)))
    return at.map("Multiply", [total, scale], y.dtype)


def _sum_of_fours(at: Lowering, e: Equation) -> Place:
    """y[n, o] = Σ_g s[o, g] · Σ_i (x[n, g, i]·lower[o, g, i] + x[n, g, 16 + i]·upper[o, g, i])."""
    (x, numbers, scales), (y,) = e.inputs, e.outputs
    shape = (x.shape[0], *numbers.shape)
    halves = at.plain(x).reshape((x.shape[0], numbers.shape[1], 2, GROUP // 2))
    if halves is None:
        halves = at.copy(x).reshape((x.shape[0], numbers.shape[1], 2, GROUP // 2))
    assert halves is not None
    byte, parts = at.value(at.plain(numbers).broadcast(shape)), []
    for half, name in enumerate(("LowerFour", "UpperFour")):
        whole = _as_real(at, at.value(at.map(name, [byte], np.dtype(np.int32))), x.dtype)
        inputs = at.value(halves.index((..., half, _ALL)).rearrange((0, None, 1, 2), shape))
        parts.append(at.value(at.map("Multiply", [inputs, whole], x.dtype)))
    scale = at.value(at.plain(scales).index((..., 0)).rearrange((None, 0, 1, None), shape))
    both = at.value(at.map("Add", parts, x.dtype))
    return at.reduce("Sum", at.value(at.map("Multiply", [both, scale], x.dtype)), (2, 3), y.dtype)


def _as_real(at: Lowering, whole: Symbol, dtype: DataType) -> Symbol:
    return at.value(at.map("Cast", [whole], dtype))
