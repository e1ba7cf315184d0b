"""The rules of the lowering: each says one primitive natively, if it can."""

from __future__ import annotations

from chainrule.backends.native.lowering.fuse import Rule

#: By the primitive's name.
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register a rule under the primitive's name, which its own name ends with."""
    RULES[function.__name__.removeprefix("lower_")] = function
    return function
