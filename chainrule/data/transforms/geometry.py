"""Images moved by whole pixels, cut, surrounded and resized. Where a crop stands may differ from image to image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autodiff.block import block
from chainrule.data.transforms.eight_bits import resize_bytes
from chainrule.data.transforms.images import get_dimensions, is_picture, mode_name, on_floats, on_pixels, per_image
from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.functions import pieces, shape
from chainrule.functions.creation import arange, as_tensor, tensor
from chainrule.functions.logic import where
from chainrule.nn.resizing.resampling import interpolate
from chainrule.primitives.window import Windows
from chainrule.tensor import Tensor

#: What resizing takes.
RESIZING_TENSORS = ("nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "box")
RESIZING = (*RESIZING_TENSORS, "hamming")  # which Pillow alone has


def pair(size: Any, name: str = "size") -> tuple[int, int]:
    """(height, width) of one number or two."""
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"{name} is a whole number of pixels or (height, width), each at least 1; got {size!r}.")
    return sizes


def hflip(img: Any) -> Any:
    """Left and right exchanged.

    >>> import chainrule
    >>> hflip(chainrule.tensor([[[1, 2, 3]]]))
    tensor([[[3, 2, 1]]])
    """
    return on_pixels(img, lambda x: x.flip(-1))


def vflip(img: Any) -> Any:
    """Top and bottom exchanged.

    >>> import chainrule
    >>> vflip(chainrule.tensor([[[1], [2]]]))
    tensor([[[2],
             [1]]])
    """
    return on_pixels(img, lambda x: x.flip(-2))


# ------------------------------------------------------------------------------------------------------ padding


def margins(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of one number, of (left and right, top and bottom), or of all four."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(sides) not in (1, 2, 4) or not all(isinstance(n, int) for n in sides):
        raise ValueError(f"padding is one whole number, (left and right, top and bottom) or four, got {padding!r}.")
    left, top, right, bottom = sides if len(sides) == 4 else sides * (4 // len(sides))
    return left, top, right, bottom


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Pixels added around. padding: one number, (left and right, top and bottom), or (left, top, right, bottom).

    padding_mode: "constant" (`fill`, a number or one for each channel), "edge" (the border's pixels again), "reflect"
    (mirrored, without the border itself) or "symmetric" (mirrored, with it). Negative padding cuts off. Raises
    ShapeError where there is too little to mirror or cut, ValueError for another mode.

    >>> import chainrule
    >>> x = chainrule.tensor([[[1, 2, 3]]])
    >>> pad(x, (2, 0)), pad(x, (2, 0), padding_mode="symmetric")
    (tensor([[[0, 0, 1, 2, 3, 0, 0]]]), tensor([[[2, 1, 1, 2, 3, 3, 2]]]))
    """
    left, top, right, bottom = margins(padding)
    need_padding_mode(padding_mode)

    def padded(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height + top + bottom < 1 or width + left + right < 1:
            raise ShapeError(f"pad: nothing of {height} × {width} pixels is left after padding {padding}.")
        if padding_mode == "constant":
            return _with_colour(x, (left, right, top, bottom), fill)
        rows = _sources(height, top, bottom, padding_mode)
        return x.index_select(-2, rows).index_select(-1, _sources(width, left, right, padding_mode))

    return on_pixels(img, padded)


def need_padding_mode(mode: str) -> None:
    """ValueError for a mode that `pad` does not know."""
    if mode != "constant" and mode not in _SOURCES:
        raise ValueError(f"padding_mode is 'constant', {', '.join(map(repr, _SOURCES))}; got {mode!r}.")


def _with_colour(x: Tensor, sides: tuple[int, int, int, int], fill: Any) -> Tensor:
    if not isinstance(fill, Sequence):
        return shape.pad(x, sides, value=fill)
    if len(fill) == 1:
        return shape.pad(x, sides, value=fill[0])
    if len(fill) != x.shape[1]:
        raise ShapeError(f"fill has {len(fill)} numbers for {x.shape[1]} channels.")
    return pieces.cat([shape.pad(x[:, i : i + 1], sides, value=v) for i, v in enumerate(fill)], 1)


#: For each mode, which of n pixels stands at place i outside [0, n).
_SOURCES: dict[str, Callable[[int, int], int]] = {
    "edge": lambda i, n: min(max(i, 0), n - 1),
    "reflect": lambda i, n: -i if i < 0 else 2 * (n - 1) - i,
    "symmetric": lambda i, n: -1 - i if i < 0 else 2 * n - 1 - i,
}


def _sources(n: int, before: int, after: int, mode: str) -> Tensor:
    places = [i if 0 <= i < n else _SOURCES[mode](i, n) for i in range(-before, n + after)]
    if any(not 0 <= i < n for i in places):
        raise ShapeError(f"pad: {mode} cannot add {max(before, after)} pixels to {n}.")
    return tensor(places, dtype=int)


# --------------------------------------------------------------------------------------------------------- crops


def crop(img: Any, top: Any, left: Any, height: int, width: int) -> Any:
    """The part of `height` × `width` pixels whose first is (top, left); what lies outside the image is 0.

    top, left: numbers, or tensors of integers (N,) for a batch, then within the image.

    >>> import chainrule
    >>> x = chainrule.arange(6).reshape(1, 2, 3)
    >>> crop(x, 0, 1, 1, 2), crop(x, 1, 2, 1, 2)
    (tensor([[[1, 2]]]), tensor([[[5, 0]]]))
    """
    pair((height, width))

    def cropped(x: Tensor) -> Tensor:
        if isinstance(top, Tensor) or isinstance(left, Tensor):
            return _cut(x, _numbers(top, x), _numbers(left, x), height, width)
        inside = x[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
        above, before = min(max(-top, 0), height), min(max(-left, 0), width)
        below, behind = height - above - inside.shape[-2], width - before - inside.shape[-1]
        if (above, below, before, behind) == (0, 0, 0, 0):
            return inside
        return shape.pad(inside, (before, behind, above, below))

    return on_pixels(img, cropped)


def _numbers(value: Any, x: Tensor) -> Tensor:
    """(N,): one for each image."""
    return value if isinstance(value, Tensor) else as_tensor(value).expand(x.shape[0])


@block
def _cut(x: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """All parts of this size are windows, which take no memory; of each image's windows one is copied."""
    windows = Windows.apply(x, kernel=(height, width), stride=(1, 1), dilation=(1, 1))
    return windows[arange(x.shape[0]), :, top, left]


@_cut.gradient
def _(g: Tensor, x: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> tuple[Tensor, None, None]:
    """The way back is a cut as well: from the part with zeros around."""
    h, w = x.shape[-2:]
    down, right = h - height, w - width
    wide = shape.pad(g, (right, right, down, down))
    return _cut(wide, down - top, right - left, h, w), None, None


def _read_lines(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows (N, H′) and columns (N, W′) of each image. Whole lines are copied: four times as fast as pixel by pixel."""
    image = arange(x.shape[0]).unsqueeze(1)
    some = x[image, :, rows]  # (N, H′, C, W)
    return some[image, :, :, columns].permute(0, 3, 2, 1)  # from (N, W′, H′, C)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of the image; where that is larger than the image, zeros around it.

    >>> import chainrule
    >>> center_crop(chainrule.arange(5).reshape(1, 1, 5), (1, 3))
    tensor([[[1, 2, 3]]])
    """
    height, width = pair(output_size)
    _, h, w = get_dimensions(img)
    return crop(img, *centre(h, w, height, width), height, width)


def centre(h: int, w: int, height: int, width: int) -> tuple[int, int]:
    """(top, left) of the middle part. Where one pixel is over, ½ goes to the even place; outside, behind."""
    return tuple(round((a - b) / 2) if a >= b else -((b - a) // 2) for a, b in ((h, height), (w, width)))  # type: ignore[return-value]


def five_crop(img: Any, size: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners (top left, top right, bottom left, bottom right) and the middle. ShapeError if it is too large.

    >>> import chainrule
    >>> [int(x[0, 0, 0]) for x in five_crop(chainrule.arange(9).reshape(1, 3, 3), 1)]
    [0, 2, 6, 8, 4]
    """
    height, width = pair(size)
    _, h, w = get_dimensions(img)
    if height > h or width > w:
        raise ShapeError(f"five_crop: {height} × {width} does not fit into an image of {h} × {w}.")
    corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
    a, b, c, d = (crop(img, top, left, height, width) for top, left in corners)
    return a, b, c, d, center_crop(img, (height, width))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image (upside down with `vertical_flip`).

    >>> import chainrule
    >>> len(ten_crop(chainrule.zeros(1, 8, 8), 4))
    10
    """
    return (*five_crop(img, size), *five_crop(vflip(img) if vertical_flip else hflip(img), size))


# ------------------------------------------------------------------------------------------------------ resizing


def resized_size(h: int, w: int, size: Any, max_size: int | None = None) -> tuple[int, int]:
    """What `resize` makes of h × w: one number is for the shorter side, and the longer one follows.

    >>> resized_size(480, 640, 240), resized_size(480, 640, 240, max_size=300), resized_size(480, 640, (9, 9))
    ((240, 320), (225, 300), (9, 9))
    """
    if size is not None and not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ValueError(f"max_size goes with one number for the shorter side, got size={size!r}.")
        return pair(size)
    short, long = min(h, w), max(h, w)
    if size is None:
        if max_size is None:
            raise ValueError("resize takes size, max_size or both.")
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short = pair(size)[0]
        if max_size is not None and max_size <= new_short:
            raise ValueError(f"max_size={max_size} must exceed size={size}, which the shorter side gets.")
        new_long = int(new_short * long / short)
        if max_size is not None and new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    new_short = max(new_short, 1)
    return (new_short, new_long) if h <= w else (new_long, new_short)


def resize(
    img: Any, size: Any, interpolation: Any = "bilinear", max_size: int | None = None, antialias: bool | None = True
) -> Any:
    """Another number of pixels; see `nn.functional.interpolate` for what is computed.

    size: (height, width), or one number for the shorter side; then `max_size` bounds the longer one.
    With `antialias` all pixels count where the image shrinks (bilinear and bicubic); images of bytes are then computed
    with as Pillow does. A picture of Pillow's is resized by Pillow itself, always with antialias.

    >>> import chainrule
    >>> resize(chainrule.zeros(3, 40, 60), 20).shape
    Size([3, 20, 30])
    """
    mode = mode_name(interpolation, *(RESIZING if is_picture(img) else RESIZING_TENSORS))
    _, h, w = get_dimensions(img)
    new = resized_size(h, w, size, max_size)
    if is_picture(img):
        from PIL.Image import Resampling

        return img.resize(new[::-1], Resampling[mode.removesuffix("-exact").upper()])

    def resized(x: Tensor) -> Tensor:
        if mode.startswith("nearest"):
            return interpolate(x, new, mode=mode)
        if mode == "box":
            return interpolate(x, new, mode="area")
        return interpolate(x, new, mode=mode, antialias=bool(antialias) or mode == "lanczos")

    def of_any_type(x: Tensor) -> Tensor:
        if x.dtype is as_dtype("uint8") and (antialias or mode in ("box", "lanczos")):
            return resize_bytes(x, new, mode)
        return on_floats(x, resized)

    return on_pixels(img, resized if mode.startswith("nearest") else of_any_type)


def resized_crop(
    img: Any, top: Any, left: Any, height: Any, width: Any, size: Any, interpolation: Any = "bilinear",
    antialias: bool | None = True,
) -> Any:  # fmt: skip
    """A part of the image, resized. For a batch, top, left, height and width may be tensors (N,).

    Of different parts each is two matrices, one for its rows and one for its columns, whose entries are the kernel's
    weights; so one product resizes the whole batch.

    >>> import chainrule
    >>> x = chainrule.arange(16.0).reshape(1, 4, 4)
    >>> resized_crop(x, 1, 1, 2, 2, 1)
    tensor([[[7.5000]]])
    """
    if not any(isinstance(v, Tensor) for v in (top, left, height, width)):
        return resize(crop(img, top, left, height, width), pair(size), interpolation, antialias=antialias)
    mode = mode_name(interpolation, "nearest", "nearest-exact", "bilinear", "bicubic")
    new_h, new_w = pair(size)

    def resized(x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        if mode.startswith("nearest"):
            half = 0.5 if mode == "nearest-exact" else 0.0
            rows, columns = _nearest(top, height, new_h, half), _nearest(left, width, new_w, half)
            return _read_lines(x, rows.clamp(0, h - 1), columns.clamp(0, w - 1))
        down = _kernel_rows(top, height, new_h, h, mode, bool(antialias)).to(x.dtype).unsqueeze(1)
        right = _kernel_rows(left, width, new_w, w, mode, bool(antialias)).to(x.dtype).unsqueeze(1)
        return down @ x @ right.transpose(-1, -2)

    return on_pixels(img, resized) if mode.startswith("nearest") else on_floats(img, resized)


def _nearest(first: Any, extent: Any, count: int, half: float) -> Tensor:
    """(N, count): the pixels under `count` places spread over `extent` pixels from `first` on."""
    places = (arange(count).double() + half) * (per_image(extent, 2) / count)
    return per_image(first, 2) + (places + 1e-9).floor().long()  # 3·(1/3) is 1, however it was rounded


def _kernel_rows(first: Any, extent: Any, count: int, size: int, mode: str, antialias: bool) -> Tensor:
    """(N, count, size): how much each of an image's `size` pixels counts for each of `count` places in its part.

    The kernel is as wide as a place if the part shrinks (with antialias), does not look outside the part, and its
    weights add up to 1.
    """
    first, extent = (v.double().reshape(-1, 1, 1) if isinstance(v, Tensor) else v for v in (first, extent))
    scale = extent / count
    places = (arange(count).double().reshape(-1, 1) + 0.5) * scale - 0.5  # within the part
    pixels = arange(size).double() - first
    if not antialias:
        return _taps(places, pixels, extent, mode)
    wide = scale.clamp(min=1.0) if isinstance(scale, Tensor) else max(scale, 1.0)
    away = ((pixels - places) / wide).abs()
    weights = (1 - away).clamp(min=0) if mode == "bilinear" else _cubic(away, -0.5)
    weights = where((pixels >= 0) & (pixels < extent), weights, 0.0)
    return weights / weights.sum(-1, keepdim=True)


def _cubic(away: Tensor, a: float) -> Tensor:
    """As `nn.resampling.cubic`, on tensors."""
    near = ((a + 2) * away - (a + 3)) * away * away + 1
    far = a * (((away - 5) * away + 8) * away - 4)
    return where(away <= 1, near, where(away < 2, far, 0.0))


def _taps(places: Tensor, pixels: Tensor, extent: Any, mode: str) -> Tensor:
    """Without antialias: two or four pixels around each place, and beyond the part's border the border."""
    offsets = (0, 1) if mode == "bilinear" else (-1, 0, 1, 2)
    left, total = places.floor(), None
    for offset in offsets:
        neighbour = left + offset
        away = (places - neighbour).abs()
        weight = 1 - away if mode == "bilinear" else _cubic(away, -0.75)
        neighbour = neighbour.maximum(places * 0).minimum(places * 0 + (extent - 1))
        part = where(pixels == neighbour, weight, 0.0)
        total = part if total is None else total + part
    assert total is not None
    return total


__all__ = [
    "center_crop",
    "crop",
    "five_crop",
    "hflip",
    "pad",
    "resize",
    "resized_crop",
    "ten_crop",
    "vflip",
]
