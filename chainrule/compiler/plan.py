"""The order of the kernels, the barriers between them, and where every buffer lies.

Kernels that do not touch what others between two barriers write need no order among themselves. A buffer's memory is
free again when a barrier separates its last use from the next owner's first.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.fuse import Group
from chainrule.compiler.views import Buffer

#: Every buffer begins at a multiple of so many bytes, and has as many to spare behind it: vectors may read beyond.
ALIGNMENT, SLACK = 64, 256


def in_order(groups: Sequence[Group]) -> list[Group]:
    """Every group behind those it waits for; otherwise as they were made."""
    here = sum(group.bit for group in groups)
    done, ordered = ~here, []
    waiting = list(groups)
    while waiting:
        rest = []
        for group in waiting:
            if group.needs & ~done:
                rest.append(group)
            else:
                ordered.append(group)
                done |= group.bit
        assert len(rest) < len(waiting), "groups wait for each other"
        waiting = rest
    return ordered


def epochs(groups: Sequence[Group]) -> list[int]:
    """For each group, in order, the number of barriers before it."""
    answer: list[int] = []
    now, reads, writes = 0, set[Buffer](), set[Buffer]()
    shared: set[Buffer] = set()
    for group in groups:
        apart = shared if group.parallel_writes else set[Buffer]()
        conflict = group.reads & writes or group.writes & reads or group.writes & (writes - apart)
        if conflict or group.call is not None or (answer and groups[len(answer) - 1].call is not None):
            now, reads, writes, shared = now + 1, set(), set(), set()
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
