"""Explaining a tensor that is there already: its history is read off the tape.

The tape keeps what gradient rules need, not every value. What is missing is computed again from what is known: from
what records kept, and from the tensors at the tape's ends that still exist. These may have changed since; so what was
computed again must agree with what was kept and with the tensor itself, or it is not shown.
"""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from chainrule.autodiff.backward import upstream_of
from chainrule.autodiff.composite import Composite
from chainrule.cell import TensorCell
from chainrule.errors import GradientError
from chainrule.explain.backward import walk_back
from chainrule.explain.explanation import Explanation
from chainrule.explain.recording import Opaque, Recording, Taped
from chainrule.functions.creation import tensor as make_tensor
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.program.graph import Equation
from chainrule.tape import Leaf, Record, Source, nodes_behind


def explain_tensor(tensor: Any, gradient: Any = None) -> Explanation:
    """The history of a computed tensor. Raises GradientError for one that was not recorded or whose tape is freed."""
    value = tensor.value
    if value.source is None or isinstance(value.source[0], Leaf):
        raise GradientError(
            "explain: this tensor was not computed from anything that requires a gradient, so there is no record of "
            "how. Explain the function that makes it: chainrule.explain(function, *inputs)."
        )
    reader = _Reader(value)
    recording = reader.recording
    root = reader.symbols[value.source]
    if tensor.numel() == 1 and gradient is None:
        source, upstream = upstream_of(tensor, None, "explain")
        walk = walk_back(recording, root, source, upstream)
    elif gradient is not None:
        given: Any = gradient if isinstance(gradient, TensorCell) else make_tensor(gradient)
        source, upstream = upstream_of(tensor, given.to(tensor.dtype), "explain")
        walk = walk_back(recording, root, source, upstream)
    else:
        walk = None
    kinds = dict.fromkeys(reader.outside, "constant")
    kinds.update(dict.fromkeys(reader.leaves.values(), "input"))
    return Explanation(
        "tensor", recording.equations, recording.arrays, kinds=kinds, outputs=[root], walk=walk, names=reader.names
    )


class _Reader:
    """The records behind a tensor as equations."""

    def __init__(self, result: Value) -> None:
        self.recording = Recording()
        self.symbols: dict[Source, Symbol] = {}
        self.leaves: dict[Leaf, Symbol] = {}
        self.outside: list[Symbol] = []
        self.names: dict[Symbol, str] = {}
        self._kept: dict[Symbol, Array] = {}
        assert result.source is not None
        for node in nodes_behind([result.source]):
            if isinstance(node, Record):
                self._read(node)
        self._kept[self.symbols[result.source]] = result.array
        self.recording.arrays.update(self._kept)
        self._fill_in()

    def _read(self, record: Record) -> None:
        """One record as an equation; its results and inputs get symbols."""
        if record.saved is None:
            raise GradientError(
                f"explain: {record.operation.name} has freed what it kept, in a backward pass. Call explain before "
                "backward(), or backward(retain_graph=True)."
            )
        kept_there: Any = record.saved
        saved = kept_there if type(kept_there) is dict else kept_there.unpacked()
        operation: Any = record.operation
        plain = _is_primitive(operation)
        kept = _kept_inputs(record, saved)
        inputs = [self._input(source, kept.get(i)) for i, source in enumerate(record.sources)]
        outputs = tuple(Symbol(*form) for form in record.forms)
        for position, symbol in enumerate(outputs):
            self.symbols[record, position] = symbol
        for symbol, array in zip(outputs, _kept_outputs(record, saved), strict=False):
            if array is not None:
                self._kept[symbol] = array
        equations = self.recording.equations
        self.recording.taped[record] = Taped(len(equations), None, inputs, outputs)
        several = type(record.forms) is list  # as `Primitive.apply` keeps them
        forms = list(record.forms) if several else record.forms[0]
        given = tuple(x for x in inputs if x is not None)
        primitive: Any = (
            operation if plain else Opaque(record.operation.name, arguments=_names_of(operation, saved, inputs))
        )
        equations.append(Equation(primitive, given, record.parameters, outputs, forms, record.path))

    def _input(self, source: Source | None, value: Value | None) -> Symbol | None:
        if source is None:
            if value is None:
                return None  # the tape did not need it
            symbol = Symbol(value.array.shape, value.array.dtype)
            self._kept[symbol] = value.array
            self.outside.append(symbol)
            return symbol
        if source not in self.symbols:  # a leaf: records come in order
            leaf: Any = source[0]
            found = value.array if value is not None else _tensor_of(leaf)
            form = (found.shape, found.dtype) if found is not None else ((), np.dtype(np.float32))
            self.symbols[source] = self.leaves[leaf] = Symbol(*form)
        symbol = self.symbols[source]
        if value is not None:
            self._kept.setdefault(symbol, value.array)
        return symbol

    def _fill_in(self) -> None:
        """Compute what the tape did not keep; a leaf's numbers are shown if what follows from them was kept too."""
        known = dict(self._kept)
        for leaf, symbol in self.leaves.items():
            array = _tensor_of(leaf)
            if symbol not in known and array is not None:
                known[symbol] = array
        computed: list[Equation] = []
        for equation in self.recording.equations:
            whole = len(equation.inputs) == _inputs_of(self.recording, equation)
            if isinstance(equation.primitive, Opaque) or not whole or any(x not in known for x in equation.inputs):
                continue
            made = equation.evaluate([known[x] for x in equation.inputs])
            for symbol, array in zip(equation.outputs, made, strict=True):
                if symbol in known and not np.array_equal(known[symbol], array, equal_nan=array.dtype.kind == "f"):
                    return
                known.setdefault(symbol, array)
            computed.append(equation)
        tested = set(self._kept)
        for equation in reversed(computed):
            if any(x in tested for x in equation.outputs):
                tested.update(equation.inputs)
        self.recording.arrays.update({symbol: array for symbol, array in known.items() if symbol in tested})


