"""PyTorch's namespace for NVIDIA's GPUs: those that JAX finds. Where there is none, scripts choose the CPU by it.

>>> import chainrule
>>> chainrule.device("cuda" if chainrule.cuda.is_available() else "cpu").type in ("cpu", "cuda")
True
"""

from __future__ import annotations

from typing import Any

from chainrule import amp, devices
from chainrule.devices import Device, chosen
from chainrule.errors import DeviceError

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


def device_count() -> int:
    """How many GPUs there are."""
    return devices.count("cuda")


def is_available() -> bool:
    """Whether there is a GPU that JAX can use."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether there is a GPU: there is nothing to start."""
    return is_available()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU: XLA computes bfloat16 on each."""
    return is_available()


def manual_seed(seed: int) -> None:
    """Nothing: `chainrule.manual_seed` sets the seed of the one stream that all devices draw from."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing: JAX keeps the memory that it has for the next tensors."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of a device's memory that are in use, of the current GPU if none is named; 0 without a GPU."""
    return _memory(device, "bytes_in_use")


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that have been in use at once."""
    return _memory(device, "peak_bytes_in_use")


def memory_reserved(device: Any = None) -> int:
    """Bytes that JAX has taken from the device, used or not."""
    return _memory(device, "pool_bytes")


def _memory(device: Any, kind: str) -> int:
    if device is None and not is_available():
        return 0
    place = _gpu(device).place
    return 0 if place is None else place.memory(kind)


def _gpu(device: Any = None) -> Device:
    """The device that is meant: one that is named, or the current GPU. DeviceError where there is none."""
    return Device("cuda", devices.current_gpu) if device is None else chosen(device)


def current_device() -> int:
    """The number of the GPU that "cuda" means. Raises DeviceError where there is none."""
    return int(_gpu().index or 0)


def set_device(device: Any) -> None:
    """Let "cuda" mean this GPU where no number is given; new tensors go where `set_default_device` says.

    The CPU, and "cuda" itself, change nothing. Raises DeviceError for a device that is not there.
    """
    wanted = chosen(device)
    if wanted.type == "cuda" and wanted.index is not None:
        devices.current_gpu = wanted.index


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    if place is not None:
        place.wait()


def get_device_name(device: Any = None) -> str:
    """What the maker calls the device. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    return "cpu" if place is None else str(place.where.device_kind)


def get_device_properties(device: Any = None) -> Any:
    """JAX's description of the device. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    if place is None:
        raise DeviceError("get_device_properties describes a GPU, got the CPU.")
    return place.where


class FloatTensor:
    """The older name of tensors on a GPU: nothing is an instance of it, and making one raises DeviceError.

    So `FloatTensor if cuda else chainrule.FloatTensor` in an older program chooses the second.

    >>> import chainrule
    >>> isinstance(chainrule.zeros(1), chainrule.cuda.FloatTensor)
    False
    """

    def __init__(self, *arguments: Any) -> None:
        raise DeviceError('tensors on a GPU are made by chainrule.tensor(…, device="cuda"), where there is one.')


BFloat16Tensor = BoolTensor = ByteTensor = CharTensor = DoubleTensor = FloatTensor
HalfTensor = IntTensor = LongTensor = ShortTensor = FloatTensor
