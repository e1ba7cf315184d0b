"""Sums over a sliding window: several neighbours side by side, the window written out, vectors along the channels.

A depthwise convolution reads as many numbers as it multiplies, if every result is computed for itself. Eight
neighbours of a 3×3 window share them: in each row of the window they read 10 vectors of the image and 3 of the kernel
for 24 multiply–adds. In the kernel's gradient the window's entries are the results: each has a register for its sum,
and what is read of the image is shared by them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from chainrule.backends.native.emitting.nest import Emitter
from chainrule.backends.native.language import elementary
from chainrule.backends.native.lowering.nest import REDUCTIONS, Load, Nest

#: At most so many entries of a window are written out: where they are summed up, and where each is a sum.
MOST_TERMS, MOST_SUMS = 64, {512: 25, 256: 12, 128: 12}
#: So many neighbours go side by side, where that leaves the fewest over.
NEIGHBOURS = {512: (8, 7, 6, 5, 4), 256: (4, 3), 128: (4, 3)}
#: In a gradient, so many neighbours are read before the next turn of the loop.
READ_TOGETHER = 4


class SlidingEmitter(Emitter):
    """Writes the function of a nest with a sliding window."""

    def __init__(
        self, nest: Nest, name: str, vector_bits: int = 512, block: tuple[Sequence[int], int] | None = None
    ) -> None:
        super().__init__(nest, name, vector_bits, block)
        nest = self.nest
        assert nest.sliding is not None
        self.sliding = nest.sliding
        (self.total,) = (node for node in nest.nodes if node.op in REDUCTIONS)
        image, other = self.total.inputs[0].inputs
        assert isinstance(image, Load) and isinstance(other, Load)
        self.image, self.other = image, other
        self.vector, self.strip = self.sliding.vector, True
        self.spread = self.image.operand.spread
        self.lanes = max(self.lanes, 1 << (self.spread - 1).bit_length())
        self.advance = self.lanes // self.spread * self.spread  # a vector begins with a group
        self.taps = self._written_out(MOST_SUMS[vector_bits] if self.sliding.collects else MOST_TERMS)
        self.inner |= {self.sliding.along, *self.taps}
        self.rows = [axis for axis in self.shape.outer if axis != self.vector and axis not in self.inner]
        self.loops = [a for a in self.shape.reduced if a != self.sliding.along and a not in self.taps]
        extent = self.shape.extents[self.sliding.along]
        together = min(NEIGHBOURS[vector_bits], key=lambda n: (extent % n, -n))
        self.together = min(extent, READ_TOGETHER if self.sliding.collects else together)
        strides = self.image.operand.strides
        along, tap = (strides.get(axis, 0) for axis in (self.sliding.along, self.sliding.tap))
        step = math.gcd(along, tap if self.sliding.tap in self.taps else 0) or 1
        self.steps = along // step, tap // step
        self.sizes["step"] = step * self.image.operand.dtype.itemsize

    def structure(self) -> Any:
        """The window too, as far as it is written out."""
        written_out = tuple([(axis, self.nest.extents[axis]) for axis in self.taps])
        return super().structure(), written_out, tuple(self.loops), self.together, self.steps

    def _written_out(self, most: int) -> list[int]:
        """The axes of the window that are written out, the one along which it slides first."""
        taps, count = [], 1
        for axis in (self.sliding.tap, *self.sliding.others):
            count *= self.nest.extents[axis]
            if count > most:
                break
            taps.append(axis)
        return taps

    def _depth(self) -> int:
        extents = self.shape.extents
        walked = math.prod(extents[a] for a in (*self.loops, self.sliding.along))
        return walked * max(1, math.prod(extents[a] for a in self.taps) // 4)

    def _prepare(self) -> dict[int, str]:
        base = super()._prepare()
        self.step = self.number("step")
        return base

    # ------------------------------------------------------------------------------------- the walk

    def _stages(self, lanes: int) -> None:
        """All windows of a row, for one vector of channels."""
        if self.sliding.collects:
            self._collect(lanes)
            return
        kernel = self._kernel(lanes) if not self.loops else {}
        for count in self._turns_along():
            sums = self._walk(self.loops, [self._zero(lanes)] * count, lambda s: self._add_terms(s, kernel, lanes))
            for place, value in enumerate(sums):
                if place:
                    self._move_on()
                self._finish(value, lanes)

    def _zero(self, lanes: int) -> str:
        return elementary.register(self.total.dtype, lanes).splat(0)

    def _turns_along(self) -> Iterator[int]:
        """A loop along the row for as many neighbours as go together, and one for the rest; yields how many go."""
        axis = self.sliding.along
        if axis not in self.extent:
            yield 1
            return
        extent, together = self.extent[axis], self.together
        whole = extent
        if together > 1:
            whole = self.mul(self.code.op(f"udiv i64 {extent}, {together}"), str(together))
        for low, high, count in [("0", whole, together), (whole, extent, 1)]:
            if count == 1 == together and low != "0":
                break
            with self.code.loop(low, high, str(count)) as loop:
                self._enter([axis], {axis: loop.index})
                yield count
                self._leave()

    def _move_on(self) -> None:
        """To the next window of the row."""
        axis = self.sliding.along
        for o in self.operands:
            if (id(o), axis) in self.stride:
                self.at[-1][id(o)] = self.code.op(
                    f"getelementptr i8, ptr {self.at[-1][id(o)]}, i64 {self.stride[id(o), axis]}"
                )
        self.index[axis] = self.add(self.index[axis], "1")

    def _walk(self, axes: Sequence[int], sums: list[str], body: Any) -> list[str]:
        """The loops that stay loops, outermost first; the sums go round."""
        if not axes:
            return list(body(sums))
        kind = elementary.register(self.total.dtype, self.lanes).text
        with self.code.loop("0", self.extent[axes[0]], carried=[(kind, x) for x in sums]) as loop:
            self._enter([axes[0]], {axes[0]: loop.index})
            loop.next = self._walk(axes[1:], list(loop.carried), body)
            self._leave()
        return list(loop.carried)

    def _finish(self, value: str, lanes: int) -> None:
        """What is made of a sum, and where it is written."""
        self.scopes.append({id(self.total): value})
        self._evaluate(lambda node: not node.axes & self.nest.reduced, lanes)
        for store in self.nest.stores:
            self._store(store, lanes)
        self.scopes.pop()

    # ------------------------------------------------------------------------------------- terms

    def _tap_places(self) -> Iterator[tuple[dict[int, str], int]]:
        """(places along the window's other axes, extent of its own) for each row of what is written out."""
        others = [axis for axis in self.taps if axis != self.sliding.tap]
        extent = self.nest.extents[self.sliding.tap] if self.taps else 1
        for place in itertools.product(*(range(self.nest.extents[axis]) for axis in others)):
            yield {axis: str(i) for axis, i in zip(others, place, strict=True)}, extent

    def _kernel(self, lanes: int) -> dict[tuple[str, ...], list[str]]:
        """All entries of the kernel for a vector of channels, by their row."""
        kernel: dict[tuple[str, ...], list[str]] = {}
        for row, extent in self._tap_places():
            kernel[tuple(row.values())] = values = []
            for k in range(extent):
                place = {**row, self.sliding.tap: str(k)} if self.taps else {}
                self._enter(list(place), place)
                values.append(self._load(self.other, lanes, lanes))
                self._leave()
        return kernel

    def _add_terms(self, sums: list[str], kernel: dict[tuple[str, ...], list[str]], lanes: int) -> list[str]:
        """Add what is written out of the window to the sums of some neighbours."""
        kernel, sums = kernel or self._kernel(lanes), list(sums)
        for row, extent in self._tap_places():
            entries = self._entries(self.image, row, self.steps, self.step, len(sums), extent, lanes)
            for k, j in itertools.product(range(extent), range(len(sums))):
                factors = [entries(j, k), kernel[tuple(row.values())][k]]
                sums[j] = self._fused(self.total, factors, sums[j], lanes)
        return sums

    def _entries(
        self, node: Load, row: dict[int, str], steps: tuple[int, int], step: str, count: int, extent: int, lanes: int
    ) -> Any:
        """A function that reads entry k of window j, in one row of the window; each entry is read once."""
        self._enter(list(row), row)
        place = self._place(node.operand, lanes, lanes)
        self._leave()
        positions = sorted({j * steps[0] + k * steps[1] for j in range(count) for k in range(extent)})
        addresses, before = {}, 0
        address = place.address
        for position in positions:
            if position != before:
                move = self.mul(step, str(position - before))
                address = self.code.op(f"getelementptr i8, ptr {address}, i64 {move}")
            addresses[position], before = address, position
        loaded: dict[int, str] = {}

        def entry(j: int, k: int) -> str:
            position = j * steps[0] + k * steps[1]
            if position not in loaded:
                here = place._replace(address=addresses[position])
                spread = node.operand.spread
                value = elementary.load(self.code, node.dtype, lanes, here, self.mask if spread == 1 else "", 0)
                loaded[position] = value if spread == 1 else self._spread(node, value, lanes)
            return loaded[position]

        return entry

    def _spread(self, node: Load, value: str, lanes: int) -> str:
        """The first lane of each group in all lanes of it."""
        kind, each = elementary.register(node.dtype, lanes), node.operand.spread
        return self.code.shuffle(kind, [i - i % each for i in range(lanes)], value)

    # ------------------------------------------------------------------------------------- the kernel's gradient

    def _collect(self, lanes: int) -> None:
        """A sum for each entry of the window that is written out."""
        places = [(row, k) for row, extent in self._tap_places() for k in range(extent)]
        sums = self._walk(self.loops, [self._zero(lanes)] * len(places), lambda s: self._collect_row(s, lanes))
        for (row, k), value in zip(places, sums, strict=True):
            place = {**row, self.sliding.tap: str(k)} if self.taps else {}
            self._enter(list(place), place)
            self._finish(value, lanes)
            self._leave()

    def _collect_row(self, sums: list[str], lanes: int) -> list[str]:
        """Along one row of pixels."""
        axis, kind = self.sliding.along, elementary.register(self.total.dtype, lanes).text
        if axis not in self.extent:
            return self._collect_some(sums, 1, lanes)
        whole = self.mul(self.code.op(f"udiv i64 {self.extent[axis]}, {self.together}"), str(self.together))
        for low, high, count in [("0", whole, self.together), (whole, self.extent[axis], 1)]:
            with self.code.loop(low, high, str(count), [(kind, x) for x in sums]) as loop:
                self._enter([axis], {axis: loop.index})
                loop.next = self._collect_some(list(loop.carried), count, lanes)
                self._leave()
            sums = list(loop.carried)
        return sums

    def _collect_some(self, sums: list[str], count: int, lanes: int) -> list[str]:
        """Add what some neighbouring pixels give to all sums."""
        stride = self.stride.get((id(self.other.operand), self.sliding.along), "0")
        upstream = self._entries(self.other, {}, (1, 0), stride, count, 1, lanes)
        answer: list[str] = []
        for row, extent in self._tap_places():
            entries = self._entries(self.image, row, self.steps, self.step, count, extent, lanes)
            here = sums[len(answer) : len(answer) + extent]
            for j, k in itertools.product(range(count), range(extent)):
                here[k] = self._fused(self.total, [entries(j, k), upstream(j, 0)], here[k], lanes)
            answer += here
        return answer
