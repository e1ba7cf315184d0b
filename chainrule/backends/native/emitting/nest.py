"""From a nest to LLVM's language: loops, vectors along one axis, and the scalar rest at its end.

An emitter first decides how the nest is walked (`Values`), and then writes that. What it writes knows no sizes: it asks
for them (`questions.py`). So before it writes anything it can say which function it would be (`structure`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.emitting.digits import digits_of, next_digits
from chainrule.backends.native.emitting.squares import Squares
from chainrule.backends.native.emitting.structure import structure
from chainrule.backends.native.emitting.walk import NARROWEST, WAYS, entries_of_a_part, is_light
from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.lowering.nest import REDUCTIONS, RUNNING, Axis, Node, Operand


class Column(NamedTuple):
    """One of the vectors that go side by side: where it begins along the vector's axis, and what is known in it."""

    begin: str
    known: dict[Any, str]


class Emitter(Squares):
    """Writes the function of one nest."""

    # ------------------------------------------------------------------------------------- the function

    def emit(self) -> Code:
        """Write the function."""
        self._emit_part() if self.block is None else self._emit_block()
        self.code.do("ret void")
        return self.code

    def structure(self) -> Any:
        """All that the function's text depends on. Two nests of one structure have the same function."""
        return structure(
            self.nest, self.shape, (self.bundle, self.crossed, self.abreast, self.turned, self.divided), self.lifted,
            self.block is not None,
        )  # fmt: skip

    def _emit_part(self) -> None:
        """What does one part of the grid."""
        code, rows = self.code, self.rows
        base = self._prepare()
        column_parts = self.number("column parts")
        rows_each, columns_each = self.number("rows of a part"), self.number("columns of a part")
        # Parts that follow each other share rows, which are near each other in memory.
        row = code.op(f"udiv i64 %part, {column_parts}")
        column = code.op(f"urem i64 %part, {column_parts}")
        total = self.number("rows")
        first = self.mul(row, rows_each)
        last = code.least(self.add(first, rows_each), total)
        low = high = "0"
        if self.strip:
            assert self.divided is not None
            low = self.mul(column, columns_each)
            high = code.least(self.add(low, columns_each), self.extent[self.divided])
        self._rows(rows, first, last, low, high, base)

    def _rows(self, rows: Sequence[int], first: str, last: str, low: str, high: str, base: dict[int, str]) -> None:
        """The loop over rows of the grid, from `first` to `last`; along the vector from `low` to `high`."""
        self.scopes, self.at, self.index = [{}], [base], {}
        self._evaluate(lambda node: not node.axes and self.stage[id(node)] == 0, 1)
        if self.nest.split is not None:
            piece_length, whole = self.number("length of a piece"), self.number("entries in pieces")
        bases = [self.extent[axis] for axis in rows[1:]]
        digits = digits_of(self.code, first, bases) if rows else []
        with self.code.loop(first, last, carried=[("i64", digit) for digit in digits]) as loop:
            self.row = loop.index
            self._enter(rows, dict(zip(rows, loop.carried, strict=True)))
            if self.nest.split is not None:
                axis = self.nest.split[0]
                self.piece = self.mul(self.index[Axis.PIECES], piece_length)
                left = self.code.op(f"sub i64 {whole}, {self.piece}")
                self.extent[axis] = self.code.least(piece_length, left)
            kept = frozenset(rows)
            self._evaluate(lambda node: node.axes <= kept and self.stage[id(node)] == 0, 1)
            if self.turned is not None:
                self._squares(low, high)
            elif self.strip:
                self._strip(low, high)
            else:
                self._stages(1)
            self._leave()
            loop.next = next_digits(self.code, loop.carried, bases) if rows else []

    def _emit_block(self) -> None:
        """What finishes a block of a contraction's result. The block itself has its rows `%ld` bytes apart."""
        base = self._prepare()
        last = self.add("%first", "%count")
        self._rows(self.rows, "%first", last, "%low", self.add("%low", "%columns"), base)

    @functools.cached_property
    def sizes(self) -> dict[str, int]:
        """How the work is divided, by the names under which the function asks for it."""
        sizes = {}
        if self.nest.split is not None:
            axis, length = self.nest.split
            sizes = {"length of a piece": length, "entries in pieces": self.nest.extents[axis]}
        if self.block is None:
            rows, columns, (row_parts, column_parts) = self._partition()
            sizes |= {"rows": math.prod(self.extents[a] for a in self.rows), "row parts": row_parts}
            sizes |= {"column parts": column_parts, "rows of a part": rows, "columns of a part": columns}
        return sizes

    @property
    def parts(self) -> int:
        """How many pieces of work there are; a block is finished by whoever has made it."""
        return 0 if self.block is not None else self.sizes["row parts"] * self.sizes["column parts"]

    def _partition(self) -> tuple[int, int, tuple[int, int]]:
        """Rows per part, columns per part, and how many parts there are of each."""
        extents, rows = self.extents, self.rows
        total = math.prod(extents[a] for a in rows)
        width = extents[self.divided] if self.strip and self.divided is not None else 1
        depth = self._depth()
        if 0 in (total, width):
            return 1, 1, (0, 0)
        entries = entries_of_a_part(self.nest)
        pieces = round(width * depth / entries)
        if pieces > 1 and self.strip:
            step = NARROWEST if self.advance == self.lanes else 4 * self.advance  # a part begins where a vector does
            columns = -(-width // (step * pieces)) * step
            return 1, columns, (total, -(-width // columns))
        each = max(1, round(total / max(1, math.ceil(total * width * depth / entries))))
        return each, width, (-(-total // each), 1)

    def _depth(self) -> int:
        """How much is done at each place."""
        inner = self.shape.reduced if self.turned is None else [a for a in self.turned if a != self.divided]
        return math.prod(self.shape.extents[a] for a in inner) * (self.bundle or 1) * self.crossed

    def _strip(self, low: str, high: str) -> None:
        """Vectors along the kept vector axis."""
        assert self.vector is not None
        for start, masked in self._strip_abreast(low, high) if self.abreast > 1 else self._pieces(low, high):
            with self.code.loop(start, high if masked else self.whole, str(self.advance)) as loop:
                self._mask_rest(loop.index, high, masked)
                self._enter([], {self.vector: loop.index})
                self._evaluate(lambda node: not node.axes & self.inner and self.stage[id(node)] == 0, self.lanes)
                self._stages(self.lanes)
                self._leave()
            self.mask = ""

    def _strip_abreast(self, low: str, high: str) -> list[tuple[str, bool]]:
        """Some vectors at once: every row that is walked over is read in runs of cache lines. The rest is answered."""
        code, run = self.code, self.abreast * self.advance
        width = high if low == "0" else code.op(f"sub i64 {high}, {low}")
        behind = self.add(low, code.op(f"and i64 {width}, {-run}"))
        with code.loop(low, behind, str(run)) as loop:
            self.columns = [Column(self.add(loop.index, str(i * self.advance)), {}) for i in range(self.abreast)]
            for _ in self._each_column():
                self._evaluate(lambda node: not node.axes & self.inner and self.stage[id(node)] == 0, self.lanes)
            self._stages(self.lanes)
            self.columns = []
        return [(behind, True)]

    def _each_column(self) -> Iterator[None]:
        """Stand in each of the vectors that go side by side in turn; if there are none, stay."""
        if not self.columns:
            yield
        for column in self.columns:
            assert self.vector is not None
            before = self.index
            self.index = {**before, self.vector: column.begin}
            self.scopes.append(column.known)
            yield
            self.scopes.pop()
            self.index = before

    def _pieces(self, low: str, high: str) -> list[tuple[str, bool]]:
        """A range as (start, masked): whole vectors, and the rest as one vector with some of its lanes masked out."""
        width = high if low == "0" else self.code.op(f"sub i64 {high}, {low}")
        if self.advance == self.lanes:
            self.whole = self.add(low, self.code.op(f"and i64 {width}, {-self.lanes}"))
        else:
            self.whole = self.code.op(f"sub i64 {high}, {self.code.op(f'urem i64 {width}, {self.advance}')}")
        return [(low, False), (self.whole, True)]

    def _mask_rest(self, index: str, high: str, masked: bool) -> None:
        if masked:
            self.mask = self._first_lanes(self.code.op(f"sub i64 {high}, {index}"))
        elif self.advance < self.lanes:  # the last lanes are the next vector's first
            self.mask = "<" + ", ".join(f"i1 {i < self.advance:d}" for i in range(self.lanes)) + ">"

    def _stages(self, lanes: int) -> None:
        """Walk along the reduced axes as often as values wait for the result of the walk before."""
        if self.bundle:
            self._bundled(lanes)
            return
        outside = self.nest.reduced
        for stage in range(self.stages + 1):
            reductions = [n for n in self.nest.nodes if n.op in REDUCTIONS and self.stage[id(n)] == stage + 1]
            reductions += [n for n in self.nest.nodes if n.op in RUNNING and self.stage[id(n)] == stage]
            stores = [s for s in self.nest.stores if self._inner(s) and self._store_stage(s) == stage]
            if reductions or stores:
                self._reduce(reductions, stores, lanes)
            after = stage + 1
            for _ in self._each_column():
                self._evaluate(lambda node, s=after: not node.axes & outside and self.stage[id(node)] == s, lanes)  # type: ignore[misc]
        for _ in self._each_column():
            for store in self.nest.stores:
                if not self._inner(store):
                    self._store(store, lanes)

    def _bundled(self, lanes: int) -> None:
        """One walk along the reduced axes for all places of a bundle; then each place is finished."""
        (reduction,) = (node for node in self.nest.nodes if node.op in REDUCTIONS)
        wide = not self.strip and self.vector is not None
        width = self._width(reduction.inputs[0], self.lanes if wide else lanes)
        sums = [self._start(reduction, width)] * (self.bundle * self.crossed)
        found = self._loops(list(self.shape.reduced), [reduction], [], sums, self.lanes if wide else lanes)
        for place, values in enumerate(found):
            self._enter_bundle(place)
            self.scopes[-1][id(reduction)] = (self._across(reduction, values, self.lanes) if wide else values)[-1]
            self._evaluate(lambda node: not node.axes & self.nest.reduced, lanes)
            for store in self.nest.stores:
                self._store(store, lanes)
            self._leave()

    def _enter_bundle(self, place: int) -> None:
        """Stand at one place of a bundle."""
        first, second = divmod(place, self.crossed)
        self._enter([Axis.BUNDLED, Axis.CROSSED], {Axis.BUNDLED: str(first), Axis.CROSSED: str(second)})

    def _inner(self, store: tuple[Node, Operand]) -> bool:
        node, operand = store
        axes = node.axes.union(*(t.place.axes for t in operand.terms)) | {a for a, s in operand.strides.items() if s}
        return bool(axes & self.nest.reduced)

    def _store_stage(self, store: tuple[Node, Operand]) -> int:
        return max(self.stage[id(node)] for node in (store[0], *(t.place for t in store[1].terms)))

    # ------------------------------------------------------------------------------------- reductions

    def _reduce(self, reductions: list[Node], stores: list[tuple[Node, Operand]], lanes: int) -> None:
        """One walk along the reduced axes; what it adds up is then known in the scope around it.

        A sum waits some cycles for the one before it. So where little else is done, several sums go side by side.
        """
        wide = not self.strip and self.vector is not None
        lanes = self.lanes if wide else lanes
        axes = list(self.shape.reduced)
        plain = [axis for axis in axes if axis != self.vector]
        light = is_light(self.nest) and not stores
        self.side_by_side = plain[-1] if plain and light and self.shape.extents[plain[-1]] > 1 else None
        start = [item for node in reductions for item in self._start(node, self._width(node.inputs[0], lanes))]
        ways, columns = WAYS if self.side_by_side is not None else 1, max(1, len(self.columns))
        sets = self._loops(axes, reductions, stores, [start] * (ways * columns), lanes)
        for column, _ in enumerate(self._each_column()):
            for i, node in enumerate(reductions):
                if node.op in RUNNING:
                    continue
                partial = [self._pick(values, reductions, i) for values in sets[column::columns]]
                values, width = partial[0], self._width(node.inputs[0], lanes)
                for other in partial[1:]:
                    values = self._combine(node, values, other, width)
                if wide:
                    values = self._across(node, values, lanes)
                self.scopes[-1][id(node)] = values[-1]

    def _places(self, node: Node) -> int:
        return 2 if "Arg" in node.op else 1

    def _pick(self, values: Sequence[str], reductions: Sequence[Node], i: int) -> list[str]:
        first = sum(self._places(node) for node in reductions[:i])
        return list(values[first : first + self._places(reductions[i])])

    def _loops(
        self, axes: list[int], reductions: list[Node], stores: Any, sets: list[list[tuple[str, str]]], lanes: int
    ) -> list[list[str]]:
        """The loops along the reduced axes, outermost first; answers what was accumulated, for each set of sums.

        Of sums that go side by side there is a set for each way and, within that, for each column.
        """
        columns = max(1, len(self.columns))
        if not axes:
            return self._turns(reductions, stores, sets, lanes)
        axis = axes[0]
        if axis == self.vector:
            return self._vector_loop(axis, reductions, stores, sets, lanes)
        if axis == self.side_by_side and len(sets) == WAYS * columns:
            extent = self.extent[axis]
            whole = self.code.op(f"and i64 {extent}, {-WAYS}")
            with self._carrying("0", whole, WAYS, sets) as (loop, held):
                following = []
                for way in range(WAYS):
                    self._enter([axis], {axis: self.add(loop.index, str(way))})
                    own = held[way * columns : (way + 1) * columns]
                    following += self._loops(axes[1:], reductions, stores, own, lanes)
                    self._leave()
                loop.next = [value for values in following for value in values]
            sets = self._typed(sets, loop.carried)
            with self._carrying(whole, extent, 1, sets[:columns]) as (loop, held):
                self._enter([axis], {axis: loop.index})
                loop.next = [x for values in self._loops(axes[1:], reductions, stores, held, lanes) for x in values]
                self._leave()
            sets = [*self._typed(sets[:columns], loop.carried), *sets[columns:]]
            return [[value for _, value in values] for values in sets]
        with self._carrying("0", self.extent[axis], 1, sets) as (loop, held):
            self._enter([axis], {axis: loop.index})
            loop.next = [x for values in self._loops(axes[1:], reductions, stores, held, lanes) for x in values]
            self._leave()
        return [[value for _, value in values] for values in self._typed(sets, loop.carried)]

    @contextmanager
    def _carrying(self, low: str, high: str, step: int, sets: list[list[tuple[str, str]]]) -> Iterator[Any]:
        """A loop that carries all sets of sums."""
        with self.code.loop(low, high, str(step), [item for values in sets for item in values]) as loop:
            yield loop, self._typed(sets, loop.carried)

    def _typed(self, sets: list[list[tuple[str, str]]], values: Sequence[str]) -> list[list[tuple[str, str]]]:
        """New values in place of the old ones, with their types."""
        new = iter(values)
        return [[(kind, next(new)) for kind, _ in old] for old in sets]

    def _vector_loop(
        self, axis: int, reductions: list[Node], stores: Any, sets: list[list[tuple[str, str]]], lanes: int
    ) -> list[list[str]]:
        """The innermost loop, where vectors lie along a reduced axis."""
        for low, masked in self._pieces("0", self.extent[axis]):
            with self._carrying(low, self.extent[axis] if masked else self.whole, lanes, sets) as (loop, held):
                self._mask_rest(loop.index, self.extent[axis], masked)
                self._enter([], {axis: loop.index})
                loop.next = [x for values in self._turns(reductions, stores, held, lanes) for x in values]
                self._leave()
            self.mask = ""
            sets = self._typed(sets, loop.carried)
        return [[value for _, value in values] for values in sets]

    def _turns(
        self, reductions: list[Node], stores: Any, sets: list[list[tuple[str, str]]], lanes: int
    ) -> list[list[str]]:
        """What is done at one place, or at all places of a bundle, or in all columns."""
        if self.columns:
            held = [[value for _, value in values] for values in sets]
            return [self._turn(reductions, stores, held[i], lanes) for i, _ in enumerate(self._each_column())]
        if not self.bundle:
            return [self._turn(reductions, stores, [value for _, value in sets[0]], lanes)]
        following = []
        for place, values in enumerate(sets):
            self._enter_bundle(place)
            following.append(self._turn(reductions, stores, [value for _, value in values], lanes))
            self._leave()
        return following

    def _turn(self, reductions: list[Node], stores: Any, carried: Sequence[str], lanes: int) -> list[str]:
        """What is done at one place: evaluate, accumulate, store."""
        self.scopes.append({})
        following: list[str] = []
        for i, node in enumerate(reductions):
            width = self._width(node.inputs[0], lanes)
            if self._adds_products(node):
                factors = [self._fit(x, lanes, width) for x in node.inputs[0].inputs]
                following.append(self._fused(node, factors, self._pick(carried, reductions, i)[0], width))
                continue
            new = [self._value(node.inputs[0], lanes)]
            if "Arg" in node.op:
                new.append(self._flat_position(width))
            if self.mask and not self.strip and width > 1:
                neutral = self._start(node, width)
                new = [
                    self.code.op(f"select <{width} x i1> {self.mask}, {kind} {value}, {kind} {nothing}")
                    for value, (kind, nothing) in zip(new, neutral, strict=True)
                ]
            combined = self._combine(node, self._pick(carried, reductions, i), new, width)
            if node.op in RUNNING:
                self.scopes[-1][id(node)] = combined[-1]
            following += combined
        for store in stores:
            self._store(store, lanes)
        self.scopes.pop()
        return following

    def _adds_products(self, node: Node) -> bool:
        """Whether it is a sum of products that nothing else needs: multiplied and added in one instruction."""
        product = node.inputs[0]
        return (
            node.op == "Sum"
            and product.op == "Multiply"
            and node.dtype.kind == "f"
            and self._known(product) is None
            and sum(product is x for n in self.nest.nodes for x in n.inputs) == 1
            and all(product is not n for n, _ in self.nest.stores)
        )

    def _fused(self, node: Node, factors: list[str], total: str, width: int) -> str:
        kind = elementary.register(node.dtype, width)
        answer = self.code.call(kind.text, f"llvm.fma.{kind.mangled}", *[(kind.text, x) for x in (*factors, total)])
        if self.mask and not self.strip and width > 1:
            return self.code.op(f"select <{width} x i1> {self.mask}, {kind.text} {answer}, {kind.text} {total}")
        return answer

    def _start(self, node: Node, lanes: int) -> list[tuple[str, str]]:
        """What a reduction starts from: (type, value)."""
        dtype = node.dtype if node.op in ("Sum", "Product") else node.inputs[0].dtype
        kind = elementary.register(dtype, lanes)
        if node.op == "RunningSum" and dtype.kind == "f":
            return [(kind.text, kind.splat(-0.0))]  # so that the first sum is the first entry, −0 too
        if node.op in ("Sum", "Product", "RunningSum"):
            return [(kind.text, kind.splat(node.op == "Product"))]
        lowest = kind.splat(elementary.highest(dtype) if node.op == "RunningArgmin" else elementary.lowest(dtype))
        if node.op == "Amax":
            return [(kind.text, lowest)]
        nowhere = 0 if node.op in RUNNING else 2**62
        return [(kind.text, lowest), (Lanes("i64", lanes).text, Lanes("i64", lanes).splat(nowhere))]

    def _flat_position(self, lanes: int) -> str:
        """Where this place is among the reduced ones, counted in row-major order."""
        position = "0"
        for axis in sorted(self.nest.reduced):
            if self.shape.extents[axis] == 1:
                continue
            position = self.add(self.mul(position, self.extent[axis]), self.index[axis])
        kind = Lanes("i64", lanes)
        spread = self.code.spread(kind, position)
        if lanes > 1 and not self.strip:
            return self.code.op(f"add {kind.text} {spread}, {elementary.count(kind)}")
        return spread

    def _combine(self, node: Node, x: list[str], y: list[str], lanes: int) -> list[str]:
        """Two partial results of a reduction as one."""
        code = self.code
        if node.op == "Argmax":
            kind = elementary.register(node.inputs[0].dtype, lanes)
            return elementary.later_or_larger(code, kind, x, y, last_nan=node.settings == "last NaN")
        if node.op in ("RunningArgmax", "RunningArgmin"):
            kind = elementary.register(node.inputs[0].dtype, lanes)
            return elementary.as_large(code, kind, x, y, smallest=node.op == "RunningArgmin")
        name = {"Sum": "Add", "RunningSum": "Add", "Product": "Multiply", "Amax": "Maximum"}[node.op]
        return [elementary.apply(code, name, node.dtype, lanes, [x[0], y[0]])]

    def _across(self, node: Node, values: list[str], lanes: int) -> list[str]:
        """All lanes of a partial result as one: halves are combined until one lane is left."""
        dtypes = [node.inputs[0].dtype, np.dtype(np.int64)] if node.op == "Argmax" else [node.dtype]
        while lanes > 1:
            half = lanes // 2
            parts: list[list[str]] = [[], []]
            for value, dtype in zip(values, dtypes, strict=True):
                kind = elementary.register(dtype, lanes)
                for side in (0, 1):
                    parts[side].append(self.code.shuffle(kind, range(side * half, side * half + half), value))
            values, lanes = self._combine(node, parts[0], parts[1], half), half
        return values
