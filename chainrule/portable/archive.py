r"""A static library with one object file, as `ar` writes it: a line, an index of names, and the members.

The format is that of System V: each member has a head of 60 letters with its name and its size, and begins at an even
place; the first one, called `/`, lists the symbols, each with the place of the member that defines it.

>>> archive("one.o", b"code", ["twice"])[:8]
b'!<arch>\n'
"""

from __future__ import annotations

import struct
from collections.abc import Sequence


def archive(name: str, code: bytes, symbols: Sequence[str]) -> bytes:
    """The library; `symbols`: what the object file defines for others."""
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    index_size = 4 + 4 * len(symbols) + len(names)
    place = 8 + 60 + index_size + index_size % 2
    index = struct.pack(f">{1 + len(symbols)}I", len(symbols), *[place] * len(symbols)) + names
    # A name that is longer than its field would stand in a list of names: here it is cut, as nobody looks for it.
    return b"!<arch>\n" + _member("/", index) + _member(f"{name[:14]}/", code)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode("ascii")
    return head + content + b"\n" * (len(content) % 2)
