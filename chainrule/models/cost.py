"""What a network costs: how many numbers it learns, and how many operations one sample takes. Nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.dtypes import as_dtype
from chainrule.explain.flops import flops_of
from chainrule.models.registry import Entry
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.init import skip_filling
from chainrule.nn.module import Module
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.program.graph import Equation
from chainrule.random import default_generator


class Cost(NamedTuple):
    """What a network costs.

    Attributes:
        parameters: numbers that it learns.
        flops: floating-point operations of its products and convolutions for one sample, a multiplication and an
            addition counted as two; None where it takes no single tensor. Papers often count pairs: half as many.
    """

    parameters: int
    flops: int | None


def cost_of(entry: Entry) -> Cost:
    """What a network of the registry costs with its first options, for a sample of the shape that it was made for.

    >>> from chainrule.models.registry import find
    >>> cost_of(find("lenet5"))
    Cost(parameters=61706, flops=833040)
    """
    with skip_filling():
        model = entry.build()
    dtype = "int64" if entry.reads_tokens else "float32"
    return Cost(sum(p.numel() for p in model.parameters()), count_flops(model, (1, *entry.input), dtype))


def count_flops(model: Module, shape: Sequence[int], dtype: Any = "float32") -> int:
    """Floating-point operations of all products and convolutions for an input of this shape, in evaluation.

    What each element costs besides (activations, normalisation, pooling) is not counted, as usual: it is little.

    >>> from chainrule import nn
    >>> count_flops(nn.Linear(10, 5), (1, 10))
    100
    """
    with evaluation_mode(model):
        return flops_of(traced(model, shape, dtype)[0])


def traced(model: Module, shape: Sequence[int], dtype: Any = "float32") -> tuple[list[Equation], tuple[int, ...]]:
    """What a module computes for an input of this shape, operation by operation, and the shape of its output."""
    before = default_generator.get_state()  # a model that draws leaves a symbol in its place
    try:
        with tracing(Trace()) as trace:
            output = model(Primitive.make_tensor(trace.new_input(tuple(shape), as_dtype(dtype).numpy, False)))
    finally:
        default_generator.set_state(before)
    return trace.equations, tuple(output.shape)
