"""PyTorch's namespace of the same name: `utils.checkpoint`, `utils.data`."""

import importlib

from chainrule.utils import checkpoint

__all__ = ["checkpoint", "data"]


def __getattr__(name: str) -> object:
    if name == "data":  # loaded when it is first used
        return importlib.import_module("chainrule.utils.data")
    raise AttributeError(f"chainrule.utils has no {name!r}")
