"""A program: a graph whose inputs and outputs have names, and no tensor anywhere.

A *slot* says what an input is and where an output goes. An argument is given anew in each run, so is a setting (a
number of an optimiser, say); a cell is what lives on from run to run: a parameter, a running mean, an optimiser's
memory, a gradient. An output is a result, or what a cell holds after the run, or what stands in an argument's array
then. All outputs are written after all computation that may fail. So a program is data: it can be pickled, compared,
stored and given to any backend.

>>> import pickle
>>> import numpy as np
>>> from chainrule.primitives.elementwise import Add
>>> form = (), np.dtype("f4")
>>> x, total, new = Symbol(*form), Symbol(*form), Symbol(*form)
>>> graph = Graph([x, total], [Equation(Add, (total, x), {}, (new,), form, "")], [new, new])
>>> program = Program(graph, [Slot("argument", 0), Slot("cell", 0, "total")], [Slot("result", 0), Slot("cell", 0)])
>>> program
program(v0: float32[] = argument 0, v1: float32[] = cell 0 (total)):
  v2: float32[] = Add(v1, v0)
  result 0, cell 0 = v2, v2
>>> pickle.loads(pickle.dumps(program)).graph.run([np.float32(2), np.float32(3)])
[array(5., dtype=float32), array(5., dtype=float32)]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from chainrule.primitives.value import Form, Symbol
from chainrule.program.graph import Equation, Graph, _Names, checks

Kind = Literal["argument", "setting", "cell", "result"]


class Slot(NamedTuple):
    """What an input of a program is, or where an output goes.

    Attributes:
        kind: "argument", "setting" (a number, float64) or "cell"; for an output "cell", "result", or "argument": the
            array that was given is written to, so nobody else may look at it.
        number: which one of its kind.
        name: for people: the path of the module that a cell was first used in, a setting's name.
    """

    kind: Kind
    number: int
    name: str = ""

    def __repr__(self) -> str:
        return f"{self.kind} {self.number}" + (f" ({self.name})" if self.name else "")


class Program:
    """A graph with a slot for each input and each output.

    Attributes:
        graph: what is computed.
        inputs: a slot for each of the graph's inputs; of one kind and number there is one at most.
        outputs: a slot for each of the graph's outputs.
        exact: whether it has to be computed by the plain formulas: no arithmetic that is faster and rounds otherwise.
    """

    def __init__(self, graph: Graph, inputs: Iterable[Slot], outputs: Iterable[Slot], exact: bool = False) -> None:
        self.graph, self.exact = graph, exact
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        for what, slots, values in ("inputs", self.inputs, graph.inputs), ("outputs", self.outputs, graph.outputs):
            if len(slots) != len(values):
                raise ValueError(f"a program has a slot for each of the {len(values)} {what}, got {len(slots)}.")

    def cells(self) -> list[Form]:
        """The shape and the data type of each cell, in the order of their numbers."""
        pairs = [*zip(self.inputs, self.graph.inputs, strict=True), *zip(self.outputs, self.graph.outputs, strict=True)]
        forms = {slot.number: (tuple(x.shape), x.dtype) for slot, x in reversed(pairs) if slot.kind == "cell"}
        return [forms[number] for number in range(len(forms))]

    def symbols(self, kind: Kind) -> dict[int, Symbol]:
        """The inputs of a kind, by number."""
        pairs = zip(self.inputs, self.graph.inputs, strict=True)
        return {slot.number: symbol for slot, symbol in pairs if slot.kind == kind}

    def written(self, kind: Kind = "cell") -> set[int]:
        """The numbers of the cells, or of the arguments, that a run changes."""
        return {slot.number for slot in self.outputs if slot.kind == kind}

    def checks(self) -> list[Equation]:
        """The equations that raise an error for some numbers."""
        return [e for e in self.graph.equations if checks(e)]

    def __repr__(self) -> str:
        names = _Names()
        pairs = zip(self.graph.inputs, self.inputs, strict=True)
        head = ", ".join(f"{names.typed(symbol)} = {slot!r}" for symbol, slot in pairs)
        lines = [f"  {names.line(e)}" for e in self.graph.equations]
        ends = f"  {', '.join(map(repr, self.outputs))} = {', '.join(map(names.of, self.graph.outputs))}"
        return "\n".join([f"program({head}):", *lines, ends])
