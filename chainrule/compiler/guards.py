"""What the tensors of a trace must still be for its program to be right: gradients, numbers, shared memory.

Facts (`facts.py`) say what the code read that is no tensor. These belong to a trace too: another trace may give the
same program under other ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.compiler.facts import alike, hooks_of
from chainrule.compiler.origins import Cell, Step
from chainrule.compiler.sharing import Plan, repeated, same_roots
from chainrule.primitives.placed import Placed, place_of
from chainrule.primitives.value import Value


def reshaped_cells(program: Step) -> list[Any]:
    """The tensors outside that the step gives another shape or data type."""
    return [
        origin.tensor for origin, x in program.writes
        if isinstance(origin, Cell) and not same_form(origin.tensor._value.array, x)
    ]  # fmt: skip


#: Two tensors that the step compared by `is`, as numbers of arguments or themselves, and whether they were one.
Compared = tuple[Any, Any, bool]


class Guards:
    """How the tensors of a trace were before its run.

    Args:
        arguments: those of the program, as they were traced.
        compared: what the step asked about which tensor is which.
        moving: whether there are more arguments than the call's own, among which one may stand twice.
    """

    def __init__(self, program: Step, plan: Plan, arguments: list[Any], compared: list[Compared], moving: bool) -> None:
        self.program, self.plan, self._compared, self._moving = program, plan, compared, moving
        self._repeated = repeated(arguments) if moving else None
        self._hooks = [(number, hooks_of(t)) for number, t in enumerate(arguments) if t.requires_grad]
        self._writes_arguments = bool(program.changed())
        touched, written = program.cells()
        self._kept_apart = touched if self._writes_arguments else written
        self._itself = [(number, arguments[number]) for number in sorted(plan.itself)]
        self._pattern = same_roots(self._with_stand_ins(arguments))
        self._joined = [(number, arguments[number]._steps) for group in plan.joined for number in group]
        self._forms = [(t, t._value.array.shape, t._value.array.dtype) for t in reshaped_cells(program)]
        self._collecting = [leaf for leaf, empty in program.empty if not empty]
        self._shared = _shared(self._collecting)
        watched = program.numbers or program.views or program.held or program.own_leaves
        self._more = bool(watched or self._forms or self._hooks or moving or compared)
        self._sharing = bool(self._itself or self._kept_apart or self._writes_arguments or self._joined)

    def hold(self, arguments: list[Any]) -> bool:
        """Whether all is as it was.

        Gradients are there, or missing; numbers that Python read are what they were; and arguments share memory with
        each other and with tensors outside as they did.
        """
        for leaf, empty in self.program.empty:
            if (leaf.gradient is None) != empty or leaf.spent:
                return False
        if self._collecting and _shared(self._collecting) != self._shared:
            return False
        # Few steps have more than these.
        if self._more and not self._more_holds(arguments):
            return False
        return not self._sharing or self._share_as_before(arguments)

    def _more_holds(self, arguments: list[Any]) -> bool:
        program = self.program
        return (
            all(_is_value(cell.value, value) for cell, value in program.numbers)
            and all(view._base is base and view._steps is steps for view, base, steps in program.views)
            and all(leaf.gradient is gradient for leaf, gradient in program.held)
            and all((t._value.array.shape, t._value.array.dtype) == (shape, dtype) for t, shape, dtype in self._forms)
            and all(arguments[n]._leaf is leaf for n, leaf in program.own_leaves)
            and all(alike(hooks_of(arguments[n]), hooks) for n, hooks in self._hooks)
            and (not self._moving or repeated(arguments) == self._repeated)
            and all((_which(a, arguments) is _which(b, arguments)) == same for a, b, same in self._compared)
        )

    def _share_as_before(self, arguments: list[Any]) -> bool:
        apart, others = self._kept_apart, self._with_stand_ins(arguments)
        if any(arguments[number] is not tensor for number, tensor in self._itself):
            return False
        if apart:
            for tensor in others:
                if id(tensor if tensor._base is None else tensor.root) in apart:
                    return False
        if self._writes_arguments and same_roots(others) != self._pattern:
            return False
        return all(arguments[number]._steps == steps for number, steps in self._joined)

    def _with_stand_ins(self, arguments: list[Any]) -> list[Any]:
        """The arguments that do not stand for themselves."""
        itself = self.plan.itself
        return [t for number, t in enumerate(arguments) if number not in itself] if itself else arguments


def _shared(leaves: list[Any]) -> list[int]:
    """Which of the leaves have collected into one tensor; empty if each has its own."""
    gradients = [id(leaf.gradient) for leaf in leaves]
    return [] if len(set(gradients)) == len(gradients) else [gradients.index(g) for g in gradients]


def _which(tensor: Any, arguments: list[Any]) -> Any:
    return arguments[tensor] if isinstance(tensor, int) else tensor


def same_form(a: Any, b: Any) -> bool:
    """Whether two arrays, symbols or tensors have one shape and one data type, and are on one device."""
    return tuple(a.shape) == tuple(b.shape) and bool(a.dtype == b.dtype) and _place(a) is _place(b)


def _place(x: Any) -> Any:
    return place_of(x.value.array if isinstance(x, TensorCell) else x)


def _is_value(now: Value, value: Value) -> bool:
    """Whether a value is this one, or has the same bits."""
    if now is value:
        return True
    a, b = now.array, value.array
    if type(a) is Placed and type(b) is Placed:
        return same_form(a, b) and a.on_host().tobytes() == b.on_host().tobytes()
    return isinstance(a, np.ndarray) and same_form(a, b) and a.tobytes() == b.tobytes()
