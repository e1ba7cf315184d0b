"""Contractions: matrix products and convolutions as one kind of kernel, and how the matrix product becomes one.

    C[i, j] = Σ_k  A(i, k) · B(k, j)

The vector lies along j, where B must be contiguous. A is read entry by entry and needs no packing: either k runs
contiguously (mode "rows") or i does (mode "columns"). Rows are up to four dimensions walked as one, and so is k: an
outer part, the *segments*, and an inner *run* of evenly spaced steps. A convolution is the product whose A is the
image itself: row i is a pixel, a segment is a row of the kernel, and the run is (column of the kernel, channel), which
lies contiguously when channels come last. So no matrix of windows is ever written.

The product of a 3×3 convolution: 2·36 pixels, 16 channels out, 9·16 entries to sum over.

>>> import chainrule
>>> convolve = chainrule.compile(lambda x, w: chainrule.nn.functional.conv2d(x, w, padding=1))
>>> _ = convolve(chainrule.ones(2, 16, 6, 6), chainrule.ones(16, 16, 3, 3))
>>> print(convolve.explain().splitlines()[-1])
   2  product 72×16×144 → [2×16×6×6] copy
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backends.native.language.elementary import is_real
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.laying import lay_out
from chainrule.backends.native.lowering.nest import Axis, Block, Nest
from chainrule.backends.native.lowering.place import Buffer, Inside, Place, View
from chainrule.backends.native.lowering.rules import rule
from chainrule.primitives.value import DataType, Shape, Symbol
from chainrule.program.graph import Equation

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@dataclass
class Product:
    """One contraction. Strides count entries.

    Attributes:
        mode: "rows" if k is contiguous in A within a run, "columns" if i is within the last row dimension.
        batch: (extent, stride in A, stride in B) of dimensions that count independent products, at most two.
        rows: (extent, stride in A), from outside to inside, at most four.
        segments: (extent, stride in A, stride in B), at most four.
        run: (extent, step in A, step in B).
        columns: the extent of j.
        row_axes, column_axis: the axes of the nest behind it that are (batch, rows) and j.
        splits: into how many sums k is cut; more than one makes the first axis of the result.
        groups: (extent, stride in A, stride in B) of independent products on the same rows, whose columns lie side by
            side in the result: j of the nest behind is (group, column).
        scaled: "int8" or "int4", if A is whole numbers of so many bits with scales; see `primitives/low_bits.py`.
        scales: of these: where they are, and the strides along the rows and along the segments.
        laid: where B lies as registers of their own kind take it, if that was done before (`laying.py`).
    """

    mode: str
    a: tuple[Buffer, int]
    b: tuple[Buffer, int]
    batch: list[tuple[int, int, int]]
    rows: list[tuple[int, int]]
    segments: list[tuple[int, int, int]]
    run: tuple[int, int, int]
    columns: int
    row_axes: list[int]
    column_axis: int
    splits: int = 1
    groups: tuple[int, int, int] = (1, 0, 0)
    scaled: str = ""
    scales: tuple[Buffer, int, int, int] | None = None
    laid: Buffer | None = None

    @property
    def dtype(self) -> DataType:
        """What is added up, and what the result is before it is rounded: halves and small numbers as float32."""
        return _DOUBLE if self.a[0].dtype == _DOUBLE else _SINGLE

    @property
    def count(self) -> int:
        """How many independent products there are."""
        return self.groups[0] * math.prod(n for n, *_ in self.batch)

    @property
    def depth(self) -> int:
        """How many products one sum has, those of all its splits."""
        return self.run[0] * math.prod(n for n, *_ in self.segments)

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.count * math.prod(n for n, _ in self.rows) * self.depth * self.columns


def contract(at: Lowering, product: Any, shape: Shape, order: Sequence[int]) -> Inside:
    """The result, of this shape, of a contraction's new group; `order` says how it will lie in memory."""
    dtype = product.dtype
    laid = lay_out(at, product, at.path) if isinstance(product, Product) and not at.again else None
    nest = Nest(list(shape))
    group = at.group(nest, product=product, order=list(order))
    at.read(group, product.a[0])
    at.read(group, product.b[0])
    if product.scales is not None:
        at.read(group, product.scales[0])
    if laid is not None:
        at.read(group, laid)
    axes = tuple(d if extent != 1 else None for d, extent in enumerate(shape))
    block = nest.append(Block("block", (), dtype, frozenset(d for d in axes if d is not None)))
    if product.splits == 1:
        return Inside(group, block, axes, tuple(shape))
    group.open = False
    view = at.allocate((product.splits, *shape), dtype, range(len(shape) + 1), [0, *(d + 1 for d in order)], ())
    parts = view.permute((*range(1, len(shape) + 1), 0))
    nest.store(block, parts, (*axes, Axis.PIECES))
    at.written(group, view.buffer)
    return at.reduce_last(parts, "Sum", order)


