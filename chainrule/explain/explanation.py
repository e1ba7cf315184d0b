"""`Explanation`: any computation laid open, over the one graph, with what went forward and what came back."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.backends.native.profile import Profile
from chainrule.compiler.collector import collector_waits
from chainrule.explain.backward import Walk, factors, jacobian, record_of
from chainrule.explain.dot import dot_of
from chainrule.explain.failing import Failure
from chainrule.explain.formulas import substituted
from chainrule.explain.groups import Ends, Groups
from chainrule.explain.not_finite import first_not_finite
from chainrule.explain.notebook import framed
from chainrule.explain.numbers import SMALL, histogram, nested, picture, picture_size, summarised
from chainrule.explain.page.live import page_of
from chainrule.explain.page.settings import plain
from chainrule.explain.svg import svg_of
from chainrule.explain.text import text_of
from chainrule.explain.timeline import timeline_of
from chainrule.files import write_text
from chainrule.primitives.kinds import Binary, Unary
from chainrule.primitives.value import Array, Symbol
from chainrule.program.graph import Equation
from chainrule.version import __version__

#: Of computations with more operations than this only arrays with few entries are shown by their numbers.
LARGE, FEW = 1000, 8
#: Pictures have up to so many pixels together, those of inputs and weights first.
PIXELS = 225_000


class Explanation:
    """What a computation did, value by value and operation by operation.

    Attributes:
        title: what was explained.
        equations: the operations in order, as equations of the one graph.
        arrays: the numbers of each value; a value that nobody kept is missing.
        names, kinds: of values; a kind is "input", "parameter", "constant" or "result".
        outputs: the symbols of the results.
        walk: the backward pass, None where there was none.
        failure: what failed, if the computation did not come to its end.
        kernels, kernel_of, without_kernel: of a compiled step, as in the data; `profile` is what was measured.

    >>> import chainrule
    >>> found = chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
    >>> [found.gradient(name).item() for name in "xyz"]
    [-4.0, -4.0, 3.0]
    """

    def __init__(
        self,
        title: str,
        equations: Sequence[Equation],
        arrays: dict[Symbol, Array],
        *,
        names: dict[Symbol, str] | None = None,
        kinds: dict[Symbol, str] | None = None,
        outputs: Sequence[Symbol] = (),
        walk: Walk | None = None,
        failure: Failure | None = None,
        classes: dict[str, str] | None = None,
        symbols: Sequence[Symbol] = (),
        block_ends: Ends | None = None,
    ) -> None:
        self.title = title
        self.equations = tuple(equations)
        self.arrays = arrays
        self.names = names or {}
        self.kinds = kinds or {}
        self.outputs = tuple(outputs)
        self.walk = walk
        self.failure = failure
        self.symbols = self._in_order(symbols)
        self.ids = {symbol: f"v{i}" for i, symbol in enumerate(self.symbols)}
        failed = None if failure is None else failure.path
        self.groups = Groups(self.equations, classes or {}, block_ends or {}, failed)
        self.kernels: list[dict[str, Any]] = []
        self.kernel_of: dict[int, str] = {}
        self.without_kernel: dict[int, str] = {}
        self.profile: Profile | None = None
        self._data: dict[str, Any] | None = None
        self._summaries: dict[int, tuple[Array, dict[str, Any] | None]] = {}

    def _in_order(self, first: Sequence[Symbol]) -> list[Symbol]:
        """All values, each where it is first used or made."""
        order: dict[Symbol, None] = dict.fromkeys(first)
        for equation in self.equations:
            order.update(dict.fromkeys(x for x in equation.inputs if isinstance(x, Symbol)))
            order.update(dict.fromkeys(equation.outputs))
        if self.failure is not None:
            order.update(dict.fromkeys(self.failure.inputs))
        order.update(dict.fromkeys(self.outputs))
        return list(order)

    # ------------------------------------------------------------------------------------- asking

    def symbol(self, name: str) -> Symbol:
        """The value of a name, of an input or a parameter, or of an id as in `data()`. Raises KeyError."""
        for symbol, known in self.names.items():
            if known == name:
                return symbol
        for symbol, known in self.ids.items():
            if known == name:
                return symbol
        raise KeyError(f"no value is called {name!r}; there are {sorted(set(self.names.values()))}.")

    def value(self, name: str) -> Array:
        """The numbers of a value by its name. Raises KeyError where there is none or it was not kept."""
        return self.arrays[self.symbol(name)]

    def gradient(self, name: str) -> Array:
        """The gradient of the result with respect to a value, by its name. Raises KeyError where nothing came."""
        symbol = self.symbol(name)
        if self.walk is not None and symbol in self.walk.gradients:
            return self.walk.gradients[symbol]
        if self.failure is not None:
            raise KeyError(f"there was no backward pass: {self.failure.error}")
        why = "the result is not a single number, give gradient=" if self.walk is None else "none arrived there"
        raise KeyError(f"no gradient for {name!r}: {why}.")

    def __len__(self) -> int:
        return len(self.equations)

    # ------------------------------------------------------------------------------------- its faces

    def text(self, everything: bool | None = None, width: int = 120, colours: bool = False) -> str:
        """For the terminal: a tree of modules and blocks; each operation with its formula and numbers.

        Behind ∂ stands the gradient of a value, behind ← what an operation sends back: upstream × local = downstream.

        Args:
            everything: show every operation. By default that is done up to 80 of them, and larger computations are
                shown by their modules.
            width: characters in a line.
            colours: with the terminal's colours.

        >>> import chainrule
        >>> chainrule.explain(lambda x: x * x, 3.0).text().splitlines()[-3:]
        ['│   ├── ← x: 1 × 3 = 3', '│   └── ← x: 1 × 3 = 3', '└── result float32[]  9  ∂ 1']
        """
        return text_of(self, everything, width, colours)

    def svg(self, file: str | Path | None = None, fold: bool | str | None = None, marked: Collection[str] = ()) -> str:
        """A drawing from left to right, forward values above each line and gradients below; into a file too.

        Args:
            file: where to write it.
            fold: True draws blocks with a gradient of their own (sigmoid, softmax) as one box, False every operation;
                "kernels" draws a box for all that a kernel of a compiled step does. By default groups are closed, the
                innermost first, until there are at most 24 operations.
            marked: paths of modules, or of their parameters, that stand out. What is around them stays open; the box of
                "0.weight" or "0" is the element "node-0", so that a page can link to it.

        >>> import chainrule
        >>> chainrule.explain(lambda x: x * x, 3.0).svg().startswith("<svg")
        True
        """
        text = svg_of(self, fold, marked)
        if file is not None:
            write_text(file, text)
        return text

    def html(self, file: str | Path | None = None) -> str:
        """A page to look around in, one HTML file that needs nothing else; written into a file too, if one is given.

        Modules, blocks and repeated layers fold; each operation shows its formula, its numbers and what it multiplies
        the gradient by. A small computation (300 operations, 1,024 entries in each input and weight) is computed again
        in the page when a number is changed.

        >>> import chainrule
        >>> chainrule.explain(lambda x: x * x, 3.0).html().startswith("<!doctype html>")
        True
        """
        text = page_of(self)
        if file is not None:
            write_text(file, text)
        return text

    def timeline(self, file: str | Path | None = None) -> str:
        """Of a compiled step: who did what when in a run, as an SVG drawing; into a file too. Raises TypeError else."""
        text = timeline_of(self.measured("timeline"))
        if file is not None:
            write_text(file, text)
        return text

    def chrome_trace(self, file: str | Path) -> None:
        """Of a compiled step: the same for chrome://tracing and ui.perfetto.dev. Raises TypeError for another."""
        self.measured("chrome_trace").chrome_trace(file)

    def measured(self, asked: str) -> Profile:
        """What the kernels of a compiled step took. Raises TypeError, naming what was `asked`, for anything else."""
        if self.profile is None:
            raise TypeError(
                f"{asked}: nothing was compiled here, so there are no kernels. Explain the compiled step: "
                "chainrule.explain(chainrule.compile(function), *inputs)."
            )
        return self.profile

    def __repr__(self) -> str:
        return self.text()

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return framed(self.html())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """All faces under their types: a notebook shows the first that it can."""
        made = {"text/plain": self.text, "text/html": self._repr_html_, "image/svg+xml": self.svg}
        wanted = set(include or made) - set(exclude or ())
        return {kind: make() for kind, make in made.items() if kind in wanted}

    # ------------------------------------------------------------------------------------- as data

    def data(self) -> dict[str, Any]:
        """Everything as dictionaries and lists, ready for JSON; see docs/microscope.md for the keys.

        Made once: whoever wants to change it makes a copy.
        """
        if self._data is None:
            with collector_waits():
                self._data = self._made_data()
            self._summaries.clear()
        return self._data

    def _made_data(self) -> dict[str, Any]:
        failed, shown = self.failure, self._with_pictures()
        nodes = [self._node(number, equation) for number, equation in enumerate(self.equations)]
        if failed is not None:
            nodes.append(
                failed.node(f"n{len(nodes)}", [self.ids[x] for x in failed.inputs], self.groups.of_path(failed))
            )
        data = {
            "version": 1,
            "title": self.title,
            "framework": f"chainrule {__version__}",
            "values": [self._value(symbol, symbol in shown) for symbol in self.symbols],
            "nodes": nodes,
            "groups": self.groups.data(self),
            "kernels": self.kernels,
            "outputs": [self.ids[x] for x in self.outputs],
        }
        return {**data, "first_nan": first_not_finite(data)}

    def json(self, file: str | Path | None = None) -> str:
        """`data()` as JSON text; written into a file too, if one is given."""
        text = json.dumps(self.data(), ensure_ascii=False, allow_nan=False)
        if file is not None:
            write_text(file, text)
        return text

    def dot(self, file: str | Path | None = None) -> str:
        r"""The graph in Graphviz's language, groups as clusters, values and gradients on the edges; into a file too.

        >>> import chainrule
        >>> print(chainrule.explain(lambda x: x * x, 3.0).dot().splitlines()[-2])
          n0 -> result0 [label="9\n∂ 1"];
        """
        text = dot_of(self.data())
        if file is not None:
            write_text(file, text)
        return text

    def onnx(self, file: str | Path) -> None:
        """Everything as an ONNX file to look at, in Netron or another reader; nothing can run it.

        The operators are chainrule's primitives. Weights are in the file; formulas, values and gradients stand in the
        nodes' and values' descriptions. `chainrule.onnx.export` writes a model that others can run. Needs the package
        onnx (`pip install 'chainrule[onnx]'`); raises OnnxError without it, and for weights of 2 GB and more.
        """
        from chainrule.explain.as_onnx import write_onnx

        write_onnx(self, file)

    def _with_pictures(self) -> set[Symbol]:
        """The values that there is room to picture."""
        room, found = PIXELS, set()
        for symbol in sorted(self.symbols, key=lambda symbol: symbol not in self.kinds):
            height, width = picture_size(symbol.shape) or (0, 0)
            if 0 < height * width <= room:
                room -= height * width
                found.add(symbol)
        return found

    def _value(self, symbol: Symbol, pictured: bool) -> dict[str, Any]:
        array = self.arrays.get(symbol)
        shown = {"numbers": None, "statistics": None} if array is None else self.summarised(array)
        gradient = None if self.walk is None else self.summarised(self.walk.gradients.get(symbol))
        if gradient is not None and self.walk is not None:
            gradient = {**gradient, "paths": self.walk.meetings.get(symbol, 1)}
        return {
            "id": self.ids[symbol],
            "name": self.names.get(symbol),
            "kind": self.kinds.get(symbol, "result"),
            "shape": list(symbol.shape),
            "type": symbol.dtype.name,
            **(shown or {}),
            "image": picture(array) if pictured and array is not None else None,
            "histogram": None if array is None else histogram(array),
            "gradient": gradient,
        }

    def summarised(self, array: Array | None) -> dict[str, Any] | None:
        """Numbers and statistics of an array; what comes again (as an upstream gradient, say) is looked at once."""
        if array is None:
            return None
        known = self._summaries.get(id(array))
        if known is None:
            known = self._summaries[id(array)] = array, summarised(array, SMALL if len(self) <= LARGE else FEW)
        return known[1]

    def _node(self, number: int, equation: Equation) -> dict[str, Any]:
        known = [self.arrays.get(x) if isinstance(x, Symbol) else x for x in equation.inputs]
        made = [self.arrays.get(x) for x in equation.outputs]
        whole = all(x is not None for x in (*known, *made))
        small = whole and all(x.size <= 12 for x in (*known, *made) if x is not None)
        return {
            "id": f"n{number}",
            "operation": equation.primitive.name,
            "formula": equation.primitive.latex,
            "arguments": [argument_name(equation.primitive, i) for i in range(len(equation.inputs))],
            "substituted": substituted(equation.primitive, known, made) if small else None,  # type: ignore[arg-type]
            "settings": {name: plain(value) for name, value in equation.parameters.items()},
            "inputs": [self.ids[x] for x in equation.inputs],
            "outputs": [self.ids[x] for x in equation.outputs],
            "group": self.groups.of(number),
            "path": equation.path,
            "line": list(equation.line) if equation.line else None,
            "contributions": self._contributions(number, equation),
            "kernel": self.kernel_of.get(number),
            "without_kernel": self.without_kernel.get(number),
            "failed": None,
        }

    def _contributions(self, number: int, equation: Equation) -> list[dict[str, Any] | None]:
        step = self.walk.steps.get(number) if self.walk is not None else None
        if step is None:
            return [None] * len(equation.inputs)
        upstream, downstream = step
        return [
            None
            if went is None
            else {
                "upstream": self.summarised(upstream[0]) if len(upstream) == 1 else None,
                **self.local(equation, position),
                "downstream": self.summarised(went),
            }
            for position, went in enumerate(downstream)
        ]

    def local(self, equation: Equation, position: int) -> dict[str, Any]:
        """What an operation multiplies by: {"local": numbers, "jacobian": whether these are a matrix}.

        An elementwise operation has one factor for each entry; another a Jacobian with a row for each entry of the
        output. None where it is larger than 64 entries.
        """
        none = {"local": None, "jacobian": False}
        entries = [x.size for x in (*equation.inputs, *equation.outputs) if isinstance(x, Symbol)]
        if max(entries) > SMALL or any(x not in self.arrays for x in (*equation.inputs, *equation.outputs)):
            return none
        record = record_of(equation, self.arrays, [i == position for i in range(len(equation.inputs))])
        if record is None:
            return none
        if issubclass(equation.primitive, Unary | Binary):
            found = factors(record, position, SMALL)
            return none if found is None else {"local": nested(found), "jacobian": False}
        matrix = jacobian(record, position, SMALL)
        if matrix is None:
            return none
        x, y = equation.inputs[position], equation.outputs[0]
        if x.shape == y.shape and not np.any(matrix[~np.eye(len(matrix), dtype=bool)]):
            return {"local": nested(np.diagonal(matrix).reshape(y.shape)), "jacobian": False}
        return {"local": nested(matrix), "jacobian": True}


def argument_name(primitive: Any, position: int) -> str:
    """The name of an input in the formula."""
    names = primitive.arguments
    return names[position] if position < len(names) else primitive.variadic or f"input{position}"
