"""The cell under a Tensor: it holds a value, follows and writes through views, and collects a gradient."""

from chainrule.cell.cell import Size, TensorCell, ViewStep, change_of_leaf
from chainrule.cell.gradient import Handle

__all__ = ["Handle", "Size", "TensorCell", "ViewStep", "change_of_leaf"]
