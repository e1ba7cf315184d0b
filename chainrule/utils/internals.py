"""What stands for PyTorch's inner machinery (`torch._C` and the like), of which libraries ask whether it has something.

Nothing else is there, so `getattr(chainrule._C, name, None)` is None.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "FakeTensor", "SymBool", "SymFloat", "SymInt", "are_functorch_transforms_active", "get_proxy_mode", "is_fake",
    "log_api_usage_once",
]  # fmt: skip


def log_api_usage_once(name: str) -> None:
    """Nothing: who uses what is counted nowhere.

    >>> log_api_usage_once("library.Model")
    """


class _Symbolic:
    """What stands in PyTorch's tracers for a number that is not known yet. Sizes here are Python's: nothing is one."""

    def __init__(self, node: Any) -> None:
        raise TypeError(f"there is no {type(self).__name__} here: sizes are Python's numbers, while tracing too.")


class SymInt(_Symbolic):
    """A whole number of that kind."""


class SymFloat(_Symbolic):
    """A number with a fraction of that kind."""


class SymBool(_Symbolic):
    """An answer of that kind."""


class FakeTensor:
    """PyTorch's tensor without entries, for its tracer. No tensor here is one: `isinstance(x, FakeTensor)` is False."""


def is_fake(x: Any) -> bool:
    """False: every tensor has entries."""
    return False


def get_proxy_mode() -> None:
    """None: no tracer that stands between a program and its operations."""


def are_functorch_transforms_active() -> bool:
    """False: what `func` makes of a function runs on ordinary tensors."""
    return False
