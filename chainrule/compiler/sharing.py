"""Memory that tensors of a step share: arguments with each other and with tensors outside, results with what was there.

A step is traced with a stand-in for each argument. That is right as long as nobody writes: then it does not matter
that two arguments are parts of one tensor, or that one is also used from outside. If the step does write into such a
tensor, it is traced once more with another *plan*: arguments that are parts of one tensor are made views of one
stand-in, and an argument that is used from outside too stands for itself. Either way a write is seen wherever it is
to be seen, and a call whose arguments share memory in another way gets another program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.cell import ViewStep
from chainrule.errors import TraceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value

#: How a view is reached from a tensor.
Steps = tuple[ViewStep, ...]


class Plan(NamedTuple):
    """How the arguments of a step are stood in for.

    Attributes:
        itself: numbers of arguments that are tensors from outside of the step.
        joined: groups of arguments that are parts of one tensor.
    """

    itself: frozenset[int] = frozenset()
    joined: tuple[tuple[int, ...], ...] = ()

    def hidden_roots(self, arguments: Sequence[Any]) -> list[Any]:
        """The tensors that joined arguments are parts of, where these are no arguments themselves."""
        roots = [arguments[group[0]].root for group in self.joined]
        return [root for root in roots if all(root is not argument for argument in arguments)]


#: Every argument has a stand-in of its own.
APART = Plan()


class Returned(NamedTuple):
    """A result that is found when the program has run.

    Attributes:
        origin: the number of one of the program's own results, or the origin of a tensor that is there already.
        steps: which part of that it is a view of; None for the tensor itself.
    """

    origin: Any
    steps: Steps | None = None


def repeated(tensors: Sequence[Any]) -> tuple[int, ...] | None:
    """For each tensor the number of the first that is the same one; None if all are different."""
    ids = list(map(id, tensors))
    return None if len(ids) < 2 or len(set(ids)) == len(ids) else tuple(map(ids.index, ids))


def roots_of(tensors: Sequence[Any]) -> list[int]:
    """The identities of the tensors at the bottom."""
    return [id(tensor if tensor._base is None else tensor.root) for tensor in tensors]


def same_roots(tensors: Sequence[Any]) -> tuple[int, ...]:
    """For each tensor the number of the first that shares memory with it."""
    roots = roots_of(tensors)
    return tuple(map(roots.index, roots))


def steps_to(view: Any, base: Any) -> Steps:
    """How a view is reached from one of the tensors below it."""
    steps: Steps = ()
    while view is not base:
        steps = (*view._steps, *steps)
        view = view._base
    return steps


def view_of(base: Any, steps: Steps) -> Any:
    """A view of a tensor, without a gradient."""
    view = Primitive.make_tensor(Value(base.value.array))
    through = base._base is not None and not base.apart
    view._base = base._base if through else base
    view._steps = (*(base._steps if through else ()), *[step._replace(differentiable=False) for step in steps])
    return view


def better_plan(
    plan: Plan, arguments: Sequence[Any], given: Sequence[Any], changed: set[int], touched: set[int], written: set[int]
) -> Plan | None:
    """How to trace again, when a step has written to memory that several of its tensors share; None if it has not.

    Args:
        plan: how it was traced.
        arguments: of the call.
        given: these and the tensors that joined ones are parts of.
        changed: numbers of the arguments that the step writes to.
        touched: identities of the tensors outside that it reads or writes.
        written: those that it writes.
    """
    roots = roots_of(arguments)
    moved = {id(given[number].root) for number in changed}
    itself, joined = set(plan.itself), []
    for root in dict.fromkeys(roots):
        group = tuple(number for number, other in enumerate(roots) if other == root)
        if root in written or (root in touched and root in moved):
            itself |= set(group)
        elif (root in moved and len({id(arguments[number]) for number in group}) > 1) or group in plan.joined:
            joined.append(group)
    better = Plan(frozenset(itself), tuple(group for group in joined if not itself & set(group)))
    return None if better == plan else better


def check_joined(number: int, argument: Any, root: Any) -> None:
    """Raise a TraceError for an argument that is a view of a view, each with a gradient of its own."""
    if argument is not root and argument._base is not root:
        raise TraceError(
            f"the step writes into memory that argument {number} shares with another argument, of which it is a view "
            "through a third tensor with a gradient of its own. Pass a clone() of it."
        )
