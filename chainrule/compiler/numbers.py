"""Numbers that change from call to call, while a step is traced: what Python computes with them is computed again.

A :class:`Number` stands for a number at a place (an argument, a global variable, an attribute). Arithmetic and the pure
functions of numbers give others, which know how to compute themselves from the places; where one meets a tensor it
becomes an input of the program. A comparison is such a function too; what an `if` makes of its answer is a fact
(`Observer.decision`), so a step has one program for each way that it goes. Everything else that one can do with a
number (count with it, use it as an index) would decide what the program is: it raises :class:`NumberDecidesError`, and
then each of its values gets a program.

>>> settings = {"epoch": 3}
>>> epoch = Number(3, [], place=Place(settings, "entry", "epoch"))
>>> rate = 0.1 / (1 + epoch)
>>> settings["epoch"] = 0
>>> rate.value, rate.compute(())
(0.025, 0.1)
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from chainrule.compiler.places import Place


def is_a(thing: Any, kind: Any) -> bool:
    """`isinstance` by the type alone: it runs no code of the thing's own, such as `__getattribute__`."""
    return issubclass(type(thing), kind)


class NumberDecidesError(BaseException):
    """A number that was to be an input decides what is computed. No `Exception`: the user's code is not to catch it."""

    def __init__(self, places: list[Place]) -> None:
        super().__init__(", ".join(map(str, places)))
        self.places = places


#: Functions of numbers that are called again in every run.
PURE: frozenset[Any] = frozenset(
    {abs, round, float, int, min, max, pow}
    | {f for name, f in vars(math).items() if callable(f) and not name.startswith("_")}
    | {operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow}
    | {operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod}
    | {operator.ipow, operator.neg, operator.pos, operator.abs}
    | {operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge}
)


class Number:
    """A number that is computed anew in every call. See the text of this file.

    Attributes:
        value: what it is in this trace.
        places: where the numbers lie that it is made of.
    """

    __slots__ = ("arguments", "function", "place", "places", "value")
    __array_ufunc__ = None  # NumPy arrays leave `array * number` to us

    def __init__(
        self,
        value: Any,
        arguments: Sequence[Any],
        function: Callable[..., Any] | None = None,
        place: Place | None = None,
    ) -> None:
        self.value, self.function, self.arguments, self.place = value, function, arguments, place
        inner = [p for a in arguments if is_a(a, Number) for p in a.places]
        self.places: list[Place] = [place, *inner] if place is not None else inner

    def compute(self, call: Any) -> Any:
        """What it is in a call with these arguments."""
        if self.place is not None:
            value = self.place.now(call)
            if type(value) is not type(self.value):
                raise LookupError(f"{self.place} is no longer a {type(self.value).__name__}")
            return value
        assert self.function is not None
        arguments = [a.compute(call) if is_a(a, Number) else a for a in self.arguments]
        try:
            return self.function(*arguments)
        except (ArithmeticError, ValueError) as error:  # which the step itself may catch
            raise LookupError(f"{self.function.__name__} of {arguments}: {error}") from error

    def decides(self, *_: Any, **__: Any) -> NoReturn:
        """It would shape the program."""
        raise NumberDecidesError(self.places)

    __bool__ = __hash__ = decides
    __index__ = __int__ = __float__ = __str__ = __format__ = __len__ = __iter__ = __contains__ = decides
    __getitem__ = __call__ = __round__ = __trunc__ = __floor__ = __ceil__ = decides

    def __repr__(self) -> str:
        return f"Number({self.value!r})"


def apply(function: Callable[..., Any], *arguments: Any) -> Any:
    """A pure function of numbers, some of which change: another such number."""
    values = [a.value if is_a(a, Number) else a for a in arguments]
    if not all(type(value) in (int, float, bool) for value in values):
        raise NumberDecidesError([p for a in arguments if is_a(a, Number) for p in a.places])
    try:
        return Number(function(*values), arguments, function)
    except (ArithmeticError, ValueError):  # if the step catches it, it goes another way than with other numbers
        raise NumberDecidesError([p for a in arguments if is_a(a, Number) for p in a.places]) from None


class Asked(Number):
    """A number that the step has asked whether it is true: `n or 7` is one, or it is 7."""

    __slots__ = ("answer",)

    def __init__(self, number: Number, answer: bool) -> None:
        super().__init__(number.value, [number], _itself)
        self.answer = answer

    def __bool__(self) -> bool:  # type: ignore[override]
        return self.answer


def _itself(number: Any) -> Any:
    return number


def _operation(function: Callable[..., Any], swapped: bool = False) -> Any:
    def operate(self: Number, other: Any) -> Any:
        if not is_a(other, (int, float, Number)):
            return NotImplemented
        return apply(function, other, self) if swapped else apply(function, self, other)

    return operate


def _comparison(function: Callable[..., Any]) -> Any:
    def compare(self: Number, other: Any) -> Any:
        if other is None or is_a(other, str):  # whatever the number is
            return function(self.value, other)
        return apply(function, self, other) if is_a(other, (int, float, Number)) else self.decides()

    return compare


def _apply_to_one(self: Number, function: Callable[..., Any]) -> Any:
    return apply(function, self)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__{_name}__", _operation(getattr(operator, _name)))
    setattr(Number, f"__r{_name}__", _operation(getattr(operator, _name), swapped=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Number, f"__{_name}__", _comparison(getattr(operator, _name)))
for _name in ("neg", "pos", "abs"):
    setattr(Number, f"__{_name}__", functools.partialmethod(_apply_to_one, getattr(operator, _name)))


def numbers_in(thing: Any, depth: int = 3) -> list[Number]:
    """The changing numbers in a structure of lists, tuples and dictionaries."""
    if is_a(thing, Number):
        return [thing]
    if depth and is_a(thing, (list, tuple)):
        return [n for part in thing for n in numbers_in(part, depth - 1)]
    if depth and is_a(thing, dict):
        return [n for part in thing.values() for n in numbers_in(part, depth - 1)]
    return []
