"""PyTorch-vision's names for what `chainrule.data` and `chainrule.models` do.

`datasets`, `io`, `models`, `ops`, `transforms`, `utils`.

>>> from chainrule import vision
>>> vision.transforms.CenterCrop(8)
CenterCrop(size=(8, 8))
"""

import importlib

from chainrule.version import __version__ as __version__

__all__ = ["datasets", "io", "models", "ops", "transforms", "utils"]


def __getattr__(name: str) -> object:
    if name in __all__:  # loaded when it is first used
        return importlib.import_module(f"chainrule.vision.{name}")
    raise AttributeError(f"chainrule.vision has no {name!r}")
