"""The number below which a share of the entries lies that are not NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.cell import TensorCell
from chainrule.functions.autocasting import in_single
from chainrule.functions.dimensions import axis_of
from chainrule.functions.logic import where
from chainrule.functions.pieces import stack
from chainrule.functions.reduction import need_floating
from chainrule.functions.sorting import need_shares, sort

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@in_single
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the entries that are not NaN; NaN where all are.

    >>> import chainrule
    >>> chainrule.nanquantile(chainrule.tensor([2.0, float("nan"), 0.0, 1.0]), 0.5)
    tensor(1.)
    """
    need_floating(input, "nanquantile")
    shares: Any = need_shares("nanquantile", q, interpolation, input)
    if isinstance(q, TensorCell) and q.requires_grad:  # between two entries the result varies with it
        shares = q.reshape(-1).unbind()  # type: ignore[attr-defined]
    x = input.reshape(-1) if dim is None or not input.ndim else input
    axis = 0 if dim is None else axis_of(dim, input.ndim, "nanquantile")
    ordered = sort(x, axis).values  # NaN stands at the end
    last = (x.isnan().logical_not().sum(axis, True) - 1).clamp(min=0)
    found = [_entry_between(ordered, axis, last, share, interpolation) for share in shares]
    if dim is None and keepdim:
        found = [value.reshape((1,) * input.ndim) for value in found]
    elif not keepdim or not input.ndim:
        found = [value.squeeze(axis) for value in found]
    return stack(found) if isinstance(q, TensorCell) and q.ndim else found[0]


def _entry_between(ordered: Tensor, axis: int, last: Tensor, share: Any, interpolation: str) -> Tensor:
    """What stands at a share of the entries up to the last that counts, in each row."""
    place = share * last.to(ordered.dtype)
    low = place.detach().floor()
    below = ordered.gather(axis, low.long())
    above = ordered.gather(axis, (low.long() + 1).minimum(last))
    part = place - low
    if interpolation == "lower":
        return below
    if interpolation == "higher":
        return where(part > 0, above, below)
    if interpolation == "midpoint":
        return where(part > 0, (below + above) / 2, below)
    if interpolation == "nearest":  # halves to the even place, as PyTorch does
        return where(place.round() > low, above, below)
    value = below + (above - below) * part
    return value if part.requires_grad else where(part > 0, value, below)  # ∞ − ∞ times 0 would be NaN
