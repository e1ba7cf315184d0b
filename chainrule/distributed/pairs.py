"""What two processes exchange without the others: `send` and `recv`, and their forms that do not wait.

Both say to the coordinator what they are about to do; when both have, the numbers travel (`Transport.begin`), in the
order in which the coordinator says so. So it does not matter in which order processes wait: a ring in which all send
first and then receive goes on, with `isend`, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.distributed.collectives import Work, begin, put, rank_among_all
from chainrule.distributed.group import ProcessGroup, ProcessGroupError
from chainrule.distributed.transport import Exchange, Transport, bytes_of
from chainrule.functions.creation import from_numpy
from chainrule.tensor import Tensor


class PairWork(Work):
    """A tensor on its way: `wait` for it before it is read or, with `isend`, before the other one can be sure of it."""

    def __init__(self, transport: Transport, exchange: Exchange, deliver: Callable[[Any], None]) -> None:
        self._transport, self._exchange = transport, exchange
        self._deliver: Callable[[Any], None] | None = deliver

    def wait(self, timeout: Any = None) -> bool:
        """Wait until it has come, as long as `timeout` of `init_process_group` says; the one here is not looked at.

        Raises ProcessGroupError if the other process has ended, does not come in time, or does something else.
        """
        if self._deliver is not None:
            answer = self._transport.finish(self._exchange)
            deliver, self._deliver = self._deliver, None
            deliver(answer)
        return True

    def is_completed(self) -> bool:
        """Whether it has come; then what is received is in its tensor. Raises what `wait` does when that is known."""
        return self._deliver is None or (self._transport.has_ended(self._exchange) and self.wait())

    def is_success(self) -> bool:
        """Whether it has come."""
        return self._deliver is None


def _begun(
    tensor: Tensor, peer: int | None, group: ProcessGroup | None, tag: int, inside: int | None, what: str
) -> tuple[PairWork, int]:
    """The work, and the rank of the other process among all."""
    found = begin(group, what, traced=False)
    if found.size() == 1:
        raise ProcessGroupError(f"{what}: there is one process, and no other one to exchange tensors with.")
    if peer is None and inside is None:
        raise ProcessGroupError(f"{what}: name the other process; what comes from any one is not received here.")
    other = rank_among_all(found, peer, inside)
    if other == found.own:
        raise ProcessGroupError(f"{what}: rank {other} is this process itself.")
    sends = what.endswith("send")
    array = tensor.detach().read(what)
    raw = bytes_of(array)
    source, target = (found.own, other) if sends else (other, found.own)
    said = f"{array.size} numbers of {array.dtype.name} from rank {source} to rank {target}, tag {tag}"
    transport = found.transport
    assert transport is not None
    ranks = (min(source, target), max(source, target))
    # The receiver adds zero bytes to what the sender has.
    exchange = transport.begin(raw if sends else np.zeros_like(raw), "sum", ranks, said, f"{source}>{target} {tag}")

    def deliver(answer: Any) -> None:
        if not sends:
            put(tensor, from_numpy(answer.view(array.dtype).reshape(array.shape)))

    return PairWork(transport, exchange, deliver), other


def isend(
    tensor: Tensor,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> Work:
    """Begin to send a tensor, as it is now, to one other process; go on at once. See `send`."""
    return _begun(tensor, dst, group, tag, group_dst, "isend")[0]


def irecv(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_src: int | None = None,
) -> Work:
    """Begin to receive a tensor from one other process; it is there after `wait()` of what is answered. See `recv`."""
    return _begun(tensor, src, group, tag, group_src, "irecv")[0]


def send(
    tensor: Tensor,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> None:
    """Send a tensor to one other process, which calls `recv` or `irecv` with as many numbers of its type.

    The process is named by its rank among all, `dst`, or in the group, `group_dst`. What has the same two processes,
    direction and tag comes in the order in which it is sent.

    It waits until the other one has received it. Raises ProcessGroupError if there is no other process, none or this
    one is named, the other one has ended, does not come in time, or waits for something else.
    """
    _begun(tensor, dst, group, tag, group_dst, "send")[0].wait()


def recv(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_src: int | None = None,
) -> int:
    """Wait for a tensor from one other process, which is put into this one, and answer with its rank; see `send`.

    The process must be named: what comes from any one is not received here.
    """
    work, other = _begun(tensor, src, group, tag, group_src, "recv")
    work.wait()
    return other


class P2POp:
    """One of several things for `batch_isend_irecv`: `isend` or `irecv`, a tensor, the rank of the other process."""

    def __init__(
        self,
        op: Callable[..., Work],
        tensor: Tensor,
        peer: int | None = None,
        group: ProcessGroup | None = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        if op not in (isend, irecv):
            raise ProcessGroupError(f"P2POp: the operation is isend or irecv, got {op!r}.")
        self.op, self.tensor, self.tag = op, tensor, tag
        self.peer, self.group, self.group_peer = peer, group, group_peer


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Work]:
    """Begin with all of these; wait for what is answered."""
    return [p.op(p.tensor, p.peer, p.group, p.tag, p.group_peer) for p in p2p_op_list]
