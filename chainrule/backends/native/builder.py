"""From kernels to calls: which functions a program is made of, and the numbers that each call hands to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.backends.native.emitting.amx import emit_amx_tile
from chainrule.backends.native.emitting.amx_direct import emit_direct_tile, emit_direct_walk
from chainrule.backends.native.emitting.amx_laid import call_of_laying_out, emit_laid_walk, emit_laying_out, layout_for
from chainrule.backends.native.emitting.amx_walk import emit_amx_walk, plain_tile
from chainrule.backends.native.emitting.attention import emit_attention
from chainrule.backends.native.emitting.kernels import kernel_for
from chainrule.backends.native.emitting.nest import Emitter
from chainrule.backends.native.emitting.numbers import Offset, Slot
from chainrule.backends.native.emitting.product import emit_walk, numbers_of
from chainrule.backends.native.emitting.sliding import SlidingEmitter
from chainrule.backends.native.emitting.sort import emit_sort
from chainrule.backends.native.emitting.tile import Tile, emit_tile, multiplies_by_amx, multiplies_pairs, tile_of
from chainrule.backends.native.emitting.winograd import emit_winograd, numbers_of_winograd, parts_of, tile_of_winograd
from chainrule.backends.native.emitting.winograd_weight import (
    emit_winograd_weight,
    numbers_of_winograd_weight,
    parts_of_weight,
    tile_of_winograd_weight,
)
from chainrule.backends.native.language.code import Code, Finished, module_of
from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.laying import LaidOut
from chainrule.backends.native.lowering.loops import Loop, Row
from chainrule.backends.native.lowering.placing import Layout
from chainrule.backends.native.lowering.winograd import Winograd, WinogradWeight
from chainrule.backends.native.run.machine import QUICKLY, vector_bits


class Function(NamedTuple):
    """Stands among a kernel's numbers for the address of a function."""

    name: str


class Table(NamedTuple):
    """Stands among a kernel's numbers for the address of other numbers."""

    numbers: int


class Private(NamedTuple):
    """Stands among a loop's numbers for where each thread has the addresses that it changes.

    `depth` says within how many loops the loop stands: each has its own.
    """

    depth: int


class Call(NamedTuple):
    """One row of the table: the function, which numbers it gets, and how many parts.

    A loop's rows have no function. The second has the number of times instead of parts.
    """

    function: str
    numbers: int
    parts: int


def units(exact: bool) -> tuple[bool, bool]:
    """Whether products of bfloat16 are made in pairs, and large ones by AMX."""
    pairs = multiplies_pairs() and not exact
    return pairs, pairs and multiplies_by_amx()


def layout(exact: bool) -> Layout | None:
    """What says whether a product's B is laid out before it; see `Placing`."""
    return layout_for(vector_bits(), *units(exact))


def _walk_around(tile: Tile) -> Code:
    """The walk over the blocks of a product with such a tile."""
    if tile.direct:
        return emit_direct_walk(tile)
    return (emit_laid_walk if tile.laid else emit_amx_walk if tile.amx else emit_walk)(tile)


