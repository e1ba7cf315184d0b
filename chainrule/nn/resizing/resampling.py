"""Resizing of sequences, images and volumes: one linear map along each dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.nn.pooling.adaptive import adaptive_mean
from chainrule.nn.resizing.axis_map import AxisMap, Row, map_axes
from chainrule.tensor import Tensor

#: The spatial dimensions that a mode is for.
_DIMENSIONS = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3),
    "linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,), "lanczos": (2,),
}  # fmt: skip


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize (N, C, L), (N, C, H, W) or (N, C, D, H, W) to `size`, or by `scale_factor`.

    Output entry o of a dimension looks at the input's place p = (o + ½)·s − ½, where s is input size by output size,
    or 1/scale_factor: pixels are small squares and both images cover the same area. With `align_corners` p = o·s with
    s = (n_in − 1)/(n_out − 1): pixels are points, and the first and last meet.

    mode: "nearest" (entry ⌊o·s⌋, which leans to the start), "nearest-exact" (the one nearest to p), "linear",
    "bilinear", "trilinear" (weights 1 − t and t for the entries around p), "bicubic" (four entries, a = −0.75), "area"
    (the mean of what is covered, as `adaptive_avg_pool2d`) or "lanczos" (with `antialias` only). With `antialias` the
    window is widened by s where the image shrinks, so that all of the input counts; bicubic then has a = −0.5.
    `scale_factor` may be no quotient of sizes; then `recompute_scale_factor` says that s is to be taken from the
    sizes.

    Each mode is linear in the input and separable: one sparse matrix for each dimension, and its transpose for the
    gradient (see `nn/resizing/axis_map.py`).

    Raises ShapeError for sizes that do not fit, ValueError for settings that do not go together, DTypeError for
    integers where weights are needed.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, for the cubic kernel.

    >>> import chainrule
    >>> x = chainrule.tensor([[[0.0, 4.0]]])
    >>> interpolate(x, scale_factor=2), interpolate(x, size=4, mode="linear")
    (tensor([[[0., 0., 4., 4.]]]), tensor([[[0., 1., 3., 4.]]]))
    """
    x = need_tensor(input, "interpolate")
    _check_mode(x, mode, align_corners, antialias)
    if not x.dtype.is_floating_point and not mode.startswith("nearest"):
        raise DTypeError(f"interpolate: {mode} needs floating-point numbers, got {x.dtype}; use x.float() first.")
    if recompute_scale_factor and size is not None:
        raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, not with size.")
    inside = tuple(x.shape[2:])
    sizes, factors = _target(inside, size, scale_factor, recompute_scale_factor or mode == "area")
    if any(n < 1 for n in (*sizes, *inside)):
        raise ShapeError(f"interpolate: {inside} cannot be resized to {sizes}; all extents are at least 1.")
    if mode == "area":
        return adaptive_mean(x, sizes)
    kind = mode.removeprefix("bi").removeprefix("tri")
    triples = list(zip(inside, sizes, factors, strict=True))
    if mode == "nearest" and len(inside) == 2:  # PyTorch's rule for images: staying and doubling are exact
        triples = [(n, out, None if out in (n, 2 * n) else factor) for n, out, factor in triples]
    maps = [resizing(n, out, factor, kind, bool(align_corners), antialias) for n, out, factor in triples]
    return map_axes(x, dict(enumerate(maps, 2)))


