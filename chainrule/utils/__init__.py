"""PyTorch's namespace of the same name: `utils.checkpoint`, `utils.data`, `utils.tensorboard`."""

import importlib

from chainrule.utils import checkpoint

__all__ = ["checkpoint", "data", "tensorboard"]


def __getattr__(name: str) -> object:
    if name in ("data", "tensorboard"):  # loaded when it is first used
        return importlib.import_module(f"chainrule.utils.{name}")
    raise AttributeError(f"chainrule.utils has no {name!r}")
