"""The order of the kernels, the barriers between them, and where every buffer lies.

Kernels that do not touch what others between two barriers write need no order among themselves. A buffer's memory is
free again when a barrier separates its last use from the next owner's first.

Five products in a row need room for two results, not for four:

>>> import chainrule
>>> chain = chainrule.compile(lambda x: x @ x @ x @ x @ x @ x)
>>> _ = chain(chainrule.ones(512, 512)); 2**20 < chain.program.executable.arena_bytes < 2.2 * 2**20
True
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule.compiler.fuse import Group
from chainrule.compiler.views import Buffer

#: Every buffer begins at a multiple of so many bytes, and has as many to spare behind it: vectors may read beyond.
ALIGNMENT, SLACK = 64, 256


#: A group that walks over fewer places than this is small: it can run early or late without holding much memory.
LARGE = 2**14


def in_order(groups: Sequence[Group]) -> list[Group]:
    """Each group behind those it waits for, and no earlier or later than that: memory is then held for a short time.

    A group has the number of its oldest part; what joined it later may make it wait. So it comes when the last large
    group it waits for has been made; the small ones it waits for (an optimiser's step count) are done just before.
    """
    by_number = {group.number: group for group in groups}
    large = sum(group.bit for group in groups if math.prod(group.nest.extents) >= LARGE)
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

    What lies outside of the arena is written behind the barrier that follows the checks of indices.
    """
    answer: list[int] = []
    now, reads, writes, checks = 0, set[Buffer](), set[Buffer](), False
    shared: set[Buffer] = set()
    for group in groups:
        apart = shared if group.parallel_writes else set[Buffer]()
        conflict = bool(group.reads & writes or group.writes & reads or group.writes & (writes - apart))
        if checks and any(buffer.origin is not None for buffer in group.writes):
            conflict = True
        if conflict or group.call is not None or (answer and groups[len(answer) - 1].call is not None):
            now, reads, writes, shared, checks = now + 1, set(), set(), set(), False
        checks |= group.checks
        reads |= group.reads
        writes |= group.writes
        if group.parallel_writes:
            shared |= group.writes
        answer.append(now)
    return answer


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
        taken = sorted(
            (start, end) for start, end, begin, stop in placed if begin <= last[buffer] and stop >= first[buffer]
        )
        offset = 0
        for start, end in taken:
            if start - offset >= size:
                break
            offset = max(offset, end)
        offsets[buffer] = offset
        placed.append((offset, offset + size, first[buffer], last[buffer]))
        total = max(total, offset + size)
    return offsets, total
