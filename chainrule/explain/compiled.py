"""The compiled side: which kernel each operation became, what it costs, and who did what when.

A compiled step is explained as its function is, in eager code; beside that its program runs a few times and every
kernel is measured. The two are brought together by what both know of an operation: the line of the user's code, the
primitive, the shapes. Where these do not tell operations apart they come in the same order; where there is another
number of them than in the program, none is said to belong to a kernel. An operation without a kernel says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.backends.native import Native
from chainrule.backends.native.executable import rows_of
from chainrule.backends.native.lowering.place import Inside, Place, View
from chainrule.backends.native.profile import Profile
from chainrule.changes import put_back
from chainrule.explain.explanation import Explanation
from chainrule.explain.recording import Recording
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation


def add_kernels(
    found: Explanation, recording: Recording, step: Any, args: Sequence[Any], kwargs: Mapping[str, Any], runs: int
) -> None:
    """Measure the program of a compiled step and say which kernel each operation became. The runs are taken back."""
    with _unchanged(recording, step):
        step(*args, **kwargs)
        runnable = step.program.runnable
        if not isinstance(runnable, Native):
            return  # another backend has no kernels
        profile: Profile = step.profile(*args, runs=runs, **kwargs)
    found.profile = profile
    inside = sum(row.seconds for row in profile.rows) or 1.0
    found.kernels = [
        {
            "id": f"k{row.number}",
            "name": row.title,
            "microseconds": row.seconds * 1e6,
            "gflops": row.operations / row.seconds / 1e9 if row.operations and row.seconds else None,
            "share": row.seconds / inside,
            "parts": row.parts,
        }
        for row in sorted(profile.rows, key=lambda row: row.number)
    ]
    found.kernel_of, found.without_kernel = _matched(found.equations, _kernels_of(runnable))


@contextmanager
def _unchanged(recording: Recording, step: Any) -> Iterator[None]:
    """What the step writes, as its recording knows, holds again afterwards what it held before."""
    cells = [(cell, Value(cell.value.array.copy(), cell.value.source)) for cell in recording.written()]
    leaves = [(leaf, leaf.gradient, leaf.spent) for leaf in recording.collecting()]
    tables = [(table, dict(table)) for table in recording.tables()]
    left = list(step.left_behind)
    arrays = [None if gradient is None else gradient.value.array.copy() for _, gradient, _ in leaves]
    try:
        yield
    finally:
        for table, entries in tables:
            put_back(table, entries)
        step.left_behind[:] = left
        for cell, value in cells:
            cell.set_value(value)
        for (leaf, gradient, spent), array in zip(leaves, arrays, strict=True):
            leaf.gradient, leaf.spent = gradient, spent
            if gradient is not None:
                gradient.set_value(Value(array))


def _kernels_of(runnable: Native) -> list[tuple[Equation, str | None]]:
    """The kernel that computes each equation of a program; None for what is no work of its own."""
    lowering = runnable.lowered()
    rows = rows_of(lowering)
    place = {id(row.group): f"k{i}" for i, row in enumerate(rows)}
    computing = {x: place[id(g)] for g in lowering.groups if id(g) in place for x in g.values if isinstance(x, Symbol)}

    def kernel(equation: Equation) -> str | None:
        for symbol in equation.outputs:
            where = lowering.places.get(symbol)
            if symbol in computing:
                return computing[symbol]
            if isinstance(where, Inside):
                return place.get(id(where.group))
            if isinstance(where, View) and not _is_view(equation, where, lowering.places):
                writers = [place[id(g)] for g in lowering.writers.get(where.buffer, []) if id(g) in place]
                if writers:
                    return writers[-1]
        return None

    return [(equation, kernel(equation)) for equation in runnable.program.graph.equations]


def _is_view(equation: Equation, where: View, places: Mapping[Any, Place]) -> bool:
    """Whether a result only is another look at the memory of an input."""
    inputs = [places.get(x) for x in equation.inputs if isinstance(x, Symbol)]
    return any(isinstance(x, View) and x.buffer is where.buffer for x in inputs)


#: Why an operation has no kernel.
VIEW = "no work of its own: what reads it finds the entries in the memory of its input"
OTHERWISE = "the compiler writes this in another way, or can do without it"
UNKNOWN = "the program has another number of these operations, so which kernel does this one is not known"


def _matched(
    shown: Sequence[Equation], compiled: Sequence[tuple[Equation, str | None]]
) -> tuple[dict[int, str], dict[int, str]]:
    """For the number of each equation that is shown the kernel of the same one in the program, or why it has none."""
    mine: dict[Any, list[int]] = defaultdict(list)
    theirs: dict[Any, list[str | None]] = defaultdict(list)
    for number, equation in enumerate(shown):
        mine[_key(equation)].append(number)
    for equation, kernel in compiled:
        theirs[_key(equation)].append(kernel)
    found: dict[int, str] = {}
    without: dict[int, str] = {}
    for key, numbers in mine.items():
        kernels = theirs.get(key, [])
        # All of them in one kernel: then their number does not matter.
        same = set(kernels) if len(set(kernels)) == 1 else None
        for i, number in enumerate(numbers):
            kernel = kernels[0] if same else kernels[i] if len(kernels) == len(numbers) else None
            if kernel is not None:
                found[number] = kernel
            elif kernels and not same and len(kernels) != len(numbers):
                without[number] = UNKNOWN
            else:
                without[number] = VIEW if kernels and shown[number].primitive.moves else OTHERWISE
    return found, without


def _key(equation: Equation) -> Any:
    return equation.primitive.name, equation.line, tuple(tuple(x.shape) for x in equation.outputs)
