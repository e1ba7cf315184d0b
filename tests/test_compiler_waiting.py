"""Who waits for whom, without a program: what groups need is what follows from all that was said, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer
from chainrule.backends.native.lowering.waiting import Waiting


def groups(count: int) -> tuple[Waiting, list[Group]]:
    waiting = Waiting()
    waiting.groups += [Group(number, Nest()) for number in range(count)]
    return waiting, waiting.groups


def buffer() -> Buffer:
    return Buffer(np.dtype(np.float32), 4)


def needed(group: Group) -> set[int]:
    return {number for number in range(group.needs.bit_length()) if group.needs >> number & 1}


def test_who_reads_comes_behind_all_that_write() -> None:
    waiting, (a, b, reader) = groups(3)
    x = buffer()
    waiting.written(a, x)
    waiting.written(b, x)
    waiting.read(reader, x)
    assert needed(b) == {0} and needed(reader) == {0, 1}
    assert waiting.writers[x] == [a, b] and waiting.readers[x] == [reader]


def test_who_writes_other_entries_waits_for_nobody() -> None:
    waiting, (a, b, reader) = groups(3)
    x = buffer()
    waiting.writes_apart(a, x)
    waiting.writes_apart(b, x)
    waiting.read(reader, x)
    assert not b.needs and x in b.apart and needed(reader) == {0, 1}
    waiting.written(b, x)  # all of it, after all
    assert x not in b.apart


def test_what_is_waited_for_later_is_told_to_all_that_wait_already() -> None:
    waiting, (first, second, third) = groups(3)
    waiting.wait(third, [second])
    assert waiting.could_wait(second, first) and not waiting.could_wait(second, third)
    waiting.wait(second, [first])
    assert needed(third) == {0, 1} and not waiting.could_wait(first, third) and not waiting.could_wait(first, first)


def test_two_groups_that_become_one() -> None:
    waiting, (before, one, into, behind, other) = groups(5)
    x, y = buffer(), buffer()
    waiting.wait(one, [before])
    waiting.written(one, x)
    waiting.writes_apart(one, y)
    waiting.writes_apart(into, y)
    waiting.may_fail(one)
    waiting.read(behind, x)
    waiting.become_one(one, into)
    assert needed(into) == {0} and {0, 2} <= needed(behind) and not other.needs
    assert waiting.writers[x] == [into] and set(waiting.writers[y]) == {into}
    assert into.writes == {x, y} and into.apart == {y} and into.checks and into in waiting.checking
    assert not waiting.could_wait(before, into) and waiting.could_wait(behind, other)


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_what_is_said_gives_what_follows_from_it(seed: int) -> None:
    """Compared with a search through all that was said; groups become one where neither waits for the other."""
    random, count = np.random.default_rng(seed), 12
    waiting, made = groups(count)
    now = list(range(count))  # the group that each has become
    said: set[tuple[int, int]] = set()

    def behind(start: int) -> set[int]:
        """All that a group waits for, found by walking."""
        found: set[int] = set()
        todo = [start]
        while todo:
            here = todo.pop()
            for one, other in said:
                if now[one] == now[here] and now[other] not in found:
                    found.add(now[other])
                    todo.append(other)
        return found

    for _ in range(40):
        a, b = (now[int(n)] for n in random.integers(0, count, 2))
        if a == b:
            continue
        free = a not in behind(b)
        assert waiting.could_wait(made[a], made[b]) == free
        if random.random() < 0.2 and free and b not in behind(a):
            waiting.become_one(made[a], made[b])
            now = [b if n == a else n for n in now]
        elif free:
            waiting.wait(made[a], [made[b]])
            said.add((a, b))
        for n in set(now):
            assert {now[m] for m in needed(made[n])} == behind(n)
