"""Tools around models, under PyTorch's names."""

from chainrule.nn.utils import rnn

__all__ = [
    "rnn",
]
