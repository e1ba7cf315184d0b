"""What the current thread is doing: are gradients recorded, which module is running, is a trace being made.

Every thread has its own :class:`State`, so `no_grad` in one thread does not stop the recording in another.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.dtypes import DType
    from chainrule.primitives.trace import Trace
    from chainrule.program.graph import BlockUse


class State:
    """The switches of one thread.

    Attributes:
        autocast: the half in which products and convolutions compute (`functions/autocasting.py`); None: the tensors'.
        block: the use of a block (`autodiff/block.py`) that is at work; only noted while tracing.
        gradients: whether operations are recorded for the backward pass.
        half: what `autocast` takes where it is told no type; None: bfloat16.
        path: the dotted path of the module that is running, as in `state_dict` names; "" outside of all.
        module: the class name of that module.
        paths: the path of every module in the tree that is running, by identity; None outside of all.
        trace: the trace that notes operations instead of evaluating them, if any.
        ending: what is called, by key, when the backward pass that is at work has ended (gradients between processes,
            say); None outside of one.
        walk: what is called, by key, at the end of the outermost walk back along the tape, that of `autograd.grad` too,
            before what it used is let go; None outside of one.
        derivatives: how many functions that take derivatives of others (`func.grad`) are at work.
        keeping: whether backward passes keep what they used: the next sample of a batch (`vmap`) comes the same way.
        recording: what keeps every operation with its numbers for `explain`, if anything does.
        observer: called with (primitive, inputs, result), NumPy's arrays, after each evaluation, if set.
        saving: what goes between a record and what it keeps (`autograd.graph.saved_tensors_hooks`): None, what packs
            it, or why nothing may.
        quiet: a context in which NumPy does not warn: infinities and NaN are results here, not events. Entering it
            takes a tenth of the time of `np.errstate`.
    """

    __slots__ = (
        *("autocast", "block", "derivatives", "ending", "gradients", "half", "keeping", "module"),
        *("observer", "path", "paths", "quiet", "recording", "saving", "trace", "walk"),
    )

    def __init__(self) -> None:
        self.autocast: DType | None = None
        self.block: BlockUse | None = None
        self.derivatives = 0
        self.ending: dict[int, Callable[[], None]] | None = None
        self.walk: dict[int, Callable[[], None]] | None = None
        self.gradients = True
        self.half: DType | None = None
        self.keeping = False
        self.path = ""
        self.module = ""
        self.paths: dict[int, str] | None = None
        self.trace: Trace | None = None
        self.observer: Callable[[Any, list[Any], Any], None] | None = None
        self.recording: Any = None
        self.saving: Callable[[dict[str, Any]], Any] | str | None = None
        self.quiet = contextvars.copy_context()
        self.quiet.run(np.seterr, all="ignore")


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.state = State()


_per_thread = _PerThread()


def current_state() -> State:
    """The state of the thread that asks."""
    return _per_thread.state


def describe_place() -> str:
    """The running module for the head of an error message, `features.0 (Conv2d): `, or nothing outside of modules."""
    state = _per_thread.state
    if state.path and state.module:
        return f"{state.path} ({state.module}): "
    place = state.path or state.module  # in the backward pass only the path is known
    return f"{place}: " if place else ""
