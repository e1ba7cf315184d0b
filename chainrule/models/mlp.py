"""The multi-layer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class MLP(nn.Module):
    """Linear layers with an activation between them; the input is flattened first, the output is linear.

    Input (N, …) with sizes[0] entries for each sample, output (N, sizes[-1]).

    Args:
        sizes: the number of units in each layer, input and output included.
        activation: "relu", "tanh" or "sigmoid".

    >>> import chainrule
    >>> MLP([64, 32, 10])(chainrule.zeros(5, 8, 8)).shape
    Size([5, 10])
    """

    def __init__(self, sizes: Sequence[int], activation: str = "relu") -> None:
        super().__init__()
        activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise ShapeError(f"an MLP has at least an input and an output size, all positive, got {list(sizes)}.")
        if activation not in activations:
            raise ValueError(f"activation is one of {', '.join(activations)}, got {activation!r}.")
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (before, after) in enumerate(itertools.pairwise(sizes)):
            layers += [activations[activation]()] if i else []
            layers.append(nn.Linear(before, after))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Samples (N, …) to scores (N, sizes[-1])."""
        return self.layers(x)


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"in_features": math.prod(shape), "num_classes": outputs}


@register(
    "mlp", task="classification", data=("images", "table"), input=(1, 28, 28), paper="Rumelhart et al. 1986", fit=_fit
)
def mlp(
    sizes: Sequence[int] | None = None,
    activation: str = "relu",
    *,
    in_features: int = 784,
    hidden: int | Sequence[int] = (128,),
    num_classes: int = 10,
) -> MLP:
    """An `MLP` of these sizes, or from `in_features` through the `hidden` layers to `num_classes`.

    >>> [tuple(p.shape) for p in mlp(in_features=4, hidden=[3], num_classes=2).parameters()]
    [(3, 4), (3,), (2, 3), (2,)]
    """
    hidden = [hidden] if isinstance(hidden, int) else hidden
    return MLP([in_features, *hidden, num_classes] if sizes is None else sizes, activation)
