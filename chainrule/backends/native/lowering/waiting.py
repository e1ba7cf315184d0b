"""Who waits for whom: a group runs after those that write what it reads, and after those that it is told to wait for.

Waiting is carried on: a group needs what those need that it waits for. What each needs is a set of bits, so a question
is one operation on whole numbers, and a change is told to all that wait already.

>>> from chainrule.backends.native.lowering.nest import Nest
>>> waiting = Waiting()
>>> first, second, third = waiting.groups = [Group(number, Nest()) for number in range(3)]
>>> waiting.wait(second, [first])
>>> waiting.wait(third, [second])
>>> waiting.could_wait(third, first), waiting.could_wait(first, third)
(True, False)
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.backends.native.lowering.groups import Group
from chainrule.backends.native.lowering.place import Buffer


class Waiting:
    """The groups, and the order among them that must be kept.

    Attributes:
        groups: what has come out so far.
        writers, readers: for each buffer the groups that write and read it.
        checking: groups that may fail.
        awaited: as a set of bits the groups that any other waits for.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.writers: dict[Buffer, list[Group]] = {}
        self.readers: dict[Buffer, list[Group]] = {}
        self.checking: list[Group] = []
        self.awaited = 0

    def wait(self, group: Group, others: Sequence[Group]) -> None:
        """The group runs after these others; so does all that already waits for it."""
        more = 0
        for other in others:
            if other is not group:
                more |= other.bit | other.needs
        if more & ~group.needs:
            group.needs |= more
            self.awaited |= more
            if self.awaited & group.bit:
                for follower in self.groups:
                    if follower.needs & group.bit:
                        follower.needs |= group.needs

    def could_wait(self, group: Group, other: Group) -> bool:
        """Whether the group may come after the other without a circle."""
        return other is not group and not other.needs & group.bit

    def read(self, group: Group, buffer: Buffer) -> None:
        """The group reads a buffer, so it comes after those that write it."""
        if buffer not in group.reads:
            group.reads.add(buffer)
            self.readers.setdefault(buffer, []).append(group)
        self.wait(group, self.writers.get(buffer, []))

    def written(self, group: Group, buffer: Buffer) -> None:
        """The group writes a buffer, after those that wrote it before."""
        group.writes.add(buffer)
        group.apart.discard(buffer)
        writers = self.writers.setdefault(buffer, [])
        if group not in writers:
            self.wait(group, writers)
            writers.append(group)

    def writes_apart(self, group: Group, buffer: Buffer) -> None:
        """The group writes entries of a buffer that no other group writes, so their order does not matter."""
        if buffer not in group.writes:
            group.apart.add(buffer)
        group.writes.add(buffer)
        self.writers.setdefault(buffer, []).append(group)

    def may_fail(self, group: Group) -> None:
        """The group checks numbers, or NumPy does something in it."""
        group.checks = True
        self.checking.append(group)

    def become_one(self, one: Group, into: Group) -> None:
        """All that a group reads, writes and waits for is the other's from now on; neither may wait for the other."""
        for buffer in one.writes:
            self.writers[buffer] = [into if group is one else group for group in self.writers[buffer]]
        into.apart = (one.apart | into.apart) - (one.writes - one.apart) - (into.writes - into.apart)
        for buffer in one.reads - into.reads:
            self.readers[buffer].append(into)
        into.reads |= one.reads
        into.writes |= one.writes
        if one.checks:
            self.may_fail(into)
        more = one.needs | into.needs
        self.awaited |= more | into.bit
        for group in self.groups:
            if group is into or group.needs & (one.bit | into.bit):
                group.needs |= more | (0 if group is into else into.bit)
