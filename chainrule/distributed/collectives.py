"""What processes do together, for a group of one: each answer is what this process has.

All raise ProcessGroupError if there is no group, or if a rank other than 0 is named. With `async_op` the answer is a
`Work`, which is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.distributed.group import ProcessGroup, ProcessGroupError, find_group
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


def _begin(group: ProcessGroup | None, *ranks: Any) -> None:
    find_group(group)
    for rank in ranks:
        if rank not in (None, 0):
            raise ProcessGroupError(f"there is one process, with rank 0; rank {rank} was named.")


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _put(target: Tensor, source: Tensor) -> None:
    if target is not source:
        with no_grad():
            target.copy_(source.reshape(target.shape))


def _only(things: Sequence[Any] | None, what: str) -> Any:
    if things is None or len(things) != 1:
        count = "none" if things is None else len(things)
        raise ProcessGroupError(f"{what} holds one entry for each process, so one; got {count}.")
    return things[0]


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for all processes: for none."""
    _begin(group)
    return _done(async_op)


def monitored_barrier(group: ProcessGroup | None = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait for all processes: for none."""
    _begin(group)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Put the sum (or whatever `op` says) over all processes into the tensor: of one, what it is.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.ones(2); distributed.all_reduce(x); x
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    _begin(group)
    return _done(async_op)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """As `all_reduce`, for the process `dst` only."""
    _begin(group, dst, group_dst)
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
    _begin(group, src, group_src)
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
    _begin(group)
    _put(_only(tensor_list, "tensor_list"), tensor)
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Put the tensors of all processes, one after the other, into one."""
    _begin(group)
    _put(output_tensor, input_tensor)
    return _done(async_op)


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Put the tensors of all processes into the list of the process `dst`."""
    _begin(group, dst, group_dst)
    _put(_only(gather_list, "gather_list"), tensor)
    return _done(async_op)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Put an entry of the list of the process `src` into each process's tensor.

    >>> import chainrule
    >>> from chainrule import distributed
    >>> distributed.init_process_group(world_size=1, rank=0)
    >>> x = chainrule.zeros(2); distributed.scatter(x, [chainrule.ones(2)], src=0); x
    tensor([1., 1.])
    >>> distributed.destroy_process_group()
    """
    _begin(group, src, group_src)
    _put(tensor, _only(scatter_list, "scatter_list"))
    return _done(async_op)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of an entry of their lists into each process's tensor."""
    _begin(group)
    _put(output, _only(input_list, "input_list"))
    return _done(async_op)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of a part of their tensors into each process's tensor."""
    _begin(group)
    _put(output, input)
    return _done(async_op)


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Give each process an entry of every process's list."""
    _begin(group)
    _put(_only(output_tensor_list, "output_tensor_list"), _only(input_tensor_list, "input_tensor_list"))
    return _done(async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: list[int] | None = None,
    input_split_sizes: list[int] | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Give each process a part of every process's tensor."""
    _begin(group)
    _put(output, input)
    return _done(async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: ProcessGroup | None = None) -> None:
    """Put the objects of all processes into the list."""
    _begin(group)
    _only(object_list, "object_list")
    object_list[0] = obj


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    group_dst: int | None = None,
) -> None:
    """Put the objects of all processes into the list of the process `dst`."""
    _begin(group, dst, group_dst)
    _only(object_gather_list, "object_gather_list")
    object_gather_list[0] = obj  # type: ignore[index]


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """Put the objects of the process `src` into all lists: of one, what they are."""
    _begin(group, src, group_src)


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    group_src: int | None = None,
) -> None:
    """Put an entry of the list of the process `src` into the first place of each process's list."""
    _begin(group, src, group_src)
    scatter_object_output_list[0] = _only(scatter_object_input_list, "scatter_object_input_list")


def _nobody(what: str) -> ProcessGroupError:
    return ProcessGroupError(f"{what}: there is one process, and no other one to exchange tensors with.")


def send(tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0) -> None:
    """Raises ProcessGroupError: there is no other process."""
    raise _nobody("send")


def recv(tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0) -> int:
    """Raises ProcessGroupError: there is no other process."""
    raise _nobody("recv")


def isend(tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0) -> Work:
    """Raises ProcessGroupError: there is no other process."""
    raise _nobody("isend")


def irecv(tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0) -> Work:
    """Raises ProcessGroupError: there is no other process."""
    raise _nobody("irecv")
