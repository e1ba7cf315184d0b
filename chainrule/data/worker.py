"""A worker: a process that reads batches for a loader. What it does, and what it sends.

Messages are pickles whose large arrays follow as raw bytes, so that they are copied into the pipe and out of it and
nowhere else. A worker answers its requests one after the other and computes ahead: what is finished waits in a queue
that a thread empties into the pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from chainrule.data import worker_info
from chainrule.data.reading import END, Reader
from chainrule.data.seeding import mixed_seed, seed_everything
from chainrule.data.starting import close_inherited
from chainrule.devices import CPU, set_default_device

#: Arrays of at least so many bytes travel beside the pickle.
LARGE = 2**15

#: Where pipes are files, arrays are written to them directly: `recv_bytes_into` would make three copies.
_BY_DESCRIPTOR = hasattr(os, "readv")


class SetUp(NamedTuple):
    """The first request: who the worker is and what it reads."""

    identity: int
    workers: int
    reader: Reader
    worker_init_fn: Callable[[int], Any] | None


class Begin(NamedTuple):
    """A pass begins."""

    seed: int | None


class Read(NamedTuple):
    """Read batch `number`, which is at these places; tell only that it is there if it is not to be kept."""

    number: int
    places: Any
    keep: bool


class Failure(NamedTuple):
    """The answer if something was raised: its class, as a pickle, and the traceback as text."""

    kind: bytes
    text: str


def pack(message: Any) -> list[Any]:
    """A message as the pieces that go through a pipe."""
    large: list[pickle.PickleBuffer] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LARGE:
            return True
        large.append(buffer)
        return False

    body = pickle.dumps(message, protocol=5, buffer_callback=stays)
    pieces = [buffer.raw() for buffer in large]
    return [pickle.dumps((body, [piece.nbytes for piece in pieces])), *pieces]


def send(connection: Connection, pieces: list[Any]) -> None:
    """Send a packed message."""
    connection.send_bytes(pieces[0])
    for piece in pieces[1:]:
        if not _BY_DESCRIPTOR:
            connection.send_bytes(piece)
            continue
        sent = 0
        while sent < len(piece):
            sent += os.write(connection.fileno(), piece[sent:])


def receive(connection: Connection) -> tuple[bytes, list[Any]]:
    """Wait for a message: its pickle and what belongs to it. EOFError or OSError if the other side is gone."""
    body, sizes = pickle.loads(connection.recv_bytes())
    large = [np.empty(size, np.uint8) for size in sizes]
    for array in large:
        if _BY_DESCRIPTOR:
            _read_into(connection.fileno(), array.data)
        else:
            connection.recv_bytes_into(array.data)
    return body, large


def _read_into(descriptor: int, memory: memoryview) -> None:
    filled = 0
    while filled < len(memory):
        count = os.readv(descriptor, [memory[filled:]])
        if not count:
            raise EOFError
        filled += count


def unpack(message: tuple[bytes, list[Any]]) -> Any:
    """What a received message says."""
    return pickle.loads(message[0], buffers=message[1])


def work_in_a_copy(requests: Connection, results: Connection, setup: SetUp) -> None:
    """The life of a worker that was forked: it has its set-up, and more of the other process than it needs."""
    close_inherited()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a training loop may have its own way to stop
    work(requests, results, setup)


def work(requests: Connection, results: Connection, setup: SetUp | None = None) -> None:
    """The life of a worker: a set-up, then passes, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that reads the batches
    set_default_device(CPU)  # a forked process cannot use another one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outbox: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
    threading.Thread(target=_post, args=(results, outbox), daemon=True).start()
    failure: Failure | None = None
    while True:
        try:
            message = receive(requests)
        except (EOFError, OSError):
            return  # the loader has closed its end
        try:
            request = unpack(message)
            if isinstance(request, SetUp):
                setup = request
            elif isinstance(request, Begin) and setup is not None:
                failure = None
                _begin(setup, request.seed)
                setup = setup._replace(worker_init_fn=None)
        except Exception as error:  # of the data set's code: the answer to what is asked next
            failure = failure or _failure(error)
            continue
        if isinstance(request, Read):
            outbox.put(pack(failure) if failure else _read(setup, request))


def _begin(setup: SetUp, seed: int | None) -> None:
    own_seed = mixed_seed(seed or 0, setup.identity) >> 1  # fits int64, so it may be put into a tensor
    worker_info.set_worker_info(worker_info.WorkerInfo(setup.identity, setup.workers, own_seed, setup.reader.dataset))
    if setup.worker_init_fn is not None:
        seed_everything(own_seed)
        setup.worker_init_fn(setup.identity)
    setup.reader.begin(seed, setup.identity)


def _read(setup: SetUp | None, request: Read) -> list[Any]:
    assert setup is not None
    try:
        batch = setup.reader.read(request.number, request.places)
        return pack(batch if request.keep or batch is END else ())
    except Exception as error:  # of the data set: told to who asked
        return pack(_failure(error))


def _failure(error: Exception) -> Failure:
    text = "".join(traceback.format_exception(error))
    try:
        return Failure(pickle.dumps(type(error)), text)
    except Exception:  # a class that only this process knows
        return Failure(pickle.dumps(RuntimeError), text)


def _post(results: Connection, outbox: queue.SimpleQueue[list[Any]]) -> None:
    try:
        while True:
            send(results, outbox.get())
    except OSError:
        os._exit(0)  # nobody reads any longer, so whatever is computed is in vain


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
