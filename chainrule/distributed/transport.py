"""How numbers travel: by JAX, whose collectives are Gloo's between processors and NCCL's between GPUs.

Every process puts its array on its own device; together they are one array with a row for each process, which one
compiled function reduces, or hands to all. It needs the extra `xla`.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from chainrule.distributed.coordinator import JAX_TRIED
from chainrule.distributed.group import ProcessGroupError
from chainrule.distributed.member import Call, Member
from chainrule.primitives.value import Array

#: The platforms of JAX for PyTorch's names of ways.
PLATFORMS = {"gloo": "cpu", "nccl": "gpu"}
#: How rows become one, by the name of a function of `jax.numpy`.
REDUCTIONS = {"sum": "sum", "product": "prod", "minimum": "min", "maximum": "max"}


def need_jax(size: int) -> None:
    """Raise ProcessGroupError, in one line, if there is no JAX, or it is too late for it."""
    if importlib.util.find_spec("jax") is None:
        raise ProcessGroupError(
            f"{size} processes were asked for, and they exchange numbers by JAX: pip install 'chainrule[xla]'."
        )
    try:
        from jax._src import distributed, xla_bridge

        begun = xla_bridge.backends_are_initialized() or distributed.global_state.client is not None
    except (ImportError, AttributeError) as error:
        raise _changed(error) from error
    if begun:
        raise ProcessGroupError(
            'init_process_group: JAX has begun to compute in this process (backend="xla", or a script of your own). '
            "Call init_process_group first; of several processes there is one group, begun once."
        )


def _changed(error: Exception) -> ProcessGroupError:
    """What is said if JAX's private names are not what they were."""
    return ProcessGroupError(f"init_process_group: JAX is another than ours ({error}); {JAX_TRIED}.")


class Exchange:
    """An exchange that was asked for; see `Transport.begin`.

    Attributes:
        call: what was said to the coordinator.
        done: set when it has ended; then there is an `answer` or an `error`.
    """

    call: Call
    answer: Any = None
    error: Exception | None = None

    def __init__(self) -> None:
        self.done = threading.Event()


