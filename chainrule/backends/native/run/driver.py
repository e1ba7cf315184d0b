"""The native driver: every thread walks the same table of calls, with barriers in between.

A *call* is eight words: the kernel's address, the address of its numbers, how many parts its work has, flags, for the
end of a loop how many rows its body has, and three spare ones. Each thread begins with its own share of the parts, so
that what one kernel wrote is in the cache of the thread that reads it next; whoever is done early helps with the
others' shares. Which thread does a part never changes what the part computes.

A thread that waits looks again and again, which is quickest where the others have a core each; then it sleeps. Beside
other processes looking is wrong: whoever is waited for may need just that core. So where looking has been in vain some
times in a row, the threads *doubt*: for some waits they soon sleep, and then look for long once more.

The *pool* is a block of words that all threads see; `FIELDS` says what is where. Words that are written often have a
cache line of their own.
"""

from __future__ import annotations

import platform
import sys

from chainrule.backends.native.language.code import Code

CALL_WORDS = 8
BARRIER, STOP, BEGIN, END = 1, 2, 4, 8
#: Of a loop's numbers: how many there are before what moves, and for each of these.
HEAD_WORDS, MOVING_WORDS = 2, 5
#: What a thread keeps for a loop that it is in, before its addresses: `round` and addresses outside of the loop.
FRAME_WORDS = 2
FIELDS = {
    "job": 0, "shut": 1, "threads": 2, "table": 3, "count": 4, "bases": 5, "shares": 6, "scratch": 7,
    "scratch_bytes": 8, "profile": 9, "bases_count": 10, "profile_words": 11,
    "arrived": 16, "turn": 24, "sleepers": 32, "idle": 40, "doubt": 48, "in_vain": 49,
}  # fmt: skip
POOL_WORDS = 64
#: What every thread reads once: see `_walk`.
_COUNTS = ("threads", "count", "scratch_bytes", "bases_count", "profile_words")

#: How often a waiting thread looks again before it sleeps: at a barrier, between jobs, and in doubt.
BARRIER_SPINS, JOB_SPINS, FEW_SPINS = 4000, 12000, 50
#: So often in a row looking must be in vain before threads doubt, and for so many waits they do. (A wait alone says
#: little: the others may have much to do.)
TRUST, DOUBT = 8, 64


def _pause(code: Code) -> None:
    """Tell the processor that this is a waiting loop."""
    if platform.machine() in ("x86_64", "AMD64"):
        code.call("void", "llvm.x86.sse2.pause")
    elif platform.machine() in ("aarch64", "arm64"):
        code.call("void", "llvm.aarch64.hint", ("i32", "1"))


def wait_primitive() -> str:
    """`@sleep(word, value)` sleeps while the 32-bit word holds the value; `@wake(word)` wakes all who sleep there."""
    if sys.platform == "linux":
        number = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 202)
        return f"""
declare i64 @syscall(i64, ...)
define void @sleep(ptr %word, i32 %value) nounwind {{
  call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 128, i32 %value, ptr null, ptr null, i64 0)
  ret void
}}
define void @wake(ptr %word) nounwind {{
  call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 129, i64 2147483647, ptr null, ptr null, i64 0)
  ret void
}}
"""
    if sys.platform == "darwin":
        return """
declare i32 @__ulock_wait(i32, ptr, i64, i32)
declare i32 @__ulock_wake(i32, ptr, i64)
define void @sleep(ptr %word, i32 %value) nounwind {
  %wide = zext i32 %value to i64
  call i32 @__ulock_wait(i32 1, ptr %word, i64 %wide, i32 0)
  ret void
}
define void @wake(ptr %word) nounwind {
  call i32 @__ulock_wake(i32 257, ptr %word, i64 0)
  ret void
}
"""
    return """
declare i32 @WaitOnAddress(ptr, ptr, i64, i32)
declare void @WakeByAddressAll(ptr)
define void @sleep(ptr %word, i32 %value) nounwind {
  %held = alloca i32
  store i32 %value, ptr %held
  call i32 @WaitOnAddress(ptr %word, ptr %held, i64 4, i32 -1)
  ret void
}
define void @wake(ptr %word) nounwind {
  call void @WakeByAddressAll(ptr %word)
  ret void
}
"""


