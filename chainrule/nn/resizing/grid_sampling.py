"""Reading images at any places: a grid says for each output pixel where in the input to look."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from chainrule.autodiff.composite import composite
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.constant_in import constant_in
from chainrule.functions.creation import arange, linspace
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat, stack
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import meshgrid
from chainrule.tensor import Tensor


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places that an affine transform reads, for `grid_sample`.

    theta: (N, 2, 3) for images with size (N, C, H, W), result (N, H, W, 2); or (N, 3, 4) for volumes with size
    (N, C, D, H, W), result (N, D, H, W, 3). Place (x, y) of the output reads θ·(x, y, 1)ᵀ of the input, both in
    [−1, 1]: the edges of the image, or with `align_corners` the centres of its corner pixels.
    Raises ShapeError where theta and size do not fit, DTypeError for a theta of integers.

    Source: Jaderberg et al., "Spatial transformer networks", 2015.

    >>> import chainrule
    >>> mirror = chainrule.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(mirror, (1, 1, 1, 2), align_corners=False)
    tensor([[[[ 0.5000,  0.0000],
              [-0.5000,  0.0000]]]])
    """
    need_tensor(theta, "affine_grid")
    n, inside = len(size) - 2, tuple(size[2:])
    if not theta.dtype.is_floating_point:
        raise DTypeError(f"affine_grid: theta holds floating-point numbers, got {theta.dtype}.")
    if n not in (2, 3) or tuple(theta.shape) != (size[0], n, n + 1):
        raise ShapeError(
            f"affine_grid: theta (N, 2, 3) goes with size (N, C, H, W) and (N, 3, 4) with (N, C, D, H, W), got "
            f"{tuple(theta.shape)} and {tuple(size)}."
        )
    if min(size) < 1:
        raise ShapeError(f"affine_grid: all extents are at least 1, got {tuple(size)}.")
    places = meshgrid(*[_centres(extent, bool(align_corners), theta) for extent in inside], indexing="ij")
    homogeneous = stack([*reversed(places), theta.new_ones(*inside)], -1).reshape(-1, n + 1)
    return (homogeneous @ theta.mT).reshape(size[0], *inside, n)


def _centres(extent: int, align_corners: bool, like: Tensor) -> Tensor:
    """The centres of the pixels in [−1, 1]."""
    if extent == 1:
        return like.new_zeros(1)
    end = 1.0 if align_corners else (extent - 1) / extent
    return linspace(-end, end, extent, dtype=like.dtype, device=like.device)


