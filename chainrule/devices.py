"""Where tensors are: on the CPU, as NumPy's arrays, or on a device of JAX's, as its arrays.

Names are PyTorch's. "xla" is JAX's own CPU device, so all that needs no accelerator can be tried anywhere; "cuda" and
"tpu" are there where JAX finds such hardware. JAX is imported when one of these three is asked for, and not before.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from typing import Any, Self

from chainrule.errors import DeviceError

#: Kinds of devices that JAX may have, with its own names for them.
PLATFORMS = {"xla": "cpu", "cuda": "cuda", "tpu": "tpu"}
#: Kinds of hardware that PyTorch knows by name, and "meta", its device without numbers.
_ELSEWHERE = frozenset(("mps", "xpu", "mtia", "hpu", "vulkan", "ipu", "privateuseone", "meta"))
_NEEDS = {
    "xla": "It is JAX's CPU device and needs JAX: pip install 'chainrule[xla]'.",
    "cuda": "It needs an NVIDIA GPU and JAX for it: pip install 'jax[cuda12]'.",
    "tpu": "It needs a TPU and JAX for it: pip install 'jax[tpu]'.",
}
_OR_ELSE = 'Write "cpu", or choose as device = "cuda" if chainrule.cuda.is_available() else "cpu".'


class Device:
    """A device, `chainrule.device("cpu")`: it compares and prints as PyTorch's, and may stand in a `with`.

    A device that is not here can be named, as in PyTorch (programs do so in default arguments); what uses it raises.

    Attributes:
        type: "cpu", "xla" (JAX's CPU device), "cuda" or "tpu".
        index: its number, None if none was given: then the first is meant, of GPUs the one of `cuda.set_device`.

    Raises:
        DeviceError: for what names no device; and where a device is used that is not there, with what is missing.

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
        elif isinstance(type, int):
            type, index = "cuda", type
        name, colon, number = str(type).partition(":")
        known = name in ("cpu", *PLATFORMS, *_ELSEWHERE) and (index is None or index >= 0)
        if not known or (colon and not number.isdecimal()) or (colon and index is not None):
            raise DeviceError(f'{type!r} names no device; there are "cpu", {", ".join(map(repr, PLATFORMS))}.')
        self.type = name
        self.index = int(number) if colon else index
        if name == "cpu" and self.index not in (None, 0):
            raise DeviceError(f'there is one CPU, "cpu" or "cpu:0", got the number {self.index}.')

    def present(self) -> Self:
        """The device itself, if it is there; else a DeviceError that says what is missing."""
        if self.type != "cpu" and self not in _present:
            if self.type in _ELSEWHERE:
                raise DeviceError(f"there is no device {str(self)!r} for chainrule. {_OR_ELSE}")
            if (self.index or 0) >= count(self.type):
                raise DeviceError(_missing(self.type, self.index or 0))
            _present.add(self)
        return self

    @property
    def place(self) -> Any:
        """What keeps arrays there and computes with them (`backends/xla/place.py`); None for the CPU."""
        if self.type == "cpu":
            return None
        self.present()
        first = current_gpu if self.type == "cuda" else 0
        return _jax().place_of(self.type, first if self.index is None else self.index)

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
        _defaults.stack.append(self.present())
        return self

    def __exit__(self, *error: object) -> None:
        _defaults.stack.pop()


def _jax() -> Any:
    """The part that knows JAX's devices."""
    try:
        return importlib.import_module("chainrule.backends.xla.place")
    except ImportError as error:
        raise DeviceError(f"JAX cannot be imported ({error}). {_NEEDS['xla']}") from error


def count(kind: str) -> int:
    """How many devices of a kind there are: "xla", "cuda" or "tpu". Without JAX, or its part for that kind, 0.

    JAX is only imported where the package that it needs for the hardware is installed.
    """
    if importlib.util.find_spec("jax") is None or (kind != "xla" and not _has_plugin(kind)):
        return 0
    return int(_jax().count(kind))


def _has_plugin(kind: str) -> bool:
    """Whether JAX's package for such hardware is installed."""
    packages = {"cuda": ("jax_cuda12_plugin", "jax_cuda13_plugin"), "tpu": ("libtpu",)}[kind]
    return any(importlib.util.find_spec(package) is not None for package in packages)


def _missing(kind: str, index: int) -> str:
    """What to say of a device that is not there."""
    found = count(kind)
    if not found:
        return f"there is no device {kind!r} here. {_NEEDS[kind]} {_OR_ELSE}"
    last = f"{kind}:{found - 1}"
    more = f" A CPU counts as several with XLA_FLAGS=--xla_force_host_platform_device_count={index + 1}."
    return f"there is no device {kind}:{index}; the last one is {last}.{more if kind == 'xla' else ''}"


#: The number of the GPU that "cuda" means: see `cuda.set_device`.
current_gpu = 0

#: Devices that were found to be there.
_present: set[Device] = set()

#: The CPU.
CPU = Device("cpu")


class _Defaults(threading.local):
    """Where a thread puts new tensors: what `with device:` says counts before the default of all threads."""

    def __init__(self) -> None:
        self.stack: list[Device] = []


_defaults = _Defaults()
_default: Device | None = None
#: Whether that is what the environment said.
_by_environment = False


def named_by_environment() -> Device | None:
    """The device that the environment variable `CHAINRULE_DEVICE` names, so that scripts need not; None: it names none.

    Raises DeviceError for one that is not there.
    """
    name = os.environ.get("CHAINRULE_DEVICE", "")
    if not name:
        return None
    try:
        return Device(name).present()
    except DeviceError as error:
        raise DeviceError(f"CHAINRULE_DEVICE={name}: {error}") from None


def chosen(device: Any) -> Device:
    """The device that is meant: the one that is named, else the default.

    >>> chosen(None), chosen("cpu:0")
    (device(type='cpu'), device(type='cpu', index=0))
    """
    if device is None:
        return get_default_device()
    return (device if type(device) is Device else Device(device)).present()


def need_cpu(device: Any, what: str = "this") -> None:
    """Raise a DeviceError for any device but the CPU (or None, no matter which)."""
    if device is not None and device is not CPU and chosen(device).type != "cpu":
        raise DeviceError(f"{what} works on the CPU only, got the device {str(device)!r}; leave `device` out.")


def get_default_device() -> Device:
    """Where new tensors are put: on the CPU, unless something says otherwise.

    That is, the first of these to say something: `with device:`, `set_default_device`, and the environment variable
    `CHAINRULE_DEVICE` as it is when this is first asked.

    >>> get_default_device()
    device(type='cpu')
    """
    global _default, _by_environment
    if _defaults.stack:
        return _defaults.stack[-1]
    if _default is None:
        named = named_by_environment()
        _default, _by_environment = named or CPU, named is not None
    return _default


def default_of_environment() -> Device | None:
    """The default device where the environment alone names it; None where the program does, or nobody.

    Then the script knows of no devices, and what PyTorch keeps on the CPU whatever the default is (`from_numpy`) or
    refuses elsewhere (`numpy()`) works as if all were in one place.
    """
    device = get_default_device()
    return device if _by_environment and not _defaults.stack else None


def set_default_device(device: Any) -> None:
    """Put new tensors of all threads on this device; None: on the CPU. Raises DeviceError for one that is not there."""
    global _default, _by_environment
    _default, _by_environment = CPU if device is None else chosen(device), False
