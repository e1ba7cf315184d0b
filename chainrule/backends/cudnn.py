"""NVIDIA's library of layers, which is not used. Scripts may set its switches; they change nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["allow_tf32", "benchmark", "deterministic", "enabled", "flags", "is_available", "version"]

enabled = False
benchmark = False
deterministic = True
allow_tf32 = False


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


@contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> Iterator[None]:
    """The switches set within a `with` block: nothing changes, as with the switches themselves.

    >>> with flags(enabled=True, deterministic=True):
    ...     pass
    """
    yield


def version() -> None:
    """None: the library is not there."""
