"""Python's `multiprocessing` under PyTorch's name, and `spawn`.

Tensors go to other processes as copies: nothing that one process does to a tensor is seen in another. So a model that
several processes train together (`share_memory`) is not possible; have them send results through a `Queue`.
"""

from __future__ import annotations

import multiprocessing as _python
import time
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing.connection import wait as _wait
from typing import TYPE_CHECKING, Any

from chainrule.absent_names import teller
from chainrule.errors import ChainruleError

__all__ = [
    *(name for name in _python.__all__ if name != "reducer"),
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py


class ProcessRaisedException(ChainruleError):  # noqa: N818  (PyTorch's name)
    """A process that `spawn` started raised something; the message has its traceback."""

    def __init__(self, message: str, error_index: int, error_pid: int) -> None:
        super().__init__(message)
        self.error_index, self.error_pid = error_index, error_pid


class ProcessExitedException(ChainruleError):  # noqa: N818  (PyTorch's name)
    """A process that `spawn` started ended otherwise than by returning."""

    def __init__(self, message: str, error_index: int, error_pid: int, exit_code: int) -> None:
        super().__init__(message)
        self.error_index, self.error_pid, self.exit_code = error_index, error_pid, exit_code


class ProcessContext:
    """The processes that `spawn(…, join=False)` started."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int]:
        """The numbers that the system gave to them."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for the next one to end; True if all have.

        Raises ProcessRaisedException or ProcessExitedException for one that failed, after the others were ended
        (they have `grace_period` seconds until they are killed).
        """
        running = {process.sentinel: process for process in self.processes if process.is_alive()}
        if running:
            _wait(list(running), timeout)
        for index, process in enumerate(self.processes):
            if process.exitcode not in (None, 0):
                self._end_others(grace_period)
                self._raise(index, process)
        return all(process.exitcode == 0 for process in self.processes)

    def _end_others(self, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        deadline = time.monotonic() + (30 if grace_period is None else grace_period)
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _raise(self, index: int, process: Any) -> None:
        try:
            text = self._errors[index].recv()
        except EOFError:  # it said nothing before it ended
            raise ProcessExitedException(
                f"process {index} ended with exit code {process.exitcode}.", index, process.pid, process.exitcode
            ) from None
        raise ProcessRaisedException(f"process {index} raised\n\n{text}", index, process.pid)


def _run(fn: Callable[..., Any], index: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # the process that started this one says it
    except Exception:
        errors.send(traceback.format_exc())
        raise SystemExit(1) from None


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """`spawn`: run `fn(i, *args)` in `nprocs` processes, i = 0, 1, …, and (with `join`) wait for all.

    `fn` is a function at the top of a module, since a new process imports it; so a script needs
    `if __name__ == "__main__":`.

    Raises ProcessRaisedException with the traceback of one that raised, ProcessExitedException for one that died.

    >>> queue = get_context("spawn").SimpleQueue()
    >>> spawn(queue.put, nprocs=2)  # queue.put(0) in one process, queue.put(1) in another
    >>> sorted(queue.get() for _ in range(2))
    [0, 1]
    """
    context: Any = _python.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, index, args, theirs), daemon=daemon)
        process.start()
        theirs.close()
        processes.append(process)
        errors.append(ours)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


spawn = start_processes


#: How tensors would be shared: they are copied, whatever is chosen.
_strategies = ("file_descriptor", "file_system")
_strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """PyTorch's ways to share a tensor's memory."""
    return set(_strategies)


def get_sharing_strategy() -> str:
    """What was set last; tensors are copied in any case."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Changes nothing: tensors are copied. Raises ValueError for a name that PyTorch does not have.

    >>> set_sharing_strategy("file_system"); get_sharing_strategy()
    'file_system'
    """
    global _strategy
    if new_strategy not in _strategies:
        raise ValueError(f"the sharing strategies are {', '.join(_strategies)}, got {new_strategy!r}.")
    _strategy = new_strategy


if not TYPE_CHECKING:  # for a name that is not here
    __getattr__ = teller("multiprocessing", globals())
