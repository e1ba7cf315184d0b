"""Graphs as plain data, and back: containers, numbers, texts and arrays, which `chainrule.save` writes.

An equation names its primitive as the registry does, refers to values by their numbers in the order in which they are
made, and has its settings as data. A setting that is no plain value is an object with one key that says what it is:
`{"dtype": "float32"}`, `{"range": [0, None, 2]}`, `{"graph": …}`. Functions among the settings (the rule of a check)
are known by a list of names, `rules.py`: nothing that a file names is called that is not on it.

>>> import chainrule
>>> from chainrule.compiler.trace import trace_step
>>> graph = trace_step(lambda tensors: [tensors[0].sum(1) * 2], [chainrule.ones(2, 3)]).graph()
>>> data = graph_data(graph)
>>> data["equations"][0]
{'primitive': 'Sum', 'inputs': [0], 'parameters': {'axes': (1,)}, 'results': 1, 'path': ''}
>>> graph_from(data)
graph(v0: float32[2,3]):
  v1: float32[2] = Sum(v0)
  v2: float32[2] = Broadcast(2)
  v3: float32[2] = Multiply(v1, v2)
  return v3
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import CheckpointError, TraceError
from chainrule.portable.rules import name_of_rule, rule_named
from chainrule.primitives.indexing import ARRAY, Range
from chainrule.primitives.primitive import registry
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation, Graph


def graph_data(graph: Graph) -> dict[str, Any]:
    """A graph as data. Raises TraceError for a setting that cannot be written, naming the operation."""
    numbers: dict[Symbol, int] = {symbol: i for i, symbol in enumerate(graph.inputs)}

    def written(x: Any) -> Any:
        return numbers[x] if isinstance(x, Symbol) else np.asarray(x)

    equations = []
    for e in graph.equations:
        settings = {}
        for name, value in e.parameters.items():
            try:
                settings[name] = None if name == "backward" else _setting(value)
            except TypeError as error:
                place = f"{e.path}: " if e.path else ""
                raise TraceError(f"{place}{e.primitive.name} cannot be exported: its {name} is {error}.") from None
        equations.append(
            {
                "primitive": e.primitive.name,
                "inputs": [written(x) for x in e.inputs],
                "parameters": settings,
                "results": len(e.outputs),
                "path": e.path,
            }
        )
        for symbol in e.outputs:
            numbers[symbol] = len(numbers)
    return {
        "inputs": [form_data(x) for x in graph.inputs],
        "equations": equations,
        "outputs": [written(x) for x in graph.outputs],
        "results": [form_data(x) for x in graph.outputs],
    }


def form_data(x: Any) -> list[Any]:
    """The shape and the data type of a symbol or an array."""
    return [list(x.shape), x.dtype.name]


def _setting(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, Range):
        return {"range": [_setting(part) for part in value]}
    if isinstance(value, tuple | list):
        return tuple(_setting(part) for part in value)
    if isinstance(value, Graph):
        return {"graph": graph_data(value)}
    if value is Ellipsis:
        return {"ellipsis": None}
    if value is ARRAY:
        return {"array_mark": None}
    if isinstance(value, np.integer):
        return int(value)
    if callable(value):
        return {"rule": name_of_rule(value)}
    raise TypeError(f"a {type(value).__name__}")


def graph_from(data: Any) -> Graph:
    """The graph that the data describe, each result of the form that the primitive's own rule gives.

    Raises CheckpointError for a primitive or a rule that is not there, and what Python or a shape rule raises for data
    that describe no graph.
    """
    values: list[Any] = [_symbol(form) for form in data["inputs"]]
    inputs = list(values)

    def found(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return x
        if type(x) is not int or x < 0:
            raise CheckpointError(f"a value is known by its number, got {x!r:.40}.")
        return values[x]

    equations = []
    for entry in data["equations"]:
        primitive = registry.get(entry["primitive"])
        if primitive is None:
            raise CheckpointError(f"it needs the operation {entry['primitive']!r:.40}, which is not in this version.")
        listed = {str(name): _setting_from(value) for name, value in entry["parameters"].items()}
        parameters = {**primitive.later, **listed}
        arguments = tuple(found(x) for x in entry["inputs"])
        forms = primitive.shape(*arguments, **parameters)
        each = forms if type(forms) is list else [forms]
        if len(each) != entry["results"]:
            raise CheckpointError(f"{primitive.name} has {len(each)} results, not {entry['results']!r:.40}.")
        outputs = tuple(Symbol(tuple(shape), dtype) for shape, dtype in each)
        equations.append(Equation(primitive, arguments, parameters, outputs, forms, str(entry["path"])))
        values.extend(outputs)
    outputs_found = [found(x) for x in data["outputs"]]
    if [form_data(x) for x in outputs_found] != [list(form) for form in data["results"]]:
        raise CheckpointError("its results have other shapes or data types than it says.")
    return Graph(inputs, equations, outputs_found)


def _symbol(form: Any) -> Symbol:
    shape, dtype = form
    if not all(type(extent) is int and extent >= 0 for extent in shape):
        raise CheckpointError(f"a shape has whole numbers of at least 0, got {shape!r:.60}.")
    return Symbol(tuple(shape), as_dtype(dtype).numpy)


def _setting_from(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_setting_from(part) for part in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dtype":
        return as_dtype(content).numpy
    if kind == "range":
        return Range(*content)
    if kind == "graph":
        return graph_from(content)
    if kind == "ellipsis":
        return Ellipsis
    if kind == "array_mark":
        return ARRAY
    if kind == "rule":
        return rule_named(content)
    raise CheckpointError(f"it has a setting of the kind {kind!r:.40}, which is unknown.")
