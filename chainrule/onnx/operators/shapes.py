"""Operators that move entries, read them at places and write them there."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr
from chainrule.dtypes import as_dtype
from chainrule.nn import functional as F
from chainrule.onnx.operators.registry import Running, check_size, operator
from chainrule.tensor import Tensor


@operator("Shape")
def shape(node: Running) -> Any:
    """The sizes, or some of them, as numbers."""
    whole = np.array(node.values[0].shape, np.int64)
    return whole[node.attribute("start", 0) : node.attribute("end")]


@operator("Size")
def size(node: Running) -> Any:
    """How many entries, as a number."""
    return np.array(np.prod(node.values[0].shape, dtype=np.int64))


@operator("Reshape")
def reshape(node: Running) -> Tensor:
    """Another shape; 0 is the size that the input has there, −1 what is left."""
    x, to = node.tensor(0), node.whole(1)
    plain = bool(node.attribute("allowzero", 0))
    return x.reshape([x.shape[i] if n == 0 and not plain else n for i, n in enumerate(to)])


@operator("Flatten")
def flatten(node: Running) -> Tensor:
    """A matrix: what is before the axis, and the rest."""
    x, axis = node.tensor(0), node.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(rows, int(np.prod(x.shape[axis:], dtype=np.int64)))


@operator("Transpose")
def transpose(node: Running) -> Tensor:
    """Dimensions in another order, backwards unless given."""
    x = node.tensor(0)
    return x.permute(node.attribute("perm") or list(range(x.ndim))[::-1])


@operator("Squeeze")
def squeeze(node: Running) -> Tensor:
    """Without dimensions of size 1."""
    x, axes = node.tensor(0), node.listed("axes", 1)
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else [a % x.ndim for a in axes]
    if any(x.shape[a] != 1 for a in axes):
        raise node.refuse(f"dimensions {axes} of shape {tuple(x.shape)} are not all of size 1.")
    return x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


@operator("Unsqueeze")
def unsqueeze(node: Running) -> Tensor:
    """With new dimensions of size 1."""
    x, axes = node.tensor(0), node.listed("axes", 1) or []
    rank = x.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def concat(node: Running) -> Tensor:
    """One after the other."""
    return cr.cat([node.tensor(i) for i in range(len(node.values))], node.attribute("axis"))


@operator("Split")
def split(node: Running) -> tuple[Tensor, ...]:
    """Pieces of given sizes, or as many as there are outputs."""
    x, axis = node.tensor(0), node.attribute("axis", 0)
    count, sizes = len(node.step.outputs), node.listed("split", 1)
    if sizes is None:
        piece = -(-x.shape[axis] // count)
        sizes = [min(piece, max(0, x.shape[axis] - i * piece)) for i in range(count)]
    return tuple(x.split(sizes, axis))


@operator("Slice")
def cut(node: Running) -> Tensor:
    """Ranges along axes, backwards too; settings before version 10."""
    x, starts, stops = node.tensor(0), node.listed("starts", 1), node.listed("ends", 2)
    if starts is None or stops is None:
        raise node.refuse("where it starts and ends is missing.")
    axes = node.listed("axes", 3)
    steps = node.whole(4) if node.has(4) else [1] * len(starts)
    for axis, start, stop, step in zip(axes or range(len(starts)), starts, stops, steps, strict=True):
        n = x.shape[axis]
        if step > 0:
            x = x[(*[slice(None)] * (axis % x.ndim), slice(start, stop, step))]
        else:
            places = range(*slice(start, None if stop < -n else stop, step).indices(n))
            x = x.index_select(axis, cr.tensor(np.array(places, np.int64)))
    return x


@operator("Gather")
def gather(node: Running) -> Tensor:
    """Entries along one axis, whose places may count from the end."""
    x, axis = node.tensor(0), node.attribute("axis", 0)
    axis = axis % x.ndim
    if isinstance(node.values[1], np.ndarray) and node.values[1].ndim == 0:
        return x.select(axis, int(node.values[1]))
    places = node.tensor(1)
    return x[(*[slice(None)] * axis, places)]


@operator("GatherElements")
def gather_elements(node: Running) -> Tensor:
    """For each place of the index the entry along one axis."""
    x, axis, places = node.tensor(0), node.attribute("axis", 0), node.tensor(1)
    return x.gather(axis, cr.where(places < 0, places + x.shape[axis], places))


@operator("GatherND")
def gather_nd(node: Running) -> Tensor:
    """Entries at several coordinates, the last dimension of the index."""
    if node.attribute("batch_dims", 0):
        raise node.refuse("batch_dims is not read.")
    x, places = node.tensor(0), node.tensor(1)
    return x[tuple(places.unbind(-1))]


_REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("ScatterElements")
def scatter_elements(node: Running) -> Tensor:
    """Entries written, or added, at places along one axis."""
    x, places, y, axis = node.tensor(0), node.tensor(1), node.tensor(2), node.attribute("axis", 0)
    places = cr.where(places < 0, places + x.shape[axis], places)
    how = node.attribute("reduction", "none")
    return x.scatter(axis, places, y) if how == "none" else x.scatter_reduce(axis, places, y, _REDUCE[how])


@operator("ScatterND")
def scatter_nd(node: Running) -> Tensor:
    """Entries written, or added, at several coordinates."""
    x, places, y = node.tensor(0), node.tensor(1), node.tensor(2)
    how = node.attribute("reduction", "none")
    if how not in ("none", "add"):
        raise node.refuse(f"the reduction {how!r} is not read.")
    return x.index_put(tuple(places.unbind(-1)), y, accumulate=how == "add")


@operator("Expand")
def expand(node: Running) -> Tensor:
    """Broadcast together with a shape."""
    x = node.tensor(0)
    return x.broadcast_to(np.broadcast_shapes(tuple(x.shape), tuple(check_size(node.whole(1)))))


@operator("Tile")
def tile(node: Running) -> Tensor:
    """Repeated along each dimension."""
    x, times = node.tensor(0), node.whole(1)
    check_size([n * t for n, t in zip(x.shape, times, strict=True)])
    return x.repeat(times)


@operator("ConstantOfShape")
def constant_of_shape(node: Running) -> Any:
    """One number everywhere; as numbers if they are whole."""
    value = node.attribute("value", np.zeros(1, np.float32))
    to = check_size(node.whole(0))
    if value.dtype.kind in "iub" and np.prod(to, dtype=np.int64) <= 2**20:
        return np.full(to, value.reshape(-1)[0])
    return cr.full(to, value.reshape(-1)[0].item(), dtype=as_dtype(value.dtype))


@operator("Range")
def counting(node: Running) -> Tensor:
    """Rising numbers between tensors that were computed."""
    start, stop, step = (node.numbers(i).item() for i in range(3))
    check_size([max(0, int((stop - start) / step))])
    return cr.arange(start, stop, step, dtype=node.tensor(0).dtype)


@operator("OneHot")
def one_hot(node: Running) -> Tensor:
    """A number at the class, another elsewhere; classes may count from the end."""
    places, depth, values = node.tensor(0), node.whole(1)[0], node.tensor(2)
    axis = node.attribute("axis", -1)
    check_size([*places.shape, depth])
    places = cr.where(places < 0, places + depth, places).unsqueeze(axis)
    rank = places.ndim
    classes = cr.arange(depth).reshape([-1 if d == axis % rank else 1 for d in range(rank)])
    return cr.where(places == classes, values[1], values[0])


@operator("Trilu")
def triangle(node: Running) -> Tensor:
    """The upper or lower triangle of matrices."""
    k = node.whole(1)[0] if node.has(1) else 0
    return (cr.triu if node.attribute("upper", 1) else cr.tril)(node.tensor(0), k)


@operator("Pad")
def pad(node: Running) -> Tensor:
    """Constants, mirrored or repeated edges around; settings before version 11."""
    x, pads = node.tensor(0), node.listed("pads", 1)
    if pads is None:
        raise node.refuse("how much is padded is missing.")
    axes = node.whole(3) if node.has(3) else list(range(x.ndim))
    half = len(pads) // 2
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[half + place]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}.get(
        node.attribute("mode", "constant")
    )
    check_size([n + b + a for n, b, a in zip(x.shape, before, after, strict=True)])
    pairs = [n for pair in list(zip(before, after, strict=True))[::-1] for n in pair]
    if mode == "constant":
        value = node.numbers(2).item() if node.has(2) else node.attribute("value", 0.0)
        return F.pad(x, pairs, value=value)
    if mode is None:
        raise node.refuse(f"the mode {node.attribute('mode')!r} is not read.")
    while len(pairs) >= 2 and pairs[-2:] == [0, 0]:
        pairs = pairs[:-2]
    return F.pad(x, pairs, mode) if pairs else x


@operator("DepthToSpace", "SpaceToDepth")
def between_depth_and_space(node: Running) -> Tensor:
    """Channels to pixels, and back."""
    x, b = node.tensor(0), node.attribute("blocksize")
    n, c, h, w = x.shape
    if node.kind == "SpaceToDepth":
        return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)
    if node.attribute("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    return x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)
