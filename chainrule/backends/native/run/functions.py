"""Machine code of single functions: each is compiled once, whatever programs call it.

A function that this process has already is used again, one that an earlier process has left on disk is loaded, and only
what is new goes through LLVM. The text of a function is its name here, so nothing else can be mistaken for it.

>>> from chainrule.backends.native.run.functions import functions
>>> text = "define i64 @three() { ret i64 3 }"
>>> first = functions({"three": text})["three"]
>>> functions({"three": text})["three"] is first
True
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping

from chainrule.backends.native.run.cache import cached_codes
from chainrule.backends.native.run.machine import Library, compile_text

#: So many functions are kept although no program uses them any more: the next one may.
KEPT = 2048


class Function:
    """A function in memory, for as long as somebody holds it.

    Attributes:
        address: where it begins.
        library: the machine code that it is part of.
    """

    __slots__ = ("__weakref__", "address", "library")

    def __init__(self, address: int, library: Library) -> None:
        self.address, self.library = address, library


_loaded: weakref.WeakValueDictionary[str, Function] = weakref.WeakValueDictionary()
_recent: OrderedDict[str, Function] = OrderedDict()
_lock = threading.Lock()


def functions(texts: Mapping[str, str]) -> dict[str, Function]:
    """The functions of these names, each with the whole text that defines it (and what it needs besides).

    Raises RuntimeError where a text is not LLVM's language.
    """
    with _lock:
        found = {name: _loaded.get(text) for name, text in texts.items()}
    new = {name: texts[name] for name, function in found.items() if function is None}
    if new:
        library = Library(*cached_codes(new.values(), compile_text))
        found.update({name: Function(library.address(name), library) for name in new})
    answer = {name: function for name, function in found.items() if function is not None}
    with _lock:
        for name, function in answer.items():
            text = texts[name]
            answer[name] = _recent[text] = _loaded.setdefault(text, function)
            _recent.move_to_end(text)
        while len(_recent) > KEPT:
            _recent.popitem(last=False)
    return answer
