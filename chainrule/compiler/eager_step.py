"""An optimiser's step in eager code as one program, written into the memory where parameters and moments lie.

The rule for a parameter is a dozen operations, each of which makes an array and takes Python some microseconds. So what
`Optimizer.update` does to all parameters is compiled like any step of a user's. Gradients are its arguments and are
read where they are; parameters and moments are cells, with homes (`backends/home.py`) that lie as eager code wants
arrays.

A rule that takes every entry by itself (`Optimizer.elementwise`) gives the same bits either way. So the first steps,
and whatever no program can be made of, are taken operation by operation, and nobody can tell. Two things would differ
in the last digit and are left out: parameters of float64, in which powers of β are rounded otherwise, and single
numbers (no dimensions), which a setting meets in float64.

>>> import chainrule
>>> weight = chainrule.ones(300, 100, requires_grad=True)
>>> optimizer = chainrule.optim.SGD([weight], lr=0.1)
>>> for _ in range(5):
...     optimizer.zero_grad()
...     (weight ** 2).sum().backward()
...     optimizer.step()
>>> weight[0, 0].item(), bool((weight == weight[0, 0]).all())
(0.32767996191978455, True)
"""

from __future__ import annotations

import copy
import itertools

from chainrule.autodiff.block import is_unobserved
from chainrule.backends.home import Home, home_of, settle
from chainrule.cell import TensorCell
from chainrule.changes import fields_of
from chainrule.compiler.function import CompiledFunction
from chainrule.compiler.single import is_all_in_numpy
from chainrule.errors import TraceError
from chainrule.forking import LockAcrossForks
from chainrule.optim.optimizer import Given, Optimizer
from chainrule.primitives.value import Array
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: So many steps are taken operation by operation first: a program takes as long to make as a hundred steps.
FIRST = 3
#: An optimiser with more programs than this gets no more: other parameters have gradients in each of its steps.
MOST = 8


class StepProgram:
    """The programs of one optimiser.

    Attributes:
        steps: how many have been asked for.
        count: how many parameters have had gradients in the last one.
        refused: no further step is to be a program.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        # Of a twin, which shares groups and state: a program that held the optimiser would keep it alive.
        twin = self.twin = copy.copy(optimizer)

        def update(gradients: list[list[Tensor | None]]) -> None:
            """The step as a function of the gradients alone."""
            twin.update_all(
                [
                    [(p, g, twin.state[p]) for p, g in zip(group["params"], known, strict=True) if g is not None]
                    for group, known in zip(twin.param_groups, gradients, strict=True)
                ]
            )

        self.function = CompiledFunction(update)
        self.steps, self.count, self.refused = 0, 0, False

    def is_for(self, optimizer: Optimizer) -> bool:
        """Whether the optimiser still has the groups and the state that programs were made for."""
        return self.twin.param_groups is optimizer.param_groups and self.twin.state is optimizer.state

    def take(self, given: Given) -> bool:
        """Take a step; False if it has to be taken otherwise."""
        self.steps += 1
        if self.steps <= FIRST or self.refused:
            return False
        gradients = [[p.grad for p in group["params"]] for group in self.twin.param_groups]
        count = sum(map(len, given))
        homes = [] if count == self.count else _homes_for(given)  # kept until the program has them
        self.count = count
        try:
            self.function(gradients)
        except TraceError:  # while it was traced, so nothing has changed
            self.refused = True
            return False
        del homes
        self.refused = sum(map(len, self.function.programs.values())) > MOST
        return True


def _homes_for(given: Given) -> list[Home]:
    """Homes for parameters and states that have none: row by row without gaps, as eager code wants arrays."""
    guard, homes = LockAcrossForks(rank=1), []
    for parameter, _, state in itertools.chain.from_iterable(given):
        for cell in (parameter, *state.values()):
            if isinstance(cell, TensorCell) and cell._base is None and home_of(cell) is None:
                array = cell.value.array
                homes.append(Home(array.shape, array.dtype, tuple(range(array.ndim)), apart=False))
                settle(cell, homes[-1], guard)
    return homes


def step_as_program(optimizer: Optimizer, given: Given) -> bool:
    """Take a step with these parameters, gradients and states; False if it has to be taken otherwise.

    It has to be where somebody looks at single operations, and where the rule is the user's.
    """
    parameters = [parameter for parameter, _, _ in itertools.chain.from_iterable(given)]
    if (
        not type(optimizer).update.__module__.startswith("chainrule.")
        or optimizer.defaults.get("differentiable")
        or any([_is_rounded_otherwise(parameter.value.array) for parameter in parameters])
        or is_all_in_numpy()
        or not is_unobserved(current_state(), parameters)
    ):
        return False
    program = fields_of(optimizer).get("_program")
    if program is None or not program.is_for(optimizer):
        program = fields_of(optimizer)["_program"] = StepProgram(optimizer)
    return bool(program.take(given))


def _is_rounded_otherwise(array: Array) -> bool:
    return array.dtype.itemsize > 4 or not array.shape
