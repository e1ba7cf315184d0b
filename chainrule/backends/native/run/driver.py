"""The native driver: every thread walks the same table of calls; nobody waits for a thread that does nothing.

A *call* is eight words: the kernel's address, the address of its numbers, how many parts its work has, flags, for the
end of a loop how many rows its body has, how far below the row is that ends its group, and the parts of that group.
The rows of a *group* do not depend on each other; behind its last row there is a *barrier*. Each thread begins with its
own share of the parts, so that what one kernel wrote is in the cache of the thread that reads it next; whoever is done
early helps with the others' shares. Which thread does a part never changes what the part computes.

How threads wait for each other is in `waiting.py`.
"""

from __future__ import annotations

from chainrule.backends.native.language.code import Code
from chainrule.backends.native.run.waiting import JOB_SPINS, field, spins_now, wait_primitive, waiting_functions

CALL_WORDS = 8
BARRIER, STOP, BEGIN, END = 1, 2, 4, 8
#: Of a loop's numbers: how many there are before what moves, and for each of these.
HEAD_WORDS, MOVING_WORDS = 2, 5
#: What a thread keeps for a loop that it is in, before its addresses: `round` and addresses outside of the loop.
FRAME_WORDS = 2

#: What every thread reads once: see `_walk`.
_COUNTS = ("threads", "count", "scratch_bytes", "bases_count", "profile_words")


def words_to_count(calls: int, threads: int) -> int:
    """How many words a job counts in: which part of each thread's share is next, and how many of a group are done."""
    return calls * (threads + (threads > 1))


def _walk() -> Code:
    """What every thread does: all calls of the table, its share of each. The answer is whether it is still inside.

    Where a run is watched, `profile` has so many words for each call: the cycles that the first thread spent on it,
    waiting included, and for each thread that did parts when it began and when it had done them.

    In a loop a thread has a copy of the addresses, in which it moves on what moves. `round` is how often it has done
    these rows: counters of parts go on counting. A loop within a loop counts on from the times before: it is done when
    it has come to a multiple of its number.
    """
    code = Code("i1", "walk", [("ptr", "%pool"), ("i64", "%thread"), ("i32", "%job")])
    n = {name: code.load("i64", field(code, name)) for name in _COUNTS}
    table, bases, shares, scratch, profile = (
        code.load("ptr", field(code, name)) for name in ("table", "bases", "shares", "scratch", "profile")
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
    threads, count = code.load("i64", field(code, "threads")), code.load("i64", field(code, "count"))
    shares = code.load("ptr", field(code, "shares"))
    many = code.op(f"icmp sgt i64 {threads}, 1")
    words = code.whole("mul", count, code.whole("add", threads, code.op(f"zext i1 {many} to i64")))
    size = code.whole("mul", words, 8)
    code.call("void", "llvm.memset.p0.i64", ("ptr", shares), ("i8", "0"), ("i64", size), ("i1", "false"))
    with code.when(many):
        job = field(code, "job")
        code.op(f"atomicrmw add ptr {job}, i32 1 seq_cst")
        idle = code.op(f"load atomic i64, ptr {field(code, 'idle')} seq_cst, align 8")
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
    job = field(code, "job")
    _, spins = spins_now(code, JOB_SPINS)
    code.op(f"call i1 @await(ptr {job}, i32 {code.load('i32', '%known')}, i64 {spins}, ptr {field(code, 'idle')})")
    now = code.op(f"load atomic i32, ptr {job} acquire, align 4")
    code.store("i32", now, "%known")
    shut = code.op(f"load atomic i64, ptr {field(code, 'shut')} acquire, align 8")
    code.branch(code.op(f"icmp ne i64 {shut}, 0"), at["done"], at["look"])
    code.start(at["look"])
    odd = code.op(f"trunc i32 {now} to i1")
    code.branch(odd, at["enter"], at["wait"])
    code.start(at["enter"])
    code.branch(code.op(f"call i1 @come_in(ptr %pool, i32 {now})"), at["inside"], at["wait"])
    code.start(at["inside"])
    threads = code.load("i64", field(code, "threads"))
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
        *waiting_functions(), _begin_loop(), _move_on(), _walk(), _run(), _serve(),
    ]  # fmt: skip
    declared = sorted({line for code in functions for line in code.intrinsics})
    head = ["declare i64 @llvm.readcyclecounter()", *declared]
    return "\n".join([*head, wait_primitive(), *[code.text() for code in functions]])
