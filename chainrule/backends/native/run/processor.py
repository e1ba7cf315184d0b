"""The processor that code runs on: cores, vectors, registers, caches. What is chosen by the machine asks here.

From it follow the tiles of products (`emitting/tile.py`: as many sums as fill the registers), how large the parts of
convolutions by Winograd's algorithm are (`emitting/winograd.py`: what fits the second cache), when a program is worth
waking other threads for (`executable.py`), and on how many threads programs run (`pool.py`: one for each core). What
decides in which order a sum is added up (`DEPTH` and `SHARED` in `emitting/product.py`, where sums are cut) does not
follow from cores or caches: processors with the same instructions get the same bits.

Linux says all of this in `/proc` and `/sys`, macOS by `sysctl`; elsewhere every logical processor counts as a core, and
the caches are not known.

>>> from chainrule.backends.native.run.processor import processor
>>> processor().cores >= 1 and processor().threads >= processor().cores
True
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from chainrule.backends.native.run.machine import host, vector_bits

#: Features that are worth telling somebody who reads a report: vectors, and what multiplies short numbers.
TOLD = (
    "sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512bw", "avx512vnni", "avx512bf16", "avx512fp16",
    "avxvnni", "amx-tile", "amx-bf16", "amx-int8", "neon", "fullfp16", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
_CPUS = Path("/sys/devices/system/cpu")


class Cache(NamedTuple):
    """A cache for data: its level (1 is the closest), its size in bytes, and how many logical processors share it."""

    level: int
    size: int
    shared_by: int


class Processor(NamedTuple):
    """What is known of the processor.

    Attributes:
        name: as it calls itself.
        cores: those that this process may run on.
        threads: logical processors that it may run on: with hyper-threading more than cores.
        vector_bits: the widest vectors that code uses.
        registers: how many of these vectors fit into registers.
        features: the instructions beyond the plainest ones, of `TOLD`.
        caches: those for data, the closest first; none where the system does not say.
    """

    name: str
    cores: int
    threads: int
    vector_bits: int
    registers: int
    features: tuple[str, ...]
    caches: tuple[Cache, ...]

    def cache(self, level: int, default: int) -> int:
        """The bytes of the cache of a level, or what to assume where that is not known."""
        return next((cache.size for cache in self.caches if cache.level == level), default)


@functools.cache
def processor() -> Processor:
    """The processor of this machine, as this process found it first."""
    found = host()[-1].split(",")
    features = tuple([name for name in TOLD if "+" + name in found])
    bits = vector_bits()
    return Processor(_name(), usable_cores(), len(_usable()), bits, vector_registers(bits), features, _caches())


def vector_registers(bits: int) -> int:
    """How many vectors of so many bits the registers hold: x86 has 32 with AVX-512 and 16 without, ARM has 32."""
    return 32 if bits == 512 or platform.machine() in ("arm64", "aarch64") else 16


def usable_cores() -> int:
    """Cores that this process may run on now. Hyper-threads of one core share its arithmetic, so they count as one."""
    return _cores_among(_usable())


@functools.lru_cache(maxsize=64)
def _cores_among(usable: frozenset[int]) -> int:
    """How many cores these logical processors are threads of."""
    cores = _core_of_each()
    known = {cores[number] for number in usable if number in cores}
    return len(known) or _mac("hw.physicalcpu") or len(usable)


def _usable() -> frozenset[int]:
    """The numbers of the logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@functools.cache
def _core_of_each() -> dict[int, tuple[str, str]]:
    """For each logical processor which core of which package it is a thread of; empty where the system does not say."""
    found = {}
    for number in range(os.cpu_count() or 1):
        places = [_CPUS / f"cpu{number}/topology/{what}" for what in ("physical_package_id", "core_id")]
        texts = [_read(place) for place in places]
        if all(texts):
            found[number] = (texts[0], texts[1])
    return found


def _name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _caches() -> tuple[Cache, ...]:
    found = []
    for folder in sorted((_CPUS / "cpu0/cache").glob("index*")):
        level, size = _read(folder / "level"), _read(folder / "size")
        if _read(folder / "type") in ("Data", "Unified") and level.isdigit():
            found.append(Cache(int(level), _bytes(size), _count(_read(folder / "shared_cpu_list"))))
    if not found:
        sizes = [_mac(f"hw.{name}") for name in ("l1dcachesize", "l2cachesize", "l3cachesize")]
        found = [Cache(level, size, 1) for level, size in enumerate(sizes, 1) if size]
    return tuple(sorted(found))


def _bytes(text: str) -> int:
    """The number that "48K" or "32M" stands for."""
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    digits = text.rstrip("KMG")
    return int(digits) * unit if digits.isdigit() else 0


def _count(text: str) -> int:
    """How many numbers a list such as "0-3,8" has."""
    ends = [part.split("-") for part in text.split(",") if part]
    return max(1, sum(int(end[-1]) - int(end[0]) + 1 for end in ends))


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


@functools.cache
def _sysctl(name: str) -> str:
    """What macOS says under a name; "" where there is nothing, and on other systems."""
    if sys.platform != "darwin":
        return ""
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _mac(name: str) -> int:
    text = _sysctl(name)
    return int(text) if text.isdigit() else 0
