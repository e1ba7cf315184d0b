"""Activations: the nonlinearities between layers."""

from __future__ import annotations

from typing import Any

from chainrule.functions import activation, elementwise
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x), entry by entry; with `inplace` the result also takes the place of the input.

    >>> import chainrule
    >>> relu(chainrule.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = need_tensor(input, "relu")
    return x.relu_() if inplace else activation.relu(x)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, True)


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """eˣ / Σ eˣ along `dim`; without `dim` along 1, or 0 for tensors of 0, 1 or 3 dimensions, as in PyTorch.

    >>> import chainrule
    >>> softmax(chainrule.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    x = need_tensor(input, "softmax")
    return activation.softmax(x, _usual_dimension(x) if dim is None else dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """ln softmax(x), computed without the probabilities; `dim` as in `softmax`.

    >>> import chainrule
    >>> log_softmax(chainrule.zeros(1, 2), dim=1)
    tensor([[-0.6931, -0.6931]])
    """
    x = need_tensor(input, "log_softmax")
    return activation.log_softmax(x, _usual_dimension(x) if dim is None else dim, dtype=dtype)


def _usual_dimension(input: Tensor) -> int:
    return 0 if input.ndim in (0, 1, 3) else 1


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
        return relu(input, self.inplace)

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
        return elementwise.tanh(need_tensor(input, "tanh"))


class Sigmoid(Module):
    """σ(x) = 1/(1 + e⁻ˣ), entry by entry: numbers into (0, 1). It saturates beyond ±3.5.

    >>> import chainrule
    >>> Sigmoid()(chainrule.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return activation.sigmoid(need_tensor(input, "sigmoid"))


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
        return softmax(input, self.dim)

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
        return log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class GELU(Module):
    """x·Φ(x), entry by entry; arguments as `functional.gelu`.

    >>> import chainrule
    >>> GELU()(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return activation.gelu(need_tensor(input, "gelu"), self.approximate)

    def extra_repr(self) -> str:
        """Which form."""
        return f"approximate={self.approximate!r}"
