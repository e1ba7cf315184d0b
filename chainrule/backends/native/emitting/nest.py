"""From a nest to LLVM's language: loops, vectors along one axis, and the scalar rest at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.native.language import elementary
from chainrule.backends.native.language.code import Code, Lanes
from chainrule.backends.native.language.draws import DRAWS, draw
from chainrule.backends.native.language.halves import EXACT, is_half, rounded
from chainrule.backends.native.lowering.nest import REDUCTIONS, RUNNING, Nest, Node, Operand
from chainrule.backends.native.lowering.views import Buffer

#: A part of a nest takes about so many entries: enough to make starting it cheap, few enough to share out.
PART = 2**14
#: So many sums go side by side where a loop does little else.
WAYS = 4
#: The axis that counts the pieces of a split reduction.
PIECE = -1
#: The axis within a bundle: neighbouring places of a kept axis whose sums go side by side and share what they read.
BUNDLED = -2


class Slot(NamedTuple):
    """Stands among a kernel's numbers for the base slot of a buffer, until memory has been planned."""

    buffer: Buffer


class Offset(NamedTuple):
    """Stands for a byte offset in a buffer's base slot."""

    buffer: Buffer
    bytes: int


class Check(NamedTuple):
    """Stands for the number under which a failed check of an index is reported."""

    path: str


class Kernel(NamedTuple):
    """Code and what it is called with.

    Attributes:
        code: the text of the function, which knows no sizes and no addresses; equal texts are one function.
        numbers: extents, strides and addresses for this use of it.
        parts: how many pieces of work it has.
    """

    code: Code
    numbers: list[Any]
    parts: int


class Shape(NamedTuple):
    """How the grid is walked: axes joined where memory allows it, and in which order.

    Attributes:
        outer: kept axes, from outside to inside, each a tuple of joined grid axes (their extents multiplied).
        reduced: reduced axes likewise.
        vector: the axis along which vectors lie, the last of `outer` or of `reduced`; None for a single place.
    """

    extents: dict[int, int]
    outer: tuple[int, ...]
    reduced: tuple[int, ...]
    vector: int | None