# ------------------------------------------------------------------------------------- matrix product


@rule
def lower_MatMul(at: Lowering, e: Equation) -> Place | None:
    """Either way round: as C = A·B or as Cᵀ = Bᵀ·Aᵀ, whichever moves fewer entries into place before."""
    x, y = e.inputs
    (z,) = e.outputs
    if not is_real(x.dtype) or len(z.shape) > 4 or z.size == 0 or x.shape[-1] == 0:
        return None
    a, b = at.plain(x), at.plain(y)
    if _is_read_once(a.permute(_turned(a)), b.permute(_turned(b))):
        return _sums_of_rows(at, x, y, z, turned=True)
    if _is_read_once(b, a):
        return _sums_of_rows(at, y, x, z)
    fixed = [isinstance(v, Symbol) and v in at.fixed for v in (x, y)]
    straight = _cost(a, b, fixed, at, z)
    turned = _cost(b.permute(_turned(b)), a.permute(_turned(a)), fixed[::-1], at, z, turned=True)
    return _matmul(at, x, y, z, turned < straight)


def _is_read_once(column: View, matrix: View) -> bool:
    """Whether it is a matrix, whose rows lie along k, times a single column.

    Its time is that of reading the matrix once. Register tiles are for what is read often: to have but one column in
    their vectors, they would take the matrix entry by entry.
    """
    return column.shape[-1] == 1 and matrix.strides[-1] == 1 and matrix.shape[-2] >= 4 and matrix.shape[-1] >= 16


def _sums_of_rows(at: Lowering, column: Any, matrix: Any, z: Symbol, turned: bool = False) -> Place:
    """z[i] = Σ_k matrix[i, k]·column[k] by a nest, whose vectors lie along k. What follows has vectors along i."""
    rank = len(z.shape)
    i, k, batch = (rank - 1, rank - 2, range(rank - 2)) if turned else (rank - 2, rank - 1, range(rank - 2))
    rows = at.plain(matrix).permute((*batch, i, k))
    numbers = at.plain(column)
    if numbers.strides[i] != 1:
        numbers = at.copy(column)
    parts = [numbers.rearrange((*batch, None, i), rows.shape), rows]
    terms = at.value(at.map("Multiply", [_as(at, z.dtype, part) for part in parts], z.dtype))
    total = at.memory(at.value(at.reduce("Sum", terms, (rank - 1,), z.dtype)))
    return total.rearrange((*batch, None, i - 1) if turned else (*batch, i, None), tuple(z.shape))


def _as(at: Lowering, dtype: DataType, view: View) -> Symbol:
    """A value at a place, in registers of this type."""
    value = at.value(view)
    return value if view.dtype == dtype else at.value(at.map("Cast", [value], dtype, {"dtype": dtype}))


def _turned(view: View) -> Shape:
    rank = len(view.shape)
    return (*range(rank - 2), rank - 1, rank - 2)


