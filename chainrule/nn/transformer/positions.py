"""Positions: attention does not know the order of its inputs, so it is added to them as numbers."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.checking import check_range
from chainrule.functions.creation import arange, empty
from chainrule.functions.elementwise import cos, exp, sin
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import normal_
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


def sinusoidal_positions(length: int, width: int, base: float = 10000.0, dtype: Any = None) -> Tensor:
    """Sines and cosines of the position at wavelengths from 2π to base·2π: (length, width).

        PE[pos, 2i] = sin(pos / base^(2i/width))        PE[pos, 2i+1] = cos(pos / base^(2i/width))

    A shift by k positions turns each pair (2i, 2i+1) by the same angle everywhere, so relative positions can be read
    by a linear map. Source: Vaswani et al., "Attention is all you need", 2017, 3.5.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    if length < 0 or width < 1:
        raise ShapeError(f"positions: length is at least 0 and width at least 1, got {length} and {width}.")
    pairs = arange(0, width, 2, dtype="float64")
    angles = arange(length, dtype="float64").unsqueeze(1) * exp(pairs * (-math.log(base) / width))
    table = stack([sin(angles), cos(angles)], -1).reshape(length, -1)[:, :width]
    return table.to(empty(0, dtype=dtype).dtype)


class _Positions(Module):
    """What both kinds share: a table (length, width), of which the rows from `start` on are added to the input."""

    length: int
    width: int

    def _added(self, table: Tensor, input: Tensor, start: int | Tensor) -> Tensor:
        x = need_tensor(input, "positions")
        if x.ndim < 2 or x.shape[-1] != self.width:
            raise ShapeError(f"positions are added to (…, length, {self.width}), got {tuple(x.shape)}.")
        return x + table[places_from(start, x.shape[-2], self.length)].to(x.dtype)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.length}, {self.width}"


def places_from(start: int | Tensor, count: int, length: int) -> Any:
    """What picks `count` rows from `start` on out of a table of `length`: a slice, or integers if `start` is a tensor.

    Raises ShapeError if there are not so many.

    >>> places_from(2, 3, length=8)
    slice(2, 5, None)
    """
    if isinstance(start, Tensor):
        check_range(_positions_exist, start, 0, length - count, count=count)
        return start + arange(count, device=start.device)
    _positions_exist(start, 0, length - count, count)
    return slice(start, start + count)


def _positions_exist(start: Any, low: int, high: int, count: int) -> None:
    if not low <= start <= high:
        raise ShapeError(
            f"there are {high + count} positions; {count} from position {int(start)} on do not fit. Make the "
            "module with a larger length."
        )


class SinusoidalPositions(_Positions):
    """The input plus sines and cosines of the position: (…, L, width), L at most `length`. Nothing is learned.

    `forward(input, start)` counts from `start`, an integer or an integer tensor, when a sequence comes in parts. The
    table is not part of the state dict. Formula and source: `sinusoidal_positions`. PyTorch has no such module.

    >>> import chainrule
    >>> SinusoidalPositions(length=8, width=2)(chainrule.zeros(1, 3, 2))[0, 0]
    tensor([0., 1.])
    """

    def __init__(self, length: int, width: int, base: float = 10000.0, dtype: Any = None) -> None:
        super().__init__()
        self.length, self.width = length, width
        self.register_buffer("table", sinusoidal_positions(length, width, base, dtype), persistent=False)

    def forward(self, input: Tensor, start: int | Tensor = 0) -> Tensor:
        """See the class."""
        return self._added(self.table, input, start)


class LearnedPositions(_Positions):
    """The input plus a learned vector for each position: (…, L, width), L at most `length`.

    `weight` is (length, width), at first normal numbers of standard deviation 0.02. `forward(input, start)` counts from
    `start`. PyTorch has no such module. Source: Gehring et al., "Convolutional sequence to sequence learning", 2017.

    >>> import chainrule
    >>> LearnedPositions(length=8, width=2)(chainrule.zeros(1, 3, 2)).shape
    Size([1, 3, 2])
    """

    def __init__(self, length: int, width: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.length, self.width = length, width
        self.weight = Parameter(empty(length, width, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        normal_(self.weight, std=0.02)

    def forward(self, input: Tensor, start: int | Tensor = 0) -> Tensor:
        """See the class."""
        return self._added(self.weight, input, start)
