"""Places outside of their memory, looked for before a program runs: `compile(…, debug=True)`.

Where a kernel reads and writes is known before it runs: along each axis the place moves evenly, and indices that come
from other values are checked in every program. So the bounds are checked once, for all runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.backends.native.executable import describe
from chainrule.backends.native.lowering.contract import Product
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.nest import Axis, Nest, Operand
from chainrule.backends.native.lowering.place import Buffer
from chainrule.backends.native.lowering.winograd import ByWinograd
from chainrule.errors import ChainruleError


class BoundsError(ChainruleError, AssertionError):
    """A compiled kernel would leave the memory of a value: a mistake in the compiler, not in the program."""


def check_bounds(groups: Sequence[Group]) -> None:
    """Raise BoundsError if a kernel reads or writes outside of a buffer."""
    for group in groups:
        if group.loop is not None:
            check_bounds(group.loop.groups)
        for operand in group.nest.operands():
            steps = _steps(group.nest, operand)
            if steps is not None:
                _check(group, operand.buffer, operand.offset, steps)
        if group.own is not None:
            for buffer, offset, steps in group.own.reaches():
                _check(group, buffer, offset, steps)
        if group.product is not None:
            for buffer, offset, steps in _factors(group.product):
                _check(group, buffer, offset, steps)


def _steps(nest: Nest, operand: Operand) -> list[tuple[int, int, int]] | None:
    """(first, last, stride) of everything that moves the place; None if it is never read."""
    extents = dict(enumerate(nest.extents))
    if nest.split is not None:
        extents[Axis.PIECES] = -(-nest.extents[nest.split[0]] // nest.split[1])
    steps = []
    for axis, extent in extents.items():
        first, last = 0, extent - 1
        if operand.spread > 1 and nest.sliding is not None and axis == nest.sliding.vector:
            last -= last % operand.spread
        for guard in operand.guards:
            if guard.axis == axis:
                first, last = max(first, guard.low), min(last, guard.high - 1)
        if last < first:
            return None
        times = operand.times(axis)
        steps.append((first // times, last // times, operand.strides.get(axis, 0)))
    return steps + [(0, term.extent - 1, term.stride) for term in operand.terms]


def _factors(product: Product | ByWinograd) -> Iterable[tuple[Buffer, int, list[tuple[int, int, int]]]]:
    """A contraction's A and B: where they begin, and what moves the place."""
    if isinstance(product, ByWinograd):
        for view in product.factors:
            yield view.buffer, view.offset, [(0, n - 1, s) for n, s in zip(view.shape, view.strides, strict=True)]
        return
    k = [*product.segments, product.run]
    a = [(n, s) for n, s, _ in (*product.batch, product.groups, *k)] + list(product.rows)
    b = [(n, s) for n, _, s in (*product.batch, product.groups, *k)] + [(product.columns, 1)]
    for (buffer, offset), steps in ((product.a, a), (product.b, b)):
        yield buffer, offset, [(0, n - 1, s) for n, s in steps]


def _check(group: Group, buffer: Buffer, offset: int, steps: Sequence[tuple[int, int, int]]) -> None:
    low = offset + sum(min(first * s, last * s) for first, last, s in steps)
    high = offset + sum(max(first * s, last * s) for first, last, s in steps)
    if low < 0 or high >= buffer.size:
        raise BoundsError(
            f"the kernel {describe(group)!r} touches entries {low} to {high} of a buffer of {buffer.size}. This is a "
            "mistake in chainrule's compiler: please report it with the step that shows it."
        )
