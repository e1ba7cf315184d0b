"""Activations: the nonlinearities between layers."""

from __future__ import annotations

from chainrule.functions import elementwise
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class ReLU(Module):
    """max(0, x), entry by entry. With `inplace` the result also takes the place of the input.

    >>> import chainrule
    >>> ReLU()(chainrule.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return input.relu_() if self.inplace else elementwise.relu(input)

    def extra_repr(self) -> str:
        """Whether in place."""
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """The hyperbolic tangent, entry by entry: numbers into (−1, 1). It saturates beyond ±2.

    >>> import chainrule
    >>> Tanh()(chainrule.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return elementwise.tanh(input)


class Sigmoid(Module):
    """σ(x) = 1/(1 + e⁻ˣ), entry by entry: numbers into (0, 1). It saturates beyond ±3.5.

    >>> import chainrule
    >>> Sigmoid()(chainrule.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return elementwise.sigmoid(input)


class Softmax(Module):
    """eˣ / Σ eˣ along `dim`: scores become probabilities.

    >>> import chainrule
    >>> Softmax(dim=1)(chainrule.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return elementwise.softmax(input, usual_dimension(input) if self.dim is None else self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """ln softmax along `dim`, computed without going through the probabilities.

    >>> import chainrule
    >>> LogSoftmax(dim=1)(chainrule.zeros(1, 2))
    tensor([[-0.6931, -0.6931]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return elementwise.log_softmax(input, usual_dimension(input) if self.dim is None else self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


def usual_dimension(input: Tensor) -> int:
    """Where PyTorch expects the classes if no dimension is named: 1, or 0 for tensors of 0, 1 or 3 dimensions."""
    return 0 if input.ndim in (0, 1, 3) else 1
