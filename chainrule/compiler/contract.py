"""Contractions: matrix products and convolutions as one kind of kernel, and how each primitive becomes one.

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
from dataclasses import dataclass, replace
from typing import Any

from chainrule.compiler.fuse import FEW_CHANNELS, Inside, Lowering, Memory, image_order
from chainrule.compiler.moves import rule
from chainrule.compiler.nest import Nest, Node, Operand
from chainrule.compiler.views import Buffer, View, whole_images
from chainrule.primitives.value import Shape, Symbol
from chainrule.program.graph import Equation


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

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        sizes = [n for n, *_ in (*self.batch, *self.rows, *self.segments)]
        return 2 * math.prod(sizes) * self.run[0] * self.columns


def contract(at: Lowering, product: Product, output: Any, shape: Shape, order: Sequence[int]) -> None:
    """Add the group of a contraction whose result has this shape; `order` says how it will lie in memory."""
    dtype = product.a[0].dtype
    nest = Nest(list(shape))
    group = at.group(nest, product=product, order=list(order))
    at.read(group, product.a[0])
    at.read(group, product.b[0])
    axes = frozenset(d for d, extent in enumerate(shape) if extent != 1)
    block = nest.append(Node("block", (), dtype, axes))
    if product.splits == 1:
        at.put(output, Inside(group, block, tuple(d if d in axes else None for d in range(len(shape))), shape))
        return
    group.open = False
    view = at.allocate((product.splits, *shape), dtype, range(len(shape) + 1), [0, *(d + 1 for d in order)], ())
    strides = {d: view.strides[d + 1] for d in axes}
    nest.stores.append((block, Operand(view.buffer, view.offset, {**strides, -1: view.strides[0]})))
    at.written(group, view.buffer)
    total = at.group(Nest([*shape, product.splits], frozenset([len(shape)])), order=list(order))
    part = at.load(total, Memory(view.permute((*range(1, len(shape) + 1), 0))), list(range(len(shape) + 1)))
    answer = tuple(d if d in axes else None for d in range(len(shape)))
    at.put(output, Inside(total, total.nest.add("Sum", [part], dtype), answer, shape))


# ------------------------------------------------------------------------------------- matrix product


@rule
def lower_MatMul(at: Lowering, e: Equation) -> bool:
    """Either way round: as C = A·B or as Cᵀ = Bᵀ·Aᵀ, whichever moves fewer entries into place before."""
    x, y = e.inputs
    (z,) = e.outputs
    if e.inputs[0].dtype.kind != "f" or len(z.shape) > 4 or z.size == 0 or x.shape[-1] == 0:
        return False
    a, b = at.plain(x), at.plain(y)
    straight = _cost(a, b, at, z)
    turned = _cost(b.permute(_turned(b)), a.permute(_turned(a)), at, z, turned=True)
    if straight <= turned:
        _matmul(at, x, y, z, False)
    else:
        _matmul(at, x, y, z, True)
    return True


def _turned(view: View) -> Shape:
    rank = len(view.shape)
    return (*range(rank - 2), rank - 1, rank - 2)


def _cost(a: View, b: View, at: Lowering, z: Symbol, turned: bool = False) -> float:
    """What an orientation costs, in entries moved: packing, and vectors that are not full."""
    n = b.shape[-1]
    size = math.prod(z.shape)
    m = a.shape[-2]
    waste = ((-n % 16) / n + (-m % 14) / m) * size * a.shape[-1] / 128
    pack = 0.0 if b.strides[-1] == 1 or n == 1 else math.prod(b.shape)
    pack += 0 if 1 in a.strides[-2:] else math.prod(a.shape)
    wish = at.wishes.get(z)
    fastest = len(z.shape) - (2 if turned else 1)
    mismatch = 0.0 if wish is None or wish[-1] == fastest else 2.0 * size
    return pack + waste + mismatch


def _matmul(at: Lowering, x: Any, y: Any, z: Symbol, turned: bool) -> None:
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
    _split(product)
    contract(at, product, z, z.shape, [*range(rank - 2), i, j])


def _packed(at: Lowering, x: Any, order: Shape | None) -> View:
    """A matrix (turned, if there is an order) copied so that its last dimension is contiguous."""
    rank = len(x.shape)
    if order is None:
        return at.copy(x).view
    return at.copy(x, order).view.permute(order) if rank else at.copy(x).view


def _split(product: Product) -> None:
    """Cut a long k into several sums where the result alone is too small to share out or to stay in the cache."""
    rows = math.prod(n for n, _ in product.rows)
    tiles = -(-rows // 14) * -(-product.columns // 32) * math.prod(n for n, *_ in product.batch)
    depth = math.prod(n for n, *_ in product.segments) * product.run[0]
    if len(product.segments) == 0 and depth > 512:
        # A run that is cut becomes segments, if it can be cut evenly.
        piece = next((p for p in (256, 224, 192, 320, 160, 128, 384) if depth % p == 0), 0)
        if piece:
            product.segments = [(depth // piece, product.run[1] * piece, product.run[2] * piece)]
            product.run = (piece, *product.run[1:])
    count = math.prod(n for n, *_ in product.segments)
    if count > 1 and ((depth >= 8192 and tiles <= 192) or (depth >= 1024 and tiles < 12)):
        wanted = 8 if tiles <= 96 else 4
        product.splits = max(1, min(count, wanted, depth // 512))
        product.splits = -(-count // -(-count // product.splits))


# ------------------------------------------------------------------------------------- convolution


def _settings(e: Equation, spatial: int) -> tuple[Shape, Shape, Shape]:
    p = e.parameters
    return tuple(p["stride"]), tuple(p["padding"]), tuple(p["dilation"])


def halo_of(e: Equation) -> list[tuple[Any, Shape]]:
    """The borders of zeros that a convolution would like around what it reads: (value, width for each dimension)."""
    if e.parameters.get("groups", 1) != 1:
        return []
    p = e.parameters
    if e.primitive.name in ("Convolution", "ConvolutionWeight"):
        return [(e.inputs[0], tuple(p["padding"]))]
    low = [_reach(e, d) for d in range(len(p["stride"]))]
    return [(e.inputs[0], tuple(max(low_high) for low_high in low))]


def _reach(e: Equation, d: int) -> tuple[int, int]:
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


def _bordered(at: Lowering, x: Any, low: Sequence[int], high: Sequence[int], channels_last: bool = False) -> View:
    """An image in memory, in its best order, with at least so many zeros around it."""
    wanted = tuple(max(a, b) for a, b in zip(low, high, strict=True))
    memory = at.memory(x)
    order = image_order(memory.shape)
    if channels_last:
        order = [0, *range(2, len(memory.shape)), 1]
    right = memory.plain and (memory.view.strides[order[-1]] == 1 or memory.shape[1] == 1)
    if right and (not any(wanted) or _has_border(at, memory.view, wanted)):
        return memory.view
    key = (at.key(x), wanted, channels_last)
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


def _convolvable(e: Equation) -> bool:
    return bool(
        e.parameters.get("groups", 1) == 1
        and e.inputs[0].dtype.kind == "f"
        and 1 <= len(e.parameters["stride"]) <= 3
        and all(extent for x in (*e.inputs, *e.outputs) for extent in x.shape)
    )


@rule
def lower_Convolution(at: Lowering, e: Equation) -> bool:
    """Rows are the pixels of the result, k is (kernel, channel)."""
    if not _convolvable(e):
        return False
    (x, w), (y,) = e.inputs, e.outputs
    n = len(y.shape) - 2
    stride, padding, dilation = _settings(e, n)
    image = _bordered(at, x, padding, padding)
    if w.shape[0] < FEW_CHANNELS:
        offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
        size = tuple(s + 2 * p for s, p in zip(image.shape[2:], padding, strict=True))
        windows = replace(image, shape=(*image.shape[:2], *size), offset=offset)
        _direct(at, windows.windows(tuple(w.shape[2:]), stride, dilation), at.plain(w), y)
        return True
    weight = _weight(at, w, (*range(2, n + 2), 1, 0))  # (kernel…, c, o), o contiguous
    rows = [(y.shape[0], image.strides[0])]
    rows += [(y.shape[2 + d], image.strides[2 + d] * stride[d]) for d in range(n)]
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    segments, run = _kernel_walk(image, weight, w.shape[2:], dilation, w.shape[1])
    if len(rows) > 4 or len(segments) > 4:
        return False
    axes = [0, *range(2, n + 2)]
    product = Product(
        "rows", (image.buffer, offset), (weight.buffer, weight.offset), [], rows, segments, run, w.shape[0], axes, 1
    )
    contract(at, product, y, y.shape, [*axes, 1])
    return True


def _direct(at: Lowering, windows: View, w: View, y: Symbol) -> None:
    """y[n, o, p…] = Σ_c Σ_k windows[n, c, p…, k…] · w[o, c, k…] as a nest whose vectors lie along the pixels."""
    n = len(y.shape) - 2
    out, kernel = windows.shape[2 : 2 + n], windows.shape[2 + n :]
    shape = (y.shape[0], y.shape[1], windows.shape[1], *out, *kernel)
    none = 0
    image = replace(windows, shape=shape, strides=(windows.strides[0], none, *windows.strides[1:]))
    weight = replace(w, shape=shape, strides=(none, w.strides[0], w.strides[1], *(none,) * n, *w.strides[2:]))
    _sum_of_products(at, image, weight, (2, *range(3 + n, 3 + 2 * n)), y)


def _sum_of_products(at: Lowering, x: View, y: View, axes: Shape, z: Symbol) -> None:
    """z = Σ x·y over some dimensions of two views of one shape."""
    first, second, product = (Symbol(x.shape, x.dtype) for _ in range(3))
    at.places[first], at.places[second] = Memory(x), Memory(y)
    at.map("Multiply", [first, second], product, x.shape, x.dtype)
    place = at.places[product]
    assert isinstance(place, Inside)
    place.group.order = list(range(len(x.shape)))
    at.reduce("Sum", product, axes, z, z.dtype)


def _weight(at: Lowering, w: Any, order: Shape) -> View:
    """The weight walked in another order of its dimensions, the last of them contiguous; packed if it is not."""
    view = at.plain(w)
    moved = view.permute(order)
    if moved.strides[-1] == 1 or moved.shape[-1] == 1:
        return moved
    key = (at.key(w), order)
    if key not in at.copies:
        at.copies[key] = at.copy(w, order).view
    return at.copies[key].permute(order)


def _kernel_walk(
    image: View, weight: View, kernel: Shape, dilation: Shape, channels: int
) -> tuple[list[tuple[int, int, int]], tuple[int, int, int]]:
    """k = (kernel…, channel) as segments and one contiguous run."""
    n = len(kernel)
    steps = [(kernel[d], image.strides[2 + d] * dilation[d], weight.strides[d]) for d in range(n)]
    run = (channels, 1, weight.strides[n])
    last = steps[-1]
    if channels != 1 and image.strides[1] != 1 and last[1] == 1:  # pixels last: the run is a row of the kernel
        steps = [(channels, image.strides[1], weight.strides[n]), *steps]
        return [s for s in steps[:-1] if s[0] != 1], (last[0], 1, last[2])
    if channels != 1 and image.strides[1] != 1:
        return [s for s in [(channels, image.strides[1], weight.strides[n]), *steps] if s[0] != 1], (1, 1, 0)
    joined = last[1] == 1 if channels == 1 else last[1] == channels and last[2] == channels * run[2]
    if joined:
        run = (kernel[-1] * channels, 1, last[2] if channels == 1 else run[2])
        steps = steps[:-1]
    return [s for s in steps if s[0] != 1], run


@rule
def lower_ConvolutionWeight(at: Lowering, e: Equation) -> bool:
    """Rows are (kernel, channel), contiguous in the image; k is the pixels of the result's gradient."""
    if not _convolvable(e):
        return False
    (x, g), (w,) = e.inputs, e.outputs
    n = len(g.shape) - 2
    stride, padding, dilation = _settings(e, n)
    kernel, channels = w.shape[2:], w.shape[1]
    if w.shape[0] < FEW_CHANNELS:
        _direct_weight(at, _bordered(at, x, padding, padding), g, w, e)
        return True
    image = _bordered(at, x, padding, padding, channels_last=True)
    upstream = _bordered(at, g, (0,) * n, (0,) * n)
    rows = [(kernel[d], image.strides[2 + d] * dilation[d]) for d in range(n)]
    if channels == 1 and rows[-1][1] == 1:
        pass
    elif rows[-1][1] == channels:
        rows[-1] = (kernel[-1] * channels, 1)
    else:
        rows.append((channels, 1))
    walk = [(g.shape[0], image.strides[0], upstream.strides[0])]
    walk += [(g.shape[2 + d], image.strides[2 + d] * stride[d], upstream.strides[2 + d]) for d in range(n)]
    *segments, run = walk
    if len(rows) > 4 or len(segments) > 4:
        return False
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    axes = [*range(2, n + 2), 1]
    product = Product(
        "columns", (image.buffer, offset), (upstream.buffer, upstream.offset), [], rows, segments, run,
        w.shape[0], axes, 0,
    )  # fmt: skip
    _split(product)
    contract(at, product, w, w.shape, [*axes, 0])
    return True


