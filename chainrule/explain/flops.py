"""How many floating-point operations a computation takes, as the compiler counts: those of products and convolutions.

A multiplication and an addition count as two; papers often count pairs, half as many. What each element costs besides
(activations, normalisation, pooling) is not counted, as usual: it is little.

It is the compiler's own count (`CompiledFunction.profile`) wherever that makes a product of such an operation. It makes
none of a small convolution with few channels, which it counts as 0, and for some transposed convolutions with a
stride a larger one than the operation needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from chainrule.primitives.attention import Attention, AttentionGradient
from chainrule.primitives.contraction import Convolution, ConvolutionTranspose, ConvolutionWeight, MatMul
from chainrule.primitives.control import Scan
from chainrule.program.graph import Equation

Shape = Sequence[int]


def flops_of(equations: Iterable[Equation]) -> int:
    """Of noted equations together.

    >>> import numpy as np
    >>> from chainrule.primitives.value import Symbol
    >>> x, w, y = (Symbol(shape, np.dtype("f4")) for shape in ((2, 3), (3, 5), (2, 5)))
    >>> flops_of([Equation(MatMul, (x, w), {}, (y,), ((2, 5), np.dtype("f4")), "")])
    60
    """
    return sum(
        flops_of_application(
            e.primitive, [x.shape for x in e.inputs], e.outputs[0].shape if e.outputs else (), e.parameters
        )
        for e in equations
    )


def flops_of_application(
    primitive: Any, inputs: Sequence[Shape], output: Shape, settings: dict[str, Any] | None = None
) -> int:
    """Of one application of a primitive, by the shapes of its inputs and of its first result.

    >>> flops_of_application(MatMul, [(2, 3), (3, 5)], (2, 5))
    60
    """
    if primitive is MatMul:
        return 2 * math.prod(output) * inputs[0][-1]
    if primitive is Convolution:  # each output is a sum over a kernel
        return 2 * math.prod(output) * math.prod(inputs[1][1:])
    if primitive is ConvolutionTranspose:  # each input is spread over a kernel
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if primitive is ConvolutionWeight:  # the same products as in the convolution, summed over the other places
        return 2 * math.prod(output) * inputs[1][0] * math.prod(inputs[1][2:])
    if primitive is Attention:  # queries by keys, and weights by values
        return 2 * math.prod(inputs[0][:-1]) * inputs[1][-2] * (inputs[1][-1] + inputs[2][-1])
    if primitive is AttentionGradient:  # the scores again, and a product for each of q, k, v and the weights
        return 2 * math.prod(inputs[1][:-1]) * inputs[2][-2] * (3 * inputs[2][-1] + 2 * inputs[3][-1])
    if primitive is Scan and settings:  # a loop: its body, so often
        return int(settings["length"]) * flops_of(settings["body"].equations)
    return 0
