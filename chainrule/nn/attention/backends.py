"""PyTorch's choice between its ways to compute attention. Here there is one way, by tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(Enum):
    """PyTorch's names for its ways to compute attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """Within the block PyTorch computes attention in one of these ways; here nothing changes, there is one.

    Raises TypeError for what is no SDPBackend, and for none at all.

    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     pass
    """
    given = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not given or not all(isinstance(backend, SDPBackend) for backend in given):
        raise TypeError(f"sdpa_kernel takes one or several of SDPBackend, got {backends!r}.")
    yield
