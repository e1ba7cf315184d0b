"""PyTorch's namespace for libraries behind its operations. Here the operations are all there is.

>>> import chainrule
>>> chainrule.backends.mps.is_available(), chainrule.backends.cudnn.is_available()
(False, False)
"""

from chainrule.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
