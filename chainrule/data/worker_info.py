"""What a worker knows about itself."""

from __future__ import annotations

from typing import Any, NamedTuple


class WorkerInfo(NamedTuple):
    """Who a worker is.

    Attributes:
        id: its number, 0 … num_workers − 1.
        num_workers: how many there are.
        seed: a seed of its own, another one in every pass.
        dataset: its copy of the data set.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Who this worker is, or None outside of workers. A stream divides its work by it.

    >>> get_worker_info() is None
    True
    >>> def my_share(lines):  # every num_workers-th line, so that together the workers have each once
    ...     info = get_worker_info()
    ...     return lines if info is None else lines[info.id :: info.num_workers]
    >>> my_share("abc")
    'abc'
    """
    return _info


def set_worker_info(info: WorkerInfo) -> None:
    """Say who this process is."""
    global _info
    _info = info
