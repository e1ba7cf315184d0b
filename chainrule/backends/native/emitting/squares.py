"""What is read along one axis and written along another, as images whose channels come first or last.

Entry by entry each would want a cache line of its own, of what is read or of what is written. So as many rows as a
vector has lanes are read as vectors, turned over in registers (`transposing.py`), and written as vectors.
"""

from __future__ import annotations

from contextlib import nullcontext

from chainrule.backends.native.emitting.transposing import transposed
from chainrule.backends.native.emitting.values import Values
from chainrule.backends.native.language import elementary


class Squares(Values):
    """Writes the walk of a nest that is turned (`walk.turned_axes`)."""

    def _squares(self, low: str, high: str) -> None:
        """Squares from `low` to `high` along the longer one of both axes, and all along the other one."""
        assert self.turned is not None
        code, lanes = self.code, str(self.lanes)
        first, second = sorted(self.turned, key=lambda axis: axis != self.divided)
        with code.loop(low, high, lanes) as outer, code.loop("0", self.extent[second], lanes) as inner:
            begin = {first: outer.index, second: inner.index}
            ends = {first: high, second: self.extent[second]}
            left = {axis: code.least(lanes, code.whole("sub", end, begin[axis])) for axis, end in ends.items()}
            with code.when(code.op(f"icmp eq i64 {code.least(*left.values())}, {lanes}")) as otherwise:
                self._square(begin, None)
                otherwise()
                self._square(begin, left)

    def _square(self, begin: dict[int, str], left: dict[int, str] | None) -> None:
        """As many rows as a vector has lanes; `left` is how many of both there are, if that may be fewer."""
        assert self.turned is not None
        code, count, (read, written) = self.code, self.lanes, self.turned
        node, target = self.nest.stores[0]
        if left is not None:
            last = code.op(f"sub i64 {left[written]}, 1")
            self.mask = self._first_lanes(left[read])
        rows = []
        for i in range(count):
            step = str(i) if left is None else code.least(str(i), last)  # the last row again, which is not written
            self._enter([written], {read: begin[read], written: self.add(begin[written], step)})
            rows.append(self._fit(node, count, count))
            self._leave()
        self.mask = ""
        kind = elementary.register(node.dtype, count)
        self._enter([written], {read: begin[read], written: begin[written]})
        corner = self._place(target, count, count)
        mask = "" if left is None else self._first_lanes(left[written])
        address, size = corner.address, str(target.dtype.itemsize)
        for i, row in enumerate(transposed(code, kind, rows)):
            with nullcontext() if left is None else code.when(code.op(f"icmp slt i64 {i}, {left[read]}")):
                place = elementary.Place(address, size, ())
                elementary.store(code, target.dtype, count, place, row, mask, id(node) in self.rounded)
            address = code.op(f"getelementptr i8, ptr {address}, i64 {corner.step}")
        self._leave()
