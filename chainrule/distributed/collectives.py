"""What processes do together. Tensors change in place, as in PyTorch; in a group of one they stay what they are.

All wait until every process of the group has called the same function with tensors of the same form; if one calls
something else, all raise ProcessGroupError, which says who called what. They also raise it if there is no group, a rank
is named that is not in it, or a process has ended. With `async_op` the answer is a `Work`, which is finished.

Two of them do the work: a sum over all (a ring: each process sends 2·(n−1)/n of the tensor) and a gathering ((n−1)/n of
n tensors). The others are one of these two, so `scatter` and `reduce_scatter` send more than they would have to.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributed.group import ProcessGroup, ProcessGroupError, find_group
from chainrule.errors import ShapeError, TraceError
from chainrule.functions.pieces import stack
from chainrule.state import current_state
from chainrule.tensor import Tensor


class ReduceOp(Enum):
    """How the tensors of several processes become one. Of one process, each gives its tensor."""

    SUM = "sum"
    AVG = "mean"
    PRODUCT = "product"
    MIN = "minimum"
    MAX = "maximum"
    BAND = "bitwise and"
    BOR = "bitwise or"
    BXOR = "bitwise xor"


class Work:
    """Something that was asked for and is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True at once."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True


def begin(group: ProcessGroup | None, what: str, traced: bool = True) -> ProcessGroup:
    """The group of a call. Raises ProcessGroupError if this process is not in it; TraceError for `what` in a trace."""
    found = find_group(group)
    if found.rank() < 0:
        raise ProcessGroupError(f"{what}: this process is not in the group, whose ranks are {list(found.ranks)}.")
    if not traced and current_state().trace is not None:
        raise TraceError(f"{what} within a compiled step would be done once, when it is traced: call it outside of it.")
    return found


def rank_among_all(group: ProcessGroup, rank: int | None, rank_in_group: int | None) -> int:
    """The rank of the process that is named, by its rank among all or in the group; the group's first if neither is."""
    chosen = group.ranks[0] if rank is None else rank
    if rank_in_group is not None:
        chosen = group.ranks[rank_in_group] if 0 <= rank_in_group < group.size() else -1
    if chosen not in group.ranks:
        there = "there is one process, with rank 0" if group.size() == 1 else f"the ranks are {list(group.ranks)}"
        raise ProcessGroupError(f"{there}; rank {rank if rank_in_group is None else rank_in_group} was named.")
    return chosen


def only(things: Sequence[Any] | None, what: str, group: ProcessGroup) -> Sequence[Any]:
    """A list with an entry for each process."""
    if things is None or len(things) != group.size():
        count = "none" if things is None else len(things)
        raise ProcessGroupError(f"{what} holds one entry for each of {group.size()} processes; got {count}.")
    return things


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def put(target: Tensor, source: Tensor) -> None:
    """Change a tensor. Raises ShapeError for another number of entries, or another type."""
    if target is source:
        return
    if target.numel() != source.numel() or target.dtype is not source.dtype:
        raise ShapeError(
            f"a tensor of {source.dtype} and shape {tuple(source.shape)} comes, and is to be put into one of "
            f"{target.dtype} and shape {tuple(target.shape)}."
        )
    with no_grad():
        target.copy_(source.reshape(target.shape))


def _rows(tensor: Tensor, group: ProcessGroup) -> Tensor:
    """The tensors of all processes, in rows."""
    if group.size() == 1:
        return tensor.detach().unsqueeze(0)
    from chainrule.distributed.exchange import gather_tensor

    return gather_tensor(tensor, group)


def _reduced(tensor: Tensor, op: ReduceOp, group: ProcessGroup) -> Tensor:
    if group.size() == 1:
        return tensor
    from chainrule.distributed.exchange import reduce_tensor

    return reduce_tensor(tensor, op.value, group)


def _stacked(things: Sequence[Tensor]) -> Tensor:
    return stack([x.detach() for x in things])


