"""How a loader's workers are started: forked where that is safe, else as new processes.

A forked worker is a copy of this process, so everything that the data set refers to is there, lambdas included, and
the script is not run again. What a copy has not is threads: a lock that another thread held stays locked in it. So a
process forks only if no thread that matters is running: our own are made for it (they hold no lock while they sleep,
and a copy makes its own), Python mends its own locks, and threads that are daemons (a progress bar's, a notebook's)
wait most of the time. Other threads may be anywhere.

A new process (spawned, or from a fork server) imports the script first. One that has no `if __name__ == "__main__":`
would run as a whole in every worker, so it is told before anything is started.
"""

from __future__ import annotations

import ast
import multiprocessing
import sys
import threading
import weakref
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Protocol

from chainrule.errors import ChainruleError

#: What a worker exits with whose script asks for workers while it is being imported.
SCRIPT_RAN_AGAIN = 77

#: What a script has to have if its workers are new processes.
ADVICE = (
    'put what the script does under `if __name__ == "__main__":`, because each worker is a new process that imports '
    "the script first; or set num_workers=0."
)


class Closes(Protocol):
    """An end of a pipe, an open file: what can be closed."""

    def close(self) -> None:
        """Give it back to the system."""


#: This process's ends of the pipes to all workers, and its locked files: a forked worker closes its copies, or no pipe
#: would ever end, and no lock.
_ours: weakref.WeakSet[Closes] = weakref.WeakSet()


class WorkerError(ChainruleError, RuntimeError):
    """A worker of a data loader died, did not answer in time, or could not be started."""


def read_context(given: Any) -> BaseContext:
    """A way to start processes: its name, a context, or None for the one that `multiprocessing` was set to or is safe.

    Raises WorkerError if that starts new processes and the script would run again in them.
    """
    if multiprocessing.current_process().name.startswith(WORKER) and _is_being_imported():
        raise SystemExit(SCRIPT_RAN_AGAIN)  # the process that started this worker says it, in one line
    if given is None or isinstance(given, str):
        given = multiprocessing.get_context(given or _own_way())
    if given.get_start_method() != "fork" and _script_would_run_again():
        raise WorkerError(f"num_workers needs a start that can be imported: {ADVICE}")
    return given


#: How the names of worker processes begin.
WORKER = "DataLoader-"


def _own_way() -> str:
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is not None and chosen != multiprocessing.get_all_start_methods()[0]:
        return chosen  # by the program, with set_start_method
    return "fork" if can_fork() else "spawn"


def can_fork() -> bool:
    """Whether a copy of this process has all that it needs: on Linux, with no other threads than daemons."""
    here = threading.current_thread()
    return sys.platform == "linux" and all(thread.daemon or thread is here for thread in threading.enumerate())


def _is_being_imported() -> bool:
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def _script_would_run_again() -> bool:
    """Whether the program is a script without a guard; such a script, seen from here, does more than define things."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        return False  # a notebook or `python -c`: nothing is imported; `python -m`: a module, which is
    try:
        statements = ast.parse(Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return False  # not a script in Python: nothing is known about it
    return not any(isinstance(statement, ast.If) and _asks_for_main(statement.test) for statement in statements)


def _asks_for_main(test: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test))


# --------------------------------------------------------------------------------------- what is not inherited


def keep_from_workers(*ours: Closes) -> None:
    """Have the workers that are forked from now on close their copies of these."""
    _ours.update(ours)


def close_inherited() -> None:
    """In a worker that was just forked: close what belongs to the process that it is a copy of."""
    for each in list(_ours):
        each.close()
    _ours.clear()