def _names_of(operation: Any, saved: dict[str, Any], inputs: list[Symbol | None]) -> tuple[str, ...]:
    """What a block calls the tensors that it was given; "x" where it is one, or nothing is known."""
    # What was kept and is no value was no tensor: a bias of None, a setting.
    arguments = getattr(operation, "arguments", ())
    called = [name for name in arguments if name not in saved or isinstance(saved[name], Value)]
    if len(inputs) < 2 or len(called) < len(inputs):
        return ("x",)
    return tuple([name for name, x in zip(called, inputs, strict=False) if x is not None])


def _is_primitive(operation: Any) -> bool:
    return isinstance(operation, type) and issubclass(operation, Primitive)


def _inputs_of(recording: Recording, equation: Equation) -> int:
    """How many inputs the record of an equation has, those that nobody kept included."""
    return next(len(t.inputs) for t in recording.taped.values() if t.outputs is equation.outputs)


def _kept_inputs(record: Record, saved: dict[str, Any]) -> dict[int, Value]:
    """The inputs that a record kept, by their positions."""
    operation: Any = record.operation
    if isinstance(operation, Composite):
        return dict(enumerate(saved["inputs"]))
    names = list(getattr(operation, "arguments", ()))
    kept = {names.index(name): v for name, v in saved.items() if name in names and isinstance(v, Value)}
    variadic = saved.get(getattr(operation, "variadic", "") or "")
    if type(variadic) is tuple:
        kept.update({len(names) + i: v for i, v in enumerate(variadic) if isinstance(v, Value)})
    return kept


def _kept_outputs(record: Record, saved: dict[str, Any]) -> list[Array | None]:
    operation: Any = record.operation
    if _is_primitive(operation):
        return [saved.get(name) for name in operation.outputs]
    return list(saved.get("output", ()))


def _tensor_of(leaf: Leaf) -> Array | None:
    """The entries of the tensor that a leaf collects for, if it still exists."""
    for found in gc.get_referrers(leaf):
        if isinstance(found, TensorCell) and found._leaf is leaf:
            return found.value.array
        if isinstance(found, dict) and found.get("_leaf") is leaf and isinstance(found.get("_value"), Value):
            return found["_value"].array
    return None
