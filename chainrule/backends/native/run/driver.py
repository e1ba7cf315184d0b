"""The native driver: every thread walks the same table of calls; nobody waits for a thread that does nothing.

A *call* is eight words: the kernel's address, the address of its numbers, how many parts its work has, flags, for the
end of a loop how many rows its body has, how far below the row is that ends its group, and the parts of that group.
The rows of a *group* do not depend on each other; behind its last row there is a *barrier*. Each thread begins with its
own share of the parts, so that what one kernel wrote is in the cache of the thread that reads it next; whoever is done
early helps with the others' shares. Which thread does a part never changes what the part computes.

A barrier waits for parts, not for threads: it opens when all parts of its group are done, whoever did them. So any
thread could do everything alone. One that wakes up late, or that the system has taken its core from, is waited for only
if it is in the middle of a part; it walks the table behind the others, finds nothing left to do, and catches up.

The caller is thread 0. It announces a *job* (the word counts up to an odd number), and closes it when it is through (an
even one). A worker that takes part is counted as *inside*, before it looks at anything of the job's; the caller waits
until nobody is, as the job's memory is only lent. A worker that waits long goes out, and looks whether the job is still
the same before it comes in again.

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
    "inside": 16, "turn": 24, "sleepers": 32, "idle": 40, "doubt": 48, "in_vain": 49, "leaving": 56,
}  # fmt: skip
POOL_WORDS = 64

#: What every thread reads once: see `_walk`.
_COUNTS = ("threads", "count", "scratch_bytes", "bases_count", "profile_words")

#: How often a waiting thread looks again before it sleeps: at a barrier, between jobs, and in doubt.
BARRIER_SPINS, JOB_SPINS, FEW_SPINS = 4000, 12000, 50
#: So often in a row looking must be in vain before threads doubt, and for so many waits they do. (A wait alone says
#: little: the others may have much to do.)
TRUST, DOUBT = 8, 64


def words_to_count(calls: int, threads: int) -> int:
    """How many words a job counts in: which part of each thread's share is next, and how many of a group are done."""
    return calls * (threads + (threads > 1))


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
    """Wait until so many parts are done. The answer is whether the thread is still inside: not if the job is over."""
    arguments = [("ptr", "%pool"), ("i64", "%thread"), ("i32", "%job"), ("ptr", "%done"), ("i64", "%wanted")]
    code = Code("i1", "barrier", arguments)
    names = (
        "look",
        "close",
        "spin",
        "pause",
        "wait",
        "leave",
        "sleep",
        "again",
        "return",
        "there",
        "on",
        "late",
        "over",
    )
    at = {name: code.label(name) for name in names}
    turn, sleepers = _field(code, "turn"), _field(code, "sleepers")
    caller = code.op("icmp eq i64 %thread, 0")
    code.do("%tries = alloca i64")
    code.jump(at["look"])
    code.start(at["look"])
    old = code.op(f"load atomic i32, ptr {turn} seq_cst, align 4")
    done = code.op("load atomic i64, ptr %done acquire, align 8")
    code.branch(code.op(f"icmp sge i64 {done}, %wanted"), at["there"], at["close"])
    code.start(at["close"])  # most waits are short: look a little before going out
    code.store("i64", "0", "%tries")
    code.jump(at["spin"])
    code.start(at["spin"])
    now = code.op(f"load atomic i32, ptr {turn} acquire, align 4")
    tries = code.whole("add", code.load("i64", "%tries"), 1)
    code.store("i64", tries, "%tries")
    same, few = code.op(f"icmp eq i32 {now}, {old}"), code.op(f"icmp sle i64 {tries}, {FEW_SPINS}")
    code.branch(same, at["pause"], at["look"])
    code.start(at["pause"])
    _pause(code)
    code.branch(few, at["spin"], at["wait"])
    code.start(at["wait"])
    doubt, spins = _spins(code, BARRIER_SPINS)
    code.branch(caller, at["sleep"], at["leave"])
    code.start(at["leave"])
    code.do("call void @go_out(ptr %pool)")
    code.jump(at["sleep"])
    code.start(at["sleep"])
    slept = code.op(f"call i1 @await(ptr {turn}, i32 {old}, i64 {spins}, ptr {sleepers})")
    _learn(code, doubt, slept)
    code.branch(caller, at["look"], at["return"])
    code.start(at["return"])
    code.branch(code.op("call i1 @come_in(ptr %pool, i32 %job)"), at["look"], at["over"])
    code.start(at["there"])  # a worker that is far behind need not walk to the end
    now = code.op(f"load atomic i32, ptr {_field(code, 'job')} acquire, align 4")
    same = code.op(f"icmp eq i32 {now}, %job")
    code.branch(code.op(f"or i1 {caller}, {same}"), at["on"], at["late"])
    code.start(at["on"])
    code.do("ret i1 true")
    code.start(at["late"])
    code.do("call void @go_out(ptr %pool)")
    code.jump(at["over"])
    code.start(at["over"])
    code.do("ret i1 false")
    return code


