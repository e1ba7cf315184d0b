"""The group of processes: there is one process in it, whose rank is 0."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chainrule.errors import ChainruleError


class ProcessGroupError(ChainruleError, ValueError, RuntimeError):
    """There is no process group, or one is asked for that cannot be."""


class ProcessGroup:
    """A group with this process in it, or (`ranks` empty) without any."""

    def __init__(self, backend: str, ranks: tuple[int, ...] = (0,)) -> None:
        self.backend = backend
        self.ranks = ranks

    def rank(self) -> int:
        """The number of this process in the group, or −1."""
        return 0 if self.ranks else -1

    def size(self) -> int:
        """How many processes there are."""
        return len(self.ranks)


class GroupMember:
    """The names of the group of all processes and of none."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = ProcessGroup("", ())


#: PyTorch's other name for the same.
group = GroupMember


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Begin with a group of one process.

    `world_size` and `rank` may also stand in the address `init_method` or in the environment (`WORLD_SIZE`, `RANK`).
    All other arguments say how processes find each other: they are taken and not needed.

    Raises ProcessGroupError for more than one process, a rank that is not in the group, or a second beginning.

    >>> init_process_group("gloo", rank=0, world_size=1)
    >>> get_rank(), get_world_size()
    (0, 1)
    >>> destroy_process_group()
    """
    if GroupMember.WORLD is not None:
        raise ProcessGroupError("the process group was begun already; destroy_process_group() ends it.")
    said = parse_qs(urlsplit(init_method or "").query)
    size = _number("world_size", world_size, said, "WORLD_SIZE", 1)
    if size != 1:
        raise ProcessGroupError(
            f"chainrule computes in one process, with threads (set_num_threads), and {size} were asked for: "
            "start the program once, with world_size=1."
        )
    own = _number("rank", rank, said, "RANK", 0)
    if own != 0:
        raise ProcessGroupError(f"in a group of one process the rank is 0, got {own}.")
    GroupMember.WORLD = ProcessGroup(backend or "gloo")


def _number(name: str, given: int, said: dict[str, list[str]], variable: str, otherwise: int) -> int:
    if given != -1:
        return int(given)
    text = said[name][0] if name in said else os.environ.get(variable, str(otherwise))
    try:
        return int(text)
    except ValueError:
        raise ProcessGroupError(f"{name} is a whole number, got {text!r} (from {variable} or the address).") from None


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """End the group of all processes, or one made by `new_group`. Raises ProcessGroupError if there is none."""
    world = world_group()
    if group is None or group is world:
        GroupMember.WORLD = None


def world_group() -> ProcessGroup:
    """The group of all processes. Raises ProcessGroupError if there is none."""
    if GroupMember.WORLD is None:
        raise ProcessGroupError("there is no process group: call distributed.init_process_group first.")
    return GroupMember.WORLD


def find_group(group: ProcessGroup | None) -> ProcessGroup:
    """The given group, or that of all processes. Raises ProcessGroupError if there is none."""
    world = world_group()
    return world if group is None else group


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: Any = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
) -> ProcessGroup:
    """A group of some processes: of this one, or of none. Raises ProcessGroupError for ranks other than 0."""
    world = world_group()
    chosen = (0,) if ranks is None else tuple(ranks)
    if any(rank != 0 for rank in chosen) or len(chosen) > 1:
        raise ProcessGroupError(f"there is one process, with rank 0; a group of {list(chosen)} cannot be.")
    return ProcessGroup(backend or world.backend, chosen) if chosen else GroupMember.NON_GROUP_MEMBER


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process: 0. Raises ProcessGroupError if there is no group."""
    return find_group(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """How many processes there are: 1. Raises ProcessGroupError if there is no group.

    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> distributed.get_world_size(), distributed.get_rank()
    (1, 0)
    >>> distributed.destroy_process_group()
    """
    found = find_group(group)
    return found.size() if found.ranks else -1


def get_backend(group: ProcessGroup | None = None) -> str:
    """The name that the group was begun with. Raises ProcessGroupError if there is no group."""
    return find_group(group).backend


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The rank in a group of the process with this rank among all."""
    return _member(group, global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank among all of the process with this rank in a group."""
    return _member(group, group_rank)


def _member(group: ProcessGroup, rank: int) -> int:
    if rank not in find_group(group).ranks:
        raise ProcessGroupError(f"rank {rank} is not in the group, whose ranks are {list(group.ranks)}.")
    return rank


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks in a group."""
    return list(find_group(group).ranks)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine: 0."""
    return 0


def is_initialized() -> bool:
    """Whether there is a process group."""
    return GroupMember.WORLD is not None


def is_available() -> bool:
    """True: groups of one process are there."""
    return True


def is_gloo_available() -> bool:
    """False: there is no way to other processes."""
    return False


def is_mpi_available() -> bool:
    """False: there is no way to other processes."""
    return False


def is_nccl_available() -> bool:
    """False: there is no way to other processes."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether PyTorch's launcher `torchrun` started the program, by the environment that it sets."""
    return "TORCHELASTIC_RUN_ID" in os.environ
