"""From merged traces to the nodes of an ONNX graph: layers and blocks whole where a rule knows them, else by parts.

The walk goes through the equations in order. Where a call begins that a rule takes whole, the rule's nodes stand for
all equations of the call; a rule that answers None, or that needs what it is not given, leaves the call to its parts.
Every primitive has a rule, or what it computes cannot be exported and is named with its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.onnx.errors import OnnxError
from chainrule.onnx.formulas import Formula, formula_for
from chainrule.onnx.parts import Node, Parts
from chainrule.onnx.recognise import filling, rising, triangle
from chainrule.onnx.rules import BLOCKS, LAYERS, PRIMITIVES, REFUSED
from chainrule.onnx.several import Merged, MergedCall, MergedEquation, place
from chainrule.onnx.sizes import Number, Size, VaryingArray, merged
from chainrule.onnx.traces import Call, leaves
from chainrule.primitives.value import Symbol, Value


class Lowering:
    """What rules write to and ask.

    Attributes:
        parts: the graph so far.
        opset: the version of ONNX's operators.
        names: the name of each symbol that is computed.
        spread: symbols that are another one broadcast; written as such only where somebody needs it.
        made_by: the equation of each symbol.
        path: of what is being written now, for the names of nodes.
        nodes: where nodes go now: to the graph, or to the body of a loop.
        inner: the symbols of loops' bodies, whose sizes nothing outside can ask for.
    """

    def __init__(self, traced: Merged, names: dict[int, str], opset: int) -> None:
        self.traced, self.opset, self.pairing = traced, opset, traced.pairing
        self.parts = Parts()
        self.names: dict[Symbol, str] = {}
        self.spread: dict[Symbol, Any] = {}
        self.made_by: dict[Symbol, MergedEquation] = {}
        self.inner = set[Symbol]()
        self._outside = names
        self._held: dict[int, str] = {}
        self._numbers: dict[Any, str] = {}
        self.path = ""
        self._uses: dict[Symbol, list[int]] = {}
        self.nodes = self.parts.nodes

    # ------------------------------------------------------------------------------ what rules ask

    def shape(self, x: Any) -> tuple[Number, ...]:
        """The shape of a symbol, a Value or an array, with a Size where it varies."""
        x = x.array if isinstance(x, Value) else x
        if isinstance(x, Symbol):
            return self.pairing.forms[x][0]
        return tuple(x.shape)

    def dtype(self, x: Any) -> np.dtype[Any]:
        """The data type of a symbol, a Value or an array."""
        x = x.array if isinstance(x, Value) else x
        return self.pairing.forms[x][1] if isinstance(x, Symbol) else x.dtype

    def fixed(self, size: Number, what: str) -> int:
        """A number that must not vary. Raises OnnxError."""
        if isinstance(size, Size):
            raise OnnxError(f"{what} is not the same for all sizes; leave this size out of `dynamic`.")
        return int(size)

    def of(self, x: Any) -> str:
        """The name of a tensor: a symbol, a Value, an array or a VaryingArray. It is computed if it is not yet."""
        if isinstance(x, Value):
            return self._of_value(x)
        if not isinstance(x, Symbol):
            return self._of_array(x)
        if x not in self.names:
            if x in self.pairing.constants:
                self.names[x] = self.of(self.pairing.constants[x])
            elif x in self.spread:
                shape = self.numbers(self.shape(x))
                self.names[x] = self.emit("Expand", [self.of(self.spread[x]), shape])
        return self.names[x]

    def numbers(self, sizes: Sequence[Number]) -> str:
        """The name of whole numbers (n,), computed where they vary."""
        if not any(isinstance(size, Size) for size in sizes):
            return self.parts.constant(np.array(sizes, np.int64), "sizes")
        return self.once(("numbers", tuple(sizes)), lambda: self._joined(sizes))

    def _joined(self, sizes: Sequence[Number]) -> str:
        """Whole numbers one behind the other, neighbours that do not vary as one constant."""
        parts = list[str]()
        for varies, run in itertools.groupby(sizes, lambda size: isinstance(size, Size)):
            if varies:
                parts += [self._number(size) for size in run]
            else:
                parts.append(self.parts.constant(np.array(list(run), np.int64), "sizes"))
        return parts[0] if len(parts) == 1 else self.aside("Concat", parts, axis=0)

    def scalar(self, size: Number) -> str:
        """The name of one whole number ()."""
        if not isinstance(size, Size):
            return self.parts.constant(np.array(size, np.int64), "size")
        empty = self.parts.constant(np.array([], np.int64), "sizes")
        return self.once(("scalar", size), lambda: self.aside("Reshape", [self._number(size), empty]))

    def counting(self, size: Number) -> str:
        """The name of 0 … size − 1."""
        if not isinstance(size, Size):
            return self.parts.constant(np.arange(size), "places")
        return self.aside("Range", [self.scalar(0), self.scalar(size), self.scalar(1)])

    def constant(self, array: Any, wish: str = "constant") -> str:
        """The name of a constant."""
        return self.parts.constant(array, wish)

    def emit(self, operator: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or a list of them."""
        given = {key: value for key, value in attributes.items() if value is not None}
        for key, value in given.items():
            if any(isinstance(part, Size) for part in (value if isinstance(value, list | tuple) else [value])):
                raise OnnxError(f"{operator}: {key} is fixed in ONNX, and depends on a size here")
        name = self.parts.free_name(f"{self.path}/{operator}" if self.path else operator)
        made = [name] if outputs == 1 else [name, *[self.parts.free_name(f"{name}.{i}") for i in range(1, outputs)]]
        self.nodes.append(Node(operator, list(inputs), made, given, name))
        return name if outputs == 1 else made

    def reduce(self, operator: str, x: str, axes: Sequence[int], keep: bool) -> str:
        """ReduceSum and its like, whose axes are an input since version 13 or 18."""
        if operator == "ReduceSum" or self.opset >= 18:
            return self.emit(operator, [x, self.numbers(axes)], keepdims=int(keep))
        return self.emit(operator, [x], axes=list(axes), keepdims=int(keep))

    def use(self, x: Any) -> int:
        """How many equations read a symbol."""
        return len(self._uses.get(x, ())) if isinstance(x, Symbol) else 0

    def maker(self, x: Any, primitive: str) -> MergedEquation | None:
        """The equation that made a symbol, if it is one of this primitive."""
        made = self.made_by.get(x) if isinstance(x, Symbol) else None
        return made if made is not None and made.primitive.name == primitive else None

    def once(self, key: Hashable, make: Callable[[], str]) -> str:
        """What `make` writes outside of loops' bodies, written when it is first asked for."""
        if key not in self._numbers:
            self._numbers[key] = make()
        return self._numbers[key]

    def note_uses(self, equations: Sequence[MergedEquation | None], outputs: Sequence[Any]) -> None:
        """Note which equations read each symbol; what reads outputs stands behind them all."""
        for i, e in enumerate(equations):
            for x in e.inputs if e is not None else ():
                if isinstance(x, Symbol):
                    self._uses.setdefault(x, []).append(i)
        for x in outputs:
            if isinstance(x, Symbol):
                self._uses.setdefault(x, []).append(len(self.traced.equations))

    # ------------------------------------------------------------------------------ constants, sizes

    def _of_value(self, value: Value) -> str:
        if isinstance(value.array, Symbol):
            return self.of(value.array)
        return self._of_array(value.array)

    def _of_array(self, array: Any) -> str:
        if isinstance(array, VaryingArray):
            return self._varying(array)
        known = self._outside.get(id(array))
        if known is None:
            return self.parts.constant(array)
        if id(array) not in self._held:
            self._held[id(array)] = self.parts.free_name(known)
            self.parts.constants[self._held[id(array)]] = array
        return self._held[id(array)]

    def _varying(self, array: VaryingArray) -> str:
        """An array that depends on sizes: filled, counting, a triangle, or a number that follows from a size."""
        shape = array.shape
        if not shape and array.dtype.kind == "f":
            return self._varying_number(Size([a.item() for a in array.arrays]), array.dtype)
        if not shape:
            number = self.scalar(Size([a.item() for a in array.arrays]))
            return number if array.dtype == np.int64 else self.cast(number, array.dtype)
        if (fills := filling(array.arrays)) is not None:
            return self.emit("Expand", [self.of(merged(fills)), self.numbers(shape)])
        long = [extent for extent in shape if extent != 1]  # (n, 1, 1), as `gather` walks along, is a line too
        if len(long) == 1 and (step := rising([a.reshape(-1) for a in array.arrays])) is not None:
            line = self.cast(self.counting(long[0]), array.dtype)
            start, by = step
            line = line if by == 1 else self.emit("Mul", [line, self.constant(by)])
            line = line if start == 0 else self.emit("Add", [line, self.constant(start)])
            return line if len(shape) == 1 else self.emit("Reshape", [line, self.numbers(shape)])
        if (cut := triangle(array.arrays)) is not None:
            rows = self.emit("Unsqueeze", [self.counting(shape[0]), self.numbers([1])])
            edge = self.emit("Add", [rows, self.constant(np.array(cut.diagonal, np.int64))])
            within = self.emit("Not", [self.emit("Greater", [self.counting(shape[1]), edge])])
            if array.dtype == np.bool_:
                return within if cut.below else self.emit("Not", [within])
            return self.emit("Where", [within, self.constant(cut.below), self.constant(cut.above)])
        raise OnnxError(
            f"a constant of shape {array.arrays[0].shape} follows from a size in a way that cannot be written as a "
            "formula; compute it with tensors (arange, …) from inputs, or leave this size out of `dynamic`."
        )

    def _varying_number(self, wanted: Size, dtype: np.dtype[Any]) -> str:
        """A number c·n or c/n of a size n, or of a product of two."""
        known = [size for _, size in self.traced.free] + [s for s, _ in self._sizes_at_hand()]
        known += [a * b for i, a in enumerate(known[:8]) for b in known[i:8]]
        for size in known:
            if not isinstance(size, Size):
                continue
            pairs = list(zip(size.values, wanted.values, strict=True))
            for operator, ratios in (("Mul", [w / s for s, w in pairs]), ("Div", [w * s for s, w in pairs])):
                if np.ptp(ratios) <= 1e-6 * abs(ratios[0]):
                    number = self.cast(self.scalar(size), dtype)
                    factor = self.constant(np.array(ratios[0], dtype))
                    return self.emit(operator, [factor, number])
        raise OnnxError(f"a number ({wanted.values[0]} and others) follows from a size in a way that is not known.")

    def cast(self, x: str, dtype: Any) -> str:
        """In another data type."""
        return self.emit("Cast", [x], to=np.dtype(dtype))

    def _number(self, size: Size) -> str:
        """One whole number (1,), computed from the sizes of inputs, or of what is computed already."""
        if size not in self._numbers:
            inputs = [known for _, known in self.traced.free]
            formula = formula_for(size, inputs)
            names = [self._size_of_input(i) for i in range(len(inputs))] if formula else []
            if formula is None or formula.divisor > 1:
                hand = self._sizes_at_hand()
                exact = [name for known_size, name in hand if known_size == size]
                if exact:
                    formula, names = Formula((0,)), [exact[-1]()]
                elif formula is None:
                    formula = formula_for(size, [known_size for known_size, _ in hand])
                    names = [name() if formula and i in formula.bases else "" for i, (_, name) in enumerate(hand)]
            if formula is None:
                raise OnnxError(
                    f"a size ({', '.join(map(str, size.values))} for the sizes tried) follows from the inputs in a way "
                    "that is not known; leave it out of `dynamic`."
                )
            self._numbers[size] = self._computed(formula, names)
        return self._numbers[size]

    def _computed(self, formula: Formula, names: Sequence[str]) -> str:
        result = names[formula.bases[0]]
        for i in formula.bases[1:]:
            result = self.aside("Mul", [result, names[i]])
        for operator, number in (("Mul", formula.factor), ("Add", formula.offset), ("Div", formula.divisor)):
            if number != (0 if operator == "Add" else 1):
                result = self.aside(operator, [result, self.numbers([number])])
        return result

    def _size_of_input(self, i: int) -> str:
        number, axis = self.traced.free[i][0].places[0]
        return self._axis(self.names[self.traced.inputs[number]], axis)

    def _sizes_at_hand(self) -> list[tuple[Size, Any]]:
        """Sizes of what is computed already, each with what writes it."""
        found: dict[Size, Any] = {}
        for symbol, name in self.names.items():
            if symbol not in self.inner:
                for axis, size in enumerate(self.shape(symbol)):
                    if isinstance(size, Size):
                        found.setdefault(size, lambda name=name, axis=axis: self._axis(name, axis))
        return list(found.items())

    def _axis(self, name: str, axis: int) -> str:
        shape = self.once(("shape", name), lambda: self.aside("Shape", [name]))
        return self.once(("axis", name, axis), lambda: self.aside("Gather", [shape, self.numbers([axis])], axis=0))

    def aside(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node that computes sizes: always outside of loops' bodies."""
        nodes, self.nodes, path, self.path = self.nodes, self.parts.nodes, self.path, "sizes"
        try:
            return str(self.emit(operator, inputs, **attributes))
        finally:
            self.nodes, self.path = nodes, path

    # ------------------------------------------------------------------------------ the walk

    def walk(self, call: MergedCall) -> None:
        """All equations of a call, those of calls within it as these are taken."""
        at = call.first.start
        for inner in call.inner:
            self._equations(at, inner.first.start)
            if not self._whole(inner):
                self.walk(inner)
                self._named_as_leaf(inner.first)
            at = inner.first.stop
        self._equations(at, call.first.stop)

    def _equations(self, start: int, stop: int) -> None:
        for e in self.traced.equations[start:stop]:
            if e is not None:
                self.equation(e)

    def equation(self, e: MergedEquation) -> None:
        """One equation, by the rule of its primitive."""
        name = e.primitive.name
        self.path = e.path.replace("/", ".") if e.path else ""
        rule = PRIMITIVES.get(name)
        if rule is None:
            reason = REFUSED.get(name, "there is no operator of ONNX for it")
            raise OnnxError(f"{place(e)}: {name} cannot be exported: {reason}.")
        for output in e.outputs:
            self.made_by[output] = e
        try:
            answer = rule(self, e)
        except OnnxError as error:
            raise OnnxError(f"{place(e)}: {name}: {error}") from None
        names = [answer] if isinstance(answer, str) else answer
        if names is not None:
            self.names.update((s, n) for s, n in zip(e.outputs, names, strict=False) if n is not None)

    def _whole(self, call: MergedCall) -> bool:
        """Take a call whole, if a rule does."""
        first = call.first
        live = [i for i in range(first.start, first.stop) if self.traced.equations[i] is not None]
        rule = _rule_for(first)
        if rule is None or not live:
            return False
        outputs = [value.array for _, value in leaves(first.output, kind=Value)]
        before = self.parts.copy(), dict(self.names), dict(self._numbers), dict(self._held)
        self.path = first.path.replace("/", ".")
        try:
            names = rule(self, call)
        except OnnxError:
            names = None
        given = dict(zip(outputs, names or [], strict=False))
        if names is None or any(given.get(s) is None for s in self._needed_behind(first, live)):
            self.parts, self.names, self._numbers, self._held = before
            self.nodes = self.parts.nodes
            return False
        self.names.update((s, n) for s, n in given.items() if n is not None and isinstance(s, Symbol))
        self._named_as_layer(first.path.replace("/", "."), given)
        return True

    def _named_as_leaf(self, call: Call) -> None:
        """A layer that was taken by its parts, but has none that are layers: its last node has its name."""
        outputs = [value.array for _, value in leaves(call.output, kind=Value)]
        if isinstance(call.thing, Module) and self.nodes and not any(True for _ in call.thing.children()):
            self._named_as_layer(call.path, {s: self.names.get(s) for s in outputs if isinstance(s, Symbol)})

    def _named_as_layer(self, path: str, given: dict[Any, Any]) -> None:
        """The node that makes a layer's result has the layer's own name."""
        last = self.nodes[-1]
        wanted = [s for s, n in given.items() if n == last.outputs[0] and isinstance(s, Symbol)]
        if path and path not in self.parts.taken and wanted and last.name == last.outputs[0]:
            self.parts.taken.add(path)
            last.name = last.outputs[0] = path
            self.names.update(dict.fromkeys(wanted, path))

    def _needed_behind(self, call: Call, live: Sequence[int]) -> list[Symbol]:
        """What equations of a call make and something outside of it reads."""
        made = [s for i in live for s in self.traced.equations[i].outputs]  # type: ignore[union-attr]
        return [s for s in made if any(not call.start <= use < call.stop for use in self._uses.get(s, ()))]


def _rule_for(call: Call) -> Any:
    if not isinstance(call.thing, Module):
        return BLOCKS.get(call.thing)
    kind: Any = type(call.thing)
    for cls in kind.__mro__:
        if cls in LAYERS:
            plain = kind.forward is cls.forward and not call.changed
            return LAYERS[cls] if plain and not kind.__dict__.get("parametrizations") and kind is cls else None
    return None


def lower(traced: Merged, names: dict[int, str], opset: int, inputs: Sequence[str]) -> Lowering:
    """All nodes for a model. `names` are those of its parameters and buffers, by the identity of their arrays."""
    g = Lowering(traced, names, opset)
    g.note_uses(traced.equations, [x for _, x in traced.outputs])
    for symbol, name in zip(traced.inputs, inputs, strict=True):
        g.names[symbol] = g.parts.free_name(name)
    g.walk(traced.root)
    return g