def _count_done() -> Code:
    """Count parts that are done; whoever completes the group lets the others go on."""
    arguments = [("ptr", "%pool"), ("ptr", "%done"), ("i64", "%count"), ("i64", "%wanted")]
    code = Code("void", "count_done", arguments)
    before = code.op("atomicrmw add ptr %done, i64 %count acq_rel")
    complete = code.op(f"icmp eq i64 {code.whole('add', before, '%count')}, %wanted")
    with code.when(complete):
        _next_turn(code)
    code.do("ret void")
    return code


def _next_turn(code: Code) -> None:
    """Whoever waits shall look again."""
    turn = _field(code, "turn")
    code.op(f"atomicrmw add ptr {turn}, i32 1 seq_cst")
    asleep = code.op(f"load atomic i64, ptr {_field(code, 'sleepers')} seq_cst, align 8")
    with code.when(code.op(f"icmp ne i64 {asleep}, 0")):
        code.do(f"call void @wake(ptr {turn})")


def _come_in() -> Code:
    """A worker is inside from now on, if the job is still the one that it knows; the answer says whether it is."""
    code = Code("i1", "come_in", [("ptr", "%pool"), ("i32", "%job")])
    code.op(f"atomicrmw add ptr {_field(code, 'inside')}, i32 1 seq_cst")
    now = code.op(f"load atomic i32, ptr {_field(code, 'job')} seq_cst, align 4")
    same = code.op(f"icmp eq i32 {now}, %job")
    with code.when(code.op(f"xor i1 {same}, true")):
        code.do("call void @go_out(ptr %pool)")
    code.do(f"ret i1 {same}")
    return code


def _go_out() -> Code:
    """A worker is no longer inside. The caller may be asleep until nobody is."""
    code = Code("void", "go_out", [("ptr", "%pool")])
    inside = _field(code, "inside")
    before = code.op(f"atomicrmw sub ptr {inside}, i32 1 seq_cst")
    asleep = code.op(f"load atomic i64, ptr {_field(code, 'leaving')} seq_cst, align 8")
    last, awaited = code.op(f"icmp eq i32 {before}, 1"), code.op(f"icmp ne i64 {asleep}, 0")
    with code.when(code.op(f"and i1 {last}, {awaited}")):
        code.do(f"call void @wake(ptr {inside})")
    code.do("ret void")
    return code