def _field(code: Code, name: str) -> str:
    return code.at("%pool", "i64", str(FIELDS[name]))


def _await() -> Code:
    """Wait until a 32-bit word is no longer `old`: look a while, then sleep. `sleepers` counts who sleeps.

    The answer says whether it slept.
    """
    arguments = [("ptr", "%word"), ("i32", "%old"), ("i64", "%spins"), ("ptr", "%sleepers")]
    code = Code("i1", "await", arguments)
    look, spin, again, sleep, done = (code.label(x) for x in ("look", "spin", "again", "sleep", "done"))
    code.do("%tries = alloca i64")
    code.do("%slept = alloca i1")
    code.store("i64", "0", "%tries")
    code.store("i1", "false", "%slept")
    code.jump(look)
    code.start(look)
    now = code.op("load atomic i32, ptr %word acquire, align 4")
    code.branch(code.op(f"icmp ne i32 {now}, %old"), done, spin)
    code.start(spin)
    tries = code.op(f"add i64 {code.load('i64', '%tries')}, 1")
    code.store("i64", tries, "%tries")
    code.branch(code.op(f"icmp slt i64 {tries}, %spins"), again, sleep)
    code.start(again)
    _pause(code)
    code.jump(look)
    code.start(sleep)
    code.op("atomicrmw add ptr %sleepers, i64 1 seq_cst")
    code.do("call void @sleep(ptr %word, i32 %old)")
    code.op("atomicrmw sub ptr %sleepers, i64 1 seq_cst")
    code.store("i1", "true", "%slept")
    code.jump(look)
    code.start(done)
    code.do(f"ret i1 {code.load('i1', '%slept')}")
    return code


def _barrier() -> Code:
    """Nobody goes on before all have come."""
    code = Code("void", "barrier", [("ptr", "%pool"), ("i64", "%threads")])
    last, wait, wake, done = (code.label(x) for x in ("last", "wait", "wake", "done"))
    turn, arrived, sleepers = _field(code, "turn"), _field(code, "arrived"), _field(code, "sleepers")
    old = code.op(f"load atomic i32, ptr {turn} acquire, align 4")
    before = code.op(f"atomicrmw add ptr {arrived}, i64 1 acq_rel")
    here = code.op(f"add i64 {before}, 1")
    code.branch(code.op(f"icmp eq i64 {here}, %threads"), last, wait)
    code.start(last)
    code.do(f"store atomic i64 0, ptr {arrived} release, align 8")
    code.op(f"atomicrmw add ptr {turn}, i32 1 seq_cst")
    asleep = code.op(f"load atomic i64, ptr {sleepers} seq_cst, align 8")
    code.branch(code.op(f"icmp ne i64 {asleep}, 0"), wake, done)
    code.start(wake)
    code.do(f"call void @wake(ptr {turn})")
    code.jump(done)
    code.start(wait)
    doubt, spins = _spins(code, BARRIER_SPINS)
    slept = code.op(f"call i1 @await(ptr {turn}, i32 {old}, i64 {spins}, ptr {sleepers})")
    _learn(code, doubt, slept)
    code.jump(done)
    code.start(done)
    code.do("ret void")
    return code


def _spins(code: Code, hopeful: int) -> tuple[str, str]:
    """The waits for which threads still doubt, and how often to look now: `hopeful` times if there are none."""
    doubt = code.op(f"load atomic i64, ptr {_field(code, 'doubt')} monotonic, align 8")
    trusts = code.op(f"icmp eq i64 {doubt}, 0")
    return doubt, code.op(f"select i1 {trusts}, i64 {hopeful}, i64 {FEW_SPINS}")


