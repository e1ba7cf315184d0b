"""Several traces of one model with other sizes, laid upon each other: equation by equation, call by call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.nn.module import Module
from chainrule.onnx.errors import OnnxError
from chainrule.onnx.sizes import Number, Size, VaryingArray, merged
from chainrule.onnx.traces import Call, Noted, leaves, note
from chainrule.primitives.value import Symbol, Value
from chainrule.program.graph import Equation, Graph, needed

#: How far the sizes of the traces lie from the first one's: far apart, and close where a model has little room.
FAR, NEAR, LITTLE = (0, 1, 2, 3, 6, 13, 37), (0, 1, 2, 3, 4, 5, 7), (0, 1, 2, 3, 1, 2, 3)
TRACES = len(FAR)


class Free(NamedTuple):
    """A size that may vary.

    Attributes:
        name: how the file calls it.
        places: (input, axis) where it is the size of an input.
        example: its size in the example.
    """

    name: str
    places: list[tuple[int, int]]
    example: int


class MergedEquation(NamedTuple):
    """One equation of all traces. Inputs are symbols of the first trace, arrays, or VaryingArrays."""

    primitive: Any
    inputs: tuple[Any, ...]
    parameters: dict[str, Any]
    outputs: tuple[Symbol, ...]
    path: str
    module: str


@dataclass
class MergedCall:
    """One call of all traces."""

    calls: Sequence[Call]
    inner: list[MergedCall] = field(default_factory=list)

    @property
    def first(self) -> Call:
        """The call in the first trace."""
        return self.calls[0]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name, with a Size where a number varies. Raises OnnxError where they differ otherwise."""
        return {key: merged([call.arguments[key] for call in self.calls]) for key in self.first.arguments}


@dataclass
class Merged:
    """All traces as one.

    Attributes:
        inputs: the symbols of the inputs.
        outputs: what the model gave: names, and symbols, arrays or VaryingArrays.
        equations: all that the outputs need, None in the place of the others.
        root: the outermost calls are within this one.
        pairing: which symbols of the traces are one, with their shapes and constants.
        free: what may vary, with the Size that it is.
    """

    inputs: list[Symbol]
    outputs: list[tuple[str, Any]]
    equations: list[MergedEquation | None]
    root: MergedCall
    pairing: Pairing
    free: list[tuple[Free, Size]]


Shapes = list[tuple[int, ...]]


def trace_several(
    model: Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Shapes, free: Sequence[Free]
) -> Merged:
    """The model for all sizes of what is free. Raises OnnxError for a model that cannot be one graph for all."""

    known: dict[tuple[int, ...], Noted] = {}

    def noted(sizes: dict[str, int]) -> Noted:
        key = tuple(sizes.values())
        if key not in known:
            known[key] = afresh(sizes)
        return known[key]

    def afresh(sizes: dict[str, int]) -> Noted:
        changed = [list(shape) for shape in shapes]
        for one in free:
            for number, axis in one.places:
                changed[number][axis] = sizes[one.name]
        return note(model, args, kwargs, [tuple(shape) for shape in changed])

    if not free:
        return _merge([noted({})], [])
    ways = _ways_to_vary(noted, free)
    # Each size goes through its values in an order of its own, so that no two rise together.
    order = [[j * (i % (TRACES - 1) + 1) % TRACES for i in range(len(free))] for j in range(TRACES)]
    sizes = [{one.name: ways[one.name][k] for one, k in zip(free, places, strict=True)} for places in order]
    traces = [noted(each) for each in sizes]
    return _merge(traces, [(one, Size([each[one.name] for each in sizes])) for one in free])


def _ways_to_vary(noted: Callable[[dict[str, int]], Noted], free: Sequence[Free]) -> dict[str, list[int]]:
    """For each free size the values that it takes: more, or fewer, or multiples, whatever the model runs with.

    Only an error of the model's own lets another way be tried. Sizes that it takes and treats in another way are
    found when the traces are laid upon each other.
    """
    found: dict[str, list[int]] = {}
    base = {one.name: max(one.example, 2) for one in free}
    for one in free:
        n = base[one.name]
        ways = [[n + k for k in FAR], [n + k for k in NEAR]]
        ways += [[n - k for k in steps] for steps in (FAR, NEAR, LITTLE) if n - max(steps) >= 2]
        ways += [[n + by * k for k in NEAR] for by in (2, 4, 8, 16, 32)]
        ways += [[n * (1 + k) for k in NEAR]]
        reason: Exception | None = None
        for way in ways:
            try:
                for size in sorted(set(way)):
                    noted({**base, one.name: size})
            except OnnxError:
                raise
            except ChainruleError as error:
                reason = reason or error
                continue
            found[one.name] = way
            break
        else:
            raise OnnxError(
                f"the size {one.name!r} was to vary, but the model does not run with other ones than {one.example}: "
                f"{reason} Leave it out of `dynamic`."
            )
    return found


