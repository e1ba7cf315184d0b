"""The second version of PyTorch-vision's transforms: the same names, for chainrule's take labels along anyway."""

from chainrule.data.transforms import *  # noqa: F403
from chainrule.data.transforms import __all__ as __all__
from chainrule.vision.transforms.v2 import functional as functional  # type: ignore[no-redef]
