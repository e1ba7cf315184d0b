"""Derivatives of a function that is known at some points, by differences of its values there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.errors import ShapeError
from chainrule.functions.dimensions import axis_of
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import is_tensor

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """For each dimension the derivative along it: values at a grid's points, differences of neighbours.

    Inside, of a parabola through three neighbours; at the two ends of a line through two points, or of a parabola with
    `edge_order=2`.

    Args:
        input: the values.
        spacing: the distance of neighbours, one number for each dimension or one for all; or for each dimension a
            vector of its points' coordinates.
        dim: which dimensions, one or several; all by default.
        edge_order: 1 or 2.

    Raises ShapeError where there are fewer than `edge_order` + 1 points, or coordinates that do not fit.

    >>> import chainrule
    >>> chainrule.gradient(chainrule.tensor([1.0, 4.0, 9.0, 16.0]))
    (tensor([3., 4., 6., 7.]),)
    """
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [axis_of(d, input.ndim, "gradient") for d in dims]
    spaces = list(spacing) if isinstance(spacing, Sequence) else [spacing] * len(axes)
    if len(spaces) != len(axes):
        raise ShapeError(f"gradient: {len(axes)} dimensions and {len(spaces)} spacings; give one for each.")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, got {edge_order}.")
    return tuple([_along(input, axis, space, edge_order) for axis, space in zip(axes, spaces)])


def _along(x: Tensor, axis: int, space: Any, edge_order: int) -> Tensor:
    count = x.shape[axis]
    if count < edge_order + 1:
        raise ShapeError(f"gradient: {count} points along dimension {axis}, edge_order={edge_order} needs more.")
    slopes = (x.narrow(axis, 1, count - 1) - x.narrow(axis, 0, count - 1)) / _distances(x, axis, space)
    if count == 2:
        return cat([slopes, slopes], axis)
    steps = _distances(x, axis, space).expand(slopes.shape)
    before, after = (steps.narrow(axis, start, count - 2) for start in (0, 1))
    slope_before, slope_after = (slopes.narrow(axis, start, count - 2) for start in (0, 1))
    # The slope of the parabola in the middle: each side's counts the more the shorter it is.
    inside = (slope_before * after + slope_after * before) / (before + after)
    first, last = slopes.narrow(axis, 0, 1), slopes.narrow(axis, count - 2, 1)
    if edge_order == 2:  # on a parabola slopes change evenly: twice the slope of the chord, minus the other end's
        first = 2 * first - inside.narrow(axis, 0, 1)
        last = 2 * last - inside.narrow(axis, count - 3, 1)
    return cat([first, inside, last], axis)


def _distances(x: Tensor, axis: int, space: Any) -> Tensor:
    """From each point to the next, of `ndim` dimensions."""
    count, shape = x.shape[axis], [1] * x.ndim
    if is_tensor(space) and space.ndim:
        if tuple(space.shape) != (count,):
            raise ShapeError(f"gradient: {count} points along dimension {axis}, coordinates {tuple(space.shape)}.")
        shape[axis] = count - 1
        return (space[1:] - space[:-1]).reshape(shape)
    return x.new_ones(shape, dtype=None if x.dtype.is_floating_point else float) * space