def _direct_weight(at: Lowering, image: View, g: Any, w: Symbol, e: Equation) -> None:
    """w[o, c, k…] = Σ_n Σ_p windows[n, c, p…, k…] · g[n, o, p…] with vectors along the pixels."""
    n = len(g.shape) - 2
    stride, padding, dilation = _settings(e, n)
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    size = tuple(s + 2 * p for s, p in zip(image.shape[2:], padding, strict=True))
    padded = replace(image, shape=(*image.shape[:2], *size), offset=offset)
    windows = padded.windows(tuple(w.shape[2:]), stride, dilation)
    upstream = _pixels_last(at, g)
    shape = (w.shape[0], w.shape[1], *w.shape[2:], g.shape[0], *g.shape[2:])
    ws, us, none = windows.strides, upstream.strides, (0,) * n
    x = replace(windows, shape=shape, strides=(0, ws[1], *ws[2 + n :], ws[0], *ws[2 : 2 + n]))
    y = replace(upstream, shape=shape, strides=(us[1], 0, *none, us[0], *us[2:]))
    _sum_of_products(at, x, y, tuple(range(2 + n, 3 + 2 * n)), w)


def _pixels_last(at: Lowering, x: Any) -> View:
    """A value in memory whose last dimension is contiguous."""
    view = at.plain(x)
    if view.strides[-1] == 1:
        return view
    key = (at.key(x), "pixels")
    if key not in at.copies:
        at.copies[key] = at.copy(x).view
    return at.copies[key]


