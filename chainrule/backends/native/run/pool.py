"""The threads that run compiled programs: made at first use, asleep while there is nothing to do.

The calling thread takes part, and waits for nobody who does not (`waiting.py`). Workers are Python threads that spend
their lives in native code, without the interpreter's lock. Only one program runs on all threads at a time; a second one
that comes meanwhile runs on its own thread alone, which changes nothing about its results.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading
import time
from typing import Any

import numpy as np

from chainrule.backends.memory import address_of, aligned
from chainrule.backends.native.run.driver import driver_text, words_to_count
from chainrule.backends.native.run.machine import Library, compile_text, llvm
from chainrule.backends.native.run.processor import usable_cores
from chainrule.backends.native.run.waiting import FIELDS, POOL_WORDS

_wanted: int | None = None
#: When the number of threads was asked for last, and what it was.
_asked = (-1.0, 1)


def get_num_threads() -> int:
    """How many threads compiled programs run on: one for each core, unless another number has been set.

    Two threads of one core (hyper-threads) share its arithmetic, so they count as one. On Linux and macOS they are told
    apart. Where a launcher has started several processes on the machine (`LOCAL_WORLD_SIZE`), they share the cores.
    """
    if _wanted is not None:
        return _wanted
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, usable_cores() // (int(processes) if processes.isdecimal() and int(processes) else 1))


def _threads_for_now() -> int:
    """The same, asked a tenth of a second ago at most: the answer takes as long as a small program."""
    global _asked
    now = time.monotonic()
    if _wanted is not None or now > _asked[0] + 0.1:
        _asked = now, get_num_threads()
    return _asked[1]


def set_num_threads(count: int) -> None:
    """Run compiled programs on so many threads from now on. Results do not depend on it.

    Raises ValueError for less than one.

    >>> import chainrule
    >>> chainrule.set_num_threads(2)
    >>> chainrule.get_num_threads()
    2
    """
    global _wanted
    if int(count) != count or count < 1:
        raise ValueError(f"the number of threads is a whole number of at least 1, got {count!r}.")
    _wanted = int(count)


@functools.cache
def _driver() -> tuple[Any, Any, Any]:
    """The driver's functions; they live as long as the process."""
    from chainrule.backends.native.run.cache import cached_code

    library = Library(cached_code(driver_text(), compile_text))
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("run"))
    serve = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)(library.address("serve"))
    return library, run, serve


class Pool:
    """Some threads and the block of words that they share."""

    def __init__(self) -> None:
        self.words = aligned(POOL_WORDS * 8).view(np.int64)
        self.scratch = np.zeros(0, np.uint8)
        self.shares = np.zeros(0, np.int64)
        # Asked for once: a small program takes a few microseconds, and so does asking for all of these.
        self.words_at, self.scratch_at, self.shares_at = address_of(self.words), 0, 0
        self.workers: list[threading.Thread] = []
        self.busy = threading.Lock()

    def run(self, table: int, start: int, stop: int, bases: tuple[int, int], threads: int,
            scratch: int, profile: np.ndarray[Any, Any] | None = None) -> None:  # fmt: skip
        """Run the calls from start to stop of the table at an address; where the bases are, and how many."""
        words, field = self.words, FIELDS
        scratch = -(-scratch // 4096) * 4096 + 192  # so that threads do not meet in the same cache sets
        if self.scratch.size < scratch * threads:
            self.scratch = aligned(scratch * threads)
            self.scratch_at = address_of(self.scratch)
        counters = words_to_count(stop - start, threads)
        if self.shares.size < counters:
            self.shares = aligned(counters * 8).view(np.int64)
            self.shares_at = address_of(self.shares)
        while len(self.workers) < threads - 1:
            self._hire()
        words[field["threads"]], words[field["count"]] = threads, stop - start
        words[field["table"]] = table + 64 * start
        words[field["bases"]], words[field["bases_count"]] = bases
        words[field["shares"]] = self.shares_at
        words[field["scratch"]], words[field["scratch_bytes"]] = self.scratch_at, scratch
        words[field["profile"]] = 0 if profile is None else address_of(profile[start:])
        words[field["profile_words"]] = 0 if profile is None else profile.shape[1]
        _driver()[1](self.words_at)

    def _hire(self) -> None:
        serve, number = _driver()[2], len(self.workers) + 1
        seen = int(self.words[FIELDS["job"]]) & 0xFFFFFFFF
        seen -= (seen >> 31) << 32
        worker = threading.Thread(
            target=serve, args=(self.words_at, number, seen), name=f"chainrule-{number}", daemon=True
        )
        worker.start()
        self.workers.append(worker)

    def close(self) -> None:
        """Send the workers home and wait until they are gone."""
        if not self.workers:
            return
        self.words[FIELDS["shut"]] = 1
        table = aligned(64)
        self.words[FIELDS["threads"]] = 1  # nobody but the caller takes part in what wakes them
        _wake(self.words_at + 8 * FIELDS["job"])
        for worker in self.workers:
            worker.join(timeout=5)
        self.workers.clear()
        del table


def _wake(address: int) -> None:
    """Count the job word up and wake who sleeps at it."""
    library = _driver()[0]
    word = ctypes.c_int32.from_address(address)
    word.value += 1
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("wake"))(address)


_pool = Pool()


def _forget() -> None:
    """In a forked child there are no workers: it begins anew."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(lambda: _pool.close())


def run_calls(
    table: int,
    start: int,
    stop: int,
    bases: tuple[int, int],
    scratch: int,
    *,
    small: bool = False,
    profile: np.ndarray[Any, Any] | None = None,
) -> None:
    """Run a stretch of a table of calls, on all threads unless it is small or they are busy.

    table: its address. bases: where they are, and how many.
    """
    pool = _pool
    if pool.busy.acquire(blocking=False):
        try:
            pool.run(table, start, stop, bases, 1 if small else _threads_for_now(), scratch, profile)
        finally:
            pool.busy.release()
    else:
        Pool().run(table, start, stop, bases, 1, scratch, profile)


__all__ = ["get_num_threads", "llvm", "run_calls", "set_num_threads"]
