"""PyTorch-vision's names for `chainrule.data.transforms.functional`."""

from chainrule.data.transforms.functional import *  # noqa: F403
from chainrule.data.transforms.functional import __all__ as __all__
