"""Changes between two calls: small programs that call a step, change something that it reads, and call it again.

A case is source text. It is run twice, each time as fresh source with fresh objects: once as it is and once with the step
compiled; what the calls gave must be the same. The values that change are in `change_values`, the places where they lie
in `change_places`, what is done with networks, optimisers and state in `change_networks`.
"""

from __future__ import annotations

import importlib.util
import linecache
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

import chainrule

HEAD = """\
import argparse, copy, collections, collections.abc, contextlib, contextvars, dataclasses, enum, fractions, functools, itertools
import math, operator, threading, types, typing, weakref
import numpy as np
import chainrule
from chainrule import nn, optim
from chainrule.nn import functional as F

X = chainrule.tensor([1.0, 2.0, 3.0])
"""

FOOT = """

def outcome(change):
    found = []

    def call(run, *given, **named):
        try:
            found.append(run(*given, **named))
        except Exception as error:
            found.append(error)
            chainrule.manual_seed(len(found))  # eager code has drawn by then, a compiled step leaves all as it was

    chainrule.manual_seed(0)
    scenario(change, call)
    return found


print(outcome(lambda step: step))
print(outcome(chainrule.compile))
"""

#: What a TraceError may say here: each is a kind of `docs/differences.md`, with the way out in the message.
LISTED = {
    "numbers of a tensor that are not known while tracing": r"needs the numbers of a tensor",
    "tensors left behind in Python": r"leaves tensors behind in Python",
    "one tensor as argument and from outside": r"\bargument \d+\b",
    "the data of one tensor given to another": r"makes x and y share memory",
    "a schedule within the step": r"a schedule counts in Python",
    "weak references": r"reads through a weak reference",
    "something that cannot be followed": r"cannot be followed|cannot follow",
    "the net": r"^StaleError: ",
}


class Case(NamedTuple):
    """A program with calls and changes.

    Attributes:
        number: what it was made from.
        title: what changes, where, how, and what the step does with it.
        classes: source lines at the top of the module.
        blocks: the source of what happens, in order; a notebook has one cell for each.
        style: where the source lies: "file", "notebook" (known to linecache only) or "bare" (nowhere).
        within: whether all happens within a function (so what the step reads are closures) or at module level.
        programs: the step needs no more programs than these; None where that is not clear.
    """

    number: int
    title: str
    classes: str
    blocks: tuple[str, ...]
    style: str = "file"
    within: bool = True
    programs: int | None = None

    def cells(self) -> list[str]:
        """The source, in the parts that are run one after the other."""
        first = HEAD + "\n" + self.classes + "\n"
        if not self.within:
            return [first, *self.blocks]
        body = textwrap.indent("\n".join(self.blocks), "    ")
        return [first + "\n\ndef scenario(prepare, call):\n" + body + "\n", "scenario(prepare, call)\n"]

    def source(self) -> str:
        """A program that shows both outcomes."""
        body = textwrap.indent("\n".join(self.blocks), "    ")
        return f"{HEAD}\n{self.classes}\n\ndef scenario(prepare, call):\n{body}\n{FOOT}"


def drawn_style(random: Random) -> str:
    """Where the source of a case lies; few have none."""
    return random.choices(("file", "notebook", "bare"), (70, 27, 3))[0]


class Outcome(NamedTuple):
    """What a case gave: for each call a plain description of its result or its error; and how many programs."""

    calls: list[Any]
    programs: int
    traced: str


def programs_of(compiled: Any) -> int:
    """How many programs a compiled function or module has made and kept. The same code for other tensors is one."""
    compiled = getattr(compiled, "_compiled", compiled)
    return len({id(v.compiled.executable) for known in compiled.programs.values() for v in known})


def outcome(case: Case, folder: Path, compiled: bool) -> Outcome:
    """Run a case. A TraceError ends it."""
    calls: list[Any] = []
    made: list[Any] = []
    traced = ""

    def prepare(function: Any) -> Any:
        if not compiled:
            return function
        made.append(chainrule.compile(function))
        return made[-1]

    def call(run: Callable[..., Any], *given: Any, **named: Any) -> None:
        nonlocal traced
        try:
            result = run(*given, **named)
        except chainrule.errors.TraceError as error:
            if any(run is function for function in made):
                traced = f"{type(error).__name__}: {error}"
                raise _EndError from None
            calls.append((type(error).__name__, without_addresses(error)))  # a symbol has escaped from a trace
        except Exception as error:
            calls.append((type(error).__name__, without_addresses(error)))
            chainrule.manual_seed(len(calls))  # eager code has drawn by then, a compiled step leaves all as it was
        else:
            calls.append(plain(result))

    names = {"prepare": prepare, "call": call}
    chainrule.manual_seed(0)
    dtype = chainrule.get_default_dtype()
    try:
        run_source(case, folder, names)
    except _EndError:
        pass
    except Exception as error:  # by a change, not by a call
        calls.append(("between calls", type(error).__name__, without_addresses(error)))
    finally:
        chainrule.set_default_dtype(dtype)
        chainrule.set_grad_enabled(True)
    return Outcome(calls, sum(programs_of(function) for function in made), traced)


