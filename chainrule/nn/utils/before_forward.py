"""A weight that is computed anew before each forward: what the older forms of normalisations do.

The rule is an object and no function within a function, so modules that have one can be copied and pickled.
"""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.nn.module import Module
from chainrule.tensor import Parameter


class WeightRule:
    """Computes the weight `name` of a module from other parameters; a forward pre-hook."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any, args: Any = ()) -> None:
        """Compute the weight and put it into the module."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(module, args), which sets the weight.")


Rule = TypeVar("Rule", bound=WeightRule)


def rules_of(module: Module, kind: type[Rule]) -> dict[str, Rule]:
    """The rules of a kind that are at work in a module, by the name of the weight that each computes."""
    functions = [hook.function for hook in module._forward_pre_hooks.values()]
    return {rule.name: rule for rule in functions if isinstance(rule, kind)}


def parameter_of(module: Module, name: str) -> Parameter:
    """A module's own parameter. Raises ValueError, with the names that there are, if it has none of this name."""
    parameter = module._parameters.get(name)
    if parameter is None:
        known = ", ".join(key for key, value in module._parameters.items() if value is not None)
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}; it has {known or 'none'}.")
    return parameter


def stop_computing(module: Module, kind: type[Rule], name: str, what: str) -> Rule:
    """Take the rule of a weight away again; the answer is the rule. Raises ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.function, kind) and hook.function.name == name:
            del module._forward_pre_hooks[key]
            return hook.function
    raise ValueError(f"{name!r} of {type(module).__name__} has no {what}.")
