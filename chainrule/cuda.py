"""PyTorch's namespace for NVIDIA's GPUs, which says that there is none, so that scripts choose the CPU.

>>> import chainrule
>>> chainrule.cuda.is_available(), chainrule.cuda.device_count()
(False, 0)
"""

from __future__ import annotations

from typing import Any

from chainrule import amp
from chainrule.devices import Device, need_cpu

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "amp",
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def is_initialized() -> bool:
    """False: there is nothing to start."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: `chainrule.manual_seed` sets the seed of all random numbers there are."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing: there is no memory of a GPU to give back."""


def memory_allocated(device: Any = None) -> int:
    """0 bytes of a GPU's memory."""
    return 0


max_memory_allocated = memory_reserved = memory_allocated


def set_device(device: Any) -> None:
    """Raises DeviceError unless it is the CPU: there is no GPU."""
    need_cpu(device)


def synchronize(device: Any = None) -> None:
    """Raises DeviceError: there is no GPU to wait for. Whatever a function computes is there when it returns."""
    Device("cuda")


def current_device() -> int:
    """Raises DeviceError: there is no GPU."""
    return int(Device("cuda").index or 0)


def get_device_name(device: Any = None) -> str:
    """Raises DeviceError: there is no GPU."""
    return Device("cuda").type


def get_device_properties(device: Any = None) -> Any:
    """Raises DeviceError: there is no GPU."""
    return Device("cuda")


class FloatTensor:
    """A type of tensors on a GPU: nothing is an instance of it, and making one raises DeviceError.

    So `FloatTensor if cuda else chainrule.FloatTensor` in an older program chooses the second.

    >>> import chainrule
    >>> isinstance(chainrule.zeros(1), chainrule.cuda.FloatTensor)
    False
    """

    def __init__(self, *arguments: Any) -> None:
        Device("cuda")


BFloat16Tensor = BoolTensor = ByteTensor = CharTensor = DoubleTensor = FloatTensor
HalfTensor = IntTensor = LongTensor = ShortTensor = FloatTensor
