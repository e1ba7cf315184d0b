"""Runs programs, each in a process of its own: a copy of this one, in which the framework is loaded already.

Loading a framework takes longer than most of the programs. On each line of the input comes a program's folder, in
which `script.py` lies; `printed` and `errors` are written there, and its exit status is answered. PyTorch or chainrule
is named by the first argument, so that neither is there when the other's programs run.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import traceback

LOADED = {
    "torch": ["torch", "torch.nn", "torch.optim", "torch.utils.data"],
    "chainrule": ["chainrule", "chainrule.nn", "chainrule.optim", "chainrule.data", "chainrule.methods.as_functions"],
}


def run(folder: str) -> None:
    """The program, as if Python had been started with it; never returns."""
    os.chdir(folder)
    for number, name in ((1, "printed"), (2, "errors")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    script = os.path.join(folder, "script.py")
    sys.argv, sys.path[0] = [script], folder
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for module in LOADED[sys.argv[1]]:
        importlib.import_module(module)
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            run(line.rstrip("\n"))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