def _learn(code: Code, doubt: str, slept: str) -> None:
    """What a wait says about looking.

    Without doubt: in_vain ← in_vain + 1 if the thread slept, else 0; doubt ← DOUBT once that reaches TRUST.
    In doubt: doubt ← doubt − 1; in_vain stays, so that one more wait in vain brings the doubt back.

    Threads may write over each other's words: a wait more or less that is counted does no harm.
    """
    before = code.op(f"load atomic i64, ptr {_field(code, 'in_vain')} monotonic, align 8")
    trusts = code.op(f"icmp eq i64 {doubt}, 0")
    in_a_row = code.op(f"select i1 {slept}, i64 {code.whole('add', before, 1)}, i64 0")
    lost = code.op(f"icmp sge i64 {in_a_row}, {TRUST}")
    begun = code.op(f"select i1 {lost}, i64 {DOUBT}, i64 0")
    left = code.op(f"select i1 {trusts}, i64 {begun}, i64 {code.whole('sub', doubt, 1)}")
    in_vain = code.op(f"select i1 {trusts}, i64 {in_a_row}, i64 {before}")
    for name, now, new in ("doubt", doubt, left), ("in_vain", before, in_vain):
        with code.when(code.op(f"icmp ne i64 {now}, {new}")):  # a word that all read is written only if it changes
            code.do(f"store atomic i64 {new}, ptr {_field(code, name)} monotonic, align 8")


def _walk() -> Code:
    """What every thread does: all calls of the table, its share of each.

    Where a run is watched, `profile` has so many words for each call: the cycles that the first thread spent on it,
    waiting included, and for each thread when it began and when it had done its parts.

    In a loop a thread has a copy of the addresses, in which it moves on what moves. `round` is how often it has done
    these rows: a counter of parts goes on counting, and each time every thread has taken one number too many from it.
    A loop within a loop counts on from the times before: it is done when it has come to a multiple of its number.
    """
    code = Code("void", "walk", [("ptr", "%pool"), ("i64", "%thread")])
    n = {name: code.load("i64", _field(code, name)) for name in _COUNTS}
    table, bases, shares, scratch, profile = (
        code.load("ptr", _field(code, name)) for name in ("table", "bases", "shares", "scratch", "profile")
    )
    status = code.load("ptr", bases)
    mine = code.at(scratch, "i8", code.op(f"mul i64 {n['scratch_bytes']}, %thread"))
    alone = code.op(f"icmp eq i64 {n['threads']}, 1")
    watched = code.op(f"icmp ne ptr {profile}, null")
    watching = code.op(f"and i1 {watched}, {code.op('icmp eq i64 %thread, 0')}")
    for name, kind, start in ("row", "i64", "0"), ("round", "i64", "0"), ("addresses", "ptr", bases):
        code.do(f"%{name} = alloca {kind}")
        code.store(kind, start, f"%{name}")
    head, more, begin, work, end, stop = (code.label(x) for x in ("head", "more", "begin", "work", "end", "stop"))
    code.jump(head)
    code.start(head)
    index = code.load("i64", "%row")
    code.branch(code.op(f"icmp slt i64 {index}, {n['count']}"), more, stop)
    code.start(more)
    code.store("i64", code.whole("add", index, 1), "%row")
    at = code.at(table, "i64", code.whole("mul", index, CALL_WORDS))
    kernel, numbers = code.load("ptr", at), code.load("ptr", code.at(at, "i64", "1"))
    parts, flags = code.load("i64", code.at(at, "i64", "2")), code.load("i64", code.at(at, "i64", "3"))
    start = code.op("call i64 @llvm.readcyclecounter()")
    code.branch(code.op(f"icmp ne i64 {code.whole('and', flags, BEGIN)}, 0"), begin, work)
    code.start(begin)
    frame = code.at(mine, "i8", code.load("i64", numbers))
    outside = code.load("i64", "%round")
    code.store("i64", outside, frame)
    code.store("ptr", code.load("ptr", "%addresses"), code.at(frame, "i64", "1"))
    code.do(f"call void @begin_loop(ptr {numbers}, i64 {n['bases_count']}, ptr {frame})")
    code.store("i64", code.whole("mul", outside, parts), "%round")
    code.store("ptr", code.at(frame, "i64", str(FRAME_WORDS)), "%addresses")
    code.jump(head)
    code.start(work)
    with code.when(code.op(f"icmp ne ptr {kernel}, null")):
        _parts(code, n["threads"], index, shares, parts, [kernel, numbers, mine])
    entry = code.at(profile, "i64", code.op(f"mul i64 {index}, {n['profile_words']}"))
    with code.when(watched):
        own = code.at(entry, "i64", code.whole("add", code.whole("mul", "%thread", 2), 1))
        code.store("i64", start, own)
        code.store("i64", code.op("call i64 @llvm.readcyclecounter()"), code.at(own, "i64", "1"))
    wanted = code.op(f"icmp ne i64 {code.whole('and', flags, BARRIER)}, 0")
    together = code.op(f"and i1 {wanted}, {code.op(f'xor i1 {alone}, true')}")
    with code.when(together):
        code.do(f"call void @barrier(ptr %pool, i64 {n['threads']})")
    with code.when(watching):
        spent = code.op(f"sub i64 {code.op('call i64 @llvm.readcyclecounter()')}, {start}")
        code.store("i64", code.op(f"add i64 {code.load('i64', entry)}, {spent}"), entry)
    with code.when(code.op(f"icmp ne i64 {code.whole('and', flags, END)}, 0")):
        frame = code.at(mine, "i8", code.load("i64", numbers))
        outside, around = code.load("i64", frame), code.load("ptr", code.at(frame, "i64", "1"))
        done = code.whole("add", code.load("i64", "%round"), 1)
        again = code.op(f"icmp slt i64 {done}, {code.whole('mul', code.whole('add', outside, 1), parts)}")
        back = code.op(f"sub i64 {index}, {code.load('i64', code.at(at, 'i64', '4'))}")
        onwards = code.load("i64", "%row")
        code.store("i64", code.op(f"select i1 {again}, i64 {done}, i64 {outside}"), "%round")
        code.store("i64", code.op(f"select i1 {again}, i64 {back}, i64 {onwards}"), "%row")
        here = code.load("ptr", "%addresses")
        code.store("ptr", code.op(f"select i1 {again}, ptr {here}, ptr {around}"), "%addresses")
        with code.when(again):
            code.do(f"call void @move_on(ptr {numbers}, ptr {here})")
    may_stop = code.op(f"icmp ne i64 {code.whole('and', flags, STOP)}, 0")
    code.branch(may_stop, end, head)
    code.start(end)
    error = code.op(f"load atomic i64, ptr {status} acquire, align 8")
    code.branch(code.op(f"icmp ne i64 {error}, 0"), stop, head)
    code.start(stop)
    with code.when(code.op(f"xor i1 {alone}, true")):
        code.do(f"call void @barrier(ptr %pool, i64 {n['threads']})")
    code.do("ret void")
    return code


