"""Objects of Python between processes: pickled, and whoever opens a pickle runs what its maker wants.

So each is signed (HMAC-SHA-256) with the secret of the group, and opened only if the signature is right. The secret
stands in the environment, `CHAINRULE_GROUP_SECRET`: on one machine `chainrule launch` makes one for each run. On
several machines set the same one on all; without it whoever reaches the group's ports counts as one of them.
"""

from __future__ import annotations

import hmac
import os
import pickle
from typing import Any

import numpy as np

from chainrule.distributed.collectives import begin, only, rank_among_all
from chainrule.distributed.exchange import gathered, reduced
from chainrule.distributed.group import ProcessGroup, ProcessGroupError

#: The variable of the environment, and the bytes of a signature and of the length before it.
SECRET, _SIGNATURE, _LENGTH = "CHAINRULE_GROUP_SECRET", 32, 8


def _signature(data: bytes) -> bytes:
    return hmac.digest(os.environ.get(SECRET, "").encode(), data, "sha256")


def packed(obj: Any) -> bytes:
    """An object as it travels: length, signature, pickle.

    >>> unpacked(packed([1, "two"]) + b"what fills it up", rank=0)
    [1, 'two']
    """
    data = pickle.dumps(obj)
    return len(data).to_bytes(_LENGTH, "little") + _signature(data) + data


def unpacked(row: bytes, rank: int) -> Any:
    """The object that came from a rank. Raises ProcessGroupError, and opens nothing, if this group did not sign it."""
    start = _LENGTH + _SIGNATURE
    data = row[start : start + int.from_bytes(row[:_LENGTH], "little")]
    if not hmac.compare_digest(row[_LENGTH:start], _signature(data)):
        raise ProcessGroupError(
            f"an object that came from rank {rank} is not signed by this group, and was not opened. {SECRET} in the "
            "environment must be the same for all processes; if it is, a stranger has sent something."
        )
    return pickle.loads(data)


def _all(obj: Any, group: ProcessGroup) -> list[Any]:
    """The objects of all processes of the group."""
    if group.size() == 1:
        return [obj]
    data = np.frombuffer(packed(obj), np.uint8)
    longest = int(
        reduced(np.array(len(data), np.int64), op="maximum", ranks=group.ranks, label="the length of objects")
    )
    padded = np.zeros(longest, np.uint8)
    padded[: len(data)] = data
    rows = gathered(padded, ranks=group.ranks)
    return [unpacked(row.tobytes(), rank) for row, rank in zip(rows, group.ranks, strict=True)]


def _of(source: int, obj: Any, group: ProcessGroup) -> Any:
    """The object that the process with the rank `source` among all has."""
    return _all(obj if source == group.own else None, group)[group.ranks.index(source)]


def all_gather_object(object_list: list[Any], obj: Any, group: ProcessGroup | None = None) -> None:
    """Put the objects of all processes into the list, which has an entry for each."""
    found = begin(group, "all_gather_object", traced=False)
    only(object_list, "object_list", found)
    object_list[:] = _all(obj, found)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    group_dst: int | None = None,
) -> None:
    """Put the objects of all processes into the list of the process `dst`; the others give none."""
    found = begin(group, "gather_object", traced=False)
    here = rank_among_all(found, dst, group_dst) == found.own
    if here:
        only(object_gather_list, "object_gather_list", found)
    objects = _all(obj, found)
    if here and object_gather_list is not None:
        object_gather_list[:] = objects


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """Put the objects of the process `src` into all lists."""
    found = begin(group, "broadcast_object_list", traced=False)
    source = rank_among_all(found, src, group_src)
    object_list[:] = _of(source, list(object_list), found)


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    group_src: int | None = None,
) -> None:
    """Put an entry of the list of the process `src` into the first place of each process's list."""
    found = begin(group, "scatter_object_list", traced=False)
    source = rank_among_all(found, src, group_src)
    if source == found.own:
        only(scatter_object_input_list, "scatter_object_input_list", found)
    scatter_object_output_list[0] = _of(source, scatter_object_input_list, found)[found.rank()]
