"""What the processor reaches at most, measured: multiply–adds in registers, and reading from caches and memory.

Nothing is chosen by these figures: they are what a step's time is compared with. A rate is that of the shortest of some
runs, since whatever else the machine does makes a run only longer.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from chainrule.backends.memory import address_of, aligned
from chainrule.backends.native.language.code import Code, Lanes, module
from chainrule.backends.native.run.machine import Library, compile_text
from chainrule.backends.native.run.processor import processor

#: Sums side by side in the measured loop: more than the multiply–adds that a processor has under way at once.
SUMS = 12
#: Vectors that one turn of the reading loop reads.
READ = 8
#: Each measurement is the best of so many runs of about so many seconds.
RUNS, SECONDS = 5, 0.01


class Rates(NamedTuple):
    """What the processor reaches: multiplications and additions a second (float32), and bytes read a second.

    Attributes:
        peak, peak_all: in registers, on one core and on all that this process may run on.
        first, second: reading from the first and the second cache, on one core.
        memory, memory_all: reading from memory, on one core and on all.
        cores: how many "all" are.
    """

    peak: float
    peak_all: float
    first: float
    second: float
    memory: float
    memory_all: float
    cores: int


@functools.cache
def rates() -> Rates:
    """Measure; about a second, once for each process."""
    machine = processor()
    cores = machine.cores
    first, second = machine.cache(1, 2**15) // 2, machine.cache(2, 2**18) // 2
    far = max(4 * machine.cache(3, 2**24), 2**26)
    return Rates(
        _peak(1), _peak(cores), _reading(first, 1), _reading(second, 1), _reading(far, 1), _reading(far, cores), cores
    )


def _peak(threads: int) -> float:
    """Multiplications and additions a second, in registers."""
    operations = 2 * SUMS * _lanes().lanes

    def make() -> Callable[[int], None]:
        out = aligned(64)
        return lambda turns: _loops()[0](turns, address_of(out))

    return _rate(operations, [make() for _ in range(threads)])


def _reading(size: int, threads: int) -> float:
    """Bytes a second, read again and again from an array of so many for each thread."""
    turn = READ * _lanes().lanes * 4
    whole = max(size // turn, 1) * turn

    def make() -> Callable[[int], None]:
        memory, out = aligned(whole), aligned(64)
        memory[:] = 1  # memory that nobody has written is one page of zeros
        return lambda times: _loops()[1](times, address_of(memory), whole // 4, address_of(out))

    return _rate(whole, [make() for _ in range(threads)])


def _rate(amount: int, works: list[Callable[[int], None]]) -> float:
    """How much is done a second, if each thread does `amount` with each turn."""
    turns = 1
    works[0](turns)  # the first time compiles the loops
    while _seconds(works[0], turns) < SECONDS / 4:
        turns *= 2
    return max(_together(amount * turns, works, turns) for _ in range(RUNS))


def _seconds(work: Callable[[int], None], turns: int) -> float:
    start = time.perf_counter()
    work(turns)
    return time.perf_counter() - start


def _together(amount: int, works: list[Callable[[int], None]], turns: int) -> float:
    """All threads at once: the sum of what each does a second."""
    found: list[float] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[int], None]) -> None:
        ready.wait()
        found.append(amount / _seconds(work, turns))

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found)


def _lanes() -> Lanes:
    return Lanes("float", processor().vector_bits // 32)


@functools.cache
def _loops() -> tuple[Any, Any, Any]:
    """The two loops as functions, which let go of the interpreter while they run, and where they live."""
    library = Library(compile_text(module([_multiplying(_lanes()), _adding(_lanes())])))
    number, place = ctypes.c_int64, ctypes.c_void_p
    multiply = ctypes.CFUNCTYPE(None, number, place)(library.address("multiply"))
    add = ctypes.CFUNCTYPE(None, number, place, number, place)(library.address("add"))
    return multiply, add, library


def _multiplying(lanes: Lanes) -> Code:
    """s = s·½ + 1 for some sums side by side, so many turns; nothing is read."""
    code = Code("void", "multiply", [("i64", "%turns"), ("ptr", "%out")])
    kind, half, one = lanes.text, lanes.splat(0.5), lanes.splat(1.0)
    starts = [(kind, lanes.splat(float(i))) for i in range(SUMS)]
    with code.loop("0", "%turns", carried=starts) as loop:
        loop.next = [
            code.call(kind, f"llvm.fma.{lanes.mangled}", (kind, total), (kind, half), (kind, one))
            for total in loop.carried
        ]
    _keep(code, lanes, loop.carried)
    return code


def _adding(lanes: Lanes) -> Code:
    """The sum of `%count` numbers, so many times over."""
    code = Code("void", "add", [("i64", "%times"), ("ptr", "%x"), ("i64", "%count"), ("ptr", "%out")])
    kind = lanes.text
    with code.loop("0", "%times", carried=[(kind, "zeroinitializer")] * READ) as again:
        each = [(kind, total) for total in again.carried]
        with code.loop("0", "%count", str(READ * lanes.lanes), carried=each) as loop:
            sums = []
            for i, total in enumerate(loop.carried):
                place = code.at("%x", "float", code.whole("add", loop.index, i * lanes.lanes))
                sums.append(code.op(f"fadd {kind} {total}, {code.load(kind, place, 4)}"))
            loop.next = sums
        again.next = loop.carried
    _keep(code, lanes, again.carried)
    return code


def _keep(code: Code, lanes: Lanes, sums: list[str]) -> None:
    """Write the sum of all somewhere, so that it has to be computed."""
    total = sums[0]
    for other in sums[1:]:
        total = code.op(f"fadd {lanes.text} {total}, {other}")
    code.store(lanes.text, total, "%out", 4)
    code.do("ret void")
