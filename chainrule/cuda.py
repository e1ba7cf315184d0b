"""PyTorch's namespace for NVIDIA's GPUs: those that JAX finds. Where there is none, scripts choose the CPU by it.

>>> import chainrule
>>> chainrule.device("cuda" if chainrule.cuda.is_available() else "cpu").type in ("cpu", "cuda")
True
"""

from __future__ import annotations

import warnings
from typing import Any

from chainrule import amp, devices
from chainrule import random as stream
from chainrule.absent_names import teller
from chainrule.devices import Device, chosen
from chainrule.errors import DeviceError

__getattr__ = teller("cuda", globals())
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
    "OutOfMemoryError",
    "ShortTensor",
    "amp",
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state",
    "set_rng_state_all",
    "synchronize",
]

#: Reversible networks ask this before they keep the states of GPUs' own generators: none has any.
_initialized = False


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


def initial_seed() -> int:
    """The seed of the one stream that all devices draw from."""
    return stream.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the one stream that all devices draw from."""
    return stream.get_rng_state()


def get_rng_state_all() -> list[Any]:
    """For each GPU the state of the one stream that all devices draw from."""
    return [stream.get_rng_state() for _ in range(device_count())]


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Nothing: `chainrule.set_rng_state` sets the one stream that all devices draw from."""


def set_rng_state_all(new_states: Any) -> None:
    """Nothing, as `set_rng_state`."""


def ipc_collect() -> None:
    """Nothing: no process keeps memory of another."""


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


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that JAX has taken from the device at once."""
    return _memory(device, "peak_pool_bytes")


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes of the device's memory that are free, and all that JAX may take. Raises DeviceError without a GPU."""
    limit = _memory(_gpu(device), "bytes_limit")
    return limit - memory_allocated(device), limit


def memory_stats(device: Any = None) -> dict[str, int]:
    """What is known of a device's memory, in bytes, by PyTorch's keys; nothing without a GPU."""
    if device is None and not is_available():
        return {}
    return {
        "allocated_bytes.all.current": memory_allocated(device),
        "allocated_bytes.all.peak": max_memory_allocated(device),
        "reserved_bytes.all.current": memory_reserved(device),
        "reserved_bytes.all.peak": max_memory_reserved(device),
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """`memory_stats` as lines of text."""
    return "\n".join(f"{name}: {size:,}" for name, size in memory_stats(device).items())


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing without a GPU; with one a warning: JAX counts the peak from the start of the program."""
    if device is not None or is_available():
        _gpu(device)
        warnings.warn(
            "the peak of a GPU's memory is counted from the program's start: JAX cannot reset it.", stacklevel=2
        )


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def _memory(device: Any, kind: str) -> int:
    if device is None and not is_available():
        return 0
    place = _gpu(device).place
    return 0 if place is None else place.memory(kind)


def _gpu(device: Any = None) -> Device:
    """The device that is meant: one that is named, or the current GPU. DeviceError where there is none."""
    return chosen(Device("cuda", devices.current_gpu) if device is None else device)


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


class device:  # noqa: N801  PyTorch's name
    """A block in which "cuda" means this GPU; None and negative numbers: the one that it means already."""

    def __init__(self, device: Any) -> None:
        self.wanted = None if device is None or (isinstance(device, int) and device < 0) else device

    def __enter__(self) -> None:
        self.before = devices.current_gpu
        if self.wanted is not None:
            set_device(self.wanted)

    def __exit__(self, *error: object) -> None:
        devices.current_gpu = self.before


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    if place is not None:
        place.wait()


def get_device_name(device: Any = None) -> str:
    """What the maker calls the device. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    return "cpu" if place is None else str(place.where.device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The two numbers of the GPU's kind, (9, 0) for an H100. Raises DeviceError where there is no GPU."""
    major, _, minor = str(get_device_properties(device).compute_capability).partition(".")
    return int(major), int(minor or 0)


def get_device_properties(device: Any = None) -> Any:
    """JAX's description of the device. Raises DeviceError where there is no GPU."""
    place = _gpu(device).place
    if place is None:
        raise DeviceError("get_device_properties describes a GPU, got the CPU.")
    return place.where


class OutOfMemoryError(RuntimeError):
    """What PyTorch raises where a GPU's memory is full, for programs that name it; JAX raises an error of its own."""


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
