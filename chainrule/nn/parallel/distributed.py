"""DistributedDataParallel: a model in several processes, each with its own part of every batch.

All begin with the parameters of the first process. After each backward pass every gradient becomes the mean over the
processes, so all take the same step. A compiled step does the same between its native parts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.distributed.group import ProcessGroup, ProcessGroupError, find_group
from chainrule.nn.module import Module
from chainrule.nn.parallel.data_parallel import check_devices
from chainrule.nn.parallel.exchange import average_gradients, broadcast_state, check_same_model
from chainrule.state import current_state
from chainrule.tensor import Tensor, tensors_in

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Computes what `module` computes; after a backward pass through its output gradients are means over all processes.

    Where each process has as many samples, and the loss is their mean, that is the gradient of the mean over all
    samples. Batch normalisation takes its statistics from the samples of its own process.

    Args:
        module: the model; it stands in the attribute `module`.
        broadcast_buffers: in training, buffers (running means, say) are those of the first process before each forward.
        init_sync: begin with the parameters and buffers of the first process.
        process_group: whose processes take part; all by default.
        bucket_cap_mb: so many MiB of gradients (25 by default) travel at once.
        find_unused_parameters: a parameter may get a gradient in some processes only; it counts as 0 in the others.
            Otherwise all must have gradients for the same ones. Not for compiled steps, whose programs are compared.
        device_ids, output_device: None, or the device that the module is on, where inputs must be too.
        dim, check_reduction, gradient_as_bucket_view, static_graph: taken and not needed.

    Raises ProcessGroupError if `distributed.init_process_group` was not called or the models differ in shape,
    DeviceError for other devices.

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
        process_group: ProcessGroup | None = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **others: Any,
    ) -> None:
        group = find_group(process_group)
        super().__init__()
        check_devices(module, device_ids, output_device)
        self.module = module
        self.device_ids = None if device_ids is None else list(device_ids)
        self.output_device = output_device
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.static_graph = static_graph
        self.process_group = group
        self.require_backward_grad_sync = True
        self._bucket_bytes = int((25.0 if bucket_cap_mb is None else bucket_cap_mb) * 2**20)
        if group.size() > 1:
            check_same_model(module, group)
            if init_sync:
                broadcast_state([*module.parameters(), *module.buffers()], group)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module makes of the arguments."""
        if self.process_group.size() == 1 or not (self.require_backward_grad_sync and current_state().gradients):
            return self.module(*inputs, **kwargs)
        if self.broadcast_buffers and self.training:
            broadcast_state(list(self.module.buffers()), self.process_group)
        output = self.module(*inputs, **kwargs)
        self._wait_for_backward(output)
        return output

    def _wait_for_backward(self, output: Any) -> None:
        """When a backward pass comes through the output, exchange the gradients at its end."""
        ends = [tensor for tensor in _tensors_of(output) if tensor.value.source is not None]
        if not ends and any(parameter.requires_grad for parameter in self.module.parameters()):
            raise ProcessGroupError(
                f"DistributedDataParallel: the output ({type(output).__name__}) holds no tensor with a gradient, so "
                "nobody would notice the backward pass. Give tensors, in lists, tuples, dictionaries or dataclasses, "
                "or use no_grad where no gradient is wanted."
            )

        def note(gradient: Tensor) -> None:
            ending = current_state().ending
            if ending is not None and self.require_backward_grad_sync:
                ending[id(self)] = self._average

        for tensor in ends:
            tensor.register_hook(note)

    def _average(self) -> None:
        parameters = dict(self.module.named_parameters())
        try:
            average_gradients(parameters, self.process_group, self._bucket_bytes, self.find_unused_parameters)
        except ProcessGroupError as error:
            if "rank" in str(error) and " asks for gradients of " in str(error):
                error.add_note("Where a parameter is used in some processes only: find_unused_parameters=True.")
            raise

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within it gradients add up in each process; the next backward pass outside exchanges their sums.

        The forward pass belongs within it too.
        """
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """For one process: nothing, as no other can run out of batches earlier.

        Raises ProcessGroupError for several: give all as many batches (`DistributedSampler` does).
        """
        if self.process_group.size() > 1:
            raise ProcessGroupError(
                "DistributedDataParallel.join is not there for several processes: give all of them as many batches "
                "(DistributedSampler repeats the first samples for that; drop_last leaves the last ones out)."
            )
        yield


def _tensors_of(output: Any) -> list[Tensor]:
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [tensor for value in vars(output).values() for tensor in _tensors_of(value)]
    return tensors_in(output)