def without_addresses(error: Exception) -> str:
    """An error's text, in which no object's address counts."""
    return re.sub(r"0x[0-9a-f]+", "0x…", str(error))


class _EndError(Exception):
    """A TraceError was raised: what comes after it is not compared."""


def run_source(case: Case, folder: Path, names: dict[str, Any]) -> None:
    """Run the source as a module from a file, as cells of a notebook, or as text without a file."""
    title = f"change_{case.number}"
    if case.style == "file":
        path = folder / f"{title}.py"
        path.write_text("\n".join(case.cells()))
        linecache.checkcache(str(path))
        spec = importlib.util.spec_from_file_location(title, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        vars(module).update(names)
        sys.modules[title] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[title]
        return
    # Cells of a notebook run in the module __main__, which is not this one.
    space: dict[str, Any] = {"__name__": "__main__", **names}
    for i, cell in enumerate(case.cells()):
        name = f"<ipython-input-{i}-{case.number:012x}>" if case.style == "notebook" else "<string>"
        if case.style == "notebook":
            linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
        exec(compile(cell, name, "exec", dont_inherit=True), space)


# ------------------------------------------------------------------------------------- comparing


def plain(thing: Any) -> Any:
    """A result as nested tuples of names, shapes and NumPy arrays."""
    if isinstance(thing, chainrule.Tensor):
        return "tensor", str(thing.dtype), thing.detach().numpy().copy()
    if isinstance(thing, dict):
        return type(thing).__name__, tuple((key, plain(value)) for key, value in thing.items())
    if isinstance(thing, (list, tuple)):
        return type(thing).__name__, tuple(plain(value) for value in thing)
    if isinstance(thing, (np.ndarray, np.generic, float)) and not isinstance(thing, str):
        return type(thing).__name__, np.asarray(thing).copy()
    if thing is None or isinstance(thing, (bool, int, str, bytes, set, frozenset)):
        return type(thing).__name__, thing
    return type(thing).__name__, "…"


def same(a: Any, b: Any) -> bool:
    """Whether two results are the same: types and shapes exactly, floats to rounding, and the sign of a zero."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and _same_array(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def _same_array(a: np.ndarray, b: np.ndarray) -> bool:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    if a.dtype.kind in "biuOSU":
        return bool((a == b).all())
    wide = a.astype(np.float64), b.astype(np.float64)
    relative = {8: 1e-9, 4: 2e-6, 2: 1e-2}[a.dtype.itemsize]
    close = np.allclose(*wide, rtol=relative, atol=relative, equal_nan=True)
    zeros = (wide[0] == 0) & (wide[1] == 0)
    return close and bool((np.signbit(wide[0]) == np.signbit(wide[1]))[zeros].all())


class Verdict(NamedTuple):
    """What is to be said of a case: "same", "trace" (a TraceError), "wrong", "programs" or "unlisted"."""

    kind: str
    text: str = ""


def judge(case: Case, folder: Path) -> Verdict:
    """Run a case eagerly and compiled, and compare."""
    eager = outcome(case, folder, compiled=False)
    assert eager.calls and not eager.traced
    have = outcome(case, folder, compiled=True)
    for number, (a, b) in enumerate(zip(eager.calls, have.calls)):
        if not same(a, b):
            return Verdict("wrong", f"call {number}: eager {short(a)}, compiled {short(b)}")
    if have.traced:
        listed = any(re.search(pattern, have.traced) for pattern in LISTED.values())
        return Verdict("trace" if listed else "unlisted", have.traced)
    if len(have.calls) != len(eager.calls):
        return Verdict("wrong", f"{len(have.calls)} calls instead of {len(eager.calls)}")
    if case.programs is not None and have.programs > case.programs:
        return Verdict("programs", f"{have.programs} programs, {case.programs} are enough")
    return Verdict("same")


def short(thing: Any) -> str:
    """A result in one line."""
    return re.sub(r"\s+", " ", repr(thing))[:300]


def report(case: Case, verdict: Verdict) -> str:
    """What is wrong with a case, and the case as Python that can be run."""
    where = "in a function" if case.within else "at module level"
    return f"\n# case {case.number} ({case.style}, {where}): {case.title}\n# {verdict.kind}: {verdict.text}\n{case.source()}"


# ------------------------------------------------------------------------------------- counting programs


class States:
    """What a step has met between calls, and how many programs that can need.

    A state is (form, contents). Where contents only enter arithmetic they become inputs: then tensors and arrays need
    one program for each form; numbers at most two, since the first program may hold the first number.
    """

    def __init__(self, for_each_form: int | None) -> None:
        self.for_each_form = for_each_form
        self.met: dict[Any, set[Any]] = {}

    def add(self, form: Any, contents: Any) -> None:
        """The step is called while this is so."""
        self.met.setdefault(form, set()).add(contents)

    def programs(self) -> int:
        """So many are enough."""
        most = math.inf if self.for_each_form is None else self.for_each_form
        return int(sum(min(len(contents), most) for contents in self.met.values()))


def count(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """How many cases ended in which way, one line each."""
    for kind in sorted({verdict.kind for verdict in verdicts}):
        yield f"{kind}: {sum(verdict.kind == kind for verdict in verdicts)} of {len(verdicts)}"
