"""Machine code comes into the process and goes again, wherever its memory has room."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest


def test_programs_come_and_go() -> None:
    """Loading and freeing machine code many times, in an order of its own."""
    from chainrule.backends.native.run.machine import Library, compile_text

    code = [compile_text(f"define i64 @f() {{ ret i64 {i} }}") for i in range(5)]
    held: list[Any] = []
    for i in range(60):
        held.append(Library(code[i % 5]))
        assert held[-1].address("f")
        if i % 3 == 2:
            del held[0]
    with pytest.raises(KeyError):
        held[0].address("g")


def test_others_find_the_passes_of_llvm_that_we_leave_out() -> None:
    """LLVM's options are the whole process's: Numba, say, compiles as if we were not there."""
    from chainrule.backends.native.run.machine import compile_text, host, llvm, target_machine

    text = """
    define float @sum(ptr %x, i64 %n) {
    start:
      br label %loop
    loop:
      %i = phi i64 [0, %start], [%next, %loop]
      %sum = phi float [0.0, %start], [%more, %loop]
      %twice = shl i64 %i, 2
      %place = getelementptr [3 x float], ptr %x, i64 %twice, i64 2
      %entry = load float, ptr %place
      %more = fadd float %sum, %entry
      %next = add i64 %i, 1
      %done = icmp eq i64 %next, %n
      br i1 %done, label %end, label %loop
    end:
      ret float %more
    }
    """

    def theirs() -> bytes:
        return target_machine().emit_object(llvm().parse_assembly(text))  # type: ignore[no-any-return]

    before, ours = theirs(), compile_text(text, to_load=False)
    if host()[0].startswith("x86_64"):
        assert ours != before, "a loop that a pass rewrites"
    assert theirs() == before


FULL = """
import ctypes
import chainrule

take, drop = ctypes.CDLL(None).mmap, ctypes.CDLL(None).munmap
take.restype, take.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
drop.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

def reserve(size):
    return take(None, size, 0, 0x4022, -1, 0)  # memory of nobody's

def f(x):
    y = x
    for i in range(12):
        y = (y * 0.37 + i * 0.11).sin().exp().tanh() + y.log1p()
    return y

x = chainrule.rand(40)
chainrule.compile(lambda x: x * 2)(x)  # what compiling needs is loaded before memory is cut up
pages = [reserve(4096) for _ in range(4000)]
below = reserve(4 << 30)
for size in (1 << n for n in range(26, 11, -1)):
    while (place := reserve(size)) > below:
        pass  # nothing so large is free above
    drop(place, size)
for page in pages[::2]:
    drop(page, 4096)  # single pages are, four gigabytes away from everything else
print(chainrule.allclose(chainrule.compile(f)(x), f(x), rtol=1e-4))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="cuts up the memory as Linux gives it")
def test_code_and_its_constants_are_loaded_together() -> None:
    """Code reaches 2 GB far; constants that were loaded into another gap of the memory ended the process."""
    environment = {**os.environ, "CHAINRULE_CACHE": "0"}
    ended = subprocess.run([sys.executable, "-c", FULL], env=environment, capture_output=True, text=True, timeout=300)
    assert ended.stdout.strip() == "True", ended.stderr
