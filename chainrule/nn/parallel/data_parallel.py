"""DataParallel on one device: the model itself, in a wrapper with PyTorch's names."""

from __future__ import annotations

from collections.abc import Sequence
from types import GenericAlias
from typing import Any

from chainrule.devices import chosen
from chainrule.errors import DeviceError
from chainrule.nn.device_of import device_of
from chainrule.nn.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Computes what `module` computes: there is one device, so no batch is divided.

    The module stands in the attribute `module`; so the names of the state begin with "module.", as in PyTorch's files.

    Args:
        module: what is called.
        device_ids, output_device: None, or the device that the module is on.
        dim: nothing, since nothing is divided.

    Raises DeviceError for other devices.

    >>> import chainrule
    >>> model = DataParallel(chainrule.nn.Linear(2, 1))
    >>> list(model.state_dict()), model(chainrule.ones(3, 2)).shape
    (['module.weight', 'module.bias'], Size([3, 1]))
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # DataParallel[MyModel], in annotations

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        check_devices(module, device_ids, output_device)
        self.module = module
        self.device_ids = list(device_ids or [])
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module makes of the arguments."""
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """What `DataParallel(module)` makes of a tensor or a tuple of arguments.

    >>> import chainrule
    >>> data_parallel(chainrule.nn.ReLU(), chainrule.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    """
    check_devices(module, device_ids, output_device)
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def check_devices(module: Module, device_ids: Sequence[Any] | None, output_device: Any) -> None:
    """Raise a DeviceError unless all devices are the one that the module is on."""
    here = device_of(module)
    for device in [*(device_ids or []), output_device]:
        if device is not None and chosen(device).place is not here.place:
            raise DeviceError(
                f"the module is on {here} and is computed there, got the device {device!r}: move it before, by "
                f"module.to({device!r}), or leave `device_ids` and `output_device` out."
            )
