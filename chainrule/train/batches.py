"""Batches where the model is: a loader reads on the CPU, and what it gives goes to its device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.data.ahead import one_ahead
from chainrule.data.collate import map_tensors
from chainrule.data.passes import LocalPass, WorkerPass
from chainrule.nn.device_of import device_of
from chainrule.nn.module import Module


def batches_for(model: Module, batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, with every tensor in them on the model's device.

    Of a `DataLoader` the next batch is made and sent while the step of the one before runs.

    >>> import chainrule
    >>> [x.device for x in batches_for(chainrule.nn.Linear(1, 1), [chainrule.ones(2, 1)])]
    [device(type='cpu')]
    """
    device = device_of(model)
    if device.type == "cpu":
        yield from batches
        return

    def send(batch: Any) -> Any:
        return map_tensors(lambda x: x.to(device, non_blocking=True), batch)

    batches = iter(batches)
    yield from one_ahead(batches, send) if isinstance(batches, LocalPass | WorkerPass) else map(send, batches)
