"""`chainrule info`: the machine, what it reaches, and the versions, ready to be pasted into a report."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from typing import Annotated, Any

import typer


def info(
    measure: Annotated[bool, typer.Option(help="Measure what the processor reaches; it takes some seconds.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Describe the machine, its measured peak and bandwidth, the versions, and where compiled code is kept.

    Paste it into a report of an error or of a time. The peak counts multiplications and additions of float32 in
    registers, the bandwidth bytes read; others who use the machine meanwhile make both less.

    [bold]Examples[/]

      chainrule info
      chainrule info --no-measure --json
    """
    found = {**_versions(), **_machine(), **(_measured() if measure else {}), **_kept()}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            typer.echo(f"{name.replace('_', ' '):12} {value}")
    return 0


def _versions() -> dict[str, Any]:
    import llvmlite
    import numpy as np

    import chainrule
    from chainrule.backends.native.run.machine import llvm

    llvm_version = ".".join(map(str, llvm().llvm_version_info))
    return {
        "chainrule": chainrule.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "numpy": np.__version__,
        "llvmlite": f"{llvmlite.__version__} (LLVM {llvm_version})",
        "system": platform.platform(),
    }


def _machine() -> dict[str, Any]:
    import chainrule
    from chainrule.backends.native.run.machine import host
    from chainrule.backends.native.run.processor import processor

    found = processor()
    caches = [
        f"{_size(cache.size)} (level {cache.level}{f', shared by {cache.shared_by}' * (cache.shared_by > 1)})"
        for cache in found.caches
    ]
    return {
        "processor": found.name,
        "code_for": host()[0],
        "cores": f"{found.cores}, with {found.threads} threads; compiled programs use {chainrule.get_num_threads()}",
        "vectors": f"{found.vector_bits} bits, {found.registers} registers; {' '.join(found.features) or 'plain'}",
        "caches": ", ".join(caches) or "not known",
    }


def _measured() -> dict[str, Any]:
    from chainrule.backends.native.run.rates import rates

    found = rates()
    one, all_cores = f"{found.peak / 1e9:.0f}", f"{found.peak_all / 1e9:.0f}"
    caches = f"{found.first / 1e9:.0f} GB/s first cache, {found.second / 1e9:.0f} second"
    memory = f"{found.memory / 1e9:.0f} memory, {found.memory_all / 1e9:.0f} on {found.cores}"
    return {
        "peak": f"{one} GFLOP/s on one core, {all_cores} on {found.cores}",
        "bandwidth": f"{caches}, {memory}",
    }


def _kept() -> dict[str, Any]:
    from chainrule.backends.native.run.cache import directory

    folder = directory()
    if folder is None:
        return {"code_kept": "nowhere"}
    sizes = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # another process has just made room
            sizes.append(file.stat().st_size)
    return {"code_kept": f"{folder}, {len(sizes)} files, {_size(sum(sizes))}"}


def _size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**20:.0f} MB" if count >= 2**20 else f"{count / 2**10:.0f} KB"
