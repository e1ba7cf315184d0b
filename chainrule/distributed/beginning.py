"""How processes find each other: `init_process_group`, from its arguments, an address, or the environment."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chainrule.distributed.coordinator import own_host
from chainrule.distributed.group import (
    GroupMember,
    ProcessGroup,
    ProcessGroupError,
    number_in_environment,
    whole_number,
)
from chainrule.distributed.member import Member, start_coordinator
from chainrule.distributed.transport import PLATFORMS, Transport, need_jax

#: Seconds until a process that does not come is an error, unless `timeout` says otherwise: to begin, and afterwards.
BEGINNING, EXCHANGE = 300.0, 1800.0


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
    """Begin with a group of processes; every one of them calls this.

    Args:
        backend: "gloo" (between processors), or "nccl" (between GPUs that JAX has).
        init_method: "env://" (the usual), or "tcp://host:port?world_size=…&rank=…".
        timeout: a `timedelta`, or seconds, until a process that does not come is an error: 5 minutes for the beginning
            and half an hour for what processes do together.
        world_size, rank: how many processes there are, and which this is; from the address or the environment
            (`WORLD_SIZE`, `RANK`) unless given. Rank 0 listens at `MASTER_ADDR` and `MASTER_PORT`.
        store, group_name, pg_options, device_id: taken and not needed.

    More than one process exchange numbers by JAX (the extra `xla`): begin before anything is computed on backend "xla".

    Raises ProcessGroupError without that extra, for a rank that is not in the group, a second beginning, or if not all
    processes come.

    >>> from chainrule import distributed
    >>> distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> distributed.get_rank(), distributed.get_world_size()
    (0, 1)
    >>> distributed.destroy_process_group()
    """
    if GroupMember.WORLD is not None:
        raise ProcessGroupError("the process group was begun already; destroy_process_group() ends it.")
    address = urlsplit(init_method or "env://")
    said = parse_qs(address.query)
    size = _number("world_size", world_size, said, "WORLD_SIZE", 1)
    own = _number("rank", rank, said, "RANK", 0 if size == 1 else -1)
    if size < 1:
        raise ProcessGroupError(f"world_size is the number of processes, at least 1, got {size}.")
    if not 0 <= own < size:
        last = f"0 to {size - 1}" if size > 1 else "0"
        raise ProcessGroupError(f"in a group of {size} the rank is {last}, got {own}: say rank=… or set RANK.")
    backend = (backend or "gloo").rpartition(":")[2]  # PyTorch's "cpu:gloo,cuda:nccl" names the last for GPUs
    if size > 1:
        GroupMember.WORLD = _begun(backend, address, size, own, timeout)
    else:
        GroupMember.WORLD = ProcessGroup(backend)


def _begun(backend: str, address: Any, size: int, own: int, timeout: Any) -> ProcessGroup:
    need_jax(size)
    if backend not in PLATFORMS:
        raise ProcessGroupError(f"the backend is {' or '.join(PLATFORMS)}, got {backend!r}.")
    seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
    patience = float(BEGINNING if seconds is None else seconds)
    host, port = _master(address)
    if own == 0:
        start_coordinator(own_host(host), port, size, patience)
    member = Member((host, port), own, size, patience)
    transport = Transport(member, backend, float(EXCHANGE if seconds is None else seconds))
    return ProcessGroup(backend, tuple(range(size)), own, transport)


def _master(address: Any) -> tuple[str, int]:
    """Where rank 0 listens."""
    if address.scheme == "tcp" and address.port is not None:
        return address.hostname or "localhost", address.port
    if address.scheme != "env":
        raise ProcessGroupError(
            f"several processes find each other by env:// or tcp://host:port, got {address.geturl()!r}."
        )
    host, port = os.environ.get("MASTER_ADDR", "localhost"), os.environ.get("MASTER_PORT", "")
    if not port.isdecimal():
        raise ProcessGroupError(
            f"several processes need MASTER_ADDR and MASTER_PORT in the environment (`chainrule launch` sets them), "
            f"got MASTER_PORT={port!r}."
        )
    return host, int(port)


def _number(name: str, given: int, said: dict[str, list[str]], variable: str, otherwise: int) -> int:
    if given != -1:
        return int(given)
    if name not in said:
        return number_in_environment(variable, otherwise)
    return whole_number(said[name][0], f"{name} in the address")
