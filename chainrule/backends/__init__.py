"""PyTorch's namespace for libraries behind its operations. Here the operations are all there is.

>>> import chainrule
>>> chainrule.backends.mps.is_available(), chainrule.backends.cudnn.is_available()
(False, False)
"""

from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("backends", globals())
