"""Tensors for other libraries and from them by the protocol DLPack. What goes either way is copied."""

from __future__ import annotations

from typing import Any

from chainrule.functions.creation import from_dlpack
from chainrule.functions.promotion import need_tensor

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Any) -> Any:
    """A copy of the entries that hands itself out by DLPack: a NumPy array. PyTorch's answer can be taken once only.

    >>> import chainrule
    >>> from_dlpack(to_dlpack(chainrule.tensor([1.0, 2.0])))
    tensor([1., 2.])
    """
    return need_tensor(tensor, "to_dlpack").numpy()