def _parts(tensor: Tensor, group: ProcessGroup, what: str) -> Tensor:
    """A tensor as (processes, …): its first dimension in equal parts."""
    if not tensor.ndim or tensor.shape[0] % group.size():
        raise ShapeError(
            f"{what}: the first dimension is split over {group.size()} processes, got shape {tuple(tensor.shape)}."
        )
    return tensor.detach().reshape(group.size(), tensor.shape[0] // group.size(), *tensor.shape[1:])


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all processes have come here."""
    found = begin(group, "barrier", traced=False)
    if found.transport is not None:
        found.transport.agree(found.ranks, "a barrier")
    return _done(async_op)


def monitored_barrier(group: ProcessGroup | None = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait until all processes have come here; who does not come in time is named, as everywhere."""
    barrier(group)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Put the sum (or whatever `op` says) over all processes into the tensor: of one, what it is.

    All get the same bits. Halves are added up in float32. Raises DTypeError for the mean of whole numbers, the sum of
    truth values and the bits of floating-point numbers.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.ones(2); distributed.all_reduce(x); x
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    put(tensor, _reduced(tensor, op, begin(group, "all_reduce")))
    return _done(async_op)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """As `all_reduce`, for the process `dst` only; the tensors of the others stay what they are."""
    found = begin(group, "reduce")
    target = rank_among_all(found, dst, group_dst)
    total = _reduced(tensor, op, found)
    if target == found.own:
        put(tensor, total)
    return _done(async_op)


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Put the tensor of the process `src` into all: of one, what it is.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.ones(2); distributed.broadcast(x, src=0); x
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    found = begin(group, "broadcast")
    source = rank_among_all(found, src, group_src)
    if found.size() > 1:
        from chainrule.distributed.exchange import broadcast_tensor

        put(tensor, broadcast_tensor(tensor, source, found))
    return _done(async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Put the tensors of all processes into the list's.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> found = [chainrule.zeros(2)]; distributed.all_gather(found, chainrule.ones(2)); found
    [tensor([1., 1.])]
    >>> distributed.destroy_process_group()
    """
    found = begin(group, "all_gather")
    only(tensor_list, "tensor_list", found)
    rows = _rows(tensor, found)
    for i, target in enumerate(tensor_list):
        put(target, rows[i])
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Put the tensors of all processes, one after the other, into one."""
    put(output_tensor, _rows(input_tensor, begin(group, "all_gather_into_tensor")))
    return _done(async_op)


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Put the tensors of all processes into the list of the process `dst`; the others give none."""
    found = begin(group, "gather")
    here = rank_among_all(found, dst, group_dst) == found.own
    targets = only(gather_list, "gather_list", found) if here else ()
    rows = _rows(tensor, found)
    for i, target in enumerate(targets):
        put(target, rows[i])
    return _done(async_op)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Put an entry of the list of the process `src` into each process's tensor; the others give none.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.zeros(2); distributed.scatter(x, [chainrule.ones(2)], src=0); x
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    found = begin(group, "scatter")
    source = rank_among_all(found, src, group_src)
    mine = only(scatter_list, "scatter_list", found) if source == found.own else [tensor] * found.size()
    rows = _stacked(mine)
    if found.size() > 1:
        from chainrule.distributed.exchange import broadcast_tensor

        rows = broadcast_tensor(rows, source, found)
    put(tensor, rows[found.rank()])
    return _done(async_op)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of an entry of their lists into each process's tensor."""
    found = begin(group, "reduce_scatter")
    total = _reduced(_stacked(only(input_list, "input_list", found)), op, found)
    put(output, total[found.rank()])
    return _done(async_op)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of a part of their tensors into each process's tensor."""
    found = begin(group, "reduce_scatter_tensor")
    total = _reduced(_parts(input, found, "reduce_scatter_tensor"), op, found)
    put(output, total[found.rank()])
    return _done(async_op)


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Give each process an entry of every process's list; all entries have one shape."""
    found = begin(group, "all_to_all")
    outs = only(output_tensor_list, "output_tensor_list", found)
    rows = _rows(_stacked(only(input_tensor_list, "input_tensor_list", found)), found)
    for i, target in enumerate(outs):
        put(target, rows[i][found.rank()])
    return _done(async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: list[int] | None = None,
    input_split_sizes: list[int] | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Give each process a part of every process's tensor: equal parts, along the first dimension.

    Raises ProcessGroupError for parts of other sizes between several processes.
    """
    found = begin(group, "all_to_all_single")
    for sizes in (output_split_sizes, input_split_sizes):
        if sizes and found.size() > 1 and len(set(sizes)) > 1:
            raise ProcessGroupError(f"all_to_all_single: the parts are of one size here, got {sizes}; pad them.")
    rows = _rows(_parts(input, found, "all_to_all_single"), found)
    put(output, rows[:, found.rank()])
    return _done(async_op)
