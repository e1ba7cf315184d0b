"""Making a module without drawing the numbers that will be replaced anyway."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.nn.init import skip_filling
from chainrule.nn.module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """`module_cls(*args, **kwargs)` without initialisation: for weights that are loaded or filled right after.

    What the parameters hold until then is not specified. It leaves out what `nn.init` does, for all modules inside too.
    Raises TypeError for what is no class of modules.

    >>> from chainrule import nn
    >>> layer = skip_init(nn.Linear, 5, 1)
    >>> layer.weight.shape
    Size([1, 5])
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise TypeError(f"skip_init takes a class of modules and its arguments, got {module_cls!r}.")
    with skip_filling():
        return module_cls(*args, **kwargs)
