"""What processes with the same model exchange: gradients become means, parameters those of the first process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributed.exchange import broadcast_tensor, digest, reduce_tensor
from chainrule.distributed.group import ProcessGroup
from chainrule.functions.creation import tensor, zeros_like
from chainrule.functions.pieces import cat
from chainrule.nn.module import Module
from chainrule.state import current_state
from chainrule.tensor import Tensor


def check_same_model(module: Module, group: ProcessGroup) -> None:
    """Raise ProcessGroupError, in every process, unless all have parameters and buffers of the same names and forms."""
    state = [(name, tuple(x.shape), str(x.dtype)) for name, x in module.state_dict().items()]
    assert group.transport is not None
    group.transport.agree(group.ranks, f"{type(module).__name__} with parameters and buffers {digest(repr(state))}")


def broadcast_state(tensors: Sequence[Tensor], group: ProcessGroup) -> None:
    """Put the first process's numbers into these tensors of all; those of one type travel together."""
    with no_grad():
        for part in _buckets(tensors, 2**62):
            flat = broadcast_tensor(cat([x.detach().reshape(-1) for x in part]), group.ranks[0], group)
            for x, new in zip(part, flat.split([x.numel() for x in part]), strict=True):
                x.copy_(new.reshape(x.shape))


def average_gradients(
    parameters: dict[str, Any], group: ProcessGroup, bytes_at_once: int = 25 * 2**20, unused: bool = False
) -> None:
    """Make the gradient of each parameter the mean over the processes; several travel together.

    Args:
        parameters: by name; those without a gradient are left out, in all processes alike.
        group: the processes.
        bytes_at_once: at most so many travel at once, or one gradient.
        unused: a parameter may have a gradient in some processes only.

    Raises ProcessGroupError, in every process, if they have gradients for other parameters.
    """
    wanted = {name: p for name, p in parameters.items() if p.requires_grad}
    with no_grad():
        if unused and current_state().trace is None:
            _fill_in(wanted, group)
        found = {name: p.grad for name, p in wanted.items() if p.kept_grad is not None}
        label = f"gradients of {len(found)} parameters ({digest(repr(list(found)))})"
        for part in _buckets(list(found.values()), bytes_at_once):
            flat = cat([gradient.detach().reshape(-1) for gradient in part])
            mean = reduce_tensor(flat, "mean", group, label)
            for gradient, new in zip(part, mean.split([x.numel() for x in part]), strict=True):
                gradient.copy_(new.reshape(gradient.shape))


def _fill_in(parameters: dict[str, Any], group: ProcessGroup) -> None:
    """A gradient of 0 for each parameter that has one elsewhere."""
    has = tensor([int(p.kept_grad is not None) for p in parameters.values()])
    anywhere = reduce_tensor(has, "maximum", group, f"which of {len(parameters)} parameters have gradients").tolist()
    for p, some in zip(parameters.values(), anywhere, strict=True):
        if some and p.kept_grad is None:
            p.grad = zeros_like(p)


def _buckets(tensors: Sequence[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Tensors of one type together, as many as fit, in their order; empty ones are left out."""
    kinds: dict[Any, list[Tensor]] = {}
    for x in tensors:
        if x.numel():
            kinds.setdefault(x.dtype, []).append(x)
    for alike in kinds.values():
        part: list[Tensor] = []
        size = 0
        for x in alike:
            amount = x.numel() * x.dtype.itemsize
            if part and size + amount > most:
                yield part
                part, size = [], 0
            part.append(x)
            size += amount
        yield part
