"""Where a module is: on the device of what it holds."""

from __future__ import annotations

from itertools import chain

from chainrule.devices import CPU, Device
from chainrule.nn.module import Module


def device_of(module: Module) -> Device:
    """The device of a module's first parameter, or of its first buffer; one that holds nothing counts as on the CPU.

    What a module draws or makes itself belongs there.

    >>> import chainrule
    >>> device_of(chainrule.nn.Linear(1, 1))
    device(type='cpu')
    """
    first = next(chain(module.parameters(), module.buffers()), None)
    return CPU if first is None else first.device
