"""Padding by constants, and by the tensor's own entries: mirrored, repeated or wrapped around."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.errors import ShapeError
from chainrule.functions import pieces, shape
from chainrule.functions.autocasting import single
from chainrule.functions.creation import zeros_like
from chainrule.functions.promotion import need_tensor
from chainrule.random import randn
from chainrule.tensor import Tensor

Part = Callable[[Tensor, int, int], Tensor]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Entries added around: `pad` lists (before, after) for the last dimension, then the one before it, and so on.

    Negative numbers cut off: after the padding elsewhere, but before what "circular" takes from the other end.

    mode: "constant" (`value`, 0 unless given), "reflect" (mirrored at the edge, which is
    not repeated), "replicate" (the edge repeated), "circular" (from the other end) or "random" (standard normal
    numbers, drawn anew each time; PyTorch has no such mode).

    Raises ShapeError where there are more pairs than dimensions, or a dimension is too short to be mirrored or
    wrapped so far; ValueError for another mode.

    >>> import chainrule
    >>> x = chainrule.tensor([[1, 2, 3]])
    >>> pad(x, (2, 1)), pad(x, (2, 1), "reflect")
    (tensor([[0, 0, 1, 2, 3, 0]]), tensor([[3, 2, 1, 2, 3, 2]]))
    >>> pad(x, (2, 1), "replicate"), pad(x, (2, 1), "circular")
    (tensor([[1, 1, 1, 2, 3, 3]]), tensor([[2, 3, 1, 2, 3, 1]]))
    """
    x = need_tensor(input, "pad")
    if mode == "constant":
        return shape.pad(x, pad, value=value)
    if mode == "random":
        around = shape.pad(zeros_like(x.detach()), pad, value=1.0)
        return shape.pad(x, pad) + around * randn(tuple(around.shape), device=x.device).to(x.dtype)
    if mode not in _MODES:
        raise ValueError(f"pad: mode is 'constant', {', '.join(map(repr, _MODES))} or 'random', got {mode!r}.")
    if len(pad) % 2 or len(pad) // 2 > x.ndim:
        raise ShapeError(f"pad: {tuple(pad)} must hold a pair for each of at most {x.ndim} dimensions.")
    if mode != "circular":
        x = single(x)
    cut = [min(n, 0) for n in pad]
    if any(cut) and mode == "circular":
        x, pad, cut = shape.pad(x, cut), [max(n, 0) for n in pad], []
    before_part, after_part, reserve = _MODES[mode]
    added = [max(n, 0) for n in pad]
    for i, (before, after) in enumerate(zip(added[::2], added[1::2], strict=True)):
        dim = x.ndim - 1 - i
        size = x.shape[dim]
        if reserve is not None and max(before, after) > size - reserve:
            raise ShapeError(
                f"pad: {mode} adds at most {size - reserve} to dimension {dim} of {size}, got {tuple(pad)}."
            )
        parts = [before_part(x, dim, before)] if before else []
        parts += [x, after_part(x, dim, after)] if after else [x]
        x = pieces.cat(parts, dim)
    return shape.pad(x, cut) if any(cut) else x


def _repeated(edge: Tensor, dim: int, count: int) -> Tensor:
    return edge.expand(*edge.shape[:dim], count, *edge.shape[dim + 1 :])


#: For each mode what comes before, what comes after, and how many entries of a dimension cannot be used for it.
_MODES: dict[str, tuple[Part, Part, int | None]] = {
    "reflect": (
        lambda x, dim, n: x.narrow(dim, 1, n).flip(dim),
        lambda x, dim, n: x.narrow(dim, x.shape[dim] - 1 - n, n).flip(dim),
        1,
    ),
    "replicate": (
        lambda x, dim, n: _repeated(x.narrow(dim, 0, 1), dim, n),
        lambda x, dim, n: _repeated(x.narrow(dim, x.shape[dim] - 1, 1), dim, n),
        None,
    ),
    "circular": (
        lambda x, dim, n: x.narrow(dim, x.shape[dim] - n, n),
        lambda x, dim, n: x.narrow(dim, 0, n),
        0,
    ),
}
