"""The cases: a number chooses a kind of value, a place, a use and changes, or a scenario with a network."""

from __future__ import annotations

from random import Random
from typing import Any

from tests import change_objects  # noqa: F401  (it enters its kinds)
from tests.change_networks import network_case
from tests.change_places import PLACES, READERS, Place, fits, statement, step_source
from tests.change_values import KINDS, Kind, Use
from tests.changes import Case, States, drawn_style

#: How a value is changed between calls.
PATTERNS = {
    "nothing": 1, "other value": 3, "forth and back": 3, "other form": 3, "equal copy": 1, "in place": 4,
    "in place and back": 3, "removed": 2, "something else": 1, "many values": 2, "mixed": 5,
}  # fmt: skip


class Change:
    """A case being made: the blocks so far and what the step has met."""

    def __init__(self, kind: Kind, place: Place, use: Use, random: Random) -> None:
        self.kind, self.place, self.use, self.random = kind, place, use, random
        self.blocks: list[str] = []
        self.states = States(None if not use.arithmetic else self.programs_for_each_form())
        self.value, self.form = 0, 0
        self.mutated: Any = 0

    def programs_for_each_form(self) -> int:
        """How many programs a value needs that only enters arithmetic.

        A first program may hold the number that it met first, and reads a tensor where it was found first; the second
        has an input for it. A parameter that is replaced, or a tensor that is a default, is bound anew to the same code.
        """
        if self.kind.tensors:
            return 1 if self.kind.tensors == "learn" or "default" in self.place.replaced else 2
        return 1 if self.kind.inputs else 2

    def call(self, times: int = 1) -> None:
        """The step is called with what is there now."""
        self.blocks += [f"call(run, X{self.place.given})"] * times
        self.states.add(self.form, (self.value, self.mutated))

    def replace(self, value: int) -> None:
        """Another of the kind's expressions, counted over values and others."""
        expressions = self.kind.values + self.kind.others
        self.blocks.append(statement(self.place.replaced, self.place, expressions[value]))
        self.value = value
        self.form = 0 if value < len(self.kind.values) else value
        if not self.kind.copies:
            self.mutated += 1  # a new object, so it may need a new program
        elif self.kind.tensors:
            self.mutated = "replaced"  # the first program reads a tensor where it was, one more has an input for it
        elif self.only_within:
            self.mutated = 0

    #: Whether mutations so far changed nothing but the value itself.
    only_within = True
    mutations = 0

    def mutate(self) -> None:
        """The value is changed where it is."""
        text = self.random.choice(self.kind.mutations)
        self.blocks.append(
            "try:\n    "
            + statement(text, self.place).replace("\n", "\n    ")
            + "\nexcept Exception as error:\n    refused = str(error)"
        )
        self.only_within &= text.startswith(("{v}", "del {v}", "np.", "vars", "setattr", "object", "with"))
        self.mutations += 1
        self.mutated = self.mutations
        if "requires_grad" in text or "scale" in text:
            self.form = (self.form, text)  # perhaps a number of another type

    def remove(self) -> None:
        """The value is taken away; reading it is an error."""
        self.blocks.append(statement(self.place.removed, self.place))
        self.form = "removed"

    def something_else(self) -> None:
        """Something is changed that the step does not read."""
        self.blocks.append(statement(self.place.other, self.place))

    def other_value(self) -> int:
        """One of the values of the same form, not the present one."""
        return self.random.choice([i for i in range(len(self.kind.values)) if i != self.value] or [0])

    def other_form(self) -> int:
        """One of the values of another form."""
        return len(self.kind.values) + self.random.randrange(len(self.kind.others))


def follow(pattern: str, change: Change) -> None:
    """Change the value as the pattern says, with calls between."""
    if pattern == "other value":
        change.replace(change.other_value())
        change.call(change.random.choice((1, 2)))
    elif pattern == "forth and back":
        other = change.other_value()
        for value in (other, 0, other):
            change.replace(value)
            change.call()
    elif pattern == "other form":
        change.replace(change.other_form())
        change.call()
        change.replace(change.random.randrange(len(change.kind.values)))
        change.call()
    elif pattern == "equal copy":
        change.replace(change.value)
        change.call(2)
    elif pattern == "in place":
        for _ in range(change.random.choice((1, 2))):
            change.mutate()
            change.call()
    elif pattern == "in place and back":
        change.mutate()
        change.call()
        change.replace(0)
        change.call()
    elif pattern == "removed":
        change.remove()
        change.call()
        change.replace(0)
        change.call()
    elif pattern == "something else":
        change.something_else()
        change.call(2)
    elif pattern == "many values":
        for i in range(8):
            change.replace(i % len(change.kind.values))
            change.call()
    elif pattern == "mixed":
        for _ in range(3):
            follow(drawn_pattern(change, without=("mixed", "many values")), change)
    else:
        change.call(2)


def drawn_pattern(change: Change, without: tuple[str, ...] = ()) -> str:
    """One of the patterns that the place and the kind allow."""
    allowed = [p for p in PATTERNS if p not in without and possible(p, change)]
    return change.random.choices(allowed, [PATTERNS[p] for p in allowed])[0]


def possible(pattern: str, change: Change) -> bool:
    """Whether the place and the kind allow it."""
    if pattern in ("in place", "in place and back"):
        return bool(change.kind.mutations)
    if pattern == "removed":
        return bool(change.place.removed)
    return True


def value_case(number: int, random: Random) -> Case:
    """A value of some kind, somewhere, used and changed somehow."""
    name = random.choice(list(KINDS))
    kind = KINDS[name]
    use = random.choice(kind.uses)
    where = random.choice(list(PLACES))
    place = PLACES[where]
    readers = [reader for reader in READERS if fits(place, reader, use.lines)]
    if not readers:
        return value_case(number, random)
    reader = random.choice(readers)
    change = Change(kind, place, use, random)
    pattern = drawn_pattern(change)
    change.blocks += [step_source(place, reader, use.lines, kind.values[0]), "run = prepare(step)"]
    change.call(random.choice((1, 1, 2)))
    follow(pattern, change)
    title = f"{name} / {where} / {reader} / {pattern} / {use.lines!r}"
    style = drawn_style(random)
    return Case(
        number, title, kind.classes, tuple(change.blocks), style, random.random() < 0.5, change.states.programs()
    )


def case(number: int) -> Case:
    """The case of this number, the same in every run."""
    random = Random(number)
    return value_case(number, random) if random.random() < 0.7 else network_case(number, random)
