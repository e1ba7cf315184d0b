"""A graph: equations in order, from inputs to outputs.

>>> import numpy as np
>>> from chainrule.primitives.elementwise import Multiply
>>> form = (2,), np.dtype("f4")
>>> x, y, z = Symbol(*form), Symbol(*form), Symbol(*form)
>>> square = Equation(Multiply, (x, x), {}, (y,), form, "")
>>> unused = Equation(Multiply, (x, y), {}, (z,), form, "")
>>> graph = Graph([x], [square, unused], [y])
>>> graph
graph(v0: float32[2]):
  v1: float32[2] = Multiply(v0, v0)
  return v1
>>> graph.check().run([np.array([2, 3], "f4")])
[array([4., 9.], dtype=float32)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.primitives.value import Array, Symbol, Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.primitives.primitive import Primitive
    from chainrule.tensor import Tensor


class GraphError(ChainruleError, AssertionError):
    """A graph breaks a rule: a mistake in what made it, not in the user's program."""


class BlockUse:
    """One use of a block (softmax, say): all equations noted meanwhile name it, so that it can be taken as one.

    Attributes:
        name: of the block.
        outer: the use of a block within which it was used, if any.
    """

    __slots__ = ("name", "outer")

    def __init__(self, name: str, outer: BlockUse | None = None) -> None:
        self.name, self.outer = name, outer

    def __repr__(self) -> str:
        return self.name if self.outer is None else f"{self.outer!r}/{self.name}"


