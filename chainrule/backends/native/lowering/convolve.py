"""Convolutions as products: forward, and the gradients in the image and in the weight.

With groups every group of channels is a product of its own, on the same rows: what is one dimension of the result,
its channels, is (group, column) to the product. A group of few channels is no product; see `depthwise.py`.

>>> import chainrule
>>> convolve = chainrule.compile(lambda x, w: chainrule.nn.functional.conv2d(x, w, padding=1, groups=2).relu())
>>> _ = convolve(chainrule.ones(2, 32, 6, 6), chainrule.ones(32, 16, 3, 3))
>>> print(convolve.explain().splitlines()[-1])
   2  product 72×16×144 in 2 groups → [2×32×6×6] Maximum
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.native.language.elementary import is_real
from chainrule.backends.native.lowering import depthwise
from chainrule.backends.native.lowering.contract import Product, contract, split
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import FEW_CHANNELS
from chainrule.backends.native.lowering.images import (
    Phase,
    bordered,
    has_narrow_groups,
    phase_of,
    phase_view,
    phases,
    pixels_last,
    reach,
    settings_of,
    sum_of_products,
    weight_in_order,
    windows_of,
)
from chainrule.backends.native.lowering.place import Place, View
from chainrule.backends.native.lowering.rules import rule
from chainrule.primitives.value import Shape
from chainrule.program.graph import Equation


def _convolvable(e: Equation) -> bool:
    return bool(
        is_real(e.inputs[0].dtype)
        and 1 <= len(e.parameters["stride"]) <= 3
        and all(extent for x in (*e.inputs, *e.outputs) for extent in x.shape)
    )


@rule
def lower_Convolution(at: Lowering, e: Equation) -> Place | None:
    """Rows are the pixels of the result, k is (kernel, channel)."""
    if not _convolvable(e):
        return None
    if has_narrow_groups(e):
        return depthwise.forward(at, at.in_single(e))
    (x, w), (y,), groups = e.inputs, e.outputs, e.parameters["groups"]
    n = len(y.shape) - 2
    stride, padding, dilation = settings_of(e)
    if w.shape[0] < FEW_CHANNELS and groups == 1:
        e = at.in_single(e)
        image = bordered(at, e.inputs[0], padding, padding)
        return _direct(at, windows_of(image, e, w.shape[2:]), at.plain(e.inputs[1]))
    image = bordered(at, x, padding, padding)
    weight = weight_in_order(at, w, (*range(2, n + 2), 1, 0))  # (kernel…, c, o), o contiguous
    rows = [(y.shape[0], image.strides[0])]
    rows += [(y.shape[2 + d], image.strides[2 + d] * stride[d]) for d in range(n)]
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    segments, run = _kernel_walk(image, weight, w.shape[2:], dilation, w.shape[1])
    if len(rows) > 4 or len(segments) > 4:
        return None
    axes = [0, *range(2, n + 2)]
    each = w.shape[0] // groups
    product = Product(
        "rows", (image.buffer, offset), (weight.buffer, weight.offset), [], rows, segments, run, each, axes, 1,
        groups=(groups, w.shape[1] * image.strides[1], each * weight.strides[-1]),
    )  # fmt: skip
    return contract(at, product, y.shape, [*axes, 1])


def _direct(at: Lowering, windows: View, w: View) -> Place:
    """y[n, o, p…] = Σ_c Σ_k windows[n, c, p…, k…] · w[o, c, k…] as a nest whose vectors lie along the pixels."""
    n = len(w.shape) - 2
    shape = (windows.shape[0], w.shape[0], *windows.shape[1:])
    image = windows.rearrange((0, None, *range(1, 2 + 2 * n)), shape)
    weight = w.rearrange((None, 0, 1, *(None,) * n, *range(2, 2 + n)), shape)
    return sum_of_products(at, image, weight, (2, *range(3 + n, 3 + 2 * n)))[0]


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
def lower_ConvolutionWeight(at: Lowering, e: Equation) -> Place | None:
    """Rows are (kernel, channel), contiguous in the image; k is the pixels of the result's gradient."""
    if not _convolvable(e):
        return None
    if has_narrow_groups(e):
        return depthwise.weight(at, at.in_single(e))
    (x, g), (w,), groups = e.inputs, e.outputs, e.parameters["groups"]
    n = len(g.shape) - 2
    stride, padding, dilation = settings_of(e)
    kernel, channels, each = w.shape[2:], w.shape[1], w.shape[0] // groups
    if w.shape[0] < FEW_CHANNELS and groups == 1:
        e = at.in_single(e)
        return _direct_weight(at, bordered(at, e.inputs[0], padding, padding), e)
    image = bordered(at, x, padding, padding, channels_last=True)
    upstream = bordered(at, g, (0,) * n, (0,) * n, channels_last=groups > 1)
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
        return None
    offset = image.offset - sum(p * image.strides[2 + d] for d, p in enumerate(padding))
    axes = [*range(2, n + 2), 1]
    product = Product(
        "columns", (image.buffer, offset), (upstream.buffer, upstream.offset), [], rows, segments, run, each, axes, 0,
        groups=(groups, channels, each),
    )  # fmt: skip
    split(at, product)
    return contract(at, product, w.shape, [*axes, 0])


