"""Intel's library of layers (oneDNN), which is not used. Scripts may set its switches; they change nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["allow_tf32", "deterministic", "enabled", "flags", "is_available"]

enabled = False
deterministic = True
allow_tf32 = False


def is_available() -> bool:
    """False: convolutions and products are chainrule's own."""
    return False


@contextmanager
def flags(
    enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True, fp32_precision: str = "none"
) -> Iterator[None]:
    """The switches set within a `with` block: nothing changes, as with the switches themselves.

    >>> with flags(enabled=True):
    ...     pass
    """
    yield
