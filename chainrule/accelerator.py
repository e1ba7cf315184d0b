"""PyTorch's namespace for hardware beside the CPU, whatever its maker: there is none.

>>> import chainrule
>>> chainrule.accelerator.is_available(), chainrule.accelerator.current_accelerator()
(False, None)
"""

from __future__ import annotations

from chainrule.devices import Device

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def current_accelerator(check_available: bool = False) -> Device | None:
    """None: there is no accelerator."""
    return None


def device_count() -> int:
    """0."""
    return 0


def synchronize() -> None:
    """Nothing to wait for: whatever a function computes is there when it returns."""
