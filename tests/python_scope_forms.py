"""More forms of Python as steps, as in `python_forms`: functions and the names they see, classes and objects."""

from __future__ import annotations

import functools
from typing import Any

from tests.listed import into
from tests.python_forms import Form, Make, Plain

SHIFT = 1.0
FORMS: list[Make] = []
form = into(FORMS)


class Secret:
    """Names with two underscores are the class's own."""

    def __init__(self) -> None:
        self.__scale = 2.0

    def step(self, x: Any) -> Any:
        """Read one."""
        return x * self.__scale

    def change(self) -> None:
        """Change it."""
        self.__scale += 1


@form
def names_of_the_class_alone() -> Form:
    secret = Secret()
    return secret.step, secret.change


@form
def starred_calls_and_targets() -> Form:
    given, named = [0.5, 2.0], {"alpha": 3.0}

    def scaled(x: Any, a: float, /, b: float = 1.0, *more: float, alpha: float = 1.0, **rest: float) -> Any:
        return x * a + b + sum(more) * alpha + sum(rest.values())

    def step(x: Any) -> Any:
        first, *others = given
        return scaled(x, *given, **named), scaled(x, first, *others, beta=4.0), [*given, *others], {**named, "b": 1}

    def change() -> None:
        given.append(1.5)
        named["gamma"] = 0.25

    return step, change


@form
def lambdas_with_defaults_and_late_binding() -> Form:
    shift = 1.0

    def step(x: Any) -> Any:
        early = [lambda t, i=i: t * i for i in range(1, 3)]
        late = [lambda t: t + shift for _ in range(2)]
        return [f(x) for f in early + late]

    def change() -> None:
        nonlocal shift
        shift += 1

    return step, change


@form
def nonlocal_within() -> Form:
    factor = 2.0

    def step(x: Any) -> Any:
        total = x * 0

        def add(t: Any) -> None:
            nonlocal total
            total = total + t * factor

        for _ in range(3):
            add(x)
        return total

    def change() -> None:
        nonlocal factor
        factor *= 2

    return step, change


@form
def a_global_statement() -> Form:
    globals()["SHIFT"] = 1.0

    def step(x: Any) -> Any:
        global SHIFT
        return x + SHIFT

    def change() -> None:
        global SHIFT
        SHIFT += 1

    return step, change


@form
def a_class_made_within() -> Form:
    settings = {"scale": 2.0}

    def step(x: Any) -> Any:
        class Base:
            scale = settings["scale"]

            def work(self) -> Any:
                return x * self.scale

        class Derived(Base):
            shift = sum(settings.values())

            def work(self) -> Any:
                return super().work() + self.shift

        return Derived().work()

    return step, lambda: settings.update(scale=settings["scale"] + 1, more=0.5)


@form
def descriptors_and_getattr() -> Form:
    class Doubled:
        def __set_name__(self, owner: Any, name: str) -> None:
            self.name = "_" + name

        def __get__(self, at: Any, owner: Any = None) -> Any:
            return self if at is None else getattr(at, self.name) * 2

    class Owner:
        scale = Doubled()

        def __init__(self) -> None:
            self._scale = 1.0

        def __getattr__(self, name: str) -> Any:
            if name == "lazy":
                return self._scale + 10
            raise AttributeError(name)

    owner = Owner()

    def step(x: Any) -> Any:
        return x * owner.scale + owner.lazy

    def change() -> None:
        owner._scale += 1

    return step, change


@form
def getattribute_of_ones_own() -> Form:
    class Owner:
        def __init__(self) -> None:
            self.scale = 2.0

        def __getattribute__(self, name: str) -> Any:
            value = object.__getattribute__(self, name)
            return value * 2 if name == "scale" else value

    owner = Owner()

    def step(x: Any) -> Any:
        return x * owner.scale

    return step, lambda: owner.__dict__.update(scale=owner.__dict__["scale"] + 1)


@form
def recursion() -> Form:
    depth = [2]

    def down(x: Any, left: int) -> Any:
        return x if left == 0 else down(x * 2, left - 1) + 1

    def step(x: Any) -> Any:
        return down(x, depth[0])

    return step, lambda: depth.insert(0, depth[0] + 1)


@form
def decorators() -> Form:
    calls = {"factor": 2.0}

    def scaled(function: Any) -> Any:
        @functools.wraps(function)
        def inside(*args: Any, **named: Any) -> Any:
            return function(*args, **named) * calls["factor"]

        return inside

    @scaled
    @scaled
    def helper(x: Any) -> Any:
        """Have a docstring."""
        return x + 1

    def step(x: Any) -> Any:
        return helper(x) + len(helper.__doc__ or "")

    return step, lambda: calls.update(factor=calls["factor"] + 1)


@form
def names_of_the_surroundings() -> Form:
    values = [1]

    def step(x: Any) -> Any:
        here = dict(locals())
        return x * len(here) + len(__name__) + eval("a * 2", {"a": values[0]})

    return step, lambda: values.insert(0, values[0] + 1)


@form
def operators_of_ones_own() -> Form:
    class Amount:
        def __init__(self, value: float) -> None:
            self.value = value

        def __mul__(self, other: Any) -> Any:
            return other * self.value

        __rmul__ = __mul__

        def __neg__(self) -> Any:
            return Amount(-self.value)

        def __lt__(self, other: Any) -> bool:
            return self.value < other

        def __iadd__(self, other: float) -> Any:
            return Amount(self.value + other)

    amount = Amount(2.0)

    def step(x: Any) -> Any:
        mine = -amount
        mine += 0.5
        return (amount * x, x - 1 if amount < 3 else x, mine * x)

    def change() -> None:
        amount.value += 1

    return step, change


@form
def objects_made_within() -> Form:
    at = Plain(scale=2.0)

    def step(x: Any) -> Any:
        mine = Plain(scale=at.scale, items=[])
        mine.scale += 1
        mine.items.append(mine.scale)
        table = {"a": mine}
        return x * table["a"].items[0] + len(mine.items)

    def change() -> None:
        at.scale += 1

    return step, change


@form
def keyword_only_and_closures_of_closures() -> Form:
    base = 2.0

    def outer(*, k: float = 1.0) -> Any:
        def middle() -> Any:
            def inner(x: Any) -> Any:
                return x * base + k

            return inner

        return middle

    def step(x: Any) -> Any:
        return outer(k=base * 3)()(x)

    def change() -> None:
        nonlocal base
        base += 1

    return step, change