@rule
def lower_ConvolutionTranspose(at: Lowering, e: Equation) -> bool:
    """For each phase of the stride a convolution of its own, with the kernel's entries that meet it, backwards."""
    if not _convolvable(e):
        return False
    (y, w), (x,) = e.inputs, e.outputs
    n = len(y.shape) - 2
    stride, _, dilation = _settings(e, n)
    if any(d != 1 and s != 1 for d, s in zip(dilation, stride, strict=True)) or n + 1 > 4:
        return False
    reach = [_reach(e, d) for d in range(n)]
    if w.shape[1] < FEW_CHANNELS and all(s == 1 for s in stride):
        _direct_transpose(at, e, reach)
        return True
    image = _bordered(at, y, [r[0] for r in reach], [r[1] for r in reach])
    if all(s == 1 for s in stride):
        product = _phase(at, e, image, (0,) * n)
        assert product is not None
        contract(at, product, x, x.shape, [0, *range(2, n + 2), 1])
        return True
    dims = range(len(x.shape))
    view = at.allocate(x.shape, x.dtype, dims, [0, *range(2, n + 2), 1], at.halos.get(x, ()))
    for place in _phases(stride, x.shape[2:]):
        _write_phase(at, e, image, view, place)
    at.places[x] = Memory(view)
    return True