def _parts(code: Code, threads: str, index: str, shares: str, parts: str, given: list[str]) -> None:
    """Take parts of a call until none is left.

    Shares are visited in turn, one's own first; a counter for each says which of its parts is next.
    """
    kernel, numbers, mine = given
    addresses, rounds = code.load("ptr", "%addresses"), code.load("i64", "%round")
    with code.loop("0", threads) as turn:
        owner = code.whole("urem", code.whole("add", "%thread", turn.index), threads)
        low = code.whole("udiv", code.whole("mul", owner, parts), threads)
        high = code.whole("udiv", code.whole("mul", code.whole("add", owner, 1), parts), threads)
        each = code.whole("add", code.whole("sub", high, low), threads)
        before = code.whole("sub", low, code.whole("mul", rounds, each))
        counter = code.at(shares, "i64", code.whole("add", code.whole("mul", index, threads), owner))
        take, work, done = code.label("take"), code.label("work"), code.label("done")
        code.jump(take)
        code.start(take)
        number = code.op(f"atomicrmw add ptr {counter}, i64 1 monotonic")
        part = code.op(f"add i64 {before}, {number}")
        code.branch(code.op(f"icmp slt i64 {part}, {high}"), work, done)
        code.start(work)
        code.do(f"call void {kernel}(ptr {numbers}, ptr {addresses}, i64 {part}, ptr {mine})")
        code.jump(take)
        code.start(done)


def _moving(code: Code, which: str) -> list[str]:
    """The numbers of one thing that moves: its slot, where it lies within and begins, its step, its partner's slot."""
    first = code.whole("add", code.whole("mul", which, MOVING_WORDS), HEAD_WORDS)
    return [code.load("i64", code.at("%numbers", "i64", code.whole("add", first, i))) for i in range(MOVING_WORDS)]


