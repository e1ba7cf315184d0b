"""The rules of the lowering: each says one primitive natively, if it can."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.program.graph import Equation

#: Takes the lowering and an equation, and answers whether it could say the operation natively.
Rule = Callable[[Lowering, Equation], bool]
#: By the primitive's name.
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register a rule under the primitive's name, which its own name ends with."""
    RULES[function.__name__.removeprefix("lower_")] = function
    return function
