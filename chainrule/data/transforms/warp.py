"""Images read at other places: rotated, scaled, sheared, seen from elsewhere, or pulled about like rubber.

Every warp is told where the output's pixels come from, for each image of a batch by its own numbers. Places are pixel
centres, (x, y) with x to the right and y down; the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.data.transforms.images import get_dimensions, mode_name, on_floats, per_image
from chainrule.errors import ShapeError
from chainrule.functions.creation import arange, as_tensor, tensor
from chainrule.functions.pieces import stack
from chainrule.nn.resizing.grid_sampling import grid_sample
from chainrule.tensor import Tensor

#: What warps take.
SAMPLING = ("nearest", "bilinear", "bicubic")
#: a, b, c, d, e, f of the map (x, y) ↦ (ax + by + c, dx + ey + f): numbers, or tensors (N,).
Affine = tuple[Any, Any, Any, Any, Any, Any]


def sample(x: Tensor, columns: Tensor, rows: Tensor, mode: str, fill: Any) -> Tensor:
    """A batch read at places (N, H′, W′) or (1, H′, W′), given in pixels; outside there is `fill`."""
    h, w = x.shape[-2:]
    grid = stack([(2 * columns + 1) / w - 1, (2 * rows + 1) / h - 1], -1).to(x.dtype)
    grid = grid.expand(x.shape[0], *grid.shape[1:])
    # Zeros outside of x − fill are `fill` outside of x, and a mixture of both at the border.
    shift = _colour(fill, x)
    if shift is None:
        return grid_sample(x, grid, mode, align_corners=False)
    return grid_sample(x - shift, grid, mode, align_corners=False) + shift


def _colour(fill: Any, x: Tensor) -> Tensor | None:
    numbers = [float(v) for v in fill] if isinstance(fill, Sequence) else [float(fill or 0)]
    if len(numbers) not in (1, x.shape[1]):
        raise ShapeError(f"fill has {len(numbers)} numbers for {x.shape[1]} channels.")
    return tensor(numbers, dtype=x.dtype).reshape(-1, 1, 1) if any(numbers) else None


def pixel_places(h: int, w: int) -> tuple[Tensor, Tensor]:
    """The columns (1, 1, W) and rows (1, H, 1) of an image, in float64, so that large images are read exactly."""
    return arange(w).double().reshape(1, 1, -1), arange(h).double().reshape(1, -1, 1)


# -------------------------------------------------------------------------------------------------- affine maps


def _cos_sin(angle: Any) -> tuple[Any, Any]:
    if isinstance(angle, Tensor):
        radians = angle.double() * (math.pi / 180)
        return radians.cos(), radians.sin()
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))


def _tan(angle: Any) -> Any:
    cos, sin = _cos_sin(angle)
    return sin / cos


def affine_map(angle: Any, translate: Any, scale: Any, shear: Any, center: tuple[float, float]) -> Affine:
    """Where the pixels go: sheared, scaled and turned clockwise by `angle` degrees about `center`, then moved.

    (x, y) ↦ center + translate + s·R(angle)·S_y·S_x·((x, y) − center), where S_x takes x to x − y·tan(shear_x) and S_y
    takes y to y − x·tan(shear_y).
    """
    cos, sin = _cos_sin(angle)
    tan_x, tan_y = _tan(shear[0]), _tan(shear[1])
    first, second = cos + sin * tan_y, sin - cos * tan_y  # R·S_y, first column
    a, d = scale * first, scale * second
    b, e = scale * (-sin - first * tan_x), scale * (cos - second * tan_x)
    x, y = center
    return a, b, translate[0] + x - (a * x + b * y), d, e, translate[1] + y - (d * x + e * y)


def inverse(m: Affine) -> Affine:
    """The way back."""
    a, b, c, d, e, f = m
    determinant = a * e - b * d
    a, b, d, e = e / determinant, -b / determinant, -d / determinant, a / determinant
    return a, b, -(a * c + b * f), d, e, -(d * c + e * f)


def map_places(m: Affine, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where an affine map takes places; its numbers may differ from image to image."""
    a, b, c, d, e, f = (per_image(v.double() if isinstance(v, Tensor) else v, x.ndim) for v in m)
    return a * x + b * y + c, d * x + e * y + f


