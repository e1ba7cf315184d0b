"""Linear maps along one dimension that read few entries for each one they write: what resizing is made of.

Such a map is a matrix with few entries per row, kept as its rows, {place: weight}. It is applied by *taps*: the k-th
tap takes the k-th entry of every row, one slice of the input per output, times its weight. That needs as many passes
over memory as the longest row has entries, where the dense product multiplies mostly zeros (bilinear resizing of a
512×512 image to twice its size is five times as fast so), and a NaN or infinity stays in the outputs that read it,
because nothing is multiplied by zero. The gradient is the transposed map, which is of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from chainrule.autodiff.block import block
from chainrule.devices import CPU
from chainrule.functions.creation import tensor
from chainrule.tensor import Tensor

#: The entries of one row of the matrix that are not zero.
Row = dict[int, float]


class AxisMap:
    """A matrix (rows × size) by its rows."""

    def __init__(self, rows: Sequence[Row], size: int) -> None:
        self.rows = [{place: weight for place, weight in row.items() if weight} for row in rows]
        self.size = size

    @cached_property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        return self.rows == [{i: 1.0} for i in range(self.size)]

    @cached_property
    def transposed(self) -> AxisMap:
        """The transposed matrix."""
        columns: list[Row] = [{} for _ in range(self.size)]
        for i, row in enumerate(self.rows):
            for place, weight in row.items():
                columns[place][i] = weight
        return AxisMap(columns, len(self.rows))

    @cached_property
    def taps(self) -> list[tuple[Tensor, Tensor | None]]:
        """For each tap the places it takes and their weights (None: all are 1)."""
        count = max(1, max(len(row) for row in self.rows))
        filled = [_filled(row, count) for row in self.rows]
        taps = []
        for k in range(count):
            places, weights = zip(*(entries[k] for entries in filled), strict=True)
            plain = all(weight == 1 for weight in weights)
            scale = None if plain else tensor(weights, dtype="float64", device=CPU)
            taps.append((tensor(places, dtype=int, device=CPU), scale))
        return taps


def _filled(row: Row, count: int) -> list[tuple[int, float]]:
    """The row with exactly `count` entries. The last is split into halves, which is exact and makes no 0·∞."""
    entries = list(row.items()) or [(0, 0.0)]
    while len(entries) < count:
        place, weight = entries.pop()
        entries += [(place, weight / 2)] * 2
    return entries


def map_axis(input: Tensor, axis: int, matrix: AxisMap) -> Tensor:
    """The matrix applied to every vector along `axis`, which has `matrix.size` entries and gets one for each row."""
    return input if matrix.is_identity else _map_axis(input, axis, matrix)


@block
def _map_axis(input: Tensor, axis: int, matrix: AxisMap) -> Tensor:
    result: Tensor | None = None
    for places, weights in matrix.taps:
        part = input.index_select(axis, places)
        if weights is not None:
            part = part * weights.to(input.device, input.dtype).reshape(-1, *[1] * (input.ndim - axis - 1))
        result = part if result is None else result + part
    assert result is not None
    return result


@_map_axis.gradient
def _(g: Tensor, axis: int, matrix: AxisMap) -> Tensor:
    return map_axis(g, axis, matrix.transposed)


def map_axes(input: Tensor, maps: dict[int, AxisMap]) -> Tensor:
    """A map for each of several dimensions; halves are computed in float32.

    What shrinks comes first and what grows last, so that the dimensions inside, which cost most, meet the least data.
    """

    def order(axis: int) -> tuple[bool, int]:
        grows = len(maps[axis].rows) > maps[axis].size
        return grows, -axis if grows else axis

    x = input.float() if input.dtype.is_floating_point and input.dtype.itemsize < 4 else input
    for axis in sorted(maps, key=order):
        x = map_axis(x, axis, maps[axis])
    return input.clone() if x is input else x.to(input.dtype)
