"""What `compile(…, debug=True)` looks at: places outside of their memory, and the first NaN or infinity.

Where a kernel reads and writes is known before it runs: along each axis the place moves evenly, and indices that come
from other values are checked in every program. So the bounds are checked once, for all runs. An operation that made a
NaN is found by doing the same step again in NumPy, one operation after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.anomaly import AnomalyError, is_finite, watch
from chainrule.compiler.contract import Product
from chainrule.compiler.executable import describe
from chainrule.compiler.fuse import Group
from chainrule.compiler.nest import Nest, Operand
from chainrule.compiler.views import Buffer
from chainrule.errors import ChainruleError
from chainrule.primitives.value import Array, Symbol
from chainrule.program.graph import Equation
from chainrule.state import current_state


class BoundsError(ChainruleError, AssertionError):
    """A compiled kernel would leave the memory of a value: a mistake in the compiler, not in the program."""


# ------------------------------------------------------------------------------------- bounds


def check_bounds(groups: Sequence[Group]) -> None:
    """Raise BoundsError if a kernel reads or writes outside of a buffer."""
    for group in groups:
        if group.loop is not None:
            check_bounds(group.loop.groups)
        for operand in group.nest.operands():
            steps = _steps(group.nest, operand)
            if steps is not None:
                _check(group, operand.buffer, operand.offset, steps)
        if group.product is not None:
            for buffer, offset, steps in _factors(group.product):
                _check(group, buffer, offset, steps)


def _steps(nest: Nest, operand: Operand) -> list[tuple[int, int, int]] | None:
    """(first, last, stride) of everything that moves the place; None if it is never read."""
    extents = dict(enumerate(nest.extents))
    if nest.split is not None:
        extents[-1] = -(-nest.extents[nest.split[0]] // nest.split[1])
    steps = []
    for axis, extent in extents.items():
        first, last = 0, extent - 1
        for guard in operand.guards:
            if guard.axis == axis:
                first, last = max(first, guard.low), min(last, guard.high - 1)
        if last < first:
            return None
        steps.append((first, last, operand.strides.get(axis, 0)))
    return steps + [(0, term.extent - 1, term.stride) for term in operand.terms]


def _factors(product: Product) -> Iterable[tuple[Buffer, int, list[tuple[int, int, int]]]]:
    """A contraction's A and B: where they begin, and what moves the place."""
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


# ------------------------------------------------------------------------------------- NaN and infinity


def all_finite(arrays: Iterable[Array]) -> bool:
    """Whether no entry is a NaN or an infinity."""
    return all(is_finite(array) for array in arrays)


def blame(equations: Sequence[Equation], known: Mapping[Symbol, Array]) -> None:
    """Do the step again in NumPy and raise AnomalyError at the first operation that makes a NaN from finite numbers.

    If the inputs hold one already, nobody is to blame.
    """
    values: dict[Any, Any] = dict(known)
    state = current_state()
    before = state.path
    try:
        for equation in equations:
            state.path = equation.path
            arrays = [values[x] if isinstance(x, Symbol) else x for x in equation.inputs]
            results = equation.evaluate(arrays)
            watch(equation.primitive, arrays, list(results))
            values.update(zip(equation.outputs, results, strict=True))
    finally:
        state.path = before
    literals = (x for equation in equations for x in equation.inputs if isinstance(x, np.ndarray))
    if all_finite(known.values()) and all_finite(literals):
        raise AnomalyError(
            "the compiled program made a NaN or an infinity where NumPy makes none: a mistake in chainrule's compiler, "
            "please report it with the step that shows it."
        )
