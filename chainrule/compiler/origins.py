"""What a trace of a step found: where the inputs of its program come from, and what it leaves where."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.compiler.sharing import Returned
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, Graph
from chainrule.tape import Leaf


class Cell(NamedTuple):
    """The origin of an input: a tensor that lives outside of the step."""

    tensor: Any


class Gradient(NamedTuple):
    """The origin of an input: what a leaf has collected before the step."""

    leaf: Leaf


class Argument(NamedTuple):
    """The origin of an input: a tensor among the step's arguments, by its number."""

    number: int


class Setting(NamedTuple):
    """The origin of an input: a setting of an optimiser's group, or one of the numbers in it (β₁ and β₂)."""

    group: dict[str, Any]
    name: str
    position: int | None = None

    def number(self) -> float:
        """What it is now."""
        value = self.group[self.name]
        return float(value if self.position is None else value[self.position])


Origin = Cell | Gradient | Argument | Setting


class Step(NamedTuple):
    """What a trace found.

    Attributes:
        equations: in the order in which they were noted.
        inputs: symbols and where they come from.
        results: symbols or arrays that are made for the function's results, each once.
        places: where each of them is (`primitives/placed.py`), None for the CPU.
        returned: for each result of the function where it is found, in the order of its structure.
        writes: what each changed origin holds afterwards.
        gradients: what each leaf has collected afterwards: a symbol or array, or None.
        given: leaves whose gradient is afterwards a tensor that was there before: an argument, one from outside.
        added: leaves whose gradient stays the same tensor and gets another value.
        spent: leaves whose gradient the step clears first, makes, and gives to an optimiser, in this order.
        wanted: tensors that require a gradient afterwards (or no longer), unlike before.
        grown: of these the gradients that they have collected, by the numbers of results.
        held: leaves whose gradient before is a view, which has to be the same one.
        views: views from outside that the step used, with what they are views of and how.
        exchanged: numbers of arguments whose memory was exchanged (`x.data = y`).
        own_leaves: numbers of arguments with the leaf that each must have, since its gradient is used.
        empty: leaves that must have (True) or must not have (False) no gradient when the program starts.
        numbers: tensors from outside whose numbers Python read, with the values they had.
        leaves_behind: the step made tensors that outlive it (an optimiser's memory); it runs once in this form.
        first: these tensors, and what they held when they were made: a symbol or array.
    """

    equations: list[Equation]
    inputs: list[tuple[Symbol, Origin]]
    results: list[Any]
    places: list[Any]
    returned: list[Returned]
    writes: list[tuple[Origin, Any]]
    gradients: list[tuple[Leaf, Any]]
    given: list[tuple[Leaf, Returned]]
    added: list[Leaf]
    spent: set[Leaf]
    wanted: list[tuple[Origin, bool]]
    grown: list[tuple[Origin, int]]
    held: list[tuple[Leaf, Any]]
    views: list[tuple[Any, Any, Any]]
    exchanged: set[int]
    own_leaves: list[tuple[int, Leaf]]
    empty: list[tuple[Leaf, bool]]
    numbers: list[tuple[Any, Value]]
    leaves_behind: bool
    first: list[tuple[Any, Any]]

    def __repr__(self) -> str:
        lines = [f"{symbol!r} = {type(origin).__name__.lower()}" for symbol, origin in self.inputs]
        return "\n".join([*lines, *map(repr, self.equations), f"return {self.results!r}"])

    def graph(self) -> Graph:
        """All equations that something outside of the step depends on, as a graph."""
        ends = [*self.results, *[x for _, x in self.writes], *[x for _, x in self.gradients if x is not None]]
        return Graph([symbol for symbol, _ in self.inputs], self.equations, ends)

    def changed(self) -> set[int]:
        """The numbers of the arguments that the step writes to."""
        return {origin.number for origin, _ in self.writes if isinstance(origin, Argument)}

    def cells(self) -> tuple[set[int], set[int]]:
        """The identities of tensors outside that are read or written, and of those that are written."""
        written = {id(origin.tensor) for origin, _ in self.writes if isinstance(origin, Cell)}
        return written | {id(origin.tensor) for _, origin in self.inputs if isinstance(origin, Cell)}, written