def _direct_transpose(at: Lowering, e: Equation, reach: list[tuple[int, int]]) -> None:
    """x[n, c, i…] = Σ_o Σ_k y[n, o, i + padding − k·dilation] · w[o, c, k…] with vectors along the pixels."""
    (y, w), (x,) = e.inputs, e.outputs
    n = len(y.shape) - 2
    _, padding, dilation = _settings(e, n)
    border = tuple(max(r) for r in reach)
    key = (at.key(y), "pixels", border)
    if key not in at.copies:
        view = at.allocate(y.shape, y.dtype, range(n + 2), range(n + 2), ())
        if any(border):
            full = tuple(s + 2 * b for s, b in zip(y.shape[2:], border, strict=True))
            whole = at.allocate((*y.shape[:2], *full), y.dtype, range(n + 2), range(n + 2), ())
            inner = whole.offset + sum(b * s for b, s in zip(border, whole.strides[2:], strict=True))
            view = replace(whole, shape=tuple(y.shape), offset=inner)
            at.clear_border(view, (0, 0, *border))
        at.into(y, view)
        at.copies[key] = view
    view = at.copies[key]
    offset = view.offset + sum(padding[d] * view.strides[2 + d] for d in range(n))
    spatial = tuple(view.strides[2:])
    back = tuple(-s * d for s, d in zip(spatial, dilation, strict=True))
    shape = (*x.shape[:2], w.shape[0], *x.shape[2:], *w.shape[2:])
    image = replace(view, shape=shape, strides=(view.strides[0], 0, view.strides[1], *spatial, *back), offset=offset)
    v = at.plain(w)
    weight = replace(v, shape=shape, strides=(0, v.strides[1], v.strides[0], *(0,) * n, *v.strides[2:]))
    _sum_of_products(at, image, weight, (2, *range(3 + n, 3 + 2 * n)), x)


