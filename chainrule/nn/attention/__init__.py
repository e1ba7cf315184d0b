"""Attention: queries ask keys and get means of values. PyTorch's `nn.attention` is the choice of a way to do it."""

from chainrule.nn.attention.backends import SDPBackend, sdpa_kernel

__all__ = ["SDPBackend", "sdpa_kernel"]
