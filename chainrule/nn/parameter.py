"""PyTorch's place of the tensors that belong to modules."""

from chainrule.nn.uninitialized import UninitializedBuffer, UninitializedParameter
from chainrule.tensor import Buffer, Parameter

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]