@in_single
@composite
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The input read at the places of a grid.

    input: (N, C, H, W), grid: (N, H', W', 2) with (x, y) in [−1, 1], result (N, C, H', W'); or (N, C, D, H, W) with
    (N, D', H', W', 3) and (x, y, z). −1 and 1 are the edges of the image, or with `align_corners` the centres of its
    corner pixels.

    mode: "bilinear" (in volumes trilinear), "nearest" (½ goes to the even pixel) or "bicubic" (images only,
    a = −0.75). padding_mode says what is outside: "zeros", "border" (the nearest pixel of the border) or "reflection"
    (mirrored at the edge). A place that is NaN gives NaN ("nearest": 0). The gradient goes to the input and to the
    grid ("nearest": zeros); it is 0 for places that "border" has moved.

    Raises ShapeError where input and grid do not fit, ValueError for another mode.

    Source: Jaderberg et al., "Spatial transformer networks", 2015.

    >>> import chainrule
    >>> x = chainrule.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> grid_sample(x, chainrule.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]), align_corners=True)
    tensor([[[[2.0000, 2.5000]]]])
    """
    _check_grid(input, grid, mode, padding_mode)
    if input.dtype.itemsize < 4:  # halves cannot say where in a large image
        return grid_sample(input.float(), grid.float(), mode, padding_mode, align_corners).to(input.dtype)
    inside = tuple(input.shape[2:])
    # The grid names the last dimension of the image first.
    places = [_in_pixels(grid[..., -1 - axis], extent, bool(align_corners)) for axis, extent in enumerate(inside)]
    if mode != "bicubic":
        places = [_moved_inside(p, n, padding_mode, bool(align_corners)) for p, n in zip(places, inside, strict=True)]
    neighbours = [_NEIGHBOURS[mode](place) for place in places]
    if mode == "bicubic" and padding_mode != "zeros":  # here each of the pixels read is moved, not the place
        neighbours = [
            [(_moved_inside(p, n, padding_mode, bool(align_corners)), weight) for p, weight in pairs]
            for pairs, n in zip(neighbours, inside, strict=True)
        ]
    result = _weighted_sum(input, neighbours, tuple(grid.shape[1:-1]))
    return constant_in(result, grid) if mode == "nearest" and grid.requires_grad else result


def _check_grid(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    need_tensor(input, "grid_sample")
    need_tensor(grid, "grid_sample")
    if mode not in _NEIGHBOURS:
        raise ValueError(f"grid_sample: mode is one of {', '.join(_NEIGHBOURS)}, got {mode!r}.")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode is 'zeros', 'border' or 'reflection', got {padding_mode!r}.")
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != n or grid.shape[0] != input.shape[0]:
        raise ShapeError(
            "grid_sample: an input (N, C, H, W) takes a grid (N, H', W', 2), and (N, C, D, H, W) one of "
            f"(N, D', H', W', 3), got {tuple(input.shape)} and {tuple(grid.shape)}."
        )
    if mode == "bicubic" and n == 3:
        raise ShapeError(f"grid_sample: bicubic is for images (N, C, H, W), got {tuple(input.shape)}.")
    if any(extent < 1 for extent in input.shape[1:]):
        raise ShapeError(f"grid_sample: there is nothing to read in an input of shape {tuple(input.shape)}.")
    if input.dtype is not grid.dtype or not input.dtype.is_floating_point:
        raise DTypeError(
            f"grid_sample: input and grid have one floating-point type, got {input.dtype} and {grid.dtype}; "
            f"use grid.to(input.dtype)."
        )


def _in_pixels(x: Tensor, extent: int, align_corners: bool) -> Tensor:
    """From [−1, 1] to pixels: −1 and 1 are the centres of the first and last, or half a pixel outside of them."""
    return (x + 1) * ((extent - 1) / 2) if align_corners else ((x + 1) * extent - 1) / 2


def _moved_inside(place: Tensor, extent: int, padding_mode: str, align_corners: bool) -> Tensor:
    """The place, moved inside if "border" or "reflection" say so."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, extent - 1.0) if align_corners else (-0.5, float(extent))
        if not span:
            return place * 0
        turn = (place - low) % (2 * span)
        place = where(turn > span, 2 * span - turn, turn) + low
    # Not `clamp`: the gradient at the ends is 0 too, as outside.
    return where(place <= 0, 0.0, where(place >= extent - 1, extent - 1.0, place))


Neighbours = list[tuple[Tensor, Tensor | None]]


def _nearest(place: Tensor) -> Neighbours:
    return [(place.detach().round(), None)]


def _linear(place: Tensor) -> Neighbours:
    left = place.detach().floor()
    t = place - left
    return [(left, 1 - t), (left + 1, t)]


def _cubic(place: Tensor) -> Neighbours:
    """Keys' kernel with a = −0.75 at the distances 1 + t, t, 1 − t and 2 − t."""
    a = -0.75
    left = place.detach().floor()
    t = place - left
    s = 1 - t

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    return [(left - 1, far(t + 1)), (left, near(t)), (left + 1, near(s)), (left + 2, far(s + 1))]


#: What each mode reads around a place, in one dimension: whole places and weights (None: 1).
_NEIGHBOURS = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}


def _weighted_sum(input: Tensor, neighbours: list[Neighbours], out: tuple[int, ...]) -> Tensor:
    """Σ of the pixels times the product of the weights in each dimension.

    The pixels are rows of one matrix (N·H·W, C), so that a place reads, and its gradient writes, all channels at once.
    Places outside read one more row, of zeros.
    """
    n, channels, *inside = input.shape
    count = n * math.prod(inside)
    rows = cat([input.movedim(1, -1).reshape(count, channels), input.new_zeros(1, channels)])
    scales = [math.prod(inside[axis + 1 :]) for axis in range(len(inside))]
    first = arange(n, device=input.device).reshape(n, *[1] * len(out)) * math.prod(inside)
    total: Tensor | None = None
    for corner in itertools.product(*neighbours):
        place, weight, within = first, None, None
        for (along, factor), extent, scale in zip(corner, inside, scales, strict=True):
            fits = (along >= 0) & (along <= extent - 1)  # a NaN does not
            within = fits if within is None else within & fits
            place = place + where(fits, along, 0.0).long() * scale
            if factor is not None:
                weight = factor if weight is None else weight * factor
        assert within is not None
        pixels = rows.index_select(0, where(within, place, count).reshape(-1))
        part = pixels if weight is None else pixels * weight.reshape(-1, 1)
        total = part if total is None else total + part
    assert total is not None
    return total.reshape(n, *out, channels).movedim(-1, 1)