def _check_mode(x: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _DIMENSIONS:
        raise ValueError(f"interpolate: mode is one of {', '.join(_DIMENSIONS)}, got {mode!r}.")
    if x.ndim - 2 not in _DIMENSIONS[mode]:
        fitting = [name for name, counts in _DIMENSIONS.items() if x.ndim - 2 in counts]
        raise ShapeError(
            f"interpolate: {mode} takes inputs of {' or '.join(str(n + 2) for n in _DIMENSIONS[mode])} dimensions, "
            f"(N, C, …), got {tuple(x.shape)}" + (f"; for these there are {', '.join(fitting)}." if fitting else ".")
        )
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners is for linear and cubic modes, got mode={mode!r}; leave it out.")
    if antialias and mode not in ("bilinear", "bicubic", "lanczos"):
        raise ValueError(f"interpolate: antialias is for bilinear, bicubic and lanczos, got mode={mode!r}.")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: lanczos goes with antialias=True and without align_corners.")


def _target(
    inside: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output size, and for each dimension the scale factor to be taken at its word, if any."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate takes size or scale_factor, one of them, got {size!r} and {scale_factor!r}.")
    if size is not None:
        sizes = _per_axis(size, len(inside), "size", inside)
        if not all(isinstance(n, int) for n in sizes):
            raise DTypeError(f"interpolate: size is one integer or several, got {size!r}.")
        return sizes, (None,) * len(inside)
    factors = _per_axis(scale_factor, len(inside), "scale_factor", inside)
    sizes = tuple(math.floor(n * factor) for n, factor in zip(inside, factors, strict=True))
    return sizes, (None,) * len(inside) if recompute else factors


def _per_axis(setting: Any, count: int, name: str, inside: tuple[int, ...]) -> tuple[Any, ...]:
    values = tuple(setting) if isinstance(setting, Sequence) else (setting,) * count
    if len(values) != count:
        raise ShapeError(f"interpolate: {name}={setting!r} for the {count} spatial dimensions {inside}.")
    return values


# ----------------------------------------------------------------------------------- one dimension as a matrix


@lru_cache(maxsize=256)
def resizing(
    size: int, out: int, factor: float | None, kind: str, align_corners: bool = False, antialias: bool = False
) -> AxisMap:
    """The matrix (out × size) that resizes one dimension.

    >>> resizing(2, 4, None, "linear").rows
    [{0: 1.0}, {0: 0.75, 1: 0.25}, {0: 0.25, 1: 0.75}, {1: 1.0}]
    """
    if kind == "nearest" or kind == "nearest-exact":
        return AxisMap([{_nearest(o, size, out, factor, kind == "nearest-exact"): 1.0} for o in range(out)], size)
    if align_corners:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = 1 / factor if factor else size / out
    if size == out and (antialias or kind == "linear"):
        return AxisMap([{o: 1.0} for o in range(out)], size)  # PyTorch's rule, whatever the factor
    if antialias:
        reach, kernel = _KERNELS[kind]
        return AxisMap([_averaged((o + 0.5) * step, step, size, reach, kernel) for o in range(out)], size)
    row = _linear if kind == "linear" else _cubic
    places = [o * step if align_corners else (o + 0.5) * step - 0.5 for o in range(out)]
    return AxisMap([row(place, size) for place in places], size)


def _nearest(o: int, size: int, out: int, factor: float | None, exact: bool) -> int:
    """Computed with whole numbers if there is no factor, so that no rounding decides which entry it is."""
    if factor is None:
        place = (2 * o + 1) * size // (2 * out) if exact else o * size // out
    else:
        place = math.floor((o + 0.5 if exact else o) / factor)
    return min(place, size - 1)


def _linear(place: float, size: int) -> Row:
    """The two entries around the place; beyond the ends the last one."""
    place = min(max(place, 0.0), size - 1.0)
    left = min(int(place), max(size - 2, 0))
    t = place - left
    return {left: 1 - t, left + 1: t} if size > 1 else {0: 1.0}


def _cubic(place: float, size: int) -> Row:
    """Four entries; those beyond the ends are the last one."""
    left = math.floor(place)
    row: Row = {}
    for i in range(left - 1, left + 3):
        inside = min(max(i, 0), size - 1)
        row[inside] = row.get(inside, 0.0) + cubic(place - i, -0.75)
    return row


def cubic(x: float, a: float) -> float:
    """Keys' cubic kernel, 1 at 0 and 0 at the other whole numbers; `a` is its slope at 1.

    >>> [cubic(x, -0.5) for x in (0.0, 0.5, 1.0, 1.5, 2.0)]
    [1.0, 0.5625, 0.0, -0.0625, 0.0]
    """
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0


def _lanczos(x: float) -> float:
    def sinc(x: float) -> float:
        return math.sin(math.pi * x) / (math.pi * x) if x else 1.0

    return sinc(x) * sinc(x / 3) if abs(x) < 3 else 0.0


#: Half the width and the shape of the windows of `antialias`.
_KERNELS: dict[str, tuple[int, Callable[[float], float]]] = {
    "linear": (1, lambda x: max(0.0, 1 - abs(x))),
    "cubic": (2, lambda x: cubic(x, -0.5)),
    "lanczos": (3, _lanczos),
}


def _averaged(center: float, step: float, size: int, reach: int, kernel: Callable[[float], float]) -> Row:
    """The kernel around the center, as wide as what one output covers, and with sum 1."""
    width = max(step, 1.0)
    first = max(int(center - reach * width + 0.5), 0)
    last = min(int(center + reach * width + 0.5), size)
    row = {i: kernel((i + 0.5 - center) / width) for i in range(first, last)}
    total = sum(row.values())
    return {i: weight / total for i, weight in row.items()}


# ---------------------------------------------------------------------------------------------- modules


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """The older name of `interpolate`.

    >>> import chainrule
    >>> upsample(chainrule.ones(1, 1, 2, 2), scale_factor=2).shape
    Size([1, 1, 4, 4])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "nearest".

    >>> import chainrule
    >>> upsample_nearest(chainrule.tensor([[[1.0, 2.0]]]), size=4)
    tensor([[[1., 1., 2., 2.]]])
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "bilinear" and aligned corners.

    >>> import chainrule
    >>> upsample_bilinear(chainrule.tensor([[[[0.0, 2.0]]]]), size=(1, 3))
    tensor([[[[0., 1., 2.]]]])
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


class Upsample(Module):
    """Resizing of (N, C, …); arguments as `functional.interpolate`. No parameters.

    >>> import chainrule
    >>> Upsample(scale_factor=2, mode="bilinear")(chainrule.ones(1, 3, 4, 5)).shape
    Size([1, 3, 8, 10])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.mode = size, mode
        if isinstance(scale_factor, (tuple, list)):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The size or factor, and the mode."""
        target = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{target}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images by repeating the nearest entry.

    >>> import chainrule
    >>> UpsamplingNearest2d(scale_factor=2)(chainrule.ones(1, 1, 2, 3)).shape
    Size([1, 1, 4, 6])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images, bilinear, with aligned corners.

    >>> import chainrule
    >>> UpsamplingBilinear2d(size=(1, 3))(chainrule.tensor([[[[0.0, 2.0]]]]))
    tensor([[[[0., 1., 2.]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
