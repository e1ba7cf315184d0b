"""The order of the kernels, the barriers between them, and where every buffer lies.

Kernels that do not touch what others between two barriers write need no order among themselves. A buffer's memory is
free again when a barrier separates its last use from the next owner's first.

Five products in a row need room for two results, not for four:

>>> import chainrule
>>> chain = chainrule.compile(lambda x: x @ x @ x @ x @ x @ x)
>>> _ = chain(chainrule.ones(512, 512).double()); 2**21 < chain.program.executable.arena_bytes < 2.2 * 2**21
True
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.backends.memory import ALIGNMENT, SLACK
from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.place import Buffer

#: A group that walks over fewer places than this is small: it can run early or late without holding much memory.
LARGE = 2**14
#: A buffer of at most so many bytes may be held for long.
FEW = 2**14


def does_something(group: Group) -> bool:
    """Whether it writes anything: nothing at all is written along an axis without entries."""
    kept = [extent for axis, extent in enumerate(group.nest.extents) if axis not in group.nest.reduced]
    return (
        group.call is not None
        or group.own is not None
        or group.loop is not None
        or (bool(group.nest.stores or group.nest.sorting) and 0 not in kept)
    )


def scheduled(groups: Sequence[Group]) -> tuple[list[Group], list[int]]:
    """The groups that do something, in the order in which they run, and for each the number of barriers before it."""
    ordered = in_order([group for group in groups if does_something(group)])
    timed = sorted(zip(epochs(ordered), ordered, strict=True), key=lambda pair: pair[0])
    return [group for _, group in timed], [epoch for epoch, _ in timed]


def in_order(groups: Sequence[Group]) -> list[Group]:
    """Each group behind those it waits for, and no earlier or later than that: memory is then held for a short time.

    A group has the number of its oldest part; what joined it later may make it wait. So it comes when the last large
    group it waits for has been made; the small ones it waits for (an optimiser's step count) are done just before.
    """
    by_number = {group.number: group for group in groups}
    large = sum(group.bit for group in groups if group.loop or math.prod(group.nest.extents) >= LARGE)
    here = sum(group.bit for group in groups)
    done, ordered = ~here, []
    for group in sorted(groups, key=lambda g: (max(g.number, (g.needs & large).bit_length() - 1), g.number)):
        waiting = [group]
        while waiting:
            last = waiting[-1]
            missing = last.needs & ~done
            if missing:
                waiting.append(by_number[(missing & -missing).bit_length() - 1])
                assert len(waiting) <= len(groups), "groups wait for each other"
                continue
            waiting.pop()
            if not last.bit & done:
                ordered.append(last)
                done |= last.bit
    return ordered


def epochs(groups: Sequence[Group]) -> list[int]:
    """For each group, in order, the number of barriers before it.

    A large group comes no earlier than the large ones before it. A small one that writes little comes as soon as what
    it reads is there, so that many of them (an optimiser's step counts, norms, updates of biases) share a barrier.
    What was there before is written behind the barrier that follows all that may fail.
    """
    answer: list[int] = []
    now, after_checks, after_call = 0, 0, 0
    used: dict[Buffer, _Uses] = {}
    for group in groups:
        early = group.call is None and group.loop is None and is_small(group)
        epoch = after_call if early else now
        if any(buffer.lasting for buffer in group.writes):
            epoch = max(epoch, after_checks)
        for buffer in group.reads:
            if buffer in used:
                epoch = max(epoch, used[buffer].written + 1, used[buffer].written_apart + 1)
        for buffer in group.writes:
            if buffer in used:
                apart = used[buffer].written_apart + (buffer not in group.apart)
                epoch = max(epoch, used[buffer].read + 1, used[buffer].written + 1, apart)
        if group.call is not None:  # it runs alone
            epoch = max([epoch, *(e + 1 for e in answer)])
            after_call = epoch + 1
            now = epoch + 1
        elif not early:
            now = epoch
        for buffer in group.reads:
            uses = used.setdefault(buffer, _Uses())
            uses.read = max(uses.read, epoch)
        for buffer in group.writes:
            uses = used.setdefault(buffer, _Uses())
            if buffer in group.apart:
                uses.written_apart = max(uses.written_apart, epoch)
            else:
                uses.written = max(uses.written, epoch)
        if group.checks:
            after_checks = max(after_checks, epoch + 1)
        answer.append(epoch)
    return answer


@dataclass
class _Uses:
    """The last epochs in which a buffer was read, written whole, and written in parts that do not meet."""

    read: int = -1
    written: int = -1
    written_apart: int = -1


def is_small(group: Group) -> bool:
    """Whether it can run early: it takes no time worth mentioning, and what it writes takes no memory to speak of."""
    places = math.prod(group.nest.extents)
    return places < LARGE and all(buffer.bytes <= FEW or buffer.origin is not None for buffer in group.writes)


def place_buffers(
    groups: Sequence[Group], when: Sequence[int], buffers: Sequence[Buffer]
) -> tuple[dict[Buffer, int], int]:
    """The byte offset of each buffer in the arena, and the arena's size. Large ones first, each at its lowest place."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for group, epoch in zip(groups, when, strict=True):
        for buffer in group.reads | group.writes:
            first.setdefault(buffer, epoch)
            last[buffer] = epoch
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[Buffer, int] = {}
    total = 0
    for buffer in sorted((b for b in buffers if b in first), key=lambda b: -b.bytes):
        size = -(-(buffer.bytes + SLACK) // ALIGNMENT) * ALIGNMENT
        offset, since, until = 0, first[buffer], last[buffer]
        for start, end, begin, stop in placed:  # from the lowest on
            if begin <= until and stop >= since:
                if start - offset >= size:
                    break
                if end > offset:
                    offset = end
        offsets[buffer] = offset
        bisect.insort(placed, (offset, offset + size, since, until))
        total = max(total, offset + size)
    return offsets, total