def _close_job() -> Code:
    """The caller is through: nobody comes in any more, and it waits until all are out."""
    code = Code("void", "close_job", [("ptr", "%pool")])
    look, wait, done = (code.label(x) for x in ("look", "wait", "done"))
    inside = _field(code, "inside")
    code.op(f"atomicrmw add ptr {_field(code, 'job')}, i32 1 seq_cst")
    _next_turn(code)
    code.jump(look)
    code.start(look)
    now = code.op(f"load atomic i32, ptr {inside} seq_cst, align 4")
    code.branch(code.op(f"icmp eq i32 {now}, 0"), done, wait)
    code.start(wait)
    doubt, spins = _spins(code, BARRIER_SPINS)
    slept = code.op(f"call i1 @await(ptr {inside}, i32 {now}, i64 {spins}, ptr {_field(code, 'leaving')})")
    _learn(code, doubt, slept)
    code.jump(look)
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
    """What every thread does: all calls of the table, its share of each. The answer is whether it is still inside.

    Where a run is watched, `profile` has so many words for each call: the cycles that the first thread spent on it,
    waiting included, and for each thread that did parts when it began and when it had done them.

    In a loop a thread has a copy of the addresses, in which it moves on what moves. `round` is how often it has done
    these rows: counters of parts go on counting. A loop within a loop counts on from the times before: it is done when
    it has come to a multiple of its number.
    """
    code = Code("i1", "walk", [("ptr", "%pool"), ("i64", "%thread"), ("i32", "%job")])
    n = {name: code.load("i64", _field(code, name)) for name in _COUNTS}
    table, bases, shares, scratch, profile = (
        code.load("ptr", _field(code, name)) for name in ("table", "bases", "shares", "scratch", "profile")
    )
    status = code.load("ptr", bases)
    mine = code.at(scratch, "i8", code.op(f"mul i64 {n['scratch_bytes']}, %thread"))
    alone = code.op(f"icmp eq i64 {n['threads']}, 1")
    watched = code.op(f"icmp ne ptr {profile}, null")
    watching = code.op(f"and i1 {watched}, {code.op('icmp eq i64 %thread, 0')}")
    starts = ("row", "i64", "0"), ("round", "i64", "0"), ("did", "i64", "0"), ("addresses", "ptr", bases)
    for name, kind, start in starts:
        code.do(f"%{name} = alloca {kind}")
        code.store(kind, start, f"%{name}")
    finished = code.at(shares, "i64", code.op(f"mul i64 {n['count']}, {n['threads']}"))
    head, more, begin, work, end, stop, over = (
        code.label(x) for x in ("head", "more", "begin", "work", "end", "stop", "over")
    )
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
    rounds = code.whole("add", code.load("i64", "%round"), 1)
    wanted = code.op(f"mul i64 {rounds}, {code.load('i64', code.at(at, 'i64', '6'))}")
    done = code.at(finished, "i64", code.whole("add", index, code.load("i64", code.at(at, "i64", "5"))))
    code.store("i64", "0", "%did")
    with code.when(code.op(f"icmp ne ptr {kernel}, null")):
        _parts(code, n["threads"], index, shares, parts, [kernel, numbers, mine])
    did = code.load("i64", "%did")
    busy = code.op(f"icmp ne i64 {did}, 0")
    entry = code.at(profile, "i64", code.op(f"mul i64 {index}, {n['profile_words']}"))
    with code.when(code.op(f"and i1 {watched}, {busy}")):
        own = code.at(entry, "i64", code.whole("add", code.whole("mul", "%thread", 2), 1))
        code.store("i64", start, own)
        code.store("i64", code.op("call i64 @llvm.readcyclecounter()"), code.at(own, "i64", "1"))
    many = code.op(f"xor i1 {alone}, true")
    with code.when(code.op(f"and i1 {many}, {busy}")):
        code.do(f"call void @count_done(ptr %pool, ptr {done}, i64 {did}, i64 {wanted})")
    barrier = code.op(f"icmp ne i64 {code.whole('and', flags, BARRIER)}, 0")
    with code.when(code.op(f"and i1 {many}, {barrier}")):
        inside = code.op(f"call i1 @barrier(ptr %pool, i64 %thread, i32 %job, ptr {done}, i64 {wanted})")
        on = code.label("on")
        code.branch(inside, on, over)
        code.start(on)
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
    code.do("ret i1 true")
    code.start(over)
    code.do("ret i1 false")
    return code


