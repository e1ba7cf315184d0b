"""PyTorch-vision's names for `chainrule.data.transforms`.

>>> from chainrule.vision.transforms import functional, v2
>>> v2.RandomCrop(8, padding=1)
RandomCrop(size=(8, 8), padding=1)
"""

from chainrule.data.transforms import *  # noqa: F403
from chainrule.data.transforms import __all__ as __all__
from chainrule.vision.transforms import functional as functional  # type: ignore[no-redef]
from chainrule.vision.transforms import v2 as v2