def walk(nest: Nest) -> Shape:
    """Choose the order of the loops by how the operands lie in memory, and join axes that follow without a gap."""
    operands = nest.operands()
    extents, split = dict(enumerate(nest.extents)), nest.split
    if split is not None:
        extents[PIECE] = -(-extents[split[0]] // split[1])
        extents[split[0]] = split[1]
    weight = {axis: _closeness(operands, axis) for axis in extents}
    live = [axis for axis, extent in extents.items() if extent != 1 or axis == PIECE]
    outer = sorted((a for a in live if a not in nest.reduced), key=lambda a: weight[a], reverse=True)
    reduced = sorted((a for a in live if a in nest.reduced), key=lambda a: weight[a], reverse=True)
    fixed = {PIECE, split[0]} if split else set()
    fixed |= {node.detail for node in nest.nodes if node.op == "position"}
    fixed |= {guard.axis for operand in operands for guard in operand.guards}
    fixed |= nest.sliding.axes if nest.sliding is not None else set()
    if any(node.op == "Argmax" for node in nest.nodes):
        fixed |= set(reduced)
        reduced = sorted(reduced)  # the position counts in the order of the dimensions
    if split is not None:
        outer.remove(PIECE)
        outer.insert(0, PIECE)
    outer, reduced = _join(outer, operands, extents, fixed), _join(reduced, operands, extents, fixed)
    if nest.sequential:
        reduced = sorted(reduced)
    last = [
        axes[-1]
        for axes in (outer, reduced)
        if axes and axes[-1] != PIECE and not (nest.sequential and axes is reduced)
    ]
    vector = min(last, key=lambda a: (extents[a] < 8, _misfit(operands, a), a in nest.reduced), default=None)
    return Shape(extents, tuple(outer), tuple(reduced), vector)


def _closeness(operands: Sequence[Operand], axis: int) -> tuple[float, int]:
    steps = [abs(o.strides.get(axis, 0)) for o in operands if o.strides.get(axis, 0)]
    return (float(np.mean(np.log2(steps))) if steps else 64.0, -axis)


def _misfit(operands: Sequence[Operand], axis: int) -> int:
    """How many operands are neither constant nor contiguous along an axis."""
    return sum(o.strides.get(axis, 0) not in (0, 1) for o in operands)


def _join(axes: list[int], operands: Sequence[Operand], extents: dict[int, int], fixed: set[int]) -> list[int]:
    joined: list[int] = []
    for axis in axes:
        if joined and axis not in fixed and joined[-1] not in fixed:
            before = joined[-1]
            if (
                extents[axis]
                and extents[before]
                and all(o.strides.get(before, 0) == o.strides.get(axis, 0) * extents[axis] for o in operands)
            ):
                extents[axis] *= extents[before]
                joined[-1] = axis
                continue
        joined.append(axis)
    return joined


def _cut(nest: Nest, axis: int, chunk: int) -> None:
    """Walk a split axis by pieces: what moves along it moves from piece to piece too."""
    for operand in nest.operands():
        if operand.strides.get(axis):
            operand.strides[PIECE] = operand.strides[axis] * chunk
    for node in nest.nodes:
        if axis in node.axes:
            node.axes |= {PIECE}


def bundle(nest: Nest, shape: Shape) -> int:
    """Bundle neighbouring places of a kept axis, if their sums read the same entries; answers how many, or 0.

    In y[c, w] = Σ_k a[c, k] · x[k, w] six c at a time read every x once instead of six times.
    """
    inner = [node for node in nest.nodes if node.op == "load" and node.axes & nest.reduced]
    depth = math.prod(shape.extents[a] for a in shape.reduced)
    reductions = [node for node in nest.nodes if node.op in REDUCTIONS]
    operands = nest.operands()
    if (
        len(reductions) != 1 or reductions[0].op != "Sum" or len(inner) < 2 or len(nest.nodes) > 12 or depth < 16
        or nest.sequential or nest.sliding is not None or any(o.terms or o.guards for o in operands)
        or any(node.op in ("position", "block") for node in nest.nodes)
        or any(a in nest.reduced and s for _, o in nest.stores for a, s in o.strides.items())
    ):  # fmt: skip
        return 0
    best = max(
        ((_shared(inner, axis, shape.vector), count, axis) for axis in shape.outer if axis not in (shape.vector, PIECE)
         and (count := next((n for n in (8, 7, 6, 5, 4) if shape.extents[axis] % n == 0), 0))),
        default=(0, 0, 0),
    )  # fmt: skip
    shared, count, axis = best
    if not shared:
        return 0
    for operand in operands:
        if stride := operand.strides.get(axis, 0):
            operand.strides[axis], operand.strides[BUNDLED] = stride * count, stride
    for node in nest.nodes:
        if axis in node.axes:
            node.axes |= {BUNDLED}
    shape.extents[axis] //= count
    return count


def _shared(loads: Sequence[Node], axis: int, vector: int | None) -> int:
    """How much reading neighbours along an axis share: vectors count more than single entries."""
    return sum(2 if vector in node.axes else 1 for node in loads if axis not in node.axes)


def _turn_inside_out(nest: Nest) -> None:
    """A transposing copy: walk along what is read in the innermost loop, for one vector of what is written.

    Otherwise every cache line that is read would have left the cache before its next entry is asked for.
    """
    loads = [node.detail for node in nest.nodes if node.op == "load"]
    if len(loads) != 1 or len(nest.stores) != 1 or nest.reduced or any(n.op == "block" for n in nest.nodes):
        return
    (source,), (_, target) = loads, nest.stores[0]
    read = [a for a, s in source.strides.items() if s == 1 and nest.extents[a] >= 16]
    written = [a for a, s in target.strides.items() if s == 1 and nest.extents[a] >= 16]
    plain = not source.terms and not source.guards and not target.terms
    if plain and len(read) == 1 == len(written) and read != written and target.strides.get(read[0]):
        nest.reduced, nest.sequential = frozenset(read), True


class Emitter:
    """Writes the function of one nest."""

    def __init__(self, nest: Nest, name: str, vector_bits: int = 512) -> None:
        self.nest = nest = nest.copy()  # how it is walked is changed below
        if nest.split is not None:
            _cut(nest, *nest.split)
        _turn_inside_out(nest)
        self.shape = walk(nest)
        self.bundle = bundle(nest, self.shape)
        self.operands = nest.operands()
        self.slots = {id(operand): i for i, operand in enumerate(self.operands)}
        self.numbers: list[Any] = []
        self.vector = self.shape.vector
        self.lanes = vector_bits // max([n.dtype.itemsize * 8 for n in nest.nodes if n.dtype.kind == "f"] + [32])
        self.strip = self.vector is not None and self.vector not in nest.reduced
        self.inner = nest.reduced | {BUNDLED}
        self.code = Code("void", name, [("ptr", "%n"), ("ptr", "%bases"), ("i64", "%part"), ("ptr", "%scratch")])
        self.status = self.check = self.mask = ""
        self.has_block = False
        self.side_by_side: int | None = None
        self._stage()

    # ------------------------------------------------------------------------------------- planning

    def _stage(self) -> None:
        """For each node the number of walks along the reduced axes that must be over before it is known."""
        self.stage: dict[int, int] = {}
        for node in self.nest.nodes:
            stage = max((self.stage[id(x)] for x in node.inputs), default=0)
            self.stage[id(node)] = stage + (node.op in REDUCTIONS)
        self.stages = max(self.stage.values(), default=0)

    def number(self, value: Any) -> str:
        """A number the code reads from its arguments."""
        index = len(self.numbers)
        self.numbers.append(value)
        return self.code.load("i64", self.code.at("%n", "i64", str(index)))

    def mul(self, x: str, y: str) -> str:
        """x · y."""
        return y if x == "1" else x if y == "1" else self.code.op(f"mul i64 {x}, {y}")

    def add(self, x: str, y: str) -> str:
        """x + y."""
        return y if x == "0" else x if y == "0" else self.code.op(f"add i64 {x}, {y}")

    # ------------------------------------------------------------------------------------- the function

    def emit(self) -> Kernel:
        """Write the function that does one part of the grid."""
        code, shape = self.code, self.shape
        base = self._prepare()
        rows = [axis for axis in shape.outer if axis != self.vector and axis not in self.inner]
        per_row, per_part, parts = self._partition(rows)
        row_parts = self.number(parts[0])
        rows_each, columns_each = self.number(per_row), self.number(per_part)
        row = code.op(f"urem i64 %part, {row_parts}")
        column = code.op(f"udiv i64 %part, {row_parts}")
        total = self.number(math.prod(shape.extents[a] for a in rows))
        first = self.mul(row, rows_each)
        last = code.call("i64", "llvm.smin.i64", ("i64", self.add(first, rows_each)), ("i64", total))
        low = high = "0"
        if self.strip:
            assert self.vector is not None
            low = self.mul(column, columns_each)
            high = code.call(
                "i64", "llvm.smin.i64", ("i64", self.add(low, columns_each)), ("i64", self.extent[self.vector])
            )
        self._rows(rows, first, last, low, high, base)
        code.do("ret void")
        return Kernel(code, self.numbers, parts[0] * parts[1])

    def _prepare(self) -> dict[int, str]:
        """Read all numbers the loops need; the answer is where each operand begins."""
        code, shape = self.code, self.shape
        self.extent = {axis: self.number(shape.extents[axis]) for axis in (*shape.outer, *shape.reduced)}
        self.stride = {
            (id(o), axis): self.number(o.strides[axis] * o.dtype.itemsize)
            for o in self.operands
            for axis in (*shape.outer, *shape.reduced, BUNDLED)
            if o.strides.get(axis, 0) and not (axis == self.vector and abs(o.strides[axis]) == 1)
        }
        base = {}
        for o in self.operands:
            slot, offset = self.number(Slot(o.buffer)), self.number(Offset(o.buffer, o.offset * o.dtype.itemsize))
            memory = code.load("ptr", code.at("%bases", "ptr", slot))
            base[id(o)] = code.op(f"getelementptr i8, ptr {memory}, i64 {offset}")
        if any(o.terms or o.reports for o in self.operands):
            self.status, self.check = code.load("ptr", "%bases"), self.number(Check(self.nest.path))
        self.term_numbers = {
            (id(o), i): (self.number(t.extent), self.number(t.stride * o.dtype.itemsize))
            for o in self.operands
            for i, t in enumerate(o.terms)
        }
        self.guard_numbers = {
            (id(o), i): (self.number(g.low), self.number(g.high)) for o in self.operands for i, g in enumerate(o.guards)
        }
        return base

    def _rows(self, rows: Sequence[int], first: str, last: str, low: str, high: str, base: dict[int, str]) -> None:
        """The loop over rows of the grid, from `first` to `last`; along the vector from `low` to `high`."""
        self.scopes: list[dict[int, str]] = [{}]
        self.at = [base]
        self.index: dict[int, str] = {}
        self._evaluate(lambda node: not node.axes and self.stage[id(node)] == 0, 1)
        if self.nest.split is not None:
            piece_length, whole = self.number(self.nest.split[1]), self.number(self.nest.extents[self.nest.split[0]])
        with self.code.loop(first, last) as loop:
            self.row = loop.index
            self._enter(rows, self._decompose(loop.index, rows))
            if self.nest.split is not None:
                axis = self.nest.split[0]
                self.piece = self.mul(self.index[PIECE], piece_length)
                left = self.code.op(f"sub i64 {whole}, {self.piece}")
                self.extent[axis] = self.code.call("i64", "llvm.smin.i64", ("i64", piece_length), ("i64", left))
            kept = frozenset(rows)
            self._evaluate(lambda node: node.axes <= kept and self.stage[id(node)] == 0, 1)
            if self.strip:
                self._strip(low, high)
            else:
                self._stages(1)
            self._leave()

    def emit_block(self, rows: Sequence[int], column: int) -> Kernel:
        """Write the function that finishes a block of a contraction's result.

        Its rows are numbered through the axes `rows`; its columns lie along the vector. The block itself has its
        rows `%ld` bytes apart.
        """
        head = ["%n", "%bases", "%block"]
        numbers = ["%first", "%count", "%low", "%columns", "%ld"]
        self.code = Code("void", self.code.name, [("ptr", x) for x in head] + [("i64", x) for x in numbers])
        self.vector, self.strip = column, True
        self.has_block = not any(n.op == "block" and n.axes for n in self.nest.nodes)
        rows = [axis for axis in rows if self.nest.extents[axis] != 1]
        extents = dict(enumerate(self.nest.extents))
        if self.nest.operands_along(PIECE):
            rows = [PIECE, *rows]
            extents[PIECE] = 0
        self.shape = Shape(extents, (*rows, column), (), column)
        base = self._prepare()
        last = self.add("%first", "%count")
        self._rows(rows, "%first", last, "%low", self.add("%low", "%columns"), base)
        self.code.do("ret void")
        return Kernel(self.code, self.numbers, 0)

    def _partition(self, rows: Sequence[int]) -> tuple[int, int, tuple[int, int]]:
        """Rows per part, columns per part, and how many parts there are of each."""
        extents = self.shape.extents
        total = math.prod(extents[a] for a in rows)
        width = extents[self.vector] if self.strip and self.vector is not None else 1
        depth = self._depth()
        if 0 in (total, width):
            return 1, 1, (0, 0)
        if width * depth >= 2 * PART and self.strip:
            columns = max(64, PART // max(depth, 1) // 64 * 64)
            return 1, columns, (total, -(-width // columns))
        each = max(1, PART // max(width * depth, 1))
        return each, width, (-(-total // each), 1)

    def _depth(self) -> int:
        """How much is done at each place."""
        return math.prod(self.shape.extents[a] for a in self.shape.reduced) * (self.bundle or 1)

    def _decompose(self, place: str, axes: Sequence[int]) -> dict[int, str]:
        """The index along each axis from the number of the row."""
        index = {}
        for i, axis in enumerate(reversed(axes)):
            if i == len(axes) - 1:
                index[axis] = place
            else:
                index[axis] = self.code.op(f"urem i64 {place}, {self.extent[axis]}")
                place = self.code.op(f"udiv i64 {place}, {self.extent[axis]}")
        return index

    def _enter(self, axes: Sequence[int], index: dict[int, str]) -> None:
        """Go into a loop: all addresses move along with its indices."""
        pointers = dict(self.at[-1])
        for o in self.operands:
            moves = [self.mul(index[a], self.stride[id(o), a]) for a in axes if (id(o), a) in self.stride]
            if moves:
                move = moves[0]
                for other in moves[1:]:
                    move = self.add(move, other)
                pointers[id(o)] = self.code.op(f"getelementptr i8, ptr {pointers[id(o)]}, i64 {move}")
        self.at.append(pointers)
        self.index = {**self.index, **index}
        self.scopes.append({})

    def _leave(self) -> None:
        self.at.pop()
        self.scopes.pop()

    def _strip(self, low: str, high: str) -> None:
        """Vectors along the kept vector axis."""
        assert self.vector is not None
        for start, masked in self._pieces(low, high):
            with self.code.loop(start, high if masked else self.whole, str(self.lanes)) as loop:
                self._mask_rest(loop.index, high, masked)
                self._enter([], {self.vector: loop.index})
                self._evaluate(lambda node: not node.axes & self.inner and self.stage[id(node)] == 0, self.lanes)
                self._stages(self.lanes)
                self._leave()
            self.mask = ""

    def _pieces(self, low: str, high: str) -> list[tuple[str, bool]]:
        """A range as (start, masked): whole vectors, and the rest as one vector with some of its lanes masked out."""
        width = high if low == "0" else self.code.op(f"sub i64 {high}, {low}")
        self.whole = self.add(low, self.code.op(f"and i64 {width}, {-self.lanes}"))
        return [(low, False), (self.whole, True)]

    def _mask_rest(self, index: str, high: str, masked: bool) -> None:
        if masked:
            left = self.code.op(f"sub i64 {high}, {index}")
            kind = Lanes("i32", self.lanes)
            limit = self.code.spread(kind, self.code.op(f"trunc i64 {left} to i32"))
            self.mask = self.code.op(f"icmp slt {kind.text} {elementary.count(kind)}, {limit}")

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
            self._evaluate(lambda node, s=after: not node.axes & outside and self.stage[id(node)] == s, lanes)  # type: ignore[misc]
        for store in self.nest.stores:
            if not self._inner(store):
                self._store(store, lanes)

    def _bundled(self, lanes: int) -> None:
        """One walk along the reduced axes for all places of a bundle; then each place is finished."""
        (reduction,) = (node for node in self.nest.nodes if node.op in REDUCTIONS)
        wide = not self.strip and self.vector is not None
        width = self._width(reduction.inputs[0], self.lanes if wide else lanes)
        sums = [self._start(reduction, width)] * self.bundle
        found = self._loops(list(self.shape.reduced), [reduction], [], sums, self.lanes if wide else lanes)
        for place, values in enumerate(found):
            self._enter([BUNDLED], {BUNDLED: str(place)})
            self.scopes[-1][id(reduction)] = (self._across(reduction, values, self.lanes) if wide else values)[-1]
            self._evaluate(lambda node: not node.axes & self.nest.reduced, lanes)
            for store in self.nest.stores:
                self._store(store, lanes)
            self._leave()

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
        light = len(self.nest.nodes) <= 8 and not stores and not self.nest.sequential
        self.side_by_side = plain[-1] if plain and light and self.shape.extents[plain[-1]] > 1 else None
        start = [item for node in reductions for item in self._start(node, self._width(node.inputs[0], lanes))]
        sets = self._loops(axes, reductions, stores, [start] * (WAYS if self.side_by_side is not None else 1), lanes)
        for i, node in enumerate(reductions):
            partial = [self._pick(values, reductions, i) for values in sets]
            if node.op in RUNNING:
                continue
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
        """The loops along the reduced axes, outermost first; answers what was accumulated, for each set of sums."""
        if not axes:
            return self._turns(reductions, stores, sets, lanes)
        axis = axes[0]
        if axis == self.vector:
            return self._vector_loop(axis, reductions, stores, sets, lanes)
        if axis == self.side_by_side and len(sets) > 1:
            extent = self.extent[axis]
            whole = self.code.op(f"and i64 {extent}, {-WAYS}")
            with self._carrying("0", whole, WAYS, sets) as (loop, held):
                following = []
                for way, values in enumerate(held):
                    index = self.add(loop.index, str(way))
                    self._enter([axis], {axis: index})
                    following += self._loops(axes[1:], reductions, stores, [values], lanes)
                    self._leave()
                loop.next = [value for values in following for value in values]
            sets = self._typed(sets, loop.carried)
            with self._carrying(whole, extent, 1, sets[:1]) as (loop, held):
                self._enter([axis], {axis: loop.index})
                loop.next = self._loops(axes[1:], reductions, stores, held, lanes)[0]
                self._leave()
            return [list(loop.carried), *[[value for _, value in values] for values in sets[1:]]]
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
        """What is done at one place, or at all places of a bundle."""
        if not self.bundle:
            return [self._turn(reductions, stores, [value for _, value in sets[0]], lanes)]
        following = []
        for place, values in enumerate(sets):
            self._enter([BUNDLED], {BUNDLED: str(place)})
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
            return elementary.later_or_larger(code, kind, x, y, last_nan=node.detail == "last NaN")
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
                    mask = ", ".join(f"i32 {side * half + i}" for i in range(half))
                    parts[side].append(
                        self.code.op(f"shufflevector {kind.text} {value}, {kind.text} poison, <{half} x i32> <{mask}>")
                    )
            values, lanes = self._combine(node, parts[0], parts[1], half), half
        return values

    # ------------------------------------------------------------------------------------- values

    def _evaluate(self, chosen: Callable[[Node], bool], lanes: int) -> None:
        """Compute here, once, what the loops further inside will use."""
        for node in self.nest.nodes:
            if node.op in REDUCTIONS or node.op in RUNNING or node.op in ("constant", "block"):
                continue
            if chosen(node) and self._known(node) is None and not self._waits_for_block(node):
                self._value(node, lanes)

    def _waits_for_block(self, node: Node) -> bool:
        return self.has_block and (node.op == "block" or any(self._waits_for_block(x) for x in node.inputs))

    def _known(self, node: Node) -> str | None:
        for scope in reversed(self.scopes):
            if id(node) in scope:
                return scope[id(node)]
        return None

    def _width(self, node: Node, lanes: int) -> int:
        return lanes if self.vector in node.axes else 1

    def _value(self, node: Node, lanes: int) -> str:
        known = self._known(node)
        if known is None:
            known = self.scopes[-1][id(node)] = self._compute(node, lanes)
        return known

    def _fit(self, node: Node, lanes: int, width: int) -> str:
        """The value with so many lanes: what does not vary along the vector is the same in all."""
        if node.op == "constant":
            return elementary.splat(node.dtype, width, node.detail)
        value = self._value(node, lanes)
        if self._width(node, lanes) == width:
            return value
        kind = elementary.register(node.dtype, width)
        one = self.code.op(f"extractelement <1 x {kind.element}> {value}, i64 0")
        return self.code.spread(kind, one)

    def _compute(self, node: Node, lanes: int) -> str:
        width = self._width(node, lanes)
        if node.op == "constant":
            return elementary.splat(node.dtype, width, node.detail)
        if node.op == "load":
            return self._load(node, lanes, width)
        if node.op == "position":
            return self._position(node, width)
        if node.op == "block":
            return self._block(node, width)
        inputs = [self._fit(x, lanes, width) for x in node.inputs]
        if node.op in DRAWS:
            return draw(self.code, node.op, node.dtype, node.detail, width, inputs)
        if node.op == "Cast":
            return elementary.cast(self.code, node.inputs[0].dtype, node.dtype, width, inputs[0])
        value = elementary.apply(self.code, node.op, node.inputs[-1].dtype, width, inputs)
        return rounded(self.code, node.dtype, width, value) if is_half(node.dtype) and node.op not in EXACT else value

    def _block(self, node: Node, width: int) -> str:
        """What a contraction made, from its block."""
        code, size = self.code, node.dtype.itemsize
        row = code.op(f"sub i64 {self.row}, %first")
        column = code.op(f"sub i64 {self.index.get(self.vector, '%low')}, %low")  # type: ignore[arg-type]
        place = self.add(self.mul(row, "%ld"), self.mul(column, str(size)))
        address = code.op(f"getelementptr i8, ptr %block, i64 {place}")
        return code.load(elementary.register(node.dtype, width).text, address, size)

    def _position(self, node: Node, width: int) -> str:
        kind = Lanes("i64", width)
        value = self.code.spread(kind, self._absolute(node.detail))
        if width > 1:
            value = self.code.op(f"add {kind.text} {value}, {elementary.count(kind)}")
        return elementary.cast(self.code, np.dtype(np.int64), node.dtype, width, value)

    # ------------------------------------------------------------------------------------- memory

    def _load(self, node: Node, lanes: int, width: int) -> str:
        operand: Operand = node.detail
        place = self._place(operand, lanes, width)
        mask = self._guard(operand, width)
        if self.mask and width > 1:
            mask = self.code.op(f"and <{width} x i1> {mask}, {self.mask}") if mask else self.mask
        return elementary.load(self.code, operand.dtype, width, place, mask, operand.constant)

    def _store(self, store: tuple[Node, Operand], lanes: int) -> None:
        node, operand = store
        if operand.reports:
            self._report(node, lanes)
            return
        moving = bool(operand.strides.get(self.vector, 0)) if self.vector is not None else False
        moving = moving or any(self.vector in term.place.axes for term in operand.terms)
        width = lanes if moving else 1
        if width == 1 and self._width(node, lanes) > 1:
            raise AssertionError("a value varies along the vector and its place does not")
        value = self._fit(node, lanes, width)
        mask = self.mask if width > 1 else ""
        elementary.store(self.code, operand.dtype, width, self._place(operand, lanes, width), value, mask)

    def _report(self, node: Node, lanes: int) -> None:
        """Set the error word where the value is true."""
        width = self._width(node, lanes)
        wrong = self._value(node, lanes)
        if self.mask and width > 1:
            wrong = self.code.op(f"and <{width} x i1> {wrong}, {self.mask}")
        elementary.report(self.code, wrong, width, self.status, self.check)

    def _place(self, operand: Operand, lanes: int, width: int) -> elementary.Place:
        """The address of an operand's entries: one, and the distance from lane to lane."""
        code, size = self.code, operand.dtype.itemsize
        address = self.at[-1][id(operand)]
        step, vector_terms = "0", []
        for i, term in enumerate(operand.terms):
            extent, stride = self.term_numbers[id(operand), i]
            index = self._checked(term.place, extent, lanes)
            if self._width(term.place, lanes) == 1:
                one = code.op(f"extractelement <1 x i64> {index}, i64 0")
                address = code.op(f"getelementptr i8, ptr {address}, i64 {self.mul(one, stride)}")
            else:
                vector_terms.append((index, stride))
        along = operand.strides.get(self.vector, 0) if self.vector is not None else 0
        if along:
            assert self.vector is not None
            if abs(along) == 1:
                step = str(along * size)
                move = self.mul(self.index[self.vector], step)
            else:
                step = self.stride[id(operand), self.vector]
                move = self.mul(self.index[self.vector], step)
            address = code.op(f"getelementptr i8, ptr {address}, i64 {move}")
        if width == 1 and vector_terms:
            for index, stride in vector_terms:
                one = code.op(f"extractelement <1 x i64> {index}, i64 0")
                address = code.op(f"getelementptr i8, ptr {address}, i64 {self.mul(one, stride)}")
            vector_terms = []
        return elementary.Place(address, step if width > 1 else "0", tuple(vector_terms))

    def _checked(self, index: Node, extent: str, lanes: int) -> str:
        """An index from memory: counted from the end if negative; outside of the range it sets the error word."""
        key = (id(index), extent)
        for scope in reversed(self.scopes):
            if key in scope:  # type: ignore[comparison-overlap]
                return scope[key]  # type: ignore[index]
        code, width = self.code, self._width(index, lanes)
        value = elementary.cast(code, index.dtype, np.dtype(np.int64), width, self._value(index, lanes))
        mask = self.mask if width > 1 else ""
        checked = elementary.checked_index(code, value, extent, width, self.status, self.check, mask)
        self.scopes[-1][key] = checked  # type: ignore[index]
        return checked

    def _absolute(self, axis: int) -> str:
        """The index along an axis, counted from the start of the whole grid."""
        if self.nest.split is not None and axis == self.nest.split[0]:
            return self.add(self.piece, self.index[axis])
        return self.index.get(axis, "0")

    def _guard(self, operand: Operand, width: int) -> str:
        """A mask of the lanes for which memory holds an entry; "" if it is all of them."""
        mask, kind = "", Lanes("i64", width)
        for i, guard in enumerate(operand.guards):
            index = self.code.spread(kind, self._absolute(guard.axis))
            if guard.axis == self.vector and width > 1:
                index = self.code.op(f"add {kind.text} {index}, {elementary.count(kind)}")
            for limit, test in zip(self.guard_numbers[id(operand), i], ("sge", "slt"), strict=True):
                holds = self.code.op(f"icmp {test} {kind.text} {index}, {self.code.spread(kind, limit)}")
                mask = holds if not mask else self.code.op(f"and <{width} x i1> {mask}, {holds}")
        return mask
