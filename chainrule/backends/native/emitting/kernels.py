"""Kernels that are equal are written once: the second time only their numbers are put in.

A network's layers repeat, and an optimiser does the same to every parameter. So what an emitter has made is kept under
all that it has looked at: the nest with its extents and strides, and buffers by the order in which they come. Where the
buffers lie, and the path for messages, are what differs.

A nest of other sizes, as another batch size has them, is first asked how it is walked. If a function of that structure
is there, it has only to be told the sizes: nothing is written, and nothing compiled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chainrule.backends.native.emitting.nest import Emitter
from chainrule.backends.native.emitting.numbers import Check, Kernel, Offset, Slot
from chainrule.backends.native.emitting.questions import Question, answer
from chainrule.backends.native.emitting.structure import signature
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer

#: So many kernels, and so many functions, are kept.
KEPT = 4096


class _Kept(NamedTuple):
    kernel: Kernel
    buffers: list[Buffer]


class Kept:
    """What was made last, by what it was made of."""

    def __init__(self) -> None:
        self._things: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """What is kept under a key, or None."""
        with self._lock:
            known = self._things.get(key)
            if known is not None:
                self._things.move_to_end(key)
        return known

    def keep(self, key: Any, thing: Any) -> None:
        """Keep something; what was not asked for the longest goes."""
        with self._lock:
            self._things[key] = thing
            while len(self._things) > KEPT:
                self._things.popitem(last=False)


_kernels, _functions = Kept(), Kept()


def kernel_for(nest: Nest, emitter: Callable[[], Emitter], *more: Any) -> Kernel:
    """The kernel of a nest: the one that an equal nest has had, with this one's buffers, or a new one.

    `more` is what else the emitter depends on.
    """
    found = signature(nest, *more)
    if found is None:
        return _written(emitter(), more)
    known = _kernels.get(found.key)
    if known is not None:
        return known.kernel._replace(numbers=_exchanged(known, found.buffers, nest.path))
    kernel = _written(emitter(), more)
    # Buffers may hold arrays; what is kept stands for any.
    stand_ins = [Buffer(buffer.dtype, buffer.size) for buffer in found.buffers]
    kept = kernel._replace(numbers=_exchanged(_Kept(kernel, found.buffers), stand_ins, ""))
    _kernels.keep(found.key, _Kept(kept, stand_ins))
    return kernel


def _written(emitter: Emitter, more: Any) -> Kernel:
    """A kernel of a function that is there, if there is one of its structure; otherwise the function is written."""
    key = emitter.structure()
    known: tuple[Code, list[Question]] | None = None if key is None else _functions.get((key, more))
    if known is None:
        known = emitter.emit(), emitter.questions
        if key is not None:
            _functions.keep((key, more), known)
    code, questions = known
    return Kernel(code, [answer(question, emitter) for question in questions], emitter.parts)


def _exchanged(known: _Kept, buffers: Sequence[Buffer], path: str) -> list[Any]:
    """The numbers with other buffers in the place of those they were made for."""
    now = dict(zip(known.buffers, buffers, strict=True))
    numbers = []
    for number in known.kernel.numbers:
        if isinstance(number, Slot):
            number = Slot(now[number.buffer])
        elif isinstance(number, Offset):
            number = number._replace(buffer=now[number.buffer])
        elif isinstance(number, Check):
            number = Check(path)
        numbers.append(number)
    return numbers
