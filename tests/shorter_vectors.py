"""Tests again in a process for which the processor's longest vectors are hidden, as others have none."""

from __future__ import annotations

import os
import subprocess
import sys

#: Features that are hidden: those of processors without AVX-512, and without AVX2.
HIDDEN = ("avx512", "avx512 avx2 fma")


def run_without(hidden: str, source: str) -> None:
    """Run a text of Python with these features hidden; AssertionError with what it writes if it fails."""
    environment = {**os.environ, "CHAINRULE_HIDE_CPU_FEATURES": hidden}
    run = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
