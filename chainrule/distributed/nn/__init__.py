"""Exchanges between processes through which gradients go, as PyTorch's `distributed.nn` has them."""

from chainrule.distributed.nn.functional import all_gather, all_reduce, broadcast

__all__ = ["all_gather", "all_reduce", "broadcast"]
