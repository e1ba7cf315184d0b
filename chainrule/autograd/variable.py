"""PyTorch's old name for tensors that require a gradient."""

from __future__ import annotations

from chainrule.tensor import Tensor

__all__ = ["Variable"]


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A new leaf in the tensor's memory: what `data.detach().requires_grad_(requires_grad)` is today.

    >>> import chainrule
    >>> chainrule.autograd.Variable(chainrule.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    return data.detach().requires_grad_(requires_grad)
