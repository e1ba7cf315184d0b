"""Exchanges between processes through which gradients go: each returns new tensors and leaves its argument as it is.

The loss of which gradients are taken is the sum of the losses of all processes. So what comes back to a number is what
comes to its copies in all of them, added up. All processes must take part, forwards and back, in the same order.
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.function import Function
from chainrule.distributed.collectives import ReduceOp, begin, rank_among_all
from chainrule.distributed.group import ProcessGroup
from chainrule.errors import GradientError
from chainrule.tensor import Tensor

__all__ = ["all_gather", "all_reduce", "broadcast"]


def _exchange() -> Any:
    """The functions that need JAX, of which one process has no need."""
    from chainrule.distributed import exchange

    return exchange


class _Sum(Function):
    """Σ xₚ over processes p: every xₚ is in all the sums."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return _exchange().reduce_tensor(x, "sum", group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Sum.apply(gradients[0], ctx.group), None


class _Rows(Function):
    """The xₚ in rows, in all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return _exchange().gather_tensor(x, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _SumOfRow.apply(gradients[0], ctx.group), None


class _SumOfRow(Function):
    """Of tensors with a row for each process, the sum of the own row: what comes back through `_Rows`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return _exchange().add_up_tensor(x, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Rows.apply(gradients[0], ctx.group), None


class _Copy(Function):
    """The x of one process, in all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: int, group: ProcessGroup) -> Tensor:
        ctx.source, ctx.group = source, group
        return _exchange().broadcast_tensor(x, source, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _SumInOne.apply(gradients[0], ctx.source, ctx.group), None, None


class _SumInOne(Function):
    """Σ xₚ in one process, zeros in the others: what comes back through `_Copy`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: int, group: ProcessGroup) -> Tensor:
        ctx.source, ctx.group = source, group
        return _exchange().bring_tensor_back(x, source, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Copy.apply(gradients[0], ctx.source, ctx.group), None, None


def all_reduce(tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None) -> Tensor:
    """The sum or the mean (`ReduceOp.AVG`) over all processes. Raises GradientError for another `op`.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> from chainrule.distributed import nn
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.ones(2, requires_grad=True)
    >>> nn.all_reduce(x).sum().backward(); x.grad
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    if op not in (ReduceOp.SUM, ReduceOp.AVG):
        raise GradientError(f"all_reduce with a gradient is a sum or a mean, got {op}.")
    found = begin(group, "all_reduce")
    total = tensor.clone() if found.size() == 1 else _Sum.apply(tensor, found)
    return total / found.size() if op is ReduceOp.AVG else total


def all_gather(tensor: Tensor, group: ProcessGroup | None = None) -> tuple[Tensor, ...]:
    """The tensors of all processes, in the order of their ranks.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> from chainrule.distributed import nn
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> nn.all_gather(chainrule.ones(2))
    (tensor([1., 1.]),)
    >>> distributed.destroy_process_group()
    """
    found = begin(group, "all_gather")
    return (tensor.clone(),) if found.size() == 1 else tuple(_Rows.apply(tensor, found))


def broadcast(tensor: Tensor, src: int, group: ProcessGroup | None = None) -> Tensor:
    """The tensor of the process with the rank `src` among all, in every process.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> from chainrule.distributed import nn
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> nn.broadcast(chainrule.ones(2), 0)
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    found = begin(group, "broadcast")
    source = rank_among_all(found, src, None)
    return tensor.clone() if found.size() == 1 else _Copy.apply(tensor, source, found)
