"""`python -m chainrule` is the command."""

from __future__ import annotations

import subprocess
import sys

import chainrule


def test_python_m_chainrule_is_the_command():
    done = subprocess.run([sys.executable, "-m", "chainrule", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"chainrule {chainrule.__version__}\n")
    wrong = subprocess.run([sys.executable, "-m", "chainrule", "trian"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
