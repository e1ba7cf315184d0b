"""What tracing a call gave, and the programs that came of it: each holds for calls in which its facts hold.

A program's further arguments, behind those of the call, are numbers, arrays and tensors that are read anew in every
call where the step's code found them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autodiff.anomaly import watch
from chainrule.cell import TensorCell
from chainrule.changes import SETTINGS
from chainrule.compiler.compare import difference, same_structure
from chainrule.compiler.facts import Facts
from chainrule.compiler.guards import Compared, Guards
from chainrule.compiler.net import Net
from chainrule.compiler.numbers import Number
from chainrule.compiler.observe import ArrayAt
from chainrule.compiler.origins import Step
from chainrule.compiler.places import GONE, Place
from chainrule.compiler.sharing import Plan, repeated
from chainrule.compiler.step import Compiled
from chainrule.compiler.structure import attributes_in_key, put_together, take_apart
from chainrule.dtypes import get_default_dtype
from chainrule.primitives.placed import place_of
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.state import current_state

#: So many traces, each with facts, are kept for one program.
KEPT_TRACES = 8


class Call:
    """One call of the function: what its arguments are made of.

    Attributes:
        given: (args, kwargs), which places within arguments are read from.
        exact: whether by the plain formulas only.
        watched: whether within `autograd.detect_anomaly`: the first operation that makes a NaN is to be named.
        form, leaves, others: the arguments taken apart (`structure.py`).
        key: what a program is looked up by.
    """

    def __init__(self, args: Any, kwargs: Any, exact: bool) -> None:
        self.given, self.exact = (args, kwargs), exact
        state = current_state()
        self.watched = state.observer is watch
        self.leaves: list[Any] = []
        self.others: list[Any] = []
        self.form = take_apart(self.given, self.leaves, self.others)
        self.key = (
            self.form,
            tuple([_in_key(tensor) for tensor in self.leaves]),
            state.gradients,
            state.autocast,
            state.half,
            get_default_dtype(),
            repeated(self.leaves),
            exact,
            self.watched,
            tuple(SETTINGS.items()) if SETTINGS else (),
        )


def _in_key(tensor: Any) -> tuple[Any, ...]:
    """What counts of an argument whose numbers do not."""
    attributes = attributes_in_key(tensor) if len(tensor.__dict__) > 1 else None
    return *form_of(tensor), tensor.value.source is None, type(tensor), attributes


class Knowledge:
    """What is known of numbers and tensors that change from call to call.

    Attributes:
        settings: of optimisers, (the group's identity, name).
        moving: places whose numbers and tensors are inputs, by identity.
        replaced: the identities of those at which another tensor was seen.
        deciding: places of numbers that were found to shape the program.
        kept: what the identities belong to.
    """

    def __init__(self) -> None:
        self.settings: set[tuple[int, str]] = set()
        self.moving: dict[Any, Place] = {}
        self.replaced: set[Any] = set()
        self.deciding: set[Any] = set()
        self.kept: list[Any] = []

    def decide(self, places: list[Place]) -> None:
        """The numbers at these places shape the program."""
        for place in places:
            self.deciding.add(place.identity)
            self.moving.pop(place.identity, None)
            self.kept.append(place)

    def hold_tensors(self) -> bool:
        """Let places of tensors hold what lies there, and no more change; whether there were any."""
        places = [place for place in self.moving.values() if place.identity in self.replaced]
        self.decide(places)
        self.replaced.clear()
        return bool(places)

    def copy(self) -> Knowledge:
        """What is known now."""
        twin = Knowledge()
        twin.settings, twin.moving = set(self.settings), dict(self.moving)
        twin.replaced = set(self.replaced)
        twin.deciding, twin.kept = set(self.deciding), self.kept
        return twin


class Traced:
    """What tracing a call gave.

    Attributes:
        program: the equations.
        facts: what it holds for.
        shape: the form of the results.
        writes: places that the step leaves something at, with its form and how many tensors are in it.
        prepared: what gives the arguments behind the call's own: places of tensors that change, and the form of each.
        inputs: what gives the arguments behind all these, which were found while tracing, and the form of each.
        numbers: the places of numbers that only Python calculates with, and their types.
        decisions: what the step asked of numbers that are inputs, and each answer.
        used: the sources of both that something depends on.
        plan: how the arguments share memory.
        known: which numbers and tensors were inputs.
        compared: which tensors the step compared by `is`.
        guards: what its tensors were; made for the call that is about to run.
        seconds: how long it took.
    """

    program: Step
    facts: Facts
    shape: Any
    writes: list[tuple[Place, Any, int]]
    prepared: list[tuple[Any, Any]]
    inputs: list[tuple[Any, Any]]
    numbers: list[tuple[Place, type]]
    decisions: list[tuple[Number, bool]]
    used: list[Any]
    plan: Plan
    known: Knowledge
    compared: list[Compared]
    guards: Guards
    seconds: float

    def arguments(self, call: Call) -> tuple[list[Any], list[Any]]:
        """The arguments of the program, as they are now, and the further ones behind them."""
        given = call.given
        if not self.prepared and not self.inputs:
            return call.leaves, []
        prepared = [_input_now(source, form, given) for source, form in self.prepared]
        return [*call.leaves, *prepared], [_input_now(source, form, given) for source, form in self.inputs]

    def has_its_numbers(self, call: Any) -> bool:
        """Whether where Python found numbers there are such numbers now."""
        try:
            return all(type(place.now(call)) is kind for place, kind in self.numbers)
        except GONE:
            return False

    def goes_the_same_way(self, call: Any) -> bool:
        """Whether all that the step asked of numbers has the same answer. What can no longer be asked has another."""
        try:
            return all(bool(number.compute(call)) is answer for number, answer in self.decisions)
        except (*GONE, ArithmeticError):
            return False

    def guard(self, arguments: list[Any]) -> None:
        """The tensors are about to be changed by a run: remember how they are."""
        self.guards = Guards(self.program, self.plan, arguments, self.compared, bool(self.prepared))

    def same_as(self, other: Traced) -> str:
        """In words, where this differs from another trace; "" if nowhere."""
        found = difference(other.program, self.program)
        if not found and not same_structure(self.shape, other.shape):
            found = "what it returns has another form"
        if not found and not same_structure(self.writes, other.writes):
            found = "it leaves something else behind"
        if not found and (not same_structure(self.used, other.used) or self.plan != other.plan):
            found = "it reads other numbers or arrays"
        return found


class Variant:
    """A program with the traces that gave it: each has facts for which it holds."""

    def __init__(self, traced: Traced, compiled: Compiled) -> None:
        self.traces, self.compiled = [traced], compiled
        self.net = Net(traced.seconds)

    def add(self, traced: Traced) -> None:
        """Another trace has given this program."""
        self.traces = [traced, *self.traces][:KEPT_TRACES]

    def holds(self, call: Call) -> tuple[Traced, tuple[list[Any], list[Any]]] | None:
        """If the program is right for this call, the trace whose facts hold and all arguments; None if it is not."""
        for i, traced in enumerate(self.traces):
            if not traced.facts.hold(call.given) or (traced.numbers and not traced.has_its_numbers(call.given)):
                continue
            if traced.decisions and not traced.goes_the_same_way(call.given):
                continue
            try:
                arguments = traced.arguments(call)
            except _MisfitError:
                continue
            if traced.guards.hold(arguments[0]):
                if i:
                    self.traces.insert(0, self.traces.pop(i))
                return traced, arguments
        return None

    def run(self, call: Call, traced: Traced, arguments: tuple[list[Any], list[Any]]) -> Any:
        """Run the program. After a trace of this call it is that trace that is finished here."""
        given = call.given
        left = [(place, _with_numbers(form, given), count) for place, form, count in traced.writes]
        results = iter(self.compiled.run(*arguments))
        answer = put_together(traced.shape, results, call=given)
        for place, form, _ in left:
            place.write(put_together(form, results, call=given), given)
        return answer


_NOTHING = Value(np.zeros(()))


class _MisfitError(Exception):
    """An input that the program reads is of another kind than it was."""


def _input_now(source: Any, form: Any, call: Any) -> Any:
    """A further argument of the program, as it is now. `form` is the type of a number, or (shape, dtype)."""
    if source is None:  # the step has not seen it
        return Primitive.make_tensor(_NOTHING)
    if isinstance(source, Number):
        try:
            number = source.compute(call)
            if type(number) is not form:
                raise _MisfitError
            return Primitive.make_tensor(Value(np.array(float(number))))
        except (*GONE, OverflowError):
            raise _MisfitError from None
    try:
        found = source.now(call)
    except GONE:
        raise _MisfitError from None
    if isinstance(source, ArrayAt):
        if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != form[:2]:
            raise _MisfitError
        return Primitive.make_tensor(Value(np.array(found)))
    if not isinstance(found, TensorCell) or found.requires_grad or form_of(found) != form:
        raise _MisfitError
    return found


def form_of(tensor: Any) -> tuple[Any, ...]:
    """The shape, the data type and the place of what a tensor holds."""
    array = tensor.value.array
    return array.shape, array.dtype, place_of(array)


def _with_numbers(form: Any, call: Any) -> Any:
    """A form with its numbers computed, and what is kept looked up: what they come from is written to next."""
    if isinstance(form, tuple) and len(form) == 2 and form[0] is None and isinstance(form[1], Number):
        return None, form[1].compute(call)
    if isinstance(form, tuple) and len(form) == 2 and form[0] == "kept":
        return None, form[1].now(call)
    if isinstance(form, tuple) and len(form) == 2 and isinstance(form[1], tuple) and form[0] is not None:
        return form[0], tuple([_with_numbers(part, call) for part in form[1]])
    return form
