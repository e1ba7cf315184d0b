"""The plainest backend: every operation by its meaning in NumPy, one after the other.

It is what all tests compare with, and what runs where there is no LLVM: `chainrule.compile(f, backend="numpy")`.

>>> import chainrule
>>> total = chainrule.zeros(2)
>>> add = chainrule.compile(lambda x: total.add_(x), backend="numpy")
>>> add(chainrule.ones(2)), add(chainrule.ones(2))
(tensor([2., 2.]), tensor([2., 2.]))
>>> print(add.explain())
1 operations in NumPy
  Add
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.backends.home import Home, of_kind
from chainrule.primitives.value import Array
from chainrule.program.program import Program


class InNumPy:
    """A program whose graph is interpreted. See :class:`~chainrule.backends.Runnable`."""

    def __init__(self, program: Program, homes: Sequence[Home | None]) -> None:
        self.graph, self.program = program.graph, program
        self.homes: list[Home | None] = of_kind(homes, Home) + [None] * (len(program.cells()) - len(homes))
        for number, (shape, dtype) in enumerate(program.cells()):
            self.homes[number] = self.homes[number] or Home(shape, dtype, tuple(range(len(shape))))

    @property
    def size(self) -> int:
        """How many operations there are."""
        return len(self.graph.equations)

    def with_homes(self, homes: Sequence[Home | None]) -> InNumPy:
        """The same program for other cells."""
        return InNumPy(self.program, homes)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Compute everything, then write."""
        given = iter(arrays)
        inputs = [self._entries(slot.number) if slot.kind == "cell" else next(given) for slot in self.program.inputs]
        known = dict(zip([slot[:2] for slot in self.program.inputs], inputs, strict=True))
        # Copies: what a cell is to hold may be what another one shows, and that is written to as well.
        ends = [np.array(x) for x in self.graph.run(inputs)]
        pairs = list(zip(self.program.outputs, ends, strict=True))
        for slot, array in pairs:
            if slot.kind != "result":
                (self._entries(slot.number) if slot.kind == "cell" else known[slot[:2]])[...] = array
        return [array for slot, array in pairs if slot.kind == "result"]

    def _entries(self, number: int) -> Array:
        home = self.homes[number]
        assert home is not None
        return home.array

    def explain(self) -> str:
        """The operations in their order."""
        lines = [f"  {e.primitive.name}  {e.path}".rstrip() for e in self.graph.equations]
        return "\n".join([f"{self.size} operations in NumPy", *lines])


def build(program: Program, homes: Sequence[Home | None], debug: bool) -> InNumPy:
    """The program, interpreted; with `debug` the graph is checked first."""
    if debug:
        program.graph.check()
    return InNumPy(program, homes)