class Transport:
    """The devices of all processes, and a thread that exchanges: whoever waits for it can be told that it is in vain.

    Args:
        member: the connection to the coordinator.
        backend: "gloo" or "nccl".
        timeout: seconds until a process that does not come is an error.
    """

    def __init__(self, member: Member, backend: str, timeout: float) -> None:
        self.member, self.timeout = member, timeout
        self._begin_jax()
        import jax

        platform = PLATFORMS[backend]
        try:
            found = jax.devices(platform)
        except RuntimeError as error:
            raise ProcessGroupError(f'init_process_group: no devices for backend="{backend}": {error}') from None
        self.devices = [next(d for d in found if d.process_index == i) for i in range(member.size)]
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._reducer = cache(self._make)
        threading.Thread(target=self._work, daemon=True, name="chainrule-exchange").start()

    def _begin_jax(self) -> None:
        """As `jax.distributed.initialize`, but the service runs beside the processes: rank 0 may die as any other.

        JAX has no public name for that, so its private ones are used; a test says which.
        """
        try:
            self._connect_jax()
        except (ImportError, AttributeError, TypeError) as error:
            raise _changed(error) from error

    def _connect_jax(self) -> None:
        import jax
        from jax._src.distributed import global_state
        from jax._src.lib import _jax

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        global_state.process_id, global_state.num_processes = self.member.rank, self.member.size
        global_state.coordinator_address = self.member.service
        global_state.client = _jax.get_distributed_runtime_client(
            self.member.service, self.member.rank, init_timeout=60, heartbeat_timeout=10**6,
            shutdown_on_destruction=False, use_compression=True,
        )  # fmt: skip
        global_state.client.connect()

    # ------------------------------------------------------------------------------------- what can be asked for

    def reduce(self, array: Array, op: str, ranks: tuple[int, ...], what: str) -> Array:
        """The sum (or another of `REDUCTIONS`) over the processes; every one gets the same bits."""
        return self._exchange(array, op, ranks, what)

    def gather(self, array: Array, ranks: tuple[int, ...], what: str) -> Array:
        """The arrays of all processes, in rows: the very bits, whatever their type."""
        rows = self._exchange(bytes_of(array), "gather", ranks, what)
        return rows.reshape(-1).view(array.dtype).reshape(len(ranks), *array.shape)

    def agree(self, ranks: tuple[int, ...], same: str, given: str = "", details: str = "") -> None:
        """Wait until all have said the same; see `Member.agree`."""
        self.member.agree(ranks, _said(same, given, details), self.timeout)

    # ------------------------------------------------------------------------------------- how it is done

    def _exchange(self, array: Array, op: str, ranks: tuple[int, ...], what: str) -> Array:
        return self.finish(self.begin(array, op, ranks, what))

    def begin(self, array: Array, op: str, ranks: tuple[int, ...], what: str, about: str = "") -> Exchange:
        """Ask for an exchange, and do not wait for it. What is `about` something else goes on beside it.

        It is put among the jobs when the coordinator says that it may begin: in the same order everywhere.
        """
        exchange = Exchange()

        def job() -> None:
            try:
                exchange.answer = self._reducer(op, ranks)(array) if array.size else _of_nothing(array, op, ranks)
            except Exception as error:
                exchange.error = error
            exchange.done.set()

        exchange.call = self.member.ask(ranks, _said(what), lambda: self._jobs.put(job), about)
        return exchange

    def has_ended(self, exchange: Exchange) -> bool:
        """Whether `finish` need not wait: there is an answer, or a reason why there will be none."""
        return exchange.done.is_set() or self.member.is_in_vain(exchange.call)

    def finish(self, exchange: Exchange) -> Array:
        """Wait for an exchange, and give what came out. Raises what `Member.wait_for` and `watch` do."""
        call = exchange.call
        self.member.wait_for(call, self.timeout)
        self.member.watch(call.ranks, call.what, lambda: exchange.error is None, exchange.done, self.timeout)
        if exchange.error is not None:
            raise ProcessGroupError(f"{call.what}: {str(exchange.error)[:300]}") from exchange.error
        answer: Array = exchange.answer
        return answer

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def _make(self, op: str, ranks: tuple[int, ...]) -> Callable[[Array], Array]:
        """The function for a way of reducing and a group; JAX compiles it for each shape."""
        import jax
        import jax.numpy as jnp
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        mesh = Mesh(np.array([self.devices[rank] for rank in ranks]), ("process",))
        rows, whole = NamedSharding(mesh, PartitionSpec("process")), NamedSharding(mesh, PartitionSpec())
        combine: Any = (lambda x: x) if op == "gather" else _over_rows(getattr(jnp, REDUCTIONS[op]))
        function = jax.jit(combine, out_shardings=whole)
        own = self.devices[self.member.rank]
        connected = False

        def exchanged(array: Array) -> Array:
            nonlocal connected
            with jax.enable_x64(True):
                part = jax.device_put(array[None], own)
                together = jax.make_array_from_single_device_arrays((len(ranks), *array.shape), rows, [part])
                # Gloo says on the standard output, which may be a pipe for results, that it has connected.
                with nullcontext() if connected else _output_to_errors():
                    connected = True
                    return np.array(function(together).addressable_data(0))

        return exchanged


def bytes_of(array: Array) -> Array:
    """The bytes of an array in a row: so entries of every type travel as they are."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _said(same: str, given: str = "", details: str = "") -> dict[str, Any]:
    """What the coordinator compares; see `coordinator.difference`."""
    return {"same": same, "given": given, "details": details}


def _of_nothing(array: Array, op: str, ranks: tuple[int, ...]) -> Array:
    """What comes out for an array without entries."""
    return np.zeros((len(ranks), 0), array.dtype) if op == "gather" else array.copy()


def _over_rows(function: Any) -> Any:
    return lambda x: function(x, axis=0, dtype=x.dtype) if function.__name__ in ("sum", "prod") else function(x, axis=0)


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """What this process writes to its standard output, in whatever language, goes to the error stream."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
