"""The machine on which something is measured, and what it reaches at most: every table begins with it."""

from __future__ import annotations

from chainrule.backends.native.run.processor import processor
from chainrule.backends.native.run.rates import rates


def peak() -> float:
    """Multiplications and additions a second that all cores reach in registers."""
    return rates().peak_all


def machine_text() -> str:
    """The machine in a line: what it is, and what it was just measured to reach."""
    machine, found = processor(), rates()
    peak_all, first, second, memory = (
        f"{rate / 1e9:.0f}" for rate in (found.peak_all, found.first, found.second, found.memory_all)
    )
    return (
        f"{machine.name}, {machine.cores} cores, vectors of {machine.vector_bits} bits: {peak_all} GFLOP/s in "
        f"registers, {first} and {second} GB/s a core from the caches, {memory} GB/s from memory"
    )
