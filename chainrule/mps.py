"""PyTorch's namespace for Apple's GPUs, which says that there is none, so that scripts choose the CPU."""

from __future__ import annotations

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["device_count", "empty_cache", "is_available", "manual_seed"]


def is_available() -> bool:
    """False: chainrule computes on the CPU.

    >>> is_available()
    False
    """
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: `chainrule.manual_seed` sets the seed of all random numbers there are."""


def empty_cache() -> None:
    """Nothing: there is no memory of a GPU to give back."""
