"""Batches where the model is: a loader reads on the CPU, and what it gives goes to the device of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.data.collate import map_tensors
from chainrule.nn import Module


def batches_for(model: Module, batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, with every tensor in them on the device of the model's first parameter.

    >>> import chainrule
    >>> [x.device for x in batches_for(chainrule.nn.Linear(1, 1), [chainrule.ones(2, 1)])]
    [device(type='cpu')]
    """
    first = next(iter(model.parameters()), None)
    if first is None or first.is_cpu:
        yield from batches
        return
    for batch in batches:
        yield map_tensors(lambda x: x.to(first.device), batch)