def warp_affine(x: Tensor, m: Affine, size: tuple[int, int], mode: str, fill: Any) -> Tensor:
    """A batch of floats moved by the map `m` onto a canvas of `size`."""
    return sample(x, *map_places(inverse(m), *pixel_places(*size)), mode, fill)


def middle(h: int, w: int, center: Sequence[float] | None = None) -> tuple[float, float]:
    """The fixed point (x, y) in pixel centres; `center` counts from the image's corner."""
    return ((w - 1) / 2, (h - 1) / 2) if center is None else (center[0] - 0.5, center[1] - 0.5)


def affine(
    img: Any, angle: Any, translate: Any, scale: Any, shear: Any, interpolation: Any = "nearest", fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:  # fmt: skip
    """The image sheared, scaled and turned about its middle (or `center`, counted from the corner), then moved.

    angle: degrees, clockwise. translate: (right, down) in pixels. scale: a factor above 0. shear: degrees, along x or
    along (x, y); see `affine_map` for the formula. fill: what comes in, a number or one for each channel. For a batch
    each of the numbers may be a tensor (N,).

    >>> import chainrule
    >>> affine(chainrule.tensor([[[1.0, 2.0, 3.0]]]), 0, (1, 0), 1.0, 0)
    tensor([[[0., 1., 2.]]])
    """
    mode = mode_name(interpolation, *SAMPLING)
    if not isinstance(scale, Tensor) and scale <= 0:
        raise ValueError(f"affine: scale is above 0, got {scale}.")
    if len(translate) != 2:
        raise ValueError(f"affine: translate is (right, down), got {translate!r}.")
    shear = (shear, 0.0) if isinstance(shear, (int, float, Tensor)) else (*shear, 0.0)[:2]
    _, h, w = get_dimensions(img)
    m = affine_map(angle, translate, scale, shear, middle(h, w, center))
    return on_floats(img, lambda x: warp_affine(x, m, (h, w), mode, fill))


def rotation_map(angle: Any, h: int, w: int, size: tuple[int, int], center: Sequence[float] | None) -> Affine:
    """Turned counter-clockwise about the middle, which goes to the middle of a canvas of `size`."""
    shift = ((size[1] - w) / 2, (size[0] - h) / 2)
    return affine_map(-angle, shift, 1.0, (0.0, 0.0), middle(h, w, center))


def canvas(h: int, w: int, low: float, high: float) -> tuple[int, int]:
    """The smallest (height, width) that holds the image turned by every angle from `low` to `high` degrees.

    >>> canvas(10, 20, 90, 90), canvas(10, 10, 0, 90)
    ((20, 10), (15, 15))
    """
    # |w·cos| + |h·sin| is largest at ±atan(h/w), its mirror images, or an end of the range.
    corner = math.degrees(math.atan2(h, w))
    turns = range(math.floor(low / 90) - 1, math.ceil(high / 90) + 2)
    extremes = [low, high, *(90 * k + s * corner for k in turns for s in (1, -1))]
    angles = [math.radians(a) for a in extremes if low <= a <= high]
    width = max(abs(w * math.cos(a)) + abs(h * math.sin(a)) for a in angles)
    height = max(abs(w * math.sin(a)) + abs(h * math.cos(a)) for a in angles)
    return math.ceil(height - 1e-6), math.ceil(width - 1e-6)


def rotate(
    img: Any, angle: Any, interpolation: Any = "nearest", expand: bool = False,
    center: Sequence[float] | None = None, fill: Any = None,
) -> Any:  # fmt: skip
    """The image turned by `angle` degrees, counter-clockwise; for a batch perhaps a tensor (N,).

    `expand` makes the canvas as large as the turned image (then the angle is a number and `center` the middle).

    >>> import chainrule
    >>> rotate(chainrule.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 90)
    tensor([[[2., 4.],
             [1., 3.]]])
    """
    mode = mode_name(interpolation, *SAMPLING)
    _, h, w = get_dimensions(img)
    if expand and (center is not None or isinstance(angle, Tensor)):
        raise ValueError("rotate: expand goes with one angle, and with the middle as center.")
    size = canvas(h, w, angle, angle) if expand else (h, w)
    m = rotation_map(angle, h, w, size, center)
    return on_floats(img, lambda x: warp_affine(x, m, size, mode, fill))


# ------------------------------------------------------------------------------------------------- other warps


def homography(start: Tensor, end: Tensor) -> Tensor:
    """The perspective map that takes four points (N, 4, 2) to four others: (N, 8), its coefficients.

    (x, y) ↦ ((h₀x + h₁y + h₂)/(h₆x + h₇y + 1), (h₃x + h₄y + h₅)/(h₆x + h₇y + 1)): two linear equations for a point.
    """
    x, y, u, v = start[..., 0], start[..., 1], end[..., 0], end[..., 1]
    one, zero = x * 0 + 1, x * 0
    upper = stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    lower = stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    from chainrule.functions.linalg import solve
    from chainrule.functions.pieces import cat

    return solve(cat([upper, lower], -2), cat([u, v], -1).unsqueeze(-1)).squeeze(-1)


def map_perspective(h: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where a perspective map takes places."""
    a, b, c, d, e, f, g, k = (per_image(h[:, i], x.ndim) for i in range(8))
    below = g * x + k * y + 1
    return (a * x + b * y + c) / below, (d * x + e * y + f) / below


def warp_perspective(x: Tensor, start: Tensor, end: Tensor, mode: str, fill: Any) -> Tensor:
    """A batch of floats seen such that the points `start` come to be at `end`, both (N, 4, 2) or (1, 4, 2)."""
    back = homography(end.double(), start.double())
    return sample(x, *map_perspective(back, *pixel_places(*x.shape[-2:])), mode, fill)


def perspective(img: Any, startpoints: Any, endpoints: Any, interpolation: Any = "bilinear", fill: Any = None) -> Any:
    """The image as a plane seen from elsewhere: four points (x, y) come to be at four others.

    startpoints, endpoints: four pairs in pixels, or tensors (4, 2), for a batch perhaps (N, 4, 2).

    >>> import chainrule
    >>> corners = [[0, 0], [1, 0], [1, 1], [0, 1]]
    >>> x = chainrule.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> perspective(x, corners, corners)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    mode = mode_name(interpolation, *SAMPLING)
    start, end = (as_tensor(p, dtype="float64") for p in (startpoints, endpoints))
    if tuple(start.shape)[-2:] != (4, 2) or tuple(end.shape)[-2:] != (4, 2):
        raise ShapeError(f"perspective takes four points (4, 2), got {tuple(start.shape)} and {tuple(end.shape)}.")
    start, end = start.reshape(-1, 4, 2), end.reshape(-1, 4, 2)
    return on_floats(img, lambda x: warp_perspective(x, start, end, mode, fill))


def warp_elastic(x: Tensor, displacement: Tensor, mode: str, fill: Any) -> Tensor:
    """A batch of floats, each pixel read at its place plus a displacement (N or 1, H, W, 2), in pixels."""
    columns, rows = pixel_places(*x.shape[-2:])
    return sample(x, columns + displacement[..., 0], rows + displacement[..., 1], mode, fill)


def elastic_transform(img: Any, displacement: Tensor, interpolation: Any = "bilinear", fill: Any = None) -> Any:
    """The image pulled about: the pixel at p shows what was at p + displacement.

    displacement: (1 or N, H, W, 2), (right, down), where 2 is the width or height of the image.
    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks", 2003.

    >>> import chainrule
    >>> elastic_transform(chainrule.tensor([[[1.0, 2.0, 3.0]]]), chainrule.zeros(1, 1, 3, 2))
    tensor([[[1., 2., 3.]]])
    """
    mode = mode_name(interpolation, *SAMPLING)
    _, h, w = get_dimensions(img)
    if displacement.ndim != 4 or tuple(displacement.shape)[1:] != (h, w, 2):
        raise ShapeError(f"elastic_transform: displacement is (N, {h}, {w}, 2), got {tuple(displacement.shape)}.")
    pixels = displacement.double() * tensor([w / 2, h / 2], dtype="float64")
    return on_floats(img, lambda x: warp_elastic(x, pixels, mode, fill))


__all__ = ["affine", "elastic_transform", "perspective", "rotate"]
