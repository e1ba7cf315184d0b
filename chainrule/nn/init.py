"""Initialisation: filling parameters with the numbers that training starts from."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.tensor import Tensor


def fan_in_and_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output of a weight (C_out, C_in, *kernel), and how many outputs one input feeds."""
    if tensor.ndim < 2:
        raise ShapeError(f"fan-in and fan-out belong to weights of two dimensions or more, got {tuple(tensor.shape)}.")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a weight's standard deviation grows to make up for what the nonlinearity takes away.

    >>> round(calculate_gain("relu"), 4), calculate_gain("sigmoid")
    (1.4142, 1.0)
    """
    slope = 0.01 if param is None else param
    gains = {
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
        "linear": 1.0,
        "sigmoid": 1.0,
        **{f"conv{n}d": 1.0 for n in (1, 2, 3)},
        **{f"conv_transpose{n}d": 1.0 for n in (1, 2, 3)},
    }
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for {nonlinearity!r}; known are {', '.join(gains)}.")
    return gains[nonlinearity]


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform numbers in [a, b), in place."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal numbers, in place."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere, in place."""
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros, in place."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones, in place."""
    return constant_(tensor, 1.0)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform in ±gain·√(3/fan): keeps the variance through layers with this nonlinearity, in place.

    Source: He et al., "Delving deep into rectifiers", 2015. `a` is the slope of a leaky ReLU; `mode` is "fan_in"
    (keeps the forward pass) or "fan_out" (the backward pass).
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with standard deviation gain/√fan, in place; see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', got {mode!r}.")
    fan = fan_in_and_out(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def default_weight_and_bias(weight: Tensor, bias: Tensor | None, fan_in: int | None = None) -> None:
    """PyTorch's default for linear and convolutional layers: both uniform in ±1/√fan_in."""
    fan = fan_in_and_out(weight)[0] if fan_in is None else fan_in
    bound = 1 / math.sqrt(fan) if fan else 0.0
    uniform_(weight, -bound, bound)
    if bias is not None:
        uniform_(bias, -bound, bound)
