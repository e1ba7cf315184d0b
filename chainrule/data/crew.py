"""The workers of a loader, seen from the loader: started, asked, listened to, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
import warnings
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

from chainrule.data.reading import Reader
from chainrule.data.starting import ADVICE, SCRIPT_RAN_AGAIN, WORKER, WorkerError, keep_from_workers
from chainrule.data.worker import Begin, Failure, Read, SetUp, pack, receive, send, unpack, work, work_in_a_copy

#: Seconds that workers have for what they are doing before they are ended by force.
GRACE = 1.0

#: How much may wait in the pipe from or to a worker.
PIPE_BYTES = 2**20


class _Member(NamedTuple):
    process: Any
    requests: Connection
    results: Connection


class _Message(str):
    """A message that KeyError prints as it is, and not as a quoted key."""

    def __repr__(self) -> str:
        return str(self)


class Crew:
    """Worker processes that read batches. Requests to one worker are answered in their order.

    Attributes:
        timeout: seconds to wait for an answer; 0 waits as long as the worker lives.
        waiting: for each worker how many answers are still to come.
        closed: whether the workers are gone.
    """

    def __init__(
        self,
        reader: Reader,
        count: int,
        context: BaseContext,
        timeout: float,
        worker_init_fn: Callable[[int], Any] | None,
    ) -> None:
        setups = [SetUp(identity, count, reader, worker_init_fn) for identity in range(count)]
        copies = context.get_start_method() == "fork"
        messages = [] if copies else [_pack_setup(setup) for setup in setups]
        self.timeout = timeout
        self.waiting = [0] * count
        self.closed = False
        self._members: list[_Member] = []
        self._end = weakref.finalize(self, _end, self._members, os.getpid())
        try:
            for setup in setups:
                self._members.append(_start(setup, context, copies))
            for identity, pieces in enumerate(messages):  # after all have been started, so that they start together
                self._send(identity, pieces)
        except BaseException:
            self.close()
            raise

    def begin(self, seed: int | None) -> None:
        """Begin a pass; what is left of an earlier one is thrown away."""
        for worker, left in enumerate(self.waiting):
            for _ in range(left):
                self._receive(worker)
            self._send(worker, pack(Begin(seed)))

    def ask(self, worker: int, number: int, places: Any, keep: bool = True) -> None:
        """Ask a worker for a batch."""
        self._send(worker, pack(Read(number, places, keep)))
        self.waiting[worker] += 1

    def answer(self, worker: int) -> Any:
        """The next answer of a worker: a tuple with the batch, or END.

        Raises what the worker raised, with its number and traceback in the message; WorkerError if it died or took
        longer than the timeout.
        """
        message = self._receive(worker)
        if isinstance(message, Failure):
            raise _raised(worker, message)
        return message

    def check_alive(self) -> None:
        """Raise a WorkerError if the workers were ended."""
        if self.closed:
            raise WorkerError("the workers of this pass are gone, after an error; begin another pass.")

    def close(self) -> None:
        """End the workers. Doing it twice does no harm."""
        self.closed = True
        self._end()

    def _send(self, worker: int, pieces: list[Any]) -> None:
        try:
            send(self._members[worker].requests, pieces)
        except OSError:
            self._fail(worker)

    def _receive(self, worker: int) -> Any:
        member = self._members[worker]
        try:
            ready = wait([member.results, member.process.sentinel], self.timeout or None)
            if not ready:
                self.close()
                raise WorkerError(
                    f"worker {worker} of the DataLoader did not answer within {self.timeout} seconds (timeout=)."
                )
            if member.results not in ready and not member.results.poll():
                self._fail(worker)
            message = receive(member.results)
        except (EOFError, OSError):
            self._fail(worker)
        except BaseException:  # an interrupt in the middle of a message: what follows could not be understood
            self.close()
            raise
        self.waiting[worker] -= 1
        return unpack(message)

    def _fail(self, worker: int) -> None:
        process = self._members[worker].process
        process.join(GRACE)
        how = _how_it_ended(process.exitcode)
        self.close()
        raise WorkerError(f"worker {worker} of the DataLoader (process {process.pid}) {how}") from None


def _pack_setup(setup: SetUp) -> list[Any]:
    try:
        return pack(setup)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"the DataLoader cannot send its data set to a worker: {error}. Workers are new processes, so the data "
            "set, `collate_fn` and `worker_init_fn` are pickled: use functions and classes with a name at the top of "
            "a module instead of lambdas and local ones, and open files in the worker; or set num_workers=0."
        ) from error


def _start(setup: SetUp, context: Any, copies: bool) -> _Member:
    theirs, requests = context.Pipe(duplex=False)
    results, other = context.Pipe(duplex=False)
    for end in (requests, results):
        _widen(end)
    keep_from_workers(requests, results)
    target, arguments = (work_in_a_copy, (theirs, other, setup)) if copies else (work, (theirs, other))
    process = context.Process(target=target, args=arguments, name=f"{WORKER}{setup.identity}", daemon=True)
    with warnings.catch_warnings():  # Python 3.12 warns of any thread: see `starting` for those that are meant
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        process.start()
    theirs.close()  # so that the pipes end when the worker does
    other.close()
    return _Member(process, requests, results)


def _widen(pipe: Connection) -> None:
    """Let more bytes wait in a pipe where the system can: large batches then take fewer switches of processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _end(members: list[_Member], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the process that started them
    for member in members:
        member.requests.close()  # a worker that waits for a request ends now
        member.results.close()
    deadline = time.monotonic() + GRACE
    for member in members:
        member.process.join(max(0.0, deadline - time.monotonic()))
    for member in members:
        if member.process.is_alive():
            member.process.kill()
            member.process.join()


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is None:
        return "closed its pipe but did not end. Did the data set close file descriptors that are not its own?"
    if exitcode == SCRIPT_RAN_AGAIN:
        return f"came to a DataLoader while it imported the script: {ADVICE}"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}; what it printed stands above."
    name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else f"signal {-exitcode}"
    hint = " The system does that when memory runs out." if name == "SIGKILL" else ""
    return f"was killed by {name}.{hint} Use num_workers=0 to see an error where it happens."


def _raised(worker: int, failure: Failure) -> Exception:
    """The worker's exception again, if its class is known here and takes a message; else a RuntimeError."""
    text = f"in worker {worker} of the DataLoader:\n\n{failure.text}"
    try:
        error = pickle.loads(failure.kind)(_Message(text))
    except Exception:
        return RuntimeError(text)
    return error if text in str(error) and not isinstance(error, StopIteration) else RuntimeError(text)
