"""Where tensors are: on the CPU. The objects are there so that scripts that choose a device run as they stand."""

from __future__ import annotations

from typing import Any, Self

from chainrule.errors import DeviceError

#: Kinds of hardware that PyTorch knows by name, and "meta", its device without numbers.
_ELSEWHERE = frozenset(("cuda", "mps", "xpu", "mtia", "hpu", "xla", "vulkan", "ipu", "privateuseone", "meta"))


class Device:
    """A device, `chainrule.device("cpu")`: it compares and prints as PyTorch's, and may stand in a `with`.

    Attributes:
        type: "cpu".
        index: None, or 0 in "cpu:0".

    Raises:
        DeviceError: for "cuda" and all others, and says what to write instead.

    >>> import chainrule
    >>> device = chainrule.device("cuda" if chainrule.cuda.is_available() else "cpu")
    >>> device, str(device), device == chainrule.zeros(2).device
    (device(type='cpu'), 'cpu', True)
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, Device):
            type, index = type.type, type.index
        name, colon, number = str(type).partition(":")
        if name in _ELSEWHERE or isinstance(type, int):
            wanted = f"cuda:{type}" if isinstance(type, int) else str(type)
            raise DeviceError(
                f'there is no device {wanted!r}; chainrule computes on the CPU. Write "cpu", or choose as '
                f'device = "cuda" if chainrule.cuda.is_available() else "cpu".'
            )
        if name != "cpu" or (colon and not number.isdigit()) or (colon and index is not None):
            raise DeviceError(f'{type!r} names no device; "cpu" is the one there is.')
        self.type = name
        self.index = int(number) if colon else index
        if self.index not in (None, 0):
            raise DeviceError(f'there is one CPU, "cpu" or "cpu:0", got the number {self.index}.')

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (self.type, self.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


#: The one device.
CPU = Device("cpu")


def need_cpu(device: Any) -> None:
    """Raise a DeviceError for any device but the CPU (or None, no matter which)."""
    if device is not None and device is not CPU:
        Device(device)


def get_default_device() -> Device:
    """Where new tensors are put: on the CPU.

    >>> get_default_device()
    device(type='cpu')
    """
    return CPU


def set_default_device(device: Any) -> None:
    """Put new tensors on this device. "cpu" and None change nothing; raises DeviceError for others."""
    need_cpu(device)
