"""The parts of an ONNX graph as plain data, before the package `onnx` is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Node:
    """One operator: its inputs and outputs by name ("" for an input that is left out)."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str


@dataclass
class Body:
    """The graph of a loop's step; what it uses from outside it names.

    Attributes:
        inputs, outputs: names with their data types and ranks.
    """

    inputs: list[tuple[str, Any, int]]
    outputs: list[tuple[str, Any, int]]
    nodes: list[Node]


@dataclass
class Parts:
    """A graph that grows: nodes in order, constants by name, names that are taken.

    Attributes:
        nodes: in the order in which they run.
        constants: tensors of the file: parameters, buffers and numbers.
    """

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    _small: dict[Any, str] = field(default_factory=dict)

    def copy(self) -> Parts:
        """The same, to come back to."""
        return Parts(list(self.nodes), dict(self.constants), set(self.taken), dict(self._small))

    def free_name(self, wish: str) -> str:
        """The name, or with a number behind it where it is taken."""
        name, number = wish, 0
        while name in self.taken:
            number += 1
            name = f"{wish}_{number}"
        self.taken.add(name)
        return name

    def constant(self, array: Any, wish: str = "constant") -> str:
        """The name of a constant. Small equal ones are one."""
        array = np.asarray(array)
        key = (array.dtype, array.shape, array.tobytes()) if array.nbytes <= 256 else None
        if key is None or key not in self._small:
            name = self.free_name(wish)
            self.constants[name] = array
            if key is None:
                return name
            self._small[key] = name
        return self._small[key]


def used_names(nodes: Sequence[Node]) -> Iterator[str]:
    """Every name that a node reads, those in the bodies of loops among them."""
    for node in nodes:
        yield from node.inputs
        for value in node.attributes.values():
            if isinstance(value, Body):
                yield from used_names(value.nodes)
                yield from (name for name, _, _ in value.outputs)


def without_unused(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that the outputs need, in order."""
    wanted, kept = set(outputs), list[Node]()
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            kept.append(node)
            wanted.update(used_names([node]))
    return kept[::-1]