def _direct_weight(at: Lowering, image: View, e: Equation) -> Place:
    """w[o, c, k…] = Σ_n Σ_p windows[n, c, p…, k…] · g[n, o, p…] with vectors along the pixels."""
    g, (w,), n = e.inputs[1], e.outputs, len(e.parameters["stride"])
    shape = (*w.shape, g.shape[0], *g.shape[2:])
    pixels = range(2, 2 + n)
    x = windows_of(image, e, w.shape[2:]).rearrange((None, 1, *range(2 + n, 2 + 2 * n), 0, *pixels), shape)
    y = pixels_last(at, g).rearrange((1, None, *(None,) * n, 0, *pixels), shape)
    return sum_of_products(at, x, y, tuple(range(2 + n, 3 + 2 * n)))[0]


@rule
def lower_ConvolutionTranspose(at: Lowering, e: Equation) -> Place | None:
    """For each phase of the stride a convolution of its own, with the kernel's entries that meet it, backwards."""
    if not _convolvable(e):
        return None
    if has_narrow_groups(e):
        return depthwise.transpose(at, at.in_single(e))
    (y, w), (x,) = e.inputs, e.outputs
    n = len(y.shape) - 2
    stride = settings_of(e)[0]
    border = [reach(e, d) for d in range(n)]
    if w.shape[1] < FEW_CHANNELS and all(s == 1 for s in stride) and e.parameters["groups"] == 1:
        return _direct_transpose(at, at.in_single(e), border)
    image = bordered(at, y, [r[0] for r in border], [r[1] for r in border])
    if all(s == 1 for s in stride):
        phase = phase_of(e, (0,) * n)
        assert phase is not None
        return contract(at, _phase_product(at, e, image, phase), x.shape, [0, *range(2, n + 2), 1])
    dims = range(len(x.shape))
    view = at.allocate(x.shape, x.dtype, dims, [0, *range(2, n + 2), 1], at.halos.get(x, ()))
    for place in phases(stride, x.shape[2:]):
        _write_phase(at, e, image, view, place)
    return view


def _direct_transpose(at: Lowering, e: Equation, around: list[tuple[int, int]]) -> Place:
    """x[n, c, i…] = Σ_o Σ_k y[n, o, i + padding − k·dilation] · w[o, c, k…] with vectors along the pixels."""
    (y, w), (x,) = e.inputs, e.outputs
    n = len(y.shape) - 2
    _, padding, dilation = settings_of(e)
    border = tuple(max(r) for r in around)
    key = (at.key(y), "pixels", border)
    if key not in at.copies:
        view = at.allocate(y.shape, y.dtype, range(n + 2), range(n + 2), ())
        if any(border):
            full = tuple(s + 2 * b for s, b in zip(y.shape[2:], border, strict=True))
            whole = at.allocate((*y.shape[:2], *full), y.dtype, range(n + 2), range(n + 2), ())
            inner = whole.offset + sum(b * s for b, s in zip(border, whole.strides[2:], strict=True))
            view = whole.walked(tuple(y.shape), whole.strides, inner)
            at.clear_border(view, (0, 0, *border))
        at.into(y, view)
        at.copies[key] = view
    view = at.copies[key]
    offset = view.offset + sum(padding[d] * view.strides[2 + d] for d in range(n))
    spatial = tuple(view.strides[2:])
    back = tuple(-s * d for s, d in zip(spatial, dilation, strict=True))
    shape = (*x.shape[:2], w.shape[0], *x.shape[2:], *w.shape[2:])
    image = view.walked(shape, (view.strides[0], 0, view.strides[1], *spatial, *back), offset)
    weight = at.plain(w).rearrange((None, 1, 0, *(None,) * n, *range(2, 2 + n)), shape)
    return sum_of_products(at, image, weight, (2, *range(3 + n, 3 + 2 * n)))[0]


def _write_phase(at: Lowering, e: Equation, image: View, view: View, place: Shape) -> None:
    target, phase = phase_view(view, e.parameters["stride"], place), phase_of(e, place)
    if phase is None:
        at.clear(target)
        return
    order = [0, *range(2, len(target.shape)), 1]
    part = contract(at, _phase_product(at, e, image, phase), target.shape, order)
    part.group.open = False
    at.store(part, target, apart=True)


def _phase_product(at: Lowering, e: Equation, image: View, phase: Phase) -> Product:
    """The product that gives the entries of one phase."""
    (_, w), (x,), n, groups = e.inputs, e.outputs, len(phase.place), e.parameters["groups"]
    weight = phase_weight(at, w, phase)
    offset = image.offset + sum(s * image.strides[2 + d] for d, s in enumerate(phase.start))
    rows = [(x.shape[0], image.strides[0])] + [(phase.size[d], image.strides[2 + d]) for d in range(n)]
    each = w.shape[0] // groups
    segments, run = _kernel_walk(image, weight, phase.count, phase.back, each)
    return Product(
        "rows", (image.buffer, offset), (weight.buffer, weight.offset), [], rows, segments, run, w.shape[1],
        [0, *range(2, n + 2)], 1, groups=(groups, each * image.strides[1], each * weight.strides[n]),
    )  # fmt: skip


def phase_weight(at: Lowering, w: Any, phase: Phase) -> View:
    """The kernel's entries of a phase backwards, as (kernel…, o, c) with c contiguous."""
    n = len(phase.place)
    part = phase.kernel(at.plain(w)).flip(tuple(range(2, n + 2))).permute((*range(2, n + 2), 0, 1))
    if part.strides[-1] == 1 and part.shape[-1] != 1:
        return part
    return at.copy(at.value(part))
