"""What a kernel is called with: numbers, and what stands for those that are known later."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.backends.native.language.code import Code
from chainrule.backends.native.lowering.place import Buffer


class Slot(NamedTuple):
    """Stands among a kernel's numbers for the base slot of a buffer, until memory has been planned."""

    buffer: Buffer


class Offset(NamedTuple):
    """Stands for a byte offset in a buffer's base slot."""

    buffer: Buffer
    bytes: int


class Check(NamedTuple):
    """Stands for the number under which a failed check of an index is reported."""

    path: str


class Kernel(NamedTuple):
    """Code and what it is called with.

    Attributes:
        code: the text of the function, which knows no sizes and no addresses; equal texts are one function.
        numbers: extents, strides and addresses for this use of it.
        parts: how many pieces of work it has.
    """

    code: Code
    numbers: list[Any]
    parts: int
