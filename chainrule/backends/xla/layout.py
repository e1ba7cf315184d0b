"""How images lie: XLA multiplies fastest where channels are the last dimension, while the graph says (N, C, …).

A value may therefore be `Laid`: an array whose dimensions stand in another order than the graph's. Convolutions take
and give such values; what works entry by entry, sums and the like pass the order on. Everything else asks for the plain
array. So channels stay last through a network and change places only where it begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from chainrule.backends.xla.rules import RULES, contraction, moves
from chainrule.primitives import contraction as c
from chainrule.primitives import reduction, shape, window
from chainrule.primitives.elementwise import Cast
from chainrule.primitives.kinds import Binary, Comparison, Unary
from chainrule.primitives.logic import Where
from chainrule.primitives.primitive import Primitive

Order = tuple[int, ...]


class Laid(NamedTuple):
    """An array of which dimension i is dimension order[i] of the value."""

    array: Any
    order: Order

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.array.dtype

    def astype(self, dtype: Any) -> Laid:
        """The same in another type."""
        return Laid(self.array.astype(dtype), self.order)


def plain(x: Any) -> Any:
    """The array with its dimensions in the graph's order."""
    return in_order(x, tuple(range(len(x.order)))) if isinstance(x, Laid) else x


def in_order(x: Any, order: Order) -> Any:
    """The array with its dimensions in this order.

    >>> import numpy as np
    >>> laid = Laid(np.zeros((2, 5, 6, 3)), (0, 2, 3, 1))
    >>> plain(laid).shape, in_order(laid, (1, 0, 2, 3)).shape
    ((2, 3, 5, 6), (3, 2, 5, 6))
    """
    now = x.order if isinstance(x, Laid) else tuple(range(x.ndim))
    array = x.array if isinstance(x, Laid) else x
    return array if now == order else jnp.transpose(array, [now.index(axis) for axis in order])


def laid(array: Any, order: Order) -> Any:
    """A value; plain if the order is the graph's."""
    return array if order == tuple(range(len(order))) else Laid(array, order)


def channels_last(x: Any) -> Any:
    """(N, C, …) as (N, …, C)."""
    dims = len(x.order) if isinstance(x, Laid) else x.ndim
    return in_order(x, (0, *range(2, dims), 1))


def _image(array: Any) -> Any:
    """A result with its channels last."""
    return laid(array, (0, *range(2, array.ndim), 1))


# ------------------------------------------------------------------------------------------------- rules


def _convolution(x: Any, w: Any, **settings: Any) -> Any:
    return _image(contraction.convolution(channels_last(x), plain(w), **settings))


def _convolution_transpose(y: Any, w: Any, **settings: Any) -> Any:
    return _image(contraction.convolution_transpose(channels_last(y), plain(w), **settings))


def _convolution_weight(x: Any, y: Any, **settings: Any) -> Any:
    return contraction.convolution_weight(channels_last(x), channels_last(y), **settings)


def _permute(x: Laid, *, order: Order) -> Any:
    return laid(x.array, tuple(order.index(axis) for axis in x.order))


def _concatenate(*parts: Any, axis: int) -> Any:
    order = next(x.order for x in parts if isinstance(x, Laid))
    return Laid(jnp.concatenate([in_order(x, order) for x in parts], order.index(axis)), order)


def _pad(x: Laid, *, before: Order, after: Order, constant: Any) -> Any:
    first, last = ([widths[axis] for axis in x.order] for widths in (before, after))
    return Laid(moves.pad(x.array, before=first, after=last, constant=constant), x.order)


def _broadcast(x: Laid, *, to: Order) -> Any:
    if len(to) != len(x.order):
        return jnp.broadcast_to(plain(x), to)
    return Laid(jnp.broadcast_to(x.array, [to[axis] for axis in x.order]), x.order)


def _reduction(primitive: type[Primitive]) -> Callable[..., Any]:
    def reduced(x: Laid, *, axes: Order) -> Any:
        left = [axis for axis in x.order if axis not in axes]
        array = RULES[primitive](x.array, axes=tuple(x.order.index(axis) for axis in axes))
        return plain(laid(array, tuple(sorted(left).index(axis) for axis in left)))

    return reduced


def _pooling(x: Any, **settings: Any) -> Any:
    pooled = moves.max_pool(channels_last(x), axes=range(1, len(settings["kernel"]) + 1), **settings)
    return [_image(part) for part in pooled]


#: What is done with images as they lie; the second group only where an input is laid already.
ALWAYS: dict[type[Primitive], Callable[..., Any]] = {
    c.Convolution: _convolution,
    c.ConvolutionTranspose: _convolution_transpose,
    c.ConvolutionWeight: _convolution_weight,
}
IF_LAID: dict[type[Primitive], Callable[..., Any]] = {
    shape.Permute: _permute,
    shape.Concatenate: _concatenate,
    shape.Pad: _pad,
    shape.Broadcast: _broadcast,
    window.MaxPool: _pooling,
    **{primitive: _reduction(primitive) for primitive in (reduction.Sum, reduction.Amax, reduction.Product)},
}


def applied(primitive: type[Primitive], values: Sequence[Any], parameters: dict[str, Any]) -> Any:
    """The results of a primitive that has a rule, for values that may be laid."""
    if primitive in ALWAYS:
        return ALWAYS[primitive](*values, **parameters)
    order = next((x.order for x in values if isinstance(x, Laid)), None)
    if order is not None:
        if primitive in IF_LAID:
            return IF_LAID[primitive](*values, **parameters)
        if issubclass(primitive, Unary | Binary | Comparison) or primitive in (Cast, Where):
            return Laid(RULES[primitive](*[in_order(x, order) for x in values], **parameters), order)
    return RULES[primitive](*map(plain, values), **parameters)