class Equation(NamedTuple):
    """One noted application. Inputs and outputs are Symbols; an input may also be an array: a literal.

    Attributes:
        primitive: what is applied, to `inputs` with `parameters`.
        forms: what the shape rule answered: (shape, dtype), or a list of these where there are several results.
        path, module: the path and the class of the module that was running.
        block: the use of a block that was at work, the innermost one.
        line: the file and the line of the user's code that asked for it.
    """

    primitive: type[Primitive]
    inputs: tuple[Any, ...]
    parameters: dict[str, Any]
    outputs: tuple[Symbol, ...]
    forms: Any
    path: str
    module: str = ""
    block: BlockUse | None = None
    line: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return _Names().line(self)

    def evaluate(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """The results for arrays in the place of the inputs."""
        result = self.primitive.compute(arrays, self.parameters, self.forms)
        return result if type(self.forms) is list else (result,)


class Graph:
    """Equations with their inputs and outputs in order. Only what the outputs need is kept; nothing changes later.

    Attributes:
        inputs: symbols, each once.
        equations: those that the outputs depend on and those that check something, in order.
        outputs: symbols of the graph, or arrays.
    """

    def __init__(self, inputs: Iterable[Symbol], equations: Iterable[Equation], outputs: Iterable[Any]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.equations = tuple(needed(tuple(equations), self.outputs))

    def __repr__(self) -> str:
        names = _Names()
        head = f"graph({', '.join(map(names.typed, self.inputs))}):"
        lines = [f"  {names.line(e)}" for e in self.equations]
        return "\n".join([head, *lines, f"  return {', '.join(map(names.of, self.outputs))}"])

    def used(self) -> set[Symbol]:
        """The symbols that an equation takes in or that are outputs."""
        taken = {x for e in self.equations for x in e.inputs if isinstance(x, Symbol)}
        return taken | {x for x in self.outputs if isinstance(x, Symbol)}

    def made_by(self) -> dict[Symbol, Equation]:
        """For each symbol that is no input the equation that makes it."""
        return {symbol: e for e in self.equations for symbol in e.outputs}

    def rename(self, names: dict[Symbol, Any]) -> Graph:
        """The same graph where other symbols (or, for inputs, arrays) stand for some."""
        if not names:
            return self

        def named(x: Any) -> Any:
            return names.get(x, x) if isinstance(x, Symbol) else x

        inputs = [y for x in self.inputs if isinstance(y := named(x), Symbol)]
        return Graph(inputs, renamed(self.equations, names), map(named, self.outputs))

    def check(self) -> Graph:
        """The graph itself, if it keeps the rules; otherwise a GraphError names the equation and the rule.

        Every symbol is made once, and before it is used; every result has the shape and the data type that the
        primitive's shape rule gives for the inputs as they are.
        """
        known: set[Symbol] = set()
        for symbol in self.inputs:
            if symbol in known:
                raise GraphError(f"the input {symbol!r} comes twice.")
            known.add(symbol)
        for number, e in enumerate(self.equations):
            _check_equation(f"equation {number}, {e!r}", e, known)
            known.update(e.outputs)
        for x in self.outputs:
            if isinstance(x, Symbol) and x not in known:
                raise GraphError(f"the output {x!r} is made by no equation.")
        return self

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """What the graph means, in NumPy. An error of an operation is raised with its module's path."""
        return self.interpreter(arrays)

    @cached_property
    def interpreter(self) -> Callable[[Sequence[Array]], list[Array]]:
        """A Python function that runs the graph on arrays, with all look-ups by name done beforehand."""
        return self.runner(in_numpy)

    def runner(self, meaning: Callable[[Equation], Callable[..., Any]]) -> Callable[[Sequence[Array]], list[Array]]:
        """The same, where `meaning` says by what function an equation's results are found, from arrays and settings."""
        place: dict[Symbol, int] = {symbol: i for i, symbol in enumerate(self.inputs)}
        literals: list[Array] = []
        for equation in self.equations:
            for symbol in equation.outputs:
                place[symbol] = len(place)

        def locate(x: Any) -> int:
            if isinstance(x, Symbol):
                return place[x]
            literals.append(x)
            return -len(literals)

        places = [[locate(x) for x in e.inputs] for e in self.equations]
        answers = [locate(x) for x in self.outputs]
        tail, total = literals[::-1], len(place)
        last = _last_uses(list(zip(self.equations, places, strict=True)), answers, len(self.inputs))
        steps = [
            (meaning(e), inputs, e.parameters, e.forms, e.path, e.module, done)
            for e, inputs, done in zip(self.equations, places, last, strict=True)
        ]

        def run(arrays: Sequence[Array]) -> list[Array]:
            # Results go behind the inputs in the order of `place`; literals are reached from the end.
            cells: list[Any] = [None] * total + tail
            cells[: len(arrays)] = arrays
            free, state = len(arrays), current_state()
            before = state.path, state.module
            try:
                with np.errstate(all="ignore"):
                    for function, inputs, settings, forms, state.path, state.module, done in steps:
                        result = function(*[cells[i] for i in inputs], **settings)
                        if type(forms) is not list:
                            as_said = type(result) is np.ndarray and result.dtype is forms[1]
                            cells[free] = result if as_said else np.asarray(result, forms[1])
                            free += 1
                        else:
                            for part, form in zip(result, forms, strict=True):
                                as_said = type(part) is np.ndarray and part.dtype is form[1]
                                cells[free] = part if as_said else np.asarray(part, form[1])
                                free += 1
                        for i in done:
                            cells[i] = None
            finally:
                state.path, state.module = before
            return [cells[i] for i in answers]

        return run

    def __getstate__(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "equations": tuple(map(_stored, self.equations)), "outputs": self.outputs}


def in_numpy(equation: Equation) -> Callable[..., Any]:
    """What an equation means: `evaluate` itself, where nothing is to be done before."""
    primitive, forms = equation.primitive, equation.forms
    if primitive.accumulates and any(x.dtype.itemsize == 2 and x.dtype.kind in "fV" for x in equation.inputs):
        return lambda *arrays, **settings: primitive.compute(arrays, settings, forms)
    return primitive.evaluate


def _stored(equation: Equation) -> Equation:
    """An equation without what only the tape of the trace needed: how a loop's gradient is computed."""
    if equation.parameters.get("backward") is None:
        return equation
    return equation._replace(parameters={**equation.parameters, "backward": None})


def _last_uses(steps: Sequence[tuple[Equation, list[int]]], kept: Sequence[int], inputs: int) -> list[list[int]]:
    """For each step the places that nothing reads any more behind it: their memory is free then."""
    last: list[list[int]] = []
    seen = set(kept)
    free = inputs + sum(len(e.outputs) for e, _ in steps)
    for equation, places in reversed(steps):
        free -= len(equation.outputs)
        here = {i for i in (*places, *range(free, free + len(equation.outputs))) if i >= 0} - seen
        last.append(sorted(here))
        seen |= here
    return last[::-1]


def _check_equation(place: str, e: Equation, known: set[Symbol]) -> None:
    for x in e.inputs:
        if isinstance(x, Symbol) and x not in known:
            raise GraphError(f"{place}: the input {x!r} is not made before.")
    if len(set(e.outputs)) != len(e.outputs) or any(symbol in known for symbol in e.outputs):
        raise GraphError(f"{place}: a result is made a second time.")
    forms = e.primitive.shape(*e.inputs, **e.parameters)
    expected = forms if type(forms) is list else [forms]
    given = [(tuple(symbol.shape), symbol.dtype) for symbol in e.outputs]
    if given != [(tuple(shape), dtype) for shape, dtype in expected]:
        raise GraphError(f"{place}: the shape rule gives {expected}, the results are {given}.")


def needed(equations: Sequence[Equation], outputs: Sequence[Any]) -> list[Equation]:
    """The equations that the outputs depend on, and those that check something."""
    live = {x for x in outputs if isinstance(x, Symbol)}
    kept = []
    for equation in reversed(equations):
        if any(symbol in live for symbol in equation.outputs) or checks(equation):
            kept.append(equation)
            live.update(x for x in equation.inputs if isinstance(x, Symbol))
    return kept[::-1]


def checks(equation: Equation) -> bool:
    """Whether an equation, or one in the body of a loop, raises an error for some numbers."""
    body = equation.parameters.get("body")
    return equation.primitive.checks or (isinstance(body, Graph) and any(checks(e) for e in body.equations))


def renamed(equations: Iterable[Equation], names: dict[Any, Any]) -> list[Equation]:
    """The equations with other symbols, or arrays, in the place of some."""

    def named(x: Any) -> Any:
        return names.get(x, x) if isinstance(x, Symbol) else x

    return [e._replace(inputs=tuple(map(named, e.inputs)), outputs=tuple(map(named, e.outputs))) for e in equations]


def replay(equations: Sequence[Equation], known: dict[Symbol, Tensor]) -> None:
    """Apply the equations to Tensors again, adding every result to `known`."""
    state = current_state()
    before, block = state.path, state.block
    for equation in equations:
        state.path, state.block = equation.path, equation.block
        make = equation.primitive.make_tensor
        inputs = [known[x] if isinstance(x, Symbol) else make(Value(x)) for x in equation.inputs]
        results = equation.primitive.apply(*inputs, **equation.parameters)
        known.update(zip(equation.outputs, results if isinstance(results, tuple) else (results,), strict=True))
    state.path, state.block = before, block


class _Names:
    """Names for symbols in the order in which they are shown."""

    def __init__(self) -> None:
        self.known: dict[Symbol, str] = {}

    def of(self, x: Any) -> str:
        if isinstance(x, Symbol):
            return self.known.setdefault(x, f"v{len(self.known)}")
        return f"{x.reshape(-1)[0]:g}" if x.size == 1 and x.dtype.kind != "V" else f"{x.dtype.name}{list(x.shape)}"

    def typed(self, x: Any) -> str:
        return f"{self.of(x)}: {x!r}" if isinstance(x, Symbol) else self.of(x)

    def line(self, e: Equation) -> str:
        inputs = ", ".join(map(self.of, e.inputs))
        place = f"  # {e.path}" if e.path else ""
        return f"{', '.join(map(self.typed, e.outputs))} = {e.primitive.name}({inputs}){place}"
