"""Runs programs, each in a process of its own: a copy of one in which the framework is loaded already.

Loading a framework takes longer than most of the programs. `Server` starts this file as a process. On each line of its
input comes a program's folder, in which `script.py` lies; `printed` and `errors` are written there, and its exit status
is answered. What is loaded is named by the first argument, so that PyTorch is not there when chainrule's programs run,
nor the other way round.
"""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

_OURS = ["chainrule", "chainrule.nn", "chainrule.optim", "chainrule.data", "chainrule.methods.as_functions"]
LOADED = {
    # PyTorch's optimisers import the last one when the first is made, which takes as long as PyTorch itself.
    "torch": ["torch", "torch.nn", "torch.optim", "torch.utils.data", "torch._dynamo"],
    "chainrule": _OURS,
    "pages": [
        *_OURS, "chainrule.cli.main", "chainrule.tasks.run", "chainrule.compiler.function", "chainrule.backends.native",
        "chainrule.rl.deep", "matplotlib.backends.backend_agg", "tests.test_pages_run",
    ],
}  # fmt: skip


class Done(NamedTuple):
    """How a program ended, and what it wrote."""

    status: int
    printed: str
    errors: str


class Server:
    """Programs that find the same things loaded, each in a process of its own."""

    def __init__(self, loaded: str) -> None:
        here = Path(__file__).parent
        paths = f"{here.parent}{os.pathsep}{here / 'stand_in'}"
        self._environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__, loaded],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=self._environment,
        )  # fmt: skip

    def run(self, source: str, folder: Path, alone: bool = False) -> Done:
        """Run a program in a folder; `alone`, from Python's start."""
        script = folder / "script.py"
        script.write_text(source, encoding="utf-8")
        printed, errors = folder / "printed", folder / "errors"
        if alone:
            with printed.open("w") as out, errors.open("w") as err:
                command = [sys.executable, str(script)]
                status = subprocess.run(command, stdout=out, stderr=err, cwd=folder, env=self._environment).returncode
        else:
            assert self._server.stdin is not None and self._server.stdout is not None
            self._server.stdin.write(f"{folder}\n")
            status = int(self._server.stdout.readline())
        return Done(status, printed.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8"))

    def close(self) -> None:
        """End it, also if a program in it has not ended."""
        self._server.kill()
        self._server.communicate()


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
    if "chainrule" in sys.modules:
        # One thread, as PyTorch has by OMP_NUM_THREADS: other tests run beside these programs.
        sys.modules["chainrule"].set_num_threads(1)
        from tests.quickly import compile_quickly

        compile_quickly()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            run(line.rstrip("\n"))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
