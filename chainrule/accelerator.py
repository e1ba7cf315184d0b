"""PyTorch's namespace for hardware beside the CPU, whatever its maker: the GPUs or TPUs that JAX finds.

Where the environment variable `CHAINRULE_DEVICE` names a device, "xla" included, that counts as the accelerator.

>>> import chainrule
>>> chainrule.accelerator.is_available() == (chainrule.accelerator.device_count() > 0)
True
"""

from __future__ import annotations

from chainrule import devices
from chainrule.devices import Device

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def current_accelerator(check_available: bool = False) -> Device | None:
    """The kind of accelerator: what `CHAINRULE_DEVICE` names, else "cuda" or "tpu" if JAX has one, else None."""
    named = devices.named_by_environment()
    if named is not None:
        return None if named.type == "cpu" else Device(named.type)
    return next((Device(kind) for kind in ("cuda", "tpu") if devices.count(kind)), None)


def device_count() -> int:
    """How many there are."""
    kind = current_accelerator()
    return 0 if kind is None else devices.count(kind.type)


def is_available() -> bool:
    """Whether there is an accelerator."""
    return device_count() > 0


def synchronize() -> None:
    """Wait until it has done all that was asked of it; nothing where there is none."""
    kind = current_accelerator()
    if kind is not None:
        kind.place.wait()
