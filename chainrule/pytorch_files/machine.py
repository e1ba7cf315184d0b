"""The machine of a pickle: it follows the opcodes and builds plain containers. Nothing of Python's is called.

A pickle is a program for a small stack machine. Two of its opcodes are dangerous in Python's reader: GLOBAL imports
anything by name, and REDUCE calls it. Here GLOBAL looks a name up in a table that we give, REDUCE calls only what came
from there, and BUILD, which sets attributes, does nothing but for ordered dictionaries, whose attributes are dropped.
`pickletools` of Python's library decodes the opcodes; it checks every length against the data that is there.
"""

from __future__ import annotations

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

from chainrule.errors import CheckpointError
from chainrule.keys import checked_keys

_MARK = object()

#: What opcodes do that only push their argument, or a constant.
_ARGUMENTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Allowed:
    """A function that a file may call by a name of PyTorch's."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class Machine:
    """Runs one pickle.

    Args:
        find: what a name (module, name) stands for; raises CheckpointError for names that are not allowed.
        storage: what a persistent identity, PyTorch's way to refer to memory outside of the pickle, stands for.
    """

    def __init__(self, find: Callable[[str, str], Any], storage: Callable[[Any], Any]) -> None:
        self.find = find
        self.storage = storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.hashes: dict[int, tuple[Any, Counter[int]]] = {}  # of the keys of each container that is being filled

    def run(self, file: IO[bytes]) -> Any:
        """The object of the next pickle in a file, which is then at its end. Raises CheckpointError for unknown steps.

        Damage shows as any of the errors that Python's containers raise.
        """
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                break
            self.step(opcode.name, argument)
        (result,) = self.pop(len(self.stack))
        return result

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        if name in _ARGUMENTS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop(_TUPLES[name])))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if not 0 <= argument < 2**32:  # as a text it may be any number: see chainrule.keys
                raise CheckpointError(f"the file remembers something under the number {argument}.")
            self.memo[argument] = self.top(object)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.top(object)
        elif name == "BINPERSID":
            self.stack.append(self.storage(*self.pop(1)))
        elif name in ("POP", "DUP"):
            top = self.pop(1)
            self.stack += [*top, *top] if name == "DUP" else []
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, thing = argument.split(" ", 1) if name == "GLOBAL" else self.pop(2)
            self.stack.append(self.find(module, thing))
        elif name in ("REDUCE", "NEWOBJ"):
            function, arguments = self.pop(2)
            self.stack.append(self.call(function, arguments))
        elif name == "BUILD":
            thing, _attributes = self.pop(2)
            if not isinstance(thing, OrderedDict):
                raise CheckpointError(f"the file sets attributes of a {type(thing).__name__}; only data can be read.")
            self.stack.append(thing)
        elif name not in ("PROTO", "FRAME"):
            self.fill(name)

    def fill(self, name: str) -> None:
        """Follow one of the opcodes that make or fill containers."""
        if name in ("TUPLE", "LIST", "DICT", "FROZENSET", "POP_MARK"):
            entries = self.pop_to_mark()
            if name == "POP_MARK":
                return
            if name == "DICT":
                self.stack.append({})
                self.set_items(entries)
            else:
                self.stack.append(_FROM_MARK[name](entries))
        elif name in ("APPEND", "APPENDS"):
            entries = self.pop(1) if name == "APPEND" else self.pop_to_mark()
            self.top(list).extend(entries)
        elif name in ("SETITEM", "SETITEMS"):
            self.set_items(self.pop(2) if name == "SETITEM" else self.pop_to_mark())
        elif name == "ADDITEMS":
            entries = self.pop_to_mark()
            self.top(set).update(self.keys_for(self.top(set), entries))
        else:
            raise CheckpointError(f"the file has the pickle opcode {name}, which saved data never needs.")

    def top(self, kind: type) -> Any:
        """What is on top of the stack, which must be of a kind."""
        thing = self.stack[-1]
        if thing is _MARK:
            raise CheckpointError("the file takes more from the stack than it has put there.")
        if not isinstance(thing, kind):
            raise CheckpointError(f"the file fills a {type(thing).__name__} as if it were a {kind.__name__}.")
        return thing

    def pop(self, count: int) -> list[Any]:
        """The uppermost things, in order."""
        things = self.stack[-count:]
        if len(things) < count or any(thing is _MARK for thing in things):
            raise CheckpointError("the file takes more from the stack than it has put there.")
        del self.stack[-count:]
        return things

    def pop_to_mark(self) -> list[Any]:
        """What has been put on the stack since the last mark."""
        things: list[Any] = []
        while (thing := self.stack.pop()) is not _MARK:
            things.append(thing)
        return things[::-1]

    def set_items(self, entries: list[Any]) -> None:
        """Fill the dictionary on top of the stack with keys and values in turn."""
        container = self.top(dict)
        container.update(zip(self.keys_for(container, entries[::2]), entries[1::2], strict=True))

    def keys_for(self, container: Any, keys: list[Any]) -> list[Any]:
        """The keys, if the container may have them besides those that it has."""
        _, seen = self.hashes.setdefault(id(container), (container, Counter()))  # held, so that no other has its id
        return checked_keys(keys, seen)

    def call(self, function: Any, arguments: Any) -> Any:
        """Call a function of the table."""
        if not isinstance(function, Allowed) or not isinstance(arguments, tuple):
            raise CheckpointError(f"the file calls a {type(function).__name__}.")
        return function.function(*arguments)


def frozen(entries: Any) -> frozenset[Any]:
    """A set of plain values."""
    return frozenset(checked_keys(entries))


_FROM_MARK: dict[str, Callable[[list[Any]], Any]] = {"TUPLE": tuple, "LIST": list, "FROZENSET": frozen}
