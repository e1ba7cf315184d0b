"""How the threads of a program wait for each other: for work that is to be done, never for a thread that does nothing.

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

FIELDS = {
    "job": 0, "shut": 1, "threads": 2, "table": 3, "count": 4, "bases": 5, "shares": 6, "scratch": 7,
    "scratch_bytes": 8, "profile": 9, "bases_count": 10, "profile_words": 11,
    "inside": 16, "turn": 24, "sleepers": 32, "idle": 40, "doubt": 48, "in_vain": 49, "leaving": 56,
}  # fmt: skip
POOL_WORDS = 64

#: How often a waiting thread looks again before it sleeps: at a barrier, between jobs, and in doubt.
BARRIER_SPINS, JOB_SPINS, FEW_SPINS = 4000, 12000, 50
#: So often in a row looking must be in vain before threads doubt, and for so many waits they do. (A wait alone says
#: little: the others may have much to do.)
TRUST, DOUBT = 8, 64


def pause(code: Code) -> None:
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


def field(code: Code, name: str) -> str:
    """The address of one of the pool's words."""
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
    pause(code)
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
    turn, sleepers = field(code, "turn"), field(code, "sleepers")
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
    pause(code)
    code.branch(few, at["spin"], at["wait"])
    code.start(at["wait"])
    doubt, spins = spins_now(code, BARRIER_SPINS)
    code.branch(caller, at["sleep"], at["leave"])
    code.start(at["leave"])
    code.do("call void @go_out(ptr %pool)")
    code.jump(at["sleep"])
    code.start(at["sleep"])
    slept = code.op(f"call i1 @await(ptr {turn}, i32 {old}, i64 {spins}, ptr {sleepers})")
    learn(code, doubt, slept)
    code.branch(caller, at["look"], at["return"])
    code.start(at["return"])
    code.branch(code.op("call i1 @come_in(ptr %pool, i32 %job)"), at["look"], at["over"])
    code.start(at["there"])  # a worker that is far behind need not walk to the end
    now = code.op(f"load atomic i32, ptr {field(code, 'job')} acquire, align 4")
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
        next_turn(code)
    code.do("ret void")
    return code


def next_turn(code: Code) -> None:
    """Whoever waits shall look again."""
    turn = field(code, "turn")
    code.op(f"atomicrmw add ptr {turn}, i32 1 seq_cst")
    asleep = code.op(f"load atomic i64, ptr {field(code, 'sleepers')} seq_cst, align 8")
    with code.when(code.op(f"icmp ne i64 {asleep}, 0")):
        code.do(f"call void @wake(ptr {turn})")


def _come_in() -> Code:
    """A worker is inside from now on, if the job is still the one that it knows; the answer says whether it is."""
    code = Code("i1", "come_in", [("ptr", "%pool"), ("i32", "%job")])
    code.op(f"atomicrmw add ptr {field(code, 'inside')}, i32 1 seq_cst")
    now = code.op(f"load atomic i32, ptr {field(code, 'job')} seq_cst, align 4")
    same = code.op(f"icmp eq i32 {now}, %job")
    with code.when(code.op(f"xor i1 {same}, true")):
        code.do("call void @go_out(ptr %pool)")
    code.do(f"ret i1 {same}")
    return code


def _go_out() -> Code:
    """A worker is no longer inside. The caller may be asleep until nobody is."""
    code = Code("void", "go_out", [("ptr", "%pool")])
    inside = field(code, "inside")
    before = code.op(f"atomicrmw sub ptr {inside}, i32 1 seq_cst")
    asleep = code.op(f"load atomic i64, ptr {field(code, 'leaving')} seq_cst, align 8")
    last, awaited = code.op(f"icmp eq i32 {before}, 1"), code.op(f"icmp ne i64 {asleep}, 0")
    with code.when(code.op(f"and i1 {last}, {awaited}")):
        code.do(f"call void @wake(ptr {inside})")
    code.do("ret void")
    return code


def _close_job() -> Code:
    """The caller is through: nobody comes in any more, and it waits until all are out."""
    code = Code("void", "close_job", [("ptr", "%pool")])
    look, wait, done = (code.label(x) for x in ("look", "wait", "done"))
    inside = field(code, "inside")
    code.op(f"atomicrmw add ptr {field(code, 'job')}, i32 1 seq_cst")
    next_turn(code)
    code.jump(look)
    code.start(look)
    now = code.op(f"load atomic i32, ptr {inside} seq_cst, align 4")
    code.branch(code.op(f"icmp eq i32 {now}, 0"), done, wait)
    code.start(wait)
    doubt, spins = spins_now(code, BARRIER_SPINS)
    slept = code.op(f"call i1 @await(ptr {inside}, i32 {now}, i64 {spins}, ptr {field(code, 'leaving')})")
    learn(code, doubt, slept)
    code.jump(look)
    code.start(done)
    code.do("ret void")
    return code


def spins_now(code: Code, hopeful: int) -> tuple[str, str]:
    """The waits for which threads still doubt, and how often to look now: `hopeful` times if there are none."""
    doubt = code.op(f"load atomic i64, ptr {field(code, 'doubt')} monotonic, align 8")
    trusts = code.op(f"icmp eq i64 {doubt}, 0")
    return doubt, code.op(f"select i1 {trusts}, i64 {hopeful}, i64 {FEW_SPINS}")


def learn(code: Code, doubt: str, slept: str) -> None:
    """What a wait says about looking.

    Without doubt: in_vain ← in_vain + 1 if the thread slept, else 0; doubt ← DOUBT once that reaches TRUST.
    In doubt: doubt ← doubt − 1; in_vain stays, so that one more wait in vain brings the doubt back.

    Threads may write over each other's words: a wait more or less that is counted does no harm.
    """
    before = code.op(f"load atomic i64, ptr {field(code, 'in_vain')} monotonic, align 8")
    trusts = code.op(f"icmp eq i64 {doubt}, 0")
    in_a_row = code.op(f"select i1 {slept}, i64 {code.whole('add', before, 1)}, i64 0")
    lost = code.op(f"icmp sge i64 {in_a_row}, {TRUST}")
    begun = code.op(f"select i1 {lost}, i64 {DOUBT}, i64 0")
    left = code.op(f"select i1 {trusts}, i64 {begun}, i64 {code.whole('sub', doubt, 1)}")
    in_vain = code.op(f"select i1 {trusts}, i64 {in_a_row}, i64 {before}")
    for name, now, new in ("doubt", doubt, left), ("in_vain", before, in_vain):
        with code.when(code.op(f"icmp ne i64 {now}, {new}")):  # a word that all read is written only if it changes
            code.do(f"store atomic i64 {new}, ptr {field(code, name)} monotonic, align 8")


def waiting_functions() -> list[Code]:
    """All of the above that code calls."""
    return [_await(), _go_out(), _come_in(), _barrier(), _count_done(), _close_job()]
