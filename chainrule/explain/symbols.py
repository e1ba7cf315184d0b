"""A function of ours as a formula of SymPy's: its operations are noted, and each is done on expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ChainruleError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation
from chainrule.tensor import Tensor

#: SymPy's functions for primitives of one argument.
_FUNCTIONS = {
    "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Sin": "sin", "Cos": "cos", "Tanh": "tanh", "Arcsin": "asin",
    "Arctan": "atan", "Erf": "erf", "Erfc": "erfc", "Absolute": "Abs", "Sign": "sign", "Floor": "floor",
}  # fmt: skip
#: And of two, which NumPy cannot do on expressions.
_PAIRS = {"Maximum": "Max", "Minimum": "Min", "Less": "Lt", "LessEqual": "Le", "Equal": "Eq", "Arctan2": "atan2"}
#: Primitives that NumPy does on expressions as on numbers.
_BY_NUMPY = {
    "Add", "Subtract", "Multiply", "Divide", "Power", "Negate", "MatMul", "Broadcast", "Reshape", "Permute", "Flip",
    "Concatenate",
}  # fmt: skip


class SymbolicError(ChainruleError, TypeError):
    """An operation has no formula that SymPy could derive."""


def sympy() -> Any:
    """SymPy, or an ImportError that says how to get it."""
    try:
        import sympy as found
    except ImportError as error:
        raise ImportError("derivatives by formulas need SymPy: pip install 'chainrule[symbolic]'.") from error
    return found


def as_formula(function: Callable[[Tensor], Tensor], variables: Sequence[Any]) -> Any:
    """The result of a function of a tensor (n,) as expressions of n variables of SymPy: an array of the result's shape.

    Raises SymbolicError for an operation that has no formula, ImportError without SymPy.

    >>> x, y = sympy().symbols("x y")
    >>> as_formula(lambda t: (t[0] + t[1]) * t[1].sin(), [x, y]).item()
    (x + y)*sin(y)
    """
    trace = Trace()
    with tracing(trace), no_grad():
        given = trace.new_input((len(variables),), np.dtype(np.float64), False)
        result = function(Primitive.make_tensor(given))
    known: dict[Any, Any] = {given.array: np.array(list(variables), object)}
    for outside, inside in trace.captures.values():
        known[inside.array] = outside.array.astype(object)
    for equation in trace.equations:
        arrays = [known[x] if isinstance(x, Symbol) else np.asarray(x, object) for x in equation.inputs]
        known[equation.outputs[0]] = np.asarray(_done(equation, arrays), object)
    array = result.value.array
    return known[array] if isinstance(array, Symbol) else np.asarray(array, object)


def size(expression: Any) -> int:
    """How many nodes an expression's tree has: operations, numbers and variables, each time they occur.

    >>> x = sympy().symbols("x")
    >>> size(x * x + 1)
    5
    """
    return 1 + sum(map(size, expression.args))


def _done(equation: Equation, arrays: list[Any]) -> Any:
    """One operation on arrays of expressions."""
    library, name, settings = sympy(), equation.primitive.name, equation.parameters
    shape = tuple(equation.outputs[0].shape)
    if name == "Cast":
        return arrays[0]
    if name == "Sum":
        return np.asarray(np.sum(arrays[0], axis=settings["axes"]), object).reshape(shape)
    if name == "Amax":
        x = arrays[0]
        for axis in sorted(settings["axes"], reverse=True):
            x = np.frompyfunc(library.Max, 2, 1).reduce(x, axis=axis)
        return np.asarray(x, object).reshape(shape)
    if name == "Index":
        return _indexed(equation, arrays).reshape(shape)
    if name in _BY_NUMPY:
        return equation.primitive.evaluate(*arrays, **settings)
    if name in _FUNCTIONS:
        function = getattr(library, _FUNCTIONS[name])
    elif name in _PAIRS:
        function = getattr(library, _PAIRS[name])
    elif name == "Rsqrt":
        function = lambda x: 1 / library.sqrt(x)  # noqa: E731
    elif name == "Expm1":
        function = lambda x: library.exp(x) - 1  # noqa: E731
    elif name == "Log1p":
        function = lambda x: library.log(1 + x)  # noqa: E731
    elif name == "Where":
        function = lambda condition, a, b: library.Piecewise((a, condition), (b, True))  # noqa: E731
    else:
        raise SymbolicError(f"{name} has no formula that could be derived; write it otherwise, or leave this way out.")
    return np.frompyfunc(function, len(arrays), 1)(*arrays)


def _indexed(equation: Equation, arrays: list[Any]) -> Any:
    """The places that an index reads, found by indexing the places' numbers."""
    source = arrays[0]
    places = np.arange(source.size, dtype=np.int64).reshape(source.shape)
    numbers = [np.asarray(a, np.int64) for a in arrays[1:]]
    return source.reshape(-1)[
        np.asarray(equation.primitive.evaluate(places, *numbers, **equation.parameters)).reshape(-1)
    ]
