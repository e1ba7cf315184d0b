"""PyTorch's names for how entries are kept: layouts, which are dense or sparse, and memory formats, which do nothing.

A tensor is `strided`, a sparse one `sparse_coo` or `sparse_csr`; what makes a tensor refuses the layouts that it does
not make. Memory formats are taken everywhere without effect: nobody can see here in which order entries lie.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import SparseError

__all__ = [
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "layout",
    "memory_format",
    "preserve_format",
    "read_layout",
    "sparse_coo",
    "sparse_csr",
    "strided",
]


class layout:  # noqa: N801  (PyTorch's name)
    """How a tensor keeps its entries: all of them (`strided`), or those that are not zero, with their places.

    >>> import chainrule
    >>> chainrule.ones(2).layout, chainrule.ones(2).to_sparse().layout
    (chainrule.strided, chainrule.sparse_coo)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # the one of this name: a copy is the layout itself


class memory_format(layout):  # noqa: N801
    """The order of dimensions in memory, as a wish.

    >>> import chainrule
    >>> chainrule.ones(1, 3, 2, 2).to(memory_format=chainrule.channels_last).shape
    Size([1, 3, 2, 2])
    """


#: All entries.
strided = layout("strided")
#: Places that are listed, each with one number for every dimension.
sparse_coo = layout("sparse_coo")
#: Places row after row: where each row begins, and the columns.
sparse_csr = layout("sparse_csr")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")


def read_layout(what: str, given: Any, *known: layout) -> layout:
    """The layout that was given, the first of those known if none was. Raises SparseError if it is none of them."""
    if given is None:
        return known[0]
    if given not in known:
        raise SparseError(f"{what}: layout is {' or '.join(map(repr, known))}, got {given!r}.")
    return given