class Builder:
    """Collects the functions and numbers of all kernels.

    `pairs`, `amx`: whether products of bfloat16 are made in pairs, and large ones by AMX. `little`: whether the whole
    program is so little work that compiling quickly is worth more than code that runs quickly.
    """

    def __init__(self, exact: bool) -> None:
        self.pairs, self.amx = units(exact)
        self.functions: dict[str, Finished] = {}
        self.numbers: list[list[Any]] = []
        self.scratch = 4096
        self.little = False
        self.checks: list[str] = []

    def add(self, code: Code) -> str:
        """Take in a function; the answer is its name."""
        finished = code.finished
        if finished.name not in self.functions:
            self.functions[finished.name] = finished
        return finished.name

    def add_numbers(self, numbers: Sequence[Any]) -> int:
        """Take in numbers; the answer is their place."""
        self.numbers.append(list(numbers))
        return len(self.numbers) - 1

    def loop(self, row: Row) -> Call:
        """The row that begins a loop, or ends it."""
        loop = row.group.loop
        return Call("", self.add_numbers(_numbers_of_loop(loop, row.depth)), loop.count)

    def kernel(self, group: Group) -> Call:
        """The call of a group."""
        if group.nest.sorting is not None:
            kernel, scratch = emit_sort(group.nest.sorting)
            self.scratch = max(self.scratch, scratch)
            return Call(self.add(kernel.code), self.add_numbers(kernel.numbers), kernel.parts)
        if isinstance(group.own, LaidOut):
            return self._laying_out(group.own.product)
        if group.own is not None:
            kernel, tiles, scratch = emit_attention(group.own, vector_bits())
            for tile in tiles:
                self.add(emit_tile(tile))
            self.scratch = max(self.scratch, scratch)
            return Call(self.add(kernel.code), self.add_numbers(kernel.numbers), kernel.parts)
        kind_of_emitter = Emitter if group.nest.sliding is None else SlidingEmitter
        nest, bits, product = group.nest, vector_bits(), group.product
        nest.drop_unused()
        axes = None if product is None else (tuple(product.row_axes), product.column_axis)
        kernel = kernel_for(nest, lambda: kind_of_emitter(nest, "kernel", bits, axes), bits, axes)
        if product is None:
            return Call(self.add(kernel.code), self.add_numbers(kernel.numbers), kernel.parts)
        name = self.add(kernel.code)
        if isinstance(product, Winograd):
            return self._winograd(product, name, self.add_numbers(kernel.numbers))
        if isinstance(product, WinogradWeight):
            return self._winograd_weight(product, name, self.add_numbers(kernel.numbers))
        tile = tile_of(vector_bits(), product, self.pairs, self.amx)
        self.add((emit_direct_tile if tile.direct else emit_amx_tile if tile.amx else emit_tile)(tile))
        if tile.amx and not tile.pairs:
            self.add(emit_tile(plain_tile(tile)))
        walk = self.add(_walk_around(tile))
        table = Table(self.add_numbers(kernel.numbers))
        numbers, parts, scratch = numbers_of(product, Function(name), table, tile)
        self.scratch = max(self.scratch, scratch)
        return Call(walk, self.add_numbers(numbers), parts)

    def _laying_out(self, product: Product) -> Call:
        """The call that lays the B of a product out."""
        tile = tile_of(vector_bits(), product, self.pairs, self.amx)
        numbers, parts, scratch = call_of_laying_out(product, tile)
        self.scratch = max(self.scratch, scratch)
        return Call(self.add(emit_laying_out(tile)), self.add_numbers(numbers), parts)

    def _winograd(self, product: Winograd, finish: str, finish_numbers: int) -> Call:
        """The call of a convolution by Winograd's algorithm."""
        images, channels, columns = product.image.shape[0], *product.weight.shape[2:]
        divided = parts_of(images, product.size, channels, columns, vector_bits())
        tile = tile_of_winograd(vector_bits(), product, divided)
        walk, *_ = [self.add(code) for code in (*emit_winograd(tile, divided.times), emit_tile(tile))]
        numbers, parts, scratch = numbers_of_winograd(product, Function(finish), Table(finish_numbers), tile, divided)
        self.scratch = max(self.scratch, scratch)
        return Call(walk, self.add_numbers(numbers), parts)

    def _winograd_weight(self, product: WinogradWeight, finish: str, finish_numbers: int) -> Call:
        """The call of a convolution's gradient in its weight by Winograd's algorithm."""
        divided = parts_of_weight(product, vector_bits())
        tile = tile_of_winograd_weight(vector_bits(), product)
        walk, *_ = [self.add(code) for code in (*emit_winograd_weight(tile), emit_tile(tile))]
        numbers, parts, scratch = numbers_of_winograd_weight(
            product, Function(finish), Table(finish_numbers), tile, divided
        )  # fmt: skip
        self.scratch = max(self.scratch, scratch)
        return Call(walk, self.add_numbers(numbers), parts)

    def check(self, path: str) -> int:
        """The number under which a failed check is reported."""
        if path not in self.checks:
            self.checks.append(path)
        return self.checks.index(path) + 1

    def texts(self) -> dict[str, str]:
        """For each function a module of its own, with the functions that it calls."""
        head = QUICKLY if self.little else ""
        inner = {other for function in self.functions.values() for other in function.called}
        return {
            name: head + module_of(function, [self.functions[x] for x in function.called if x in self.functions])
            for name, function in self.functions.items()
            if name not in inner
        }


def _numbers_of_loop(loop: Loop, depth: int) -> list[Any]:
    """Where each thread has its addresses; of all that moves: slot, where it begins, step, and the partner's slot."""
    numbers: list[Any] = [Private(depth), len(loop.moving)]
    for moved in loop.moving:
        partner = 0 if moved.other is None else Slot(moved.other)
        numbers += [Slot(moved.buffer), Slot(moved.within), Offset(moved.within, moved.offset), moved.step, partner]
    return numbers
