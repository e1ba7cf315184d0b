"""DistributedDataParallel in one process: the model itself, in a wrapper with PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.nn.module import Module
from chainrule.nn.parallel.data_parallel import check_devices

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Computes what `module` computes: the gradients of one process are the mean over all processes.

    The module stands in the attribute `module`. The other arguments say when and how several processes exchange
    gradients and buffers; they are taken and change nothing.

    Raises ProcessGroupError if `distributed.init_process_group` was not called, DeviceError for devices that are not
    there.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> model = DistributedDataParallel(chainrule.nn.Linear(2, 1))
    >>> model(chainrule.ones(3, 2)).shape
    Size([3, 1])
    >>> distributed.destroy_process_group()
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **others: Any,
    ) -> None:
        from chainrule.distributed import get_world_size  # tells that there is a group

        get_world_size(process_group)
        super().__init__()
        check_devices(device_ids, output_device)
        self.module = module
        self.device_ids = None if device_ids is None else list(device_ids)
        self.output_device = output_device
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.static_graph = static_graph

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module makes of the arguments."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Nothing: there is nobody to exchange gradients with. Within it they add up, as they do anyway."""
        yield

    @contextmanager
    def join(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Nothing: no other process can run out of batches earlier."""
        yield
