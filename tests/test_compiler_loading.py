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
