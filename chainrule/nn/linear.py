"""The affine layer, and layers that rearrange its inputs."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autodiff.block import block
from chainrule.autodiff.mode import no_grad
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.autocasting import in_half
from chainrule.functions.creation import empty, zeros
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import default_weight_and_bias, normal_
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


@in_half
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x·Wᵀ + b.

    input: (…, in_features), weight: (out_features, in_features), bias: (out_features,), result (…, out_features).
    Raises ShapeError where the features do not fit, DTypeError where the types do not.

    >>> import chainrule
    >>> linear(chainrule.ones(1, 2), chainrule.tensor([[3.0, 4.0]]), chainrule.tensor([0.5]))
    tensor([[7.5000]])
    """
    x = need_tensor(input, "linear")
    check_dtype(x, weight)
    expected = weight.value.array.shape[-1]
    if not x.ndim or x.value.array.shape[-1] != expected:
        raise ShapeError(_explain_features(x, expected))
    if bias is not None:
        shape = bias.value.array.shape  # one number for all outputs is fine, as in PyTorch
        check_bias(bias, weight, shape[-1:] if bias.value.array.size == 1 else weight.value.array.shape[:-1])
    if (
        weight.ndim == 2
        and weight.value.array.size
        and (bias is None or bias.value.array.shape == weight.value.array.shape[:1])
        and _linear.is_whole(x, weight)
    ):
        return _linear(x, weight, bias, (x.value.source is not None, weight.value.source is not None))
    y = x @ weight.T if weight.ndim == 2 else x @ weight
    return y if bias is None else y + bias


@block
def _linear(input: Tensor, weight: Tensor, bias: Tensor | None, wanted: tuple[bool, bool]) -> Tensor:
    """The same as one node, in eager code: one record, and for large tensors one program forwards and one backwards."""
    y = input @ weight.T
    return y if bias is None else y + bias


@_linear.gradient
def _(
    g: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, ...]:
    """∂/∂x = g·W, which nothing wants where x is data; ∂/∂W = gᵀ·x, unless W is frozen; ∂/∂b = Σ g over all rows."""
    rows, (of_input, of_weight) = g.reshape(-1, g.shape[-1]), wanted
    gradients = (
        g @ weight if of_input else None,
        rows.T @ input.reshape(-1, input.shape[-1]) if of_weight else None,
    )
    # A single row is not summed up: 0 + (−0) would lose a sign.
    return gradients if bias is None else (*gradients, g if g.ndim == 1 else rows.sum(0))


def check_bias(bias: Tensor, weight: Tensor, expected: tuple[int, ...]) -> None:
    """Raise a ShapeError or DTypeError for a bias that would make the result larger or change its type."""
    if bias.value.array.shape != expected:
        raise ShapeError(f"the bias has shape {tuple(bias.shape)}, the weight {tuple(weight.shape)} takes {expected}.")
    if bias.value.array.dtype != weight.value.array.dtype:
        raise DTypeError(f"the bias is {bias.dtype}, the weight {weight.dtype}; convert one of them.")


def check_dtype(x: Tensor, weight: Tensor) -> None:
    """Raise a DTypeError unless input and weight have one data type."""
    if x.value.array.dtype != weight.value.array.dtype:
        other = f", or model.to({x.dtype})" if x.dtype.is_floating_point else ""
        raise DTypeError(
            f"got {x.dtype} input for {weight.dtype} weights; convert one of them: x.to({weight.dtype}){other}."
        )


def _explain_features(x: Tensor, expected: int) -> str:
    shape = tuple(x.shape)
    text = f"got {shape}, expects (…, {expected})."
    flat = math.prod(shape[1:])
    if len(shape) > 2 and flat == expected:
        text += f" A Flatten is missing: flatten(1) makes it {(shape[0], flat)}."
    elif len(shape) > 2:
        text += f" If a Flatten is missing: flatten(1) makes it {(shape[0], flat)}, so in_features would be {flat}."
    elif shape:
        text += f" With this input in_features would be {shape[-1]}."
    record = x.grad_fn
    if record is not None and record.path:
        text += f" The input comes from {record.path} ({record.operation.name})."
    return text


class Linear(Module):
    """y = x·Wᵀ + b: every output a weighted sum of all inputs.

    Shapes: input (…, in_features), output (…, out_features); weight (out_features, in_features), bias
    (out_features,). Both start uniform in ±1/√in_features.

    >>> import chainrule
    >>> Linear(20, 30)(chainrule.ones(128, 20)).shape
    Size([128, 30])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        default_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The features."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class TransposedLinear(Module):
    """y = x·W + b with W (in_features, out_features): GPT-2's layout of a linear layer, transposed to `nn.Linear`'s.

    Hugging Face calls it Conv1D. W starts as normal numbers of standard deviation 0.02, b at 0.

    >>> import chainrule
    >>> TransposedLinear(2, 6).weight.shape
    Size([2, 6])
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(in_features, out_features))
        self.bias = Parameter(zeros(out_features))
        normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if x.shape[-1] != self.in_features:
            raise ShapeError(f"got {tuple(x.shape)}, expects (…, {self.in_features}).")
        return x @ self.weight + self.bias

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.out_features}"

    @no_grad()
    def turned(self) -> Linear:
        """A `Linear` that computes the same.

        >>> TransposedLinear(2, 6).turned().weight.shape
        Size([6, 2])
        """
        layer = Linear(self.in_features, self.out_features, dtype=self.weight.dtype)
        layer.weight.copy_(self.weight.T)
        layer.bias.copy_(self.bias)
        return layer


class Identity(Module):
    """y = x. Takes any arguments, for standing in where a layer was."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input itself."""
        return input


class Flatten(Module):
    """The dimensions from start_dim to end_dim made one: (N, C, H, W) becomes (N, C·H·W).

    >>> import chainrule
    >>> Flatten()(chainrule.ones(2, 3, 4)).shape
    Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return need_tensor(input, "flatten").flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension split into several.

    >>> import chainrule
    >>> Unflatten(1, (3, 4))(chainrule.ones(2, 12)).shape
    Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return need_tensor(input, "unflatten").unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
