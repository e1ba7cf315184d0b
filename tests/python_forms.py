"""Forms of Python as steps: each reads something outside in its own way, which a change then changes.

Each form is a function that makes (step, change).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

SHIFT = 1.0
Form = tuple[Callable[..., Any], Callable[[], Any]]
FORMS: list[Callable[[], Form]] = []


def form(make: Callable[[], Form]) -> Callable[[], Form]:
    """Enter a form."""
    FORMS.append(make)
    return make


class Plain:
    """Somebody's object."""

    def __init__(self, **named: Any) -> None:
        self.__dict__.update(named)


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
def a_loop_with_else_and_continue() -> Form:
    limits = [3]

    def step(x: Any) -> Any:
        for i in range(10):
            if i % 2:
                continue
            if i > limits[0]:
                break
            x = x + i
        else:
            x = -x
        while x.dim() > 1:
            x = x[0]
        else:
            x = x * 2
        return x

    return step, lambda: limits.append(limits.pop() + 4)


@form
def try_except_else_finally() -> Form:
    table = {"a": 2.0}

    def step(x: Any) -> Any:
        log = []
        try:
            x = x * table["b"]
        except KeyError as error:
            log.append(str(error))
            x = x * table["a"]
        else:
            x = x + 5
        finally:
            x = x + len(log)
        return x

    return step, lambda: table.update(b=7.0)


@form
def groups_of_exceptions() -> Form:
    failing = [1]

    def step(x: Any) -> Any:
        try:
            if failing:
                raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])
        except* ValueError:
            x = x + 1
        except* TypeError:
            x = x * 2
        return x

    return step, failing.clear


@form
def with_statements() -> Form:
    held = Plain(scale=2.0)

    @contextlib.contextmanager
    def scaled() -> Iterator[float]:
        before = held.scale
        yield before * 2

    def step(x: Any) -> Any:
        with scaled() as a, contextlib.suppress(ZeroDivisionError):
            x = x * a
            x = x + 1 // 0
        return x

    def change() -> None:
        held.scale += 1

    return step, change


@form
def a_walrus_and_chained_comparisons() -> Form:
    bounds = (0, 5, 3)

    def step(x: Any) -> Any:
        if (middle := bounds[1]) and bounds[0] < middle <= bounds[2] + 2 != 9:
            x = x * middle
        return [x + y for i in range(3) if (y := i * bounds[2]) > 2]

    def change() -> None:
        nonlocal bounds
        bounds = (bounds[0] - 1, bounds[1] + 1, bounds[2] + 1)

    return step, change


@form
def an_index_is_computed_once() -> Form:
    counts, order = [1.0, 2.0, 3.0], [0, 1, 2]

    def step(x: Any) -> Any:
        table = {"a": [x * 1, x * 2]}
        seen: list[int] = []

        def place() -> int:
            seen.append(1)
            return order[0] % 2

        table["a"][place()] += counts[order[0]]
        at = Plain(x=x * 1)
        at.x *= counts[1]
        return table["a"], at.x, len(seen)

    return step, lambda: order.append(order.pop(0))


@form
def generators_that_send_and_delegate() -> Form:
    factors = [2.0, 3.0]

    def inner(x: Any) -> Any:
        got = yield x * factors[0]
        return (got or 0) + factors[1]

    def outer(x: Any) -> Any:
        result = yield from inner(x)
        yield x + result

    def step(x: Any) -> Any:
        walker = outer(x)
        first = next(walker)
        return first, walker.send(4.0)

    return step, factors.reverse


@form
def comprehensions_within_comprehensions() -> Form:
    rows = {"a": [1, 2], "b": [3]}

    def step(x: Any) -> Any:
        flat = [x * v for row in rows.values() for v in row if v != 2]
        named = {k: {v for v in row if v > 1} for k, row in rows.items()}
        return flat, sum(len(v) for v in named.values()), tuple(x + i for i, k in enumerate(rows) if k in rows)

    def change() -> None:
        rows["b"].append(len(rows) + 5)
        rows[f"c{len(rows)}"] = [7]

    return step, change


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
def match_statements() -> Form:
    shapes: list[Any] = [{"kind": "line", "size": 2.0}]

    def step(x: Any) -> Any:
        match shapes[-1]:
            case {"kind": "line", "size": size}:
                return x * size
            case [a, *rest] if len(rest) > 1:
                return x * a + sum(rest)
            case (float() | int()) as number:
                return x - number
            case None:
                return -x
        return x * 9

    following: list[Any] = [[1.0, 2.0, 3.0], 4, None]
    return step, lambda: shapes.append(following.pop(0))


@form
def short_circuits_and_conditionals() -> Form:
    at: Any = Plain(first=None, second=2.0, third=3.0)

    def step(x: Any) -> Any:
        chosen = at.first or (at.second and at.third)
        return x * (chosen if at.second else 7.0) if not at.first else x + at.first

    def change() -> None:
        at.first, at.second = at.second, at.first

    return step, change


@form
def formatted_text() -> Form:
    at = Plain(level=1, name="a")

    def step(x: Any) -> Any:
        table = {"a_01": 2.0, "a_02": 3.0, "a_03": 4.0, "a_04": 5.0}
        text = "{0.name}{0.level}".format(at)  # noqa: UP032
        return x * table[f"{at.name}_{at.level:02d}"] + len(f"{at.level!r:>{at.level + 3}}") + len(text)

    def change() -> None:
        at.level += 1

    return step, change


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
def imports_within() -> Form:
    names = ["pi", "e", "tau", "inf"]

    def step(x: Any) -> Any:
        import math
        from math import floor as down

        return x * getattr(math, names[0]) + down(2.5)

    return step, lambda: names.pop(0)


@form
def names_of_the_surroundings() -> Form:
    values = [1]

    def step(x: Any) -> Any:
        here = dict(locals())
        return x * len(here) + len(__name__) + eval("a * 2", {"a": values[0]})

    return step, lambda: values.insert(0, values[0] + 1)


@form
def deleting_and_slicing() -> Form:
    entries = [1.0, 2.0, 3.0, 4.0]

    def step(x: Any) -> Any:
        mine = entries[:]
        del mine[0]
        mine[1:] = [9.0]
        y = x * 1
        z = y + sum(mine)
        del y
        return z, entries[1:-1], entries[::-1]

    return step, lambda: entries.append(entries.pop(0))


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
def annotations_and_assertions() -> Form:
    limit = 5

    def step(x: Any) -> Any:
        size: int = x.shape[0]
        assert size < limit, f"too large: {size}"
        factor: float
        factor = limit * 1.0
        return x * factor

    def change() -> None:
        nonlocal limit
        limit -= 1

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
