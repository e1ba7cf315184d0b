"""PyTorch's old name for tensors that require a gradient."""

from __future__ import annotations

import warnings

from chainrule.tensor import Tensor

__all__ = ["Variable"]


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool | None = None) -> Tensor:
    """A new leaf in the tensor's memory: what `data.detach().requires_grad_(requires_grad)` is today.

    `volatile` has no effect, and its warning says what to write instead.

    >>> import chainrule
    >>> chainrule.autograd.Variable(chainrule.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    if volatile:
        warnings.warn("volatile has no effect any more; compute under `with chainrule.no_grad():`.", stacklevel=2)
    return data.detach().requires_grad_(requires_grad)
