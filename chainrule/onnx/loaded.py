"""A model read from an ONNX file, as a module: its nodes in order, its tensors by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, DataError
from chainrule.nn.module import Module
from chainrule.onnx.operators import NUMBERS, OPERATORS, Running, Step, as_tensor
from chainrule.tensor import Buffer, Parameter, Tensor


class Nodes:
    """Nodes in order, with the names of what comes in and goes out; also a branch, or the body of a loop."""

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str], steps: Sequence[Step]) -> None:
        self.inputs, self.outputs, self.steps = tuple(inputs), tuple(outputs), tuple(steps)

    def run(self, given: Sequence[Any], outer: dict[str, Any]) -> list[Tensor]:
        """The results for these inputs, as tensors; `outer` has what is known from outside by name."""
        return [as_tensor(value) for value in self.values(given, outer)]

    def values(self, given: Sequence[Any], outer: dict[str, Any]) -> list[Any]:
        """The results as they are: what was computed of shapes alone is still numbers."""
        known = {**outer, **dict(zip(self.inputs, given, strict=True))}
        for step in self.steps:
            values = [_known(known, name, step) if name else None for name in step.inputs]
            results = _result(step, values, known)
            known.update(zip(step.outputs, results, strict=False))
        return [_known(known, name, "the model") for name in self.outputs]


def _known(known: dict[str, Any], name: str, who: Any) -> Any:
    """A value by its name; a further result of a node, such as a mask, may be one that is not computed."""
    if name not in known:
        raise DataError(f"{who}: {name!r} is a further result of its node, which is not read.")
    return known[name]


def _result(step: Step, values: list[Any], known: dict[str, Any]) -> Sequence[Any]:
    node = Running(step, values, known)
    plain = step.kind in NUMBERS and values and all(value is None or isinstance(value, np.ndarray) for value in values)
    try:
        result = NUMBERS[step.kind](node) if plain else OPERATORS[step.kind](node)
    except ChainruleError as error:
        if not str(error).startswith(str(step)):
            error.args = (f"{step}: {error}", *error.args[1:])
        raise
    except (TypeError, ValueError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
        raise DataError(f"{step}: {error}") from error
    if plain:
        return [np.asarray(result)]
    return result if isinstance(result, tuple) else (result,)


class Holder(Module):
    """Tensors of one part of the model; it computes nothing itself."""


class OnnxModel(Module):
    """What `load` makes of a file: takes the graph's inputs in order or by name, gives its output or a tuple of them.

    Attributes:
        input_names, output_names: as in the file.
        metadata: what the file says of itself.
        opset: the version of its operators.

    Floating-point tensors are parameters and can be trained; running statistics, single numbers and integers are
    buffers. Their names are the file's, dots being the levels of modules.
    """

    def __init__(
        self,
        nodes: Nodes,
        tensors: dict[str, Any],
        numbers: dict[str, Any],
        fixed: set[str],
        metadata: dict[str, str],
        opset: int,
    ) -> None:
        super().__init__()
        self.input_names, self.output_names = nodes.inputs, nodes.outputs
        self.metadata, self.opset = metadata, opset
        self._nodes, self._numbers = nodes, numbers
        self._places: dict[str, tuple[str, str]] = {}
        for name, array in tensors.items():
            whole = array.dtype.kind in "iub" or name in fixed or array.ndim == 0
            self._hold(name, Buffer(as_tensor(array)) if whole else Parameter(as_tensor(array)))

    def _hold(self, name: str, value: Any) -> None:
        """Put a tensor where its name says, or under a name like it where that is no place for one."""
        *path, last = name.split(".")
        holder: Module = self
        for part in path:
            inside = holder._modules.get(part)
            if inside is None:
                if not part or part in holder._parameters or part in holder._buffers or hasattr(holder, part):
                    holder, path, last = self, [], "tensor_" + name.replace(".", "_")
                    break
                inside = Holder()
                holder.register_module(part, inside)
            holder = inside
        while not last or hasattr(holder, last):
            last = f"tensor_{last}"
        if isinstance(value, Parameter):
            holder.register_parameter(last, value)
        else:
            holder.register_buffer(last, value)
        self._places[name] = (".".join(path), last)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """See the class. Raises DataError for inputs that are missing or not known."""
        names = self.input_names
        given = dict(zip(names, inputs, strict=False)) | named
        if len(inputs) > len(names) or set(given) != set(names):
            raise DataError(
                f"the model takes {', '.join(names)}; got {len(inputs)} and {', '.join(named) or 'none'} by name."
            )
        known: dict[str, Any] = dict(self._numbers)
        for name, (path, last) in self._places.items():
            if name not in known:
                holder = self.get_submodule(path) if path else self
                known[name] = getattr(holder, last)
        results = self._nodes.run([given[name] for name in names], known)
        return results[0] if len(results) == 1 else tuple(results)

    def extra_repr(self) -> str:
        """Inputs, outputs, how many nodes."""
        return f"{', '.join(self.input_names)} → {', '.join(self.output_names)}, {len(self._nodes.steps)} nodes"
