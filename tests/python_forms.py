"""Statements and expressions of Python as steps: each reads something outside in its own way, which a change then changes.

Each form is a function that makes (step, change).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.listed import into

Form = tuple[Callable[..., Any], Callable[[], Any]]
Make = Callable[[], Form]
FORMS: list[Make] = []

form = into(FORMS)


class Plain:
    """Somebody's object."""

    def __init__(self, **named: Any) -> None:
        self.__dict__.update(named)


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
def imports_within() -> Form:
    names = ["pi", "e", "tau", "inf"]

    def step(x: Any) -> Any:
        import math
        from math import floor as down

        return x * getattr(math, names[0]) + down(2.5)

    return step, lambda: names.pop(0)


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
