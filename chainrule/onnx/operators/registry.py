"""The table of ONNX's operators that are read, and what an operator is given when it runs.

    @operator("Gemm")
    def gemm(node): return node.tensor(0) @ node.tensor(1)

A value is a tensor, or numbers: a NumPy array that is known while the model is only noted, such as a shape. `tensor(i)`
gives either as a tensor, `numbers(i)` as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DataError
from chainrule.functions.creation import tensor
from chainrule.tensor import Tensor

#: Entries that one result may have: what a file declares beyond that is no model.
MOST = 2**31

Operator = Callable[["Running"], Any]

#: By the operator's name.
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """What operators of these names do (a decorator)."""

    def note(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return note


class Step:
    """One node of a file.

    Attributes:
        kind: the operator.
        name: for messages.
        inputs, outputs: names of values, "" for one that is left out.
        attributes: settings by name.
        opset: the version of the operators in the file.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: dict[str, Any],
        opset: int,
    ) -> None:
        self.kind, self.name, self.opset = kind, name, opset
        self.inputs, self.outputs, self.attributes = tuple(inputs), tuple(outputs), attributes

    def __repr__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.name else self.kind


class Running:
    """A node with its values, as an operator sees it."""

    def __init__(self, step: Step, values: list[Any], outer: Any = None) -> None:
        self.step, self.values, self.outer = step, values, outer
        self.opset, self.kind = step.opset, step.kind

    def has(self, i: int) -> bool:
        """Whether input i is given."""
        return i < len(self.values) and self.values[i] is not None

    def tensor(self, i: int) -> Tensor:
        """Input i as a tensor. Raises DataError if it is not given."""
        if not self.has(i):
            raise DataError(f"{self.step}: input {i} is missing.")
        return as_tensor(self.values[i])

    def numbers(self, i: int) -> Any:
        """Input i as numbers. Raises DataError if it is not given."""
        if not self.has(i):
            raise DataError(f"{self.step}: input {i} is missing.")
        return as_numbers(self.values[i])

    def whole(self, i: int) -> list[int]:
        """Input i as a list of whole numbers."""
        return [int(n) for n in np.asarray(self.numbers(i)).reshape(-1)]

    def attribute(self, name: str, default: Any = None) -> Any:
        """A setting."""
        return self.step.attributes.get(name, default)

    def part(self, name: str) -> Any:
        """The nodes that a setting holds. Raises DataError if it holds none."""
        found = self.attribute(name)
        if not hasattr(found, "outputs"):
            raise self.refuse(f"it holds no nodes as {name!r}.")
        return found

    def listed(self, name: str, i: int) -> list[int] | None:
        """Whole numbers that are a setting in older versions and an input in newer ones; None if in neither."""
        if name in self.step.attributes:
            return list(self.attribute(name))
        return self.whole(i) if self.has(i) else None

    def refuse(self, what: str) -> DataError:
        """An error that names the node."""
        return DataError(f"{self.step}: {what}")


def as_tensor(value: Any) -> Tensor:
    """Numbers as a tensor."""
    return value if isinstance(value, Tensor) else tensor(np.asarray(value))


def as_numbers(value: Any) -> Any:
    """A tensor as numbers: read, which a traced step refuses."""
    return value.numpy() if isinstance(value, Tensor) else value


def check_size(shape: Sequence[int]) -> list[int]:
    """The shape. Raises DataError if that is more than any model needs."""
    count = 1
    for size in shape:
        count *= max(int(size), 0)
    if count > MOST:
        raise DataError(f"a tensor of shape {tuple(map(int, shape))} is more than {MOST:,} numbers.")
    return [int(size) for size in shape]


@operator("Given")
def given(node: Running) -> Any:
    """A constant within a branch or the body of a loop."""
    return node.attribute("value")
