"""PyTorch's namespace of the same name: `utils.checkpoint`."""

from chainrule.utils import checkpoint

__all__ = ["checkpoint"]
