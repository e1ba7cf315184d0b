"""The bridge to LLVM: text in, machine code out, and functions that Python can call.

llvmlite brings LLVM in its wheel, so no compiler has to be installed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterable
from typing import Any

from chainrule.forking import LockAcrossForks, wait_for

#: Of Linux on x86: the number of arch_prctl, what asks for a part of the processor's state, and that of AMX.
ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18
#: LLVM has locks of its own; a fork waits until nobody is inside.
_one_thread_compiles = LockAcrossForks(rank=4)


@functools.cache
def llvm() -> Any:
    """The bindings, ready for every target LLVM knows; imported when first needed."""
    import llvmlite.binding as binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    # llvmlite's own lock: code that is no longer used is freed under it, in any thread and at any moment.
    inner = getattr(getattr(binding.ffi.lib, "_lock", None), "_lock", None)
    if inner is not None:
        wait_for(inner)
    return binding


@functools.cache
def host() -> tuple[str, str]:
    """Triple and features of this machine: what code is made for. Its name only tunes the code.

    Features that begin with a word in the environment variable `CHAINRULE_HIDE_CPU_FEATURES` are switched off:
    "avx512" gives the code that a processor without AVX-512 would run, "avx512 avx2 fma" that of one without AVX2.
    """
    binding = llvm()
    hidden = tuple(os.environ.get("CHAINRULE_HIDE_CPU_FEATURES", "").replace(",", " ").split())
    found: str = binding.get_host_cpu_features().flatten()
    if not _may_use_amx():
        hidden = (*hidden, "amx")
    features = ["-" + name[1:] if name[1:].startswith(hidden) else name for name in found.split(",")]
    return binding.get_default_triple(), ",".join(sorted(features))


def _may_use_amx() -> bool:
    """Whether this process and its threads may use the registers of AMX, which Linux has to be asked for.

    They are 8 KB more to keep when a thread is interrupted. The answer is no on machines without them, and where a
    thread's stack for signals is too small.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0


@functools.cache
def vector_bits() -> int:
    """The widest vectors of this machine, in bits."""
    features = host()[1].split(",")
    if "+avx512f" in features and "+avx512vl" in features:
        return 512
    return 256 if "+avx2" in features and "+fma" in features else 128


def target_machine(triple: str = "", processor: str = "", features: str = "", level: int = 2) -> Any:
    """What turns LLVM's language into machine code; for this machine, if no other is named.

    A new one each time: whoever loads code takes it over and frees it. `level` is how much LLVM does for the code's
    speed. Results have the same bits: what is fused is written in the text, and nothing else may be.
    """
    if not triple:
        triple, features = host()
        processor = llvm().get_host_cpu_name()  # for the order of instructions; which there are is said by the features
    target = llvm().Target.from_triple(triple)
    return target.create_target_machine(cpu=processor, features=features, opt=level, reloc="pic", codemodel="small")


@functools.cache
def _machine_that_compiles(about: tuple[str, str], level: int) -> Any:
    """The target machine of all compiling for this triple and these features: a new one costs a millisecond."""
    return target_machine(level=level)


#: A text that begins with this line is compiled in a quarter of the time, into code that runs slower.
QUICKLY = "; compiled quickly\n"


#: A byte in a page of its own. LLVM counts what it has to load before it takes one block for all of it, but not the
#: addresses of functions of the C library; they find room behind this byte.
_ROOM = """
@room = internal global i8 0, align 4096
@llvm.used = appending global [1 x ptr] [ptr @room], section "llvm.metadata"
"""


#: Of LLVM's passes, those that take a third of its time and, measured on x86, make our code no faster: addresses are
#: written as they are needed. As options while we compile, and for everybody else in
#: the process as LLVM has them on x86.
LEFT_OUT = ("-disable-lsr=1", "-disable-cgp=1", "-enable-misched=0")
AS_USUAL = ("-disable-lsr=0", "-disable-cgp=0", "-enable-misched=1")


def _set(options: Iterable[str]) -> None:
    for option in options:
        llvm().set_option("chainrule", option)


def compile_text(text: str, machine: Any = None, *, to_load: bool = True) -> bytes:
    """Machine code of a module, as an object file. Raises RuntimeError where the text is not LLVM's language.

    to_load: whether a `Library` is to load it.
    """
    with _one_thread_compiles:
        module = llvm().parse_assembly(text + _ROOM if to_load else text)
        module.verify()
        level = 0 if text.startswith(QUICKLY) else 2
        if machine is not None or not host()[0].startswith("x86_64"):
            return (machine or _machine_that_compiles(host(), level)).emit_object(module)
        _set(LEFT_OUT)
        try:
            return _machine_that_compiles(host(), level).emit_object(module)
        finally:
            _set(AS_USUAL)


class Library:
    """Machine code loaded into this process: object files, each complete in itself."""

    def __init__(self, *objects: bytes) -> None:
        with _one_thread_compiles:
            binding = llvm()
            binding.load_library_permanently("")
            # One block for all sections: code reaches its constants by 32 bits, and where gigabytes of the process's
            # memory lie between two single blocks, LLVM ends the process. Elsewhere llvmlite decides.
            block = True if sys.platform == "linux" else None
            self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target_machine(), use_lmm=block)
            for code in objects:
                self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins. Raises KeyError if there is none of this name."""
        with _one_thread_compiles:
            address: int = self._engine.get_function_address(name)
        if not address:
            raise KeyError(name)
        return address
