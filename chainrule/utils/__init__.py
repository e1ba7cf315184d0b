"""PyTorch's namespace of the same name: `utils.checkpoint`, `utils.data`, `utils.tensorboard` and others."""

import importlib

from chainrule.absent_names import teller
from chainrule.utils import checkpoint

__all__ = ["benchmark", "checkpoint", "data", "dlpack", "hooks", "tensorboard"]

_tell = teller("utils", globals())


def __getattr__(name: str) -> object:
    if name in __all__:  # loaded when it is first used
        return importlib.import_module(f"chainrule.utils.{name}")
    return _tell(name)