def _merge(traces: Sequence[Noted], free: list[tuple[Free, Size]]) -> Merged:
    first = traces[0]
    lists = [noted.trace.equations for noted in traces]
    _check_same(lists)
    for noted in traces:
        noted.trace.root.stop = len(noted.trace.equations)
    pairing = Pairing(traces)
    root = _merged_calls([noted.trace.root for noted in traces])
    outputs = [value.array for _, value in leaves(first.output, kind=Value)]
    live = set(map(id, needed(lists[0], outputs)))
    merged_ones = [(id(each[0]) in live, pairing.equation(each)) for each in zip(*lists, strict=True)]
    named = [list(leaves(noted.output, kind=Value)) for noted in traces]
    if len({len(results) for results in named}) > 1:
        raise OnnxError("the model gives more results for other sizes; fix these sizes.")
    results = [
        (name, pairing.symbol_or_array([value.array for _, value in values]))
        for (name, _), values in zip(named[0], zip(*named, strict=True), strict=True)
    ]
    return Merged(first.inputs, results, [e if needs else None for needs, e in merged_ones], root, pairing, free)


def _check_same(lists: Sequence[Sequence[Equation]]) -> None:
    for equations in zip(*lists, strict=False):
        if len({e.primitive for e in equations}) > 1:
            kinds = " or ".join(sorted({e.primitive.name for e in equations}))
            raise OnnxError(f"{place(equations[0])} does other things for other sizes ({kinds}); fix these sizes.")
    if len(set(map(len, lists))) > 1:
        raise OnnxError("the model does more steps for other sizes (a loop over one, say); use scan, or fix the sizes.")


def place(e: Any) -> str:
    """Where an equation is, for messages."""
    return f"{e.path or 'the model'}" + (f" ({e.module})" if e.module else "")


def _merged_calls(calls: Sequence[Call]) -> MergedCall:
    if len({len(call.inner) for call in calls}) > 1:
        raise OnnxError(f"{calls[0].path or 'the model'} calls other layers for other sizes; fix these sizes.")
    return MergedCall(calls, [_merged_calls(inner) for inner in zip(*[call.inner for call in calls], strict=True)])


class Pairing:
    """Which symbol of the first trace each symbol of the others is.

    Attributes:
        forms: the shape (with Sizes) and the data type of each symbol.
        constants: for each symbol that stands for a tensor from outside its Value, or a VaryingArray.
    """

    def __init__(self, traces: Sequence[Noted]) -> None:
        self.forms: dict[Symbol, tuple[tuple[Number, ...], np.dtype[Any]]] = {}
        self.constants: dict[Symbol, Value | VaryingArray] = {}
        self.first: list[dict[Symbol, Symbol]] = [{} for _ in traces]
        self.outside = [{inside.array: outer for outer, inside in n.trace.captures.values()} for n in traces]
        for symbols in zip(*[noted.inputs for noted in traces], strict=True):
            self.pair(symbols)

    def pair(self, symbols: Sequence[Symbol]) -> Symbol:
        """These are one."""
        first = symbols[0]
        for known, symbol in zip(self.first, symbols, strict=True):
            known[symbol] = first
        self.forms[first] = merged([tuple(s.shape) for s in symbols]), first.dtype
        return first

    def equation(self, equations: Sequence[Equation]) -> MergedEquation:
        """The equations of all traces as one."""
        e = equations[0]
        try:
            inputs = tuple(self.symbol_or_array(xs) for xs in zip(*[e.inputs for e in equations], strict=True))
            parameters = {
                name: Graphs([e.parameters[name] for e in equations])
                if isinstance(value, Graph)
                else merged([e.parameters[name] for e in equations])
                for name, value in e.parameters.items()
                if name != "backward"
            }
        except (OnnxError, ValueError) as error:
            raise OnnxError(f"{place(e)}: {e.primitive.name}: {error}") from None
        outputs = tuple(self.pair(symbols) for symbols in zip(*[e.outputs for e in equations], strict=True))
        return MergedEquation(e.primitive, inputs, parameters, outputs, e.path, e.module)

    def symbol_or_array(self, xs: Sequence[Any]) -> Any:
        """What stands for one thing of all traces."""
        if not isinstance(xs[0], Symbol):
            return merged(xs)
        known = {names.get(x) for names, x in zip(self.first, xs, strict=True)}
        if known == {None}:
            self._capture(xs)
        elif len(known) > 1:
            raise OnnxError("the model connects its layers in another way for other sizes; fix these sizes.")
        return self.first[0][xs[0]]

    def _capture(self, symbols: Sequence[Symbol]) -> None:
        outer = [known[symbol] for known, symbol in zip(self.outside, symbols, strict=True)]
        same = all(value is outer[0] for value in outer)
        array = None if same else merged([value.array for value in outer])
        symbol = self.pair(symbols)
        self.constants[symbol] = array if isinstance(array, VaryingArray) else outer[0]

    def body(self, graphs: Graphs) -> tuple[list[Symbol], list[MergedEquation], list[Any]]:
        """The inputs, the equations and the outputs of a loop's body."""
        inputs = [self.pair(symbols) for symbols in zip(*[graph.inputs for graph in graphs.graphs], strict=True)]
        lists = [graph.equations for graph in graphs.graphs]
        _check_same(lists)
        equations = [self.equation(each) for each in zip(*lists, strict=True)]
        outputs = [self.symbol_or_array(xs) for xs in zip(*[graph.outputs for graph in graphs.graphs], strict=True)]
        return inputs, equations, outputs


class Graphs:
    """The body of a loop in all traces."""

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self.graphs = graphs
