"""`torch.utils.checkpoint`'s name for `chainrule.autodiff.checkpoint`."""

from chainrule.autodiff.checkpoint import checkpoint

__all__ = ["checkpoint"]
