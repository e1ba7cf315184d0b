"""A graph as a function of JAX's arrays: the rules of its equations, one after the other; loops become `lax.scan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.backends.xla.layout import ALWAYS, applied, plain
from chainrule.backends.xla.rules import RULES, Run, Wrong, by_numpy, report, running
from chainrule.backends.xla.rules.table import enter, zero
from chainrule.primitives.check import Check
from chainrule.primitives.control import Scan
from chainrule.primitives.placed import Placed
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation, Graph

_single = np.dtype(np.float32)


def lowered(
    graph: Graph, kept: Callable[[Symbol, Any], Any] = lambda symbol, array: array
) -> Callable[[Sequence[Any]], list[Any]]:
    """The graph as a function from the arrays of its inputs to those of its outputs.

    Each result, with its symbol, goes through `kept`: what that answers is what later equations are given.
    """

    def run(arrays: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(graph.inputs, arrays, strict=True))

        def now(x: Any) -> Any:
            return known[x] if isinstance(x, Symbol) else jnp.asarray(x.entries if type(x) is Placed else x)

        for equation in graph.equations:
            inputs = equation.inputs
            first = equation.primitive.first_guest(len(inputs), equation.parameters)
            # Places that are known stay NumPy's: rules look at them.
            arrays = [x if i >= first and type(x) is np.ndarray else now(x) for i, x in enumerate(inputs)]
            results = evaluated(equation, arrays)
            known.update((x, kept(x, result)) for x, result in zip(equation.outputs, results, strict=True))
        return [plain(now(x)) for x in graph.outputs]

    return run


def evaluated(equation: Equation, arrays: Sequence[Any]) -> Sequence[Any]:
    """The results of one equation."""
    result = apply(equation.primitive, arrays, equation.parameters, equation.forms)
    return result if type(equation.forms) is list else (result,)


def apply(primitive: type[Primitive], values: Sequence[Any], parameters: dict[str, Any], forms: Any) -> Any:
    """What `Primitive.compute` is in NumPy: results exactly as the shape rule announced them, but for their layout."""
    if primitive not in RULES and primitive not in ALWAYS:
        return by_numpy(primitive, [plain(x) for x in values], parameters, forms)
    if primitive.accumulates:
        values = [x.astype(_single) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x for x in values]
    result = applied(primitive, values, parameters)
    if type(forms) is list:
        return [part.astype(form[1]) for part, form in zip(result, forms, strict=True)]
    return result.astype(forms[1])


def check(wrong: Any, *numbers: Any, rule: Any, settings: Any) -> Any:
    """`Check`: where it fails is seen after the run, and the rule itself says what is wrong."""
    report(wrong)
    return jnp.ones((), bool)


def scan(
    *inputs: Any, body: Graph, carries: int, sequences: int, length: int, reverse: bool, backward: Any
) -> Sequence[Any]:
    """`Scan`: besides the carry the loop takes along whether a check in its body has failed."""
    run = lowered(body)
    constants = inputs[carries + sequences :]

    def step(carry: Any, rows: Any) -> Any:
        wrong, *state = carry
        with running(Run(zero(), Wrong())) as inner:
            results = run([*state, *rows, *constants])
        found = inner.wrong.so_far()
        wrong = wrong if found is None else wrong | found
        return (wrong, *results[:carries]), tuple(results[carries:])

    start = (jnp.zeros((), bool), *inputs[:carries])
    (wrong, *final), stacked = lax.scan(step, start, inputs[carries : carries + sequences], length, reverse)
    report(wrong)
    return [*final, *stacked]


enter({Check: check, Scan: scan})


def jitted(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit` with halves rounded after each operation, as everywhere in chainrule."""
    return jax.jit(function, compiler_options={"xla_allow_excess_precision": False}, **options)
