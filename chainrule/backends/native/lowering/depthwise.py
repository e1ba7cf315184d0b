"""Convolutions of narrow groups. Depthwise ones: every channel has a kernel of its own, there are no matrices in them.

Each is a sum of products that moves few numbers for each it computes. Vectors lie along the channels, which come last
in memory; the window slides along a row of the image (`nest.Sliding`), so that neighbours
share what they read. With few channels most of such a vector would be empty, and vectors lie along the pixels.

A convolution with several results for each channel is one of an image whose channels are repeated.

Where a group has a few channels, and as many results, a vector holds several groups. For each of a group's channels in
turn all lanes of the group read that channel (`nest.Operand.spread`); so it is a further axis of the window.

>>> import chainrule
>>> convolve = chainrule.compile(lambda x, w: chainrule.nn.functional.conv2d(x, w, padding=1, groups=16).relu())
>>> _ = convolve(chainrule.ones(2, 16, 6, 6), chainrule.ones(16, 1, 3, 3))
>>> print(convolve.explain().splitlines()[-1])
   2  [2×16×6×6×3×3] over [4, 5] Multiply Sum Maximum
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import FEW_CHANNELS, Group
from chainrule.backends.native.lowering.images import (
    Phase,
    bordered,
    copies_of_channels,
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
from chainrule.backends.native.lowering.nest import REDUCTIONS, Load, Sliding
from chainrule.backends.native.lowering.place import Inside, Place, View
from chainrule.program.graph import Equation


def forward(at: Lowering, e: Equation) -> Place:
    """y[n, c, p] = Σ_k x[n, c, p·stride + k·dilation − padding] · w[c, k].

    In groups of c' channels Σ_i Σ_k x[n, c − c mod c' + i, …] · w[c, i, k], here and below.
    """
    (x, w), n = e.inputs, len(e.parameters["stride"])
    windows = windows_of(_image(at, e, x), e, w.shape[2:])
    return _slide(at, windows, _kernels(at, w, n))


def transpose(at: Lowering, e: Equation) -> Place:
    """x[n, c, i] = Σ_k y[n, c, (i + padding − k·dilation)/stride] · w[c, k] over the k for which that is whole."""
    (y, w), (x,), n = e.inputs, e.outputs, len(e.parameters["stride"])
    stride, copies = settings_of(e)[0], copies_of_channels(e)
    border = [reach(e, d) for d in range(n)]
    wide = _is_wide(w)
    image = bordered(at, y, [r[0] for r in border], [r[1] for r in border], channels_last=wide)
    kernels = _kernels(at, w, n) if w.shape[1] == 1 else _turned(at, w)
    whole: Place
    if all(s == 1 for s in stride):
        phase = phase_of(e, (0,) * n)
        assert phase is not None
        whole = _slide(at, _windows_of_phase(image, phase), _of_phase(kernels, phase))
    else:
        order = [0, *range(2, n + 2), 1] if wide else range(n + 2)
        halo = at.halos.get(x, ()) if copies == 1 else ()
        whole = view = at.allocate((*y.shape[:2], *x.shape[2:]), x.dtype, range(n + 2), order, halo)
        for place in phases(stride, x.shape[2:]):
            _write_phase(at, image, kernels, phase_view(view, stride, place), phase_of(e, place))
    if copies == 1:
        return whole
    apart = at.value(_apart(at.plain(at.value(whole)), copies))
    return at.reduce("Sum", apart, (2,), x.dtype)


def weight(at: Lowering, e: Equation) -> Place:
    """w[c, k] = Σ_n Σ_p x[n, c, p·stride + k·dilation − padding] · g[n, c, p]."""
    (x, g), (w,), n = e.inputs, e.outputs, len(e.parameters["stride"])
    windows = windows_of(_image(at, e, x), e, w.shape[2:])
    wide = _is_wide(w)
    upstream = bordered(at, g, (0,) * n, (0,) * n, channels_last=True) if wide else pixels_last(at, g)
    shape = (*w.shape, g.shape[0], *g.shape[2:])
    channel, taps = 1 if w.shape[1] > 1 else None, range(n + 2, 2 * n + 2)
    a = windows.rearrange((1, channel, *taps, 0, *range(2, n + 2)), shape)
    b = upstream.rearrange((1, *(None,) * (n + 1), 0, *range(2, n + 2)), shape)
    first = n + 2
    pixels = tuple(range(first, first + n + 1))
    order = [*pixels, *range(1, n + 2), 0] if wide else list(range(len(shape)))
    answer, group = sum_of_products(at, a, b, pixels, order)
    if wide:
        _let_slide(group, list(range(first + 1, first + 1 + n)), list(range(2, n + 2)), 0, [1], collects=True)
        _spread(group, a, w.shape[1])
    return answer


def _is_wide(w: Any) -> bool:
    return int(w.shape[0]) >= FEW_CHANNELS


def _image(at: Lowering, e: Equation, x: Any) -> View:
    """The image in memory with its border; every channel as often as there are results for it."""
    w = e.outputs[0] if e.primitive.name == "ConvolutionWeight" else e.inputs[1]
    _, padding, _ = settings_of(e)
    copies, wide = copies_of_channels(e), _is_wide(w)
    if copies == 1:
        return bordered(at, x, padding, padding, channels_last=wide)
    key = (at.key(x), "repeated", copies, padding)
    if key not in at.copies:
        shape = (x.shape[0], x.shape[1] * copies, *x.shape[2:])
        order = [0, *range(2, len(shape)), 1] if wide else range(len(shape))
        view = at.allocate(shape, x.dtype, range(len(shape)), order, padding)
        apart = _apart(view, copies)
        dims = (0, 1, None, *range(2, len(shape)))
        at.into(at.value(at.plain(x).rearrange(dims, apart.shape)), apart)
        at.copies[key] = view
    return at.copies[key]


def _apart(view: View, copies: int) -> View:
    """(n, c·copies, …) as (n, c, copies, …)."""
    (images, channels, *size), (by_image, by_channel, *steps) = view.shape, view.strides
    shape = (images, channels // copies, copies, *size)
    return view.walked(shape, (by_image, by_channel * copies, by_channel, *steps))


def _kernels(at: Lowering, w: Any, n: int) -> View:
    """The weight (c, 1, kernel…), its channels contiguous if vectors lie along them."""
    if not _is_wide(w):
        return at.plain(w)
    return weight_in_order(at, w, (*range(2, n + 2), 1, 0)).permute((n + 1, n, *range(n)))


def _turned(at: Lowering, w: Any) -> View:
    """The weight (c, i, kernel…) of an image's gradient, where channel and result have changed places in each group."""
    view, each, n = at.plain(w), w.shape[1], len(w.shape) - 2
    shape = (*view.shape[2:], each, view.shape[0] // each, each)
    (out, within, *taps) = view.strides
    apart = at.value(view.walked(shape, (*taps, out, each * out, within)))
    dense = at.copy(apart).reshape((*shape[:-2], view.shape[0]))
    assert dense is not None, "memory without gaps takes every shape"
    return dense.permute((n + 1, n, *range(n)))


def _slide(at: Lowering, windows: View, kernels: View) -> Inside:
    """y[n, c, p…] = Σ_i Σ_k windows[n, c − c mod c' + i, p…, k…] · kernels[c, i, k…], i < c'."""
    n, width = len(kernels.shape) - 2, kernels.shape[1]
    partners = (width,) * (width > 1)  # one more dimension, if a channel has any
    shape = (*windows.shape, *partners)
    taps = tuple(range(n + 2, len(shape)))
    image = windows.walked(shape, (*windows.strides, *windows.strides[1:2] * len(partners)))
    spread = kernels.rearrange((None, 0, *(None,) * n, *range(2, n + 2), *(1,) * len(partners)), shape)
    wide = kernels.shape[0] >= FEW_CHANNELS
    order = [0, *range(2, n + 2), 1, *taps] if wide else list(range(len(shape)))
    answer, group = sum_of_products(at, image, spread, taps, order)
    if wide:
        _let_slide(group, list(range(2, n + 2)), list(taps[:n]), 1, list(taps[n:]), collects=False)
        _spread(group, image, width)
    return answer


def _spread(group: Group, image: View, width: int) -> None:
    """Let all lanes of a group read what its first does."""
    for node in group.nest.nodes:
        if isinstance(node, Load) and node.operand.buffer is image.buffer:
            node.operand.spread = width


def _let_slide(
    group: Group, pixels: Sequence[int], taps: Sequence[int], vector: int, partners: Sequence[int], collects: bool
) -> None:
    """Walk along the last dimension of the pixels that has more than one, and write out the window's.

    The partners of a channel, the others of its group, are one more dimension of the window.
    """
    nest = group.nest
    if not any(node.op in REDUCTIONS for node in nest.nodes):
        return  # a kernel of a single entry
    last = max((i for i, axis in enumerate(pixels) if nest.extents[axis] > 1), default=len(pixels) - 1)
    others = [axis for i, axis in enumerate(taps) if i != last][::-1] + [
        axis for axis in partners if nest.extents[axis] > 1
    ]
    nest.sliding = Sliding(pixels[last], taps[last], tuple(others), vector, collects)


def _windows_of_phase(image: View, phase: Phase) -> View:
    """What the entries of a phase read of y: (n, c, size…, count…), the window's entries from the last to the first."""
    spatial = image.strides[2:]
    strides = (*image.strides, *(s * back for s, back in zip(spatial, phase.back, strict=True)))
    offset = image.offset + sum(start * s for start, s in zip(phase.start, spatial, strict=True))
    return image.walked((*image.shape[:2], *phase.size, *phase.count), strides, offset)


def _of_phase(kernels: View, phase: Phase) -> View:
    return phase.kernel(kernels).flip(tuple(range(2, 2 + len(phase.place))))


def _write_phase(at: Lowering, image: View, kernels: View, target: View, phase: Phase | None) -> None:
    if phase is None:
        at.clear(target)
        return
    part = _slide(at, _windows_of_phase(image, phase), _of_phase(kernels, phase))
    part.group.open = False
    at.store(part, target, apart=True)
