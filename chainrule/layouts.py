"""PyTorch's names for how entries lie in memory: taken everywhere, without effect, since nobody can see it here."""

from __future__ import annotations

__all__ = [
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "layout",
    "memory_format",
    "preserve_format",
    "strided",
]


class layout:  # noqa: N801  (PyTorch's name)
    """The kind of memory of a tensor: always `strided`.

    >>> import chainrule
    >>> chainrule.ones(2).layout
    chainrule.strided
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"


class memory_format(layout):  # noqa: N801
    """The order of dimensions in memory, as a wish.

    >>> import chainrule
    >>> chainrule.ones(1, 3, 2, 2).to(memory_format=chainrule.channels_last).shape
    Size([1, 3, 2, 2])
    """


strided = layout("strided")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
