"""Primitives that are formulas of others: replaced by these before anything else happens.

A formula is Tensor code; it is traced once for each use. The gradients of attention have a kernel of their own, which
takes a block of queries at a time; of a few queries they are written out with the matrix of weights. A convolution with
one window for each image, and its gradients, are matrix products.

>>> import chainrule
>>> from chainrule.compiler.trace import trace_step
>>> attend, k = chainrule.nn.functional.scaled_dot_product_attention, chainrule.ones(1, 2, 6, 8)
>>> gradient = chainrule.func.grad(lambda q: attend(q, k, k).sum())
>>> before = trace_step(lambda tensors: [gradient(*tensors)], [chainrule.ones(1, 2, 1, 8)]).graph()
>>> [e.primitive.name for e in before.equations if "Attention" in e.primitive.name]
['Attention', 'AttentionGradient']
>>> [e.primitive.name for e in expand(before).equations if "Attention" in e.primitive.name]
['Attention']
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.primitives.attention import dropped, parts_of, to_scores
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.program.graph import Equation, Graph, renamed
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: So many queries are enough for a kernel of their own; and the largest matrix of weights, in bytes, of fewer.
ENOUGH, LARGEST = 4, 2**26


def _in_single(*tensors: Tensor) -> list[Tensor]:
    """Halves as float32, as the primitive computes with them."""
    return [x.float() if x.dtype.is_floating_point and x.dtype.itemsize == 2 else x for x in tensors]


def attention_gradient(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, logsumexp: Tensor, rest: Tensor, shift: Tensor, *more: Tensor,
    scale: float, causal: bool, keep: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gradients of q, k and v; see the primitive's own text."""
    dtype = q.dtype
    g, q, k, v, shift, *added = _in_single(g, q, k, v, shift, *more)
    bias, kept = parts_of(tuple(added), keep)
    weights, of_scores, _ = to_scores(g, q, k, v, logsumexp, rest, shift, bias, kept, scale, causal, keep)
    to_v = dropped(weights, kept, keep).mT @ g
    return tuple(x.to(dtype) for x in ((of_scores @ k) * scale, (of_scores.mT @ q) * scale, to_v))


def _few(equation: Equation) -> bool:
    """Whether there are only a few queries, and their matrix of weights is small."""
    q, k = equation.inputs[1:3]
    rows = math.prod(q.shape[:-1])
    small = rows * k.shape[-2] * max(q.dtype.itemsize, 4) <= LARGEST
    return q.shape[-2] < ENOUGH and small and rows * k.size > 0


def _covers(equation: Equation) -> bool:
    """Whether a convolution's kernel covers the image, so that there is one window: then it is a matrix product."""
    (x, w), settings = equation.inputs, equation.parameters
    image, kernel = settings.get("size", x.shape[2:]), settings.get("kernel", w.shape[2:])
    return tuple(image) == tuple(kernel) and not any(settings["padding"]) and settings["groups"] == 1


def _rows(x: Tensor) -> Tensor:
    """A row for each sample."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def convolution(x: Tensor, w: Tensor, **_: Any) -> tuple[Tensor]:
    """X·Wᵀ, a row of X for each image and one of W for each channel."""
    return ((_rows(x) @ _rows(w).T).reshape(x.shape[0], w.shape[0], *[1] * (x.ndim - 2)),)


def convolution_transpose(y: Tensor, w: Tensor, **_: Any) -> tuple[Tensor]:
    """Y·W."""
    return ((_rows(y) @ _rows(w)).reshape(y.shape[0], *w.shape[1:]),)


def convolution_weight(x: Tensor, y: Tensor, **_: Any) -> tuple[Tensor]:
    """Yᵀ·X."""
    return ((_rows(y).T @ _rows(x)).reshape(y.shape[1], *x.shape[1:]),)


FORMULAS: dict[str, tuple[Callable[[Equation], bool], Callable[..., Any]]] = {
    "AttentionGradient": (_few, attention_gradient),
    "Convolution": (_covers, convolution),
    "ConvolutionTranspose": (_covers, convolution_transpose),
    "ConvolutionWeight": (_covers, convolution_weight),
}


def expand(graph: Graph) -> Graph:
    """The graph with the formulas written out."""
    expanded: list[Equation] = []
    for equation in graph.equations:
        known = FORMULAS.get(equation.primitive.name)
        if known is None or not known[0](equation):
            expanded.append(equation)
        else:
            expanded += _written_out(equation, known[1])
    return Graph(graph.inputs, expanded, graph.outputs)


def _written_out(equation: Equation, formula: Callable[..., Any]) -> list[Equation]:
    """The equations of a formula, ending in the symbols of the equation it replaces."""
    trace, state = Trace(), current_state()
    gradients, state.gradients = state.gradients, False
    path, state.path = state.path, equation.path
    try:
        with tracing(trace):
            inside = [trace.new_input(x.shape, x.dtype, False) for x in equation.inputs]
            results = formula(*[Primitive.make_tensor(value) for value in inside], **equation.parameters)
            ends = [trace.lift([t.value])[0].array for t in results]
    finally:
        state.gradients, state.path = gradients, path
    names: dict[Any, Any] = {v.array: x for v, x in zip(inside, equation.inputs, strict=True)}
    names.update({value.array: outside.array for outside, value in trace.captures.values()})
    names.update(zip(ends, equation.outputs, strict=True))

    return renamed(trace.equations, names)
