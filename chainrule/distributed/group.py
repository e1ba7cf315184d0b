"""The group of processes: who is in it, and which of them this one is."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.errors import ChainruleError

if TYPE_CHECKING:
    from chainrule.distributed.transport import Transport


class ProcessGroupError(ChainruleError, ValueError, RuntimeError):
    """There is no process group, or one is asked for that cannot be."""


class ProcessGroup:
    """Some of the processes (`ranks` empty: none), as the one with the rank `own` among all sees them.

    `transport` takes numbers to the others; None where there is one process.
    """

    def __init__(self, backend: str, ranks: tuple[int, ...] = (0,), own: int = 0, transport: Any = None) -> None:
        self.backend = backend
        self.ranks, self.own = ranks, own
        self.transport: Transport | None = transport

    def rank(self) -> int:
        """The number of this process in the group, or −1."""
        return self.ranks.index(self.own) if self.own in self.ranks else -1

    def size(self) -> int:
        """How many processes there are."""
        return len(self.ranks)


class GroupMember:
    """The names of the group of all processes and of none."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = ProcessGroup("", ())


#: PyTorch's other name for the same.
group = GroupMember


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
    """A group of some processes (of all, unless `ranks` are given), or for the others one with nobody in it.

    Raises ProcessGroupError for ranks that are not there. The way is that of the group of all processes.
    """
    world = world_group()
    chosen = world.ranks if ranks is None else tuple(sorted(ranks))
    if not set(chosen) <= set(world.ranks) or len(set(chosen)) != len(chosen):
        raise ProcessGroupError(
            f"the ranks are 0 to {world.size() - 1}, each once; a group of {list(chosen)} cannot be."
        )
    if world.own not in chosen:
        return GroupMember.NON_GROUP_MEMBER
    return ProcessGroup(world.backend, chosen, world.own, world.transport if len(chosen) > 1 else None)


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process; −1 outside of the group. Raises ProcessGroupError if there is no group."""
    return find_group(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """How many processes there are; −1 outside of the group. Raises ProcessGroupError if there is no group.

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
    ranks = find_group(group).ranks
    if global_rank not in ranks:
        raise ProcessGroupError(f"rank {global_rank} is not in the group, whose ranks are {list(ranks)}.")
    return ranks.index(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank among all of the process with this rank in a group."""
    ranks = find_group(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ProcessGroupError(f"the ranks in the group are 0 to {len(ranks) - 1}, got {group_rank}.")
    return ranks[group_rank]


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks in a group."""
    return list(find_group(group).ranks)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine: `LOCAL_RANK` in the environment, else `fallback_rank`, else 0."""
    return number_in_environment("LOCAL_RANK", fallback_rank or 0)


def number_in_environment(variable: str, otherwise: int) -> int:
    """What a launcher has set (`WORLD_SIZE`, `RANK`), `otherwise` where nothing is there.

    Raises ProcessGroupError for what is no whole number.
    """
    return whole_number(os.environ.get(variable) or str(otherwise), f"{variable} in the environment")


def whole_number(text: str, title: str) -> int:
    """A number that was written down."""
    try:
        return int(text)
    except ValueError:
        raise ProcessGroupError(f"{title} is a whole number, got {text!r}.") from None


def is_initialized() -> bool:
    """Whether there is a process group."""
    return GroupMember.WORLD is not None


def is_available() -> bool:
    """True: groups of one process are always there, of several with the extra `xla`."""
    return True


def is_gloo_available() -> bool:
    """Whether there is a way to other processes: the extra `xla`."""
    return importlib.util.find_spec("jax") is not None


def is_mpi_available() -> bool:
    """False: there is no such way to other processes."""
    return False


def is_nccl_available() -> bool:
    """Whether there is a way between GPUs: JAX with its plug-in for CUDA."""
    return any(importlib.util.find_spec(f"jax_cuda{version}_plugin") is not None for version in (12, 13))


def is_torchelastic_launched() -> bool:
    """Whether PyTorch's launcher `torchrun` started the program, by the environment that it sets."""
    return "TORCHELASTIC_RUN_ID" in os.environ