def _begin_loop() -> Code:
    """Copy the addresses outside of a loop, and put what moves where it begins."""
    code = Code("void", "begin_loop", [("ptr", "%numbers"), ("i64", "%count"), ("ptr", "%frame")])
    around = code.load("ptr", code.at("%frame", "i64", "1"))
    own = code.at("%frame", "i64", str(FRAME_WORDS))
    with code.loop("0", "%count") as base:
        code.store("i64", code.load("i64", code.at(around, "i64", base.index)), code.at(own, "i64", base.index))
    with code.loop("0", code.load("i64", code.at("%numbers", "i64", "1"))) as which:
        slot, within, offset, _, _ = _moving(code, which.index)
        place = code.whole("add", code.load("i64", code.at(around, "i64", within)), offset)
        code.store("i64", place, code.at(own, "i64", slot))
    code.do("ret void")
    return code


def _move_on() -> Code:
    """Once round: what moves is a step further; what has a partner exchanges places with it."""
    code = Code("void", "move_on", [("ptr", "%numbers"), ("ptr", "%own")])
    with code.loop("0", code.load("i64", code.at("%numbers", "i64", "1"))) as which:
        slot, _, _, step, partner = _moving(code, which.index)
        here, there = code.at("%own", "i64", slot), code.at("%own", "i64", partner)
        place = code.load("i64", here)
        code.store("i64", code.whole("add", place, step), here)
        with code.when(code.op(f"icmp ne i64 {partner}, 0")):
            code.store("i64", code.load("i64", there), here)
            code.store("i64", place, there)
    code.do("ret void")
    return code


def _run() -> Code:
    """The calling thread: announce the job, take part as thread 0, and return when all are done."""
    code = Code("void", "run", [("ptr", "%pool")])
    threads, count = code.load("i64", _field(code, "threads")), code.load("i64", _field(code, "count"))
    shares = code.load("ptr", _field(code, "shares"))
    size = code.op(f"shl i64 {code.op(f'mul i64 {threads}, {count}')}, 3")
    code.call("void", "llvm.memset.p0.i64", ("ptr", shares), ("i8", "0"), ("i64", size), ("i1", "false"))
    with code.when(code.op(f"icmp sgt i64 {threads}, 1")):
        job = _field(code, "job")
        code.op(f"atomicrmw add ptr {job}, i32 1 seq_cst")
        idle = code.op(f"load atomic i64, ptr {_field(code, 'idle')} seq_cst, align 8")
        with code.when(code.op(f"icmp ne i64 {idle}, 0")):
            code.do(f"call void @wake(ptr {job})")
    code.do("call void @walk(ptr %pool, i64 0)")
    code.do("ret void")
    return code


def _serve() -> Code:
    """A worker: wait for a job, take part in it, again and again until the pool is shut."""
    code = Code("void", "serve", [("ptr", "%pool"), ("i64", "%thread"), ("i32", "%seen")])
    wait, work, part, done = (code.label(x) for x in ("wait", "work", "part", "done"))
    code.do("%known = alloca i32")
    code.store("i32", "%seen", "%known")
    code.jump(wait)
    code.start(wait)
    job = _field(code, "job")
    old = code.load("i32", "%known")
    _, spins = _spins(code, JOB_SPINS)
    code.op(f"call i1 @await(ptr {job}, i32 {old}, i64 {spins}, ptr {_field(code, 'idle')})")
    # One job at a time: its number is one more, whatever has come since.
    code.store("i32", code.op(f"add i32 {old}, 1"), "%known")
    shut = code.op(f"load atomic i64, ptr {_field(code, 'shut')} acquire, align 8")
    code.branch(code.op(f"icmp ne i64 {shut}, 0"), done, work)
    code.start(work)
    threads = code.load("i64", _field(code, "threads"))
    code.branch(code.op(f"icmp slt i64 %thread, {threads}"), part, wait)
    code.start(part)
    code.do("call void @walk(ptr %pool, i64 %thread)")
    code.jump(wait)
    code.start(done)
    code.do("ret void")
    return code


def driver_text() -> str:
    """The whole driver as a module."""
    functions = [_await(), _barrier(), _begin_loop(), _move_on(), _walk(), _run(), _serve()]
    declared = sorted({line for code in functions for line in code.intrinsics})
    head = ["declare i64 @llvm.readcyclecounter()", *declared]
    return "\n".join([*head, wait_primitive(), *[code.text() for code in functions]])