def _parts(code: Code, threads: str, index: str, shares: str, parts: str, given: list[str]) -> None:
    """Take parts of a call until none is left, and count them.

    Shares are visited in turn, one's own first; a counter for each says which of its parts is next. In round r of a
    loop those from r·size on are the round's, so a thread that comes late finds that they have been taken.
    """
    kernel, numbers, mine = given
    addresses, rounds = code.load("ptr", "%addresses"), code.load("i64", "%round")
    with code.loop("0", threads) as turn:
        owner = code.whole("urem", code.whole("add", "%thread", turn.index), threads)
        low = code.whole("udiv", code.whole("mul", owner, parts), threads)
        high = code.whole("udiv", code.whole("mul", code.whole("add", owner, 1), parts), threads)
        first = code.whole("mul", rounds, code.whole("sub", high, low))
        limit = code.whole("add", first, code.whole("sub", high, low))
        counter = code.at(shares, "i64", code.whole("add", code.whole("mul", index, threads), owner))
        look, take, work, done = (code.label(x) for x in ("look", "take", "work", "done"))
        code.jump(look)
        code.start(look)
        number = code.op(f"load atomic i64, ptr {counter} monotonic, align 8")
        code.branch(code.op(f"icmp slt i64 {number}, {limit}"), take, done)
        code.start(take)
        following = code.whole("add", number, 1)
        pair = code.op(f"cmpxchg ptr {counter}, i64 {number}, i64 {following} monotonic monotonic")
        code.branch(code.op(f"extractvalue {{ i64, i1 }} {pair}, 1"), work, look)
        code.start(work)
        part = code.whole("add", low, code.whole("sub", number, first))
        code.do(f"call void {kernel}(ptr {numbers}, ptr {addresses}, i64 {part}, ptr {mine})")
        code.store("i64", code.whole("add", code.load("i64", "%did"), 1), "%did")
        code.jump(look)
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
    """The calling thread: announce the job, take part as thread 0, and return when all is done."""
    code = Code("void", "run", [("ptr", "%pool")])
    threads, count = code.load("i64", _field(code, "threads")), code.load("i64", _field(code, "count"))
    shares = code.load("ptr", _field(code, "shares"))
    many = code.op(f"icmp sgt i64 {threads}, 1")
    words = code.whole("mul", count, code.whole("add", threads, code.op(f"zext i1 {many} to i64")))
    size = code.whole("mul", words, 8)
    code.call("void", "llvm.memset.p0.i64", ("ptr", shares), ("i8", "0"), ("i64", size), ("i1", "false"))
    with code.when(many):
        job = _field(code, "job")
        code.op(f"atomicrmw add ptr {job}, i32 1 seq_cst")
        idle = code.op(f"load atomic i64, ptr {_field(code, 'idle')} seq_cst, align 8")
        with code.when(code.op(f"icmp ne i64 {idle}, 0")):
            code.do(f"call void @wake(ptr {job})")
    code.op("call i1 @walk(ptr %pool, i64 0, i32 0)")
    with code.when(many):
        code.do("call void @close_job(ptr %pool)")
    code.do("ret void")
    return code


def _serve() -> Code:
    """A worker: wait for a job, take part in it, again and again until the pool is shut."""
    code = Code("void", "serve", [("ptr", "%pool"), ("i64", "%thread"), ("i32", "%seen")])
    names = ("wait", "look", "enter", "inside", "part", "leave", "done")
    at = {name: code.label(name) for name in names}
    code.do("%known = alloca i32")
    code.store("i32", "%seen", "%known")
    code.jump(at["wait"])
    code.start(at["wait"])
    job = _field(code, "job")
    _, spins = _spins(code, JOB_SPINS)
    code.op(f"call i1 @await(ptr {job}, i32 {code.load('i32', '%known')}, i64 {spins}, ptr {_field(code, 'idle')})")
    now = code.op(f"load atomic i32, ptr {job} acquire, align 4")
    code.store("i32", now, "%known")
    shut = code.op(f"load atomic i64, ptr {_field(code, 'shut')} acquire, align 8")
    code.branch(code.op(f"icmp ne i64 {shut}, 0"), at["done"], at["look"])
    code.start(at["look"])
    odd = code.op(f"trunc i32 {now} to i1")
    code.branch(odd, at["enter"], at["wait"])
    code.start(at["enter"])
    code.branch(code.op(f"call i1 @come_in(ptr %pool, i32 {now})"), at["inside"], at["wait"])
    code.start(at["inside"])
    threads = code.load("i64", _field(code, "threads"))
    code.branch(code.op(f"icmp slt i64 %thread, {threads}"), at["part"], at["leave"])
    code.start(at["part"])
    code.branch(code.op(f"call i1 @walk(ptr %pool, i64 %thread, i32 {now})"), at["leave"], at["wait"])
    code.start(at["leave"])
    code.do("call void @go_out(ptr %pool)")
    code.jump(at["wait"])
    code.start(at["done"])
    code.do("ret void")
    return code


def driver_text() -> str:
    """The whole driver as a module."""
    functions = [
        _await(), _go_out(), _come_in(), _barrier(), _count_done(), _close_job(), _begin_loop(), _move_on(), _walk(),
        _run(), _serve(),
    ]  # fmt: skip
    declared = sorted({line for code in functions for line in code.intrinsics})
    head = ["declare i64 @llvm.readcyclecounter()", *declared]
    return "\n".join([*head, wait_primitive(), *[code.text() for code in functions]])