def _phases(stride: Shape, size: Shape) -> list[Shape]:
    import itertools

    return list(itertools.product(*(range(min(s, n)) for s, n in zip(stride, size, strict=True))))


def _phase_view(view: View, stride: Shape, place: Shape) -> View:
    """The entries of one phase: every stride-th from its place on."""
    n = len(stride)
    shape = tuple(-(-(view.shape[2 + d] - place[d]) // stride[d]) for d in range(n))
    strides = tuple(view.strides[2 + d] * stride[d] for d in range(n))
    offset = view.offset + sum(place[d] * view.strides[2 + d] for d in range(n))
    return replace(view, shape=(*view.shape[:2], *shape), strides=(*view.strides[:2], *strides), offset=offset)


def _write_phase(at: Lowering, e: Equation, image: View, view: View, place: Shape) -> None:
    target = _phase_view(view, e.parameters["stride"], place)
    product = _phase(at, e, image, place)
    part = Symbol(target.shape, view.dtype)
    if product is None:  # no entry of the kernel meets this phase
        nest = Nest(list(target.shape))
        group = at.group(nest, open=False)
        nest.stores.append(
            (nest.constant(0, view.dtype), Operand(view.buffer, target.offset, dict(enumerate(target.strides))))
        )
    else:
        contract(at, product, part, target.shape, [0, *range(2, len(target.shape)), 1])
        inside = at.places[part]
        assert isinstance(inside, Inside)
        group = inside.group
        group.open = False
        strides = {d: s for d, s in enumerate(target.strides) if target.shape[d] != 1}
        group.nest.stores.append((inside.node, Operand(view.buffer, target.offset, strides)))
    at.writes_apart(group, view.buffer)


def _phase(at: Lowering, e: Equation, image: View, place: Shape) -> Product | None:
    """The product that gives the entries of one phase."""
    (_, w), (x,), n = e.inputs, e.outputs, len(place)
    stride, padding, dilation = _settings(e, n)
    first, counts, starts = [], [], []
    for d in range(n):
        meets = [k for k in range(w.shape[2 + d]) if (place[d] + padding[d] - k * dilation[d]) % stride[d] == 0]
        if not meets:
            return None
        first.append(meets[0])
        counts.append(len(meets))
        # The last entry of the kernel that meets it reads the earliest entry of y.
        starts.append((place[d] + padding[d] - meets[-1] * dilation[d]) // stride[d])
    weight = _phase_weight(at, w, tuple(first), tuple(stride), tuple(counts))
    offset = image.offset + sum(s * image.strides[2 + d] for d, s in enumerate(starts))
    extents = [-(-(x.shape[2 + d] - place[d]) // stride[d]) for d in range(n)]
    rows = [(x.shape[0], image.strides[0])] + [(extents[d], image.strides[2 + d]) for d in range(n)]
    steps = tuple(max(1, dilation[d]) if stride[d] == 1 else 1 for d in range(n))
    segments, run = _kernel_walk(image, weight, tuple(counts), steps, w.shape[0])
    return Product(
        "rows", (image.buffer, offset), (weight.buffer, weight.offset), [], rows, segments, run, w.shape[1],
        [0, *range(2, n + 2)], 1,
    )  # fmt: skip


def _phase_weight(at: Lowering, w: Any, first: Shape, stride: Shape, counts: Shape) -> View:
    """The kernel's entries of a phase backwards, as (kernel…, o, c) with c contiguous."""
    n = len(first)
    view = at.plain(w)
    strides = tuple(view.strides[2 + d] * stride[d] for d in range(n))
    offset = view.offset + sum(first[d] * view.strides[2 + d] for d in range(n))
    part = replace(view, shape=(*view.shape[:2], *counts), strides=(*view.strides[:2], *strides), offset=offset)
    part = part.flip(tuple(range(2, n + 2))).permute((*range(2, n + 2), 0, 1))
    if part.strides[-1] == 1 and part.shape[-1] != 1:
        return part
    symbol = Symbol(part.shape, part.dtype)
    at.places[symbol] = Memory(part)
    return at.copy(symbol).view
