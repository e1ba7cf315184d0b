"""A weight that is computed anew before each forward: what the older forms of normalisations do.

The rule is an object and no function within a function, so modules that have one can be copied and pickled.
"""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.nn.module import Module


class WeightRule:
    """Computes the weight `name` of a module from other parameters; a forward pre-hook."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any, args: Any = ()) -> None:
        """Compute the weight and put it into the module."""
        raise NotImplementedError


Rule = TypeVar("Rule", bound=WeightRule)


def stop_computing(module: Module, kind: type[Rule], name: str, what: str) -> Rule:
    """Take the rule of a weight away again; the answer is the rule. Raises ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.function, kind) and hook.function.name == name:
            del module._forward_pre_hooks[key]
            return hook.function
    raise ValueError(f"{name!r} of {type(module).__name__} has no {what}.")
