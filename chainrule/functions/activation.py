"""Functions that layers end in: sigmoid, ReLU, softmax and its logarithm, as blocks with their own gradients.

For halves they compute in float32 and round their results once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.functions.arithmetic import clamp, maximum
from chainrule.functions.elementwise import erf, exp, reciprocal, tanh
from chainrule.functions.promotion import as_floating, cast, in_float32, rounded_as
from chainrule.primitives.value import Array

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@block
def sigmoid(input: Tensor) -> Tensor:
    """σ(x) = 1 / (1 + e⁻ˣ), from numbers to (0, 1); its derivative σ(1 − σ) is ¼ at 0.

    >>> import chainrule
    >>> chainrule.sigmoid(chainrule.tensor([0.0, 3.5]))
    tensor([0.5000, 0.9707])
    """
    x = as_floating(input)
    return rounded_as(x, reciprocal(exp(-in_float32(x)) + 1))


@sigmoid.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    s = in_float32(output)
    return rounded_as(g, in_float32(g) * (s * (1 - s)))


@block
def relu(input: Tensor) -> Tensor:
    """max(0, x); its derivative is 1 above 0, and 0 below and at 0.

    >>> import chainrule
    >>> chainrule.relu(chainrule.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return maximum(input, 0)


@relu.gradient
def _(g: Tensor, output: Tensor) -> Tensor:
    return g * cast(output > 0, g.value.array.dtype)


@relu.on_arrays
def _(input: Array) -> Array | None:
    return np.asarray(np.maximum(input, input.dtype.type(0))) if input.dtype.char in "fd" else None


@relu.gradient_on_arrays
def _(g: Array, output: Array) -> Array | None:
    return np.asarray(np.multiply(g, output > 0, dtype=g.dtype)) if g.dtype.char in "fd" else None


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """eˣ / Σ eˣ along `dim`: numbers become probabilities. Shifted by the maximum, which changes nothing.

    >>> import chainrule
    >>> chainrule.softmax(chainrule.tensor([1000.0, 1000.0]), 0)
    tensor([0.5000, 0.5000])
    """
    x = as_floating(input) if dtype is None else input.to(dtype)
    return cast(_softmax(in_float32(x), dim), x.value.array.dtype)


@block
def _softmax(input: Tensor, dim: int) -> Tensor:
    if input.value.array.size == 0:
        return input.clone()
    shifted = exp(input - input.detach().amax(dim, keepdim=True))
    return shifted / shifted.sum(dim, keepdim=True)


@_softmax.gradient
def _(g: Tensor, output: Tensor, dim: int) -> Tensor:
    weighted = g * output
    return weighted - output * weighted.sum(dim, keepdim=True)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """ln softmax(x) = x − ln Σ eˣ along `dim`, without going through probabilities that could be 0.

    >>> import chainrule
    >>> chainrule.log_softmax(chainrule.tensor([0.0, 1000.0]), 0)
    tensor([-1000.,     0.])
    """
    x = as_floating(input) if dtype is None else input.to(dtype)
    return cast(_log_softmax(in_float32(x), dim), x.value.array.dtype)


@block
def _log_softmax(input: Tensor, dim: int) -> Tensor:
    if input.value.array.size == 0:
        return input.clone()
    shifted = input - input.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@_log_softmax.gradient
def _(g: Tensor, output: Tensor, dim: int) -> Tensor:
    return g - exp(output) * g.sum(dim, keepdim=True)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x·Φ(x), where Φ is the standard normal distribution: ReLU with a soft edge.

    `approximate`: "none" (by erf), or "tanh" for ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), which differs by less than
    0.0005. Raises ValueError for another word. Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> import chainrule
    >>> chainrule.nn.functional.gelu(chainrule.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}.")
    return _gelu(input)[0] if approximate == "none" else _gelu_by_tanh(input)


@block
def _gelu(input: Tensor) -> tuple[Tensor, Tensor]:
    """x·Φ(x), and Φ(x) = ½·(1 + erf(x/√2)) for the gradient."""
    x = in_float32(input)
    below = erf(x * math.sqrt(0.5)) * 0.5 + 0.5
    return rounded_as(input, x * below), rounded_as(input, below)


@_gelu.gradient
def _(g: tuple[Tensor | None, Tensor | None], input: Tensor, output: tuple[Tensor, Tensor]) -> Tensor | None:
    x = in_float32(input)
    density = exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    to_input = None if g[0] is None else in_float32(g[0]) * (in_float32(output[1]) + x * density)
    if g[1] is not None:  # when this rule, which uses Φ, is itself differentiated
        through = in_float32(g[1]) * density
        to_input = through if to_input is None else to_input + through
    return None if to_input is None else rounded_as(input, to_input)


@block
def _gelu_by_tanh(input: Tensor) -> Tensor:
    x = in_float32(input)
    return rounded_as(input, x * ((tanh(_inner(x)) + 1) * 0.5))


@_gelu_by_tanh.gradient
def _(g: Tensor, input: Tensor) -> Tensor:
    # Beyond ±10 tanh is ±1 in every type and its slope 0. Powers of larger numbers would overflow in float16, and
    # ∞·0 is NaN, in the derivative of this rule too.
    near = clamp(in_float32(input), -10.0, 10.0)
    bent = tanh(_inner(near))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (near * near))
    return rounded_as(g, in_float32(g) * ((1 + bent) * 0.5 + near * slope * ((1 - bent * bent) * 0.5)))


def _inner(x: Tensor) -> Tensor:
    return (x + 0.044715 * (x * x * x)) * math.sqrt(2 / math.pi)
