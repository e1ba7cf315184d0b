"""The bilinear layer: products of two inputs, each pair with a weight of its own."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_own_type
from chainrule.functions.creation import empty
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import uniform_
from chainrule.nn.linear import check_dtype
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


@in_own_type
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x₁ᵀ·W_o·x₂ + b_o.

    input1: (…, D₁), input2: (…, D₂) with the same leading dimensions, weight: (O, D₁, D₂), bias: (O,), result (…, O).
    Raises ShapeError where they do not fit.

    >>> import chainrule
    >>> bilinear(chainrule.tensor([[1.0, 2.0]]), chainrule.tensor([[3.0]]), chainrule.ones(1, 2, 1))
    tensor([[9.]])
    """
    a, b = need_tensor(input1, "bilinear"), need_tensor(input2, "bilinear")
    for x in (a, b):
        check_dtype(x, weight)
    outputs, first, second = weight.shape if weight.ndim == 3 else (0, -1, -1)
    if not a.ndim or not b.ndim or (a.shape[-1], b.shape[-1]) != (first, second) or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(
            f"bilinear: got {tuple(a.shape)} and {tuple(b.shape)}, expects (…, {first}) and (…, {second}) with the "
            f"same leading dimensions for a weight {tuple(weight.shape)}."
        )
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ShapeError(f"bilinear: the bias has {outputs} entries, got shape {tuple(bias.shape)}.")
    # x₁ᵀ·W for all outputs at once, then with x₂: (…, O, D₂)·(D₂) is one product of matrices for each row.
    rows = (a @ weight.permute(1, 0, 2).reshape(first, outputs * second)).unflatten(-1, (outputs, second))
    y = (rows @ b.unsqueeze(-1)).squeeze(-1)
    return y if bias is None else y + bias


class Bilinear(Module):
    """y_o = x₁ᵀ·W_o·x₂ + b_o; see `functional.bilinear`. Both parameters start uniform in ±1/√in1_features.

    >>> import chainrule
    >>> Bilinear(20, 30, 40)(chainrule.ones(128, 20), chainrule.ones(128, 30)).shape
    Size([128, 40])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features is at least 1, got {in1_features}.")
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, **kind))
        self.register_parameter("bias", Parameter(empty(out_features, **kind)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / self.in1_features**0.5
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """See the class."""
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The features."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