def _cost(a: View, b: View, fixed: list[bool], at: Lowering, z: Symbol, turned: bool = False) -> float:
    """What an orientation costs, in entries moved: packing (unless it is done before a loop), vectors not full."""
    n = b.shape[-1]
    size = math.prod(z.shape)
    m = a.shape[-2]
    waste = ((-n % 16) / n + (-m % 14) / m) * size * a.shape[-1] / 128
    pack = 0.0 if b.strides[-1] == 1 or n == 1 or fixed[1] else math.prod(b.shape)
    pack += 0 if 1 in a.strides[-2:] or fixed[0] else math.prod(a.shape)
    wish = at.wishes.get(z)
    fastest = len(z.shape) - (2 if turned else 1)
    mismatch = 0.0 if wish is None or wish[-1] == fastest else 2.0 * size
    return pack + waste + mismatch


def _matmul(at: Lowering, x: Any, y: Any, z: Symbol, turned: bool) -> Place:
    rank = len(z.shape)
    first, second = (y, x) if turned else (x, y)
    swap = (*range(rank - 2), rank - 1, rank - 2)
    a, b = at.plain(first), at.plain(second)
    if turned:
        a, b = a.permute(swap), b.permute(swap)
    if b.strides[-1] != 1 and b.shape[-1] != 1:
        b = _packed(at, second, swap if turned else None)
    if 1 not in a.strides[-2:] and a.shape[-1] != 1:
        a = _packed(at, first, swap if turned else None)
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    mode = "rows" if a.strides[-1] == 1 or k == 1 else "columns"
    batch = [(a.shape[d], a.strides[d], b.strides[d]) for d in range(rank - 2)]
    i, j = (rank - 1, rank - 2) if turned else (rank - 2, rank - 1)
    product = Product(
        mode, (a.buffer, a.offset), (b.buffer, b.offset), batch, [(m, a.strides[-2])], [],
        (k, a.strides[-1], b.strides[-2]), n, [*range(rank - 2), i], j,
    )  # fmt: skip
    split(at, product)
    return contract(at, product, z.shape, [*range(rank - 2), i, j])


def _packed(at: Lowering, x: Any, order: Shape | None) -> View:
    """A matrix (turned, if there is an order) copied so that its last dimension is contiguous."""
    if order is None:
        return at.packed(x, range(len(x.shape)))
    return at.packed(x, order).permute(order)


def split(at: Lowering, product: Product) -> None:
    """Cut a long k into several sums where the result alone is too small to share out or to stay in the cache."""
    rows = math.prod(n for n, _ in product.rows)
    tiles = -(-rows // 14) * -(-product.columns // 32) * product.count
    depth = math.prod(n for n, *_ in product.segments) * product.run[0]
    if len(product.segments) == 0 and depth > 512:
        # A run that is cut becomes segments, if it can be cut evenly.
        piece = next((p for p in (256, 224, 192, 320, 160, 128, 384) if depth % p == 0), 0)
        if piece:
            product.segments = [(depth // piece, product.run[1] * piece, product.run[2] * piece)]
            product.run = (piece, *product.run[1:])
    count = math.prod(n for n, *_ in product.segments)
    if count > 1 and at.layout is not None and _is_laid_out_once(product, depth):
        product.splits = min(count, 8 if tiles <= 96 else 4)
        product.splits = -(-count // -(-count // product.splits))
    elif count > 1 and ((depth >= 8192 and tiles <= 192) or (depth >= 1024 and tiles < 12)):
        wanted = 8 if tiles <= 96 else 4
        product.splits = max(1, min(count, wanted, depth // 512))
        product.splits = -(-count // -(-count // product.splits))


def _is_laid_out_once(product: Product, depth: int) -> bool:
    """Whether, with AMX, its result is so small that one part can have all of it, or much, for a piece of k.

    Parts with few rows and columns each would lay the same factors out again and again, and read them from far.
    """
    rows = math.prod(n for n, _ in product.rows)
    small = rows >= 96 and product.columns >= 128 and -(-rows // 32) * -(-product.columns // 32) <= 64
    single = product.a[0].dtype == product.b[0].dtype == _SINGLE and not product.scaled
    return product.mode == "columns" and small and single and depth >= 2048
