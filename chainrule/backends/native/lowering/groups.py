"""Groups: what becomes one kernel; and in which order of dimensions things lie in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chainrule.backends.native.lowering.nest import Nest, Node
from chainrule.backends.native.lowering.place import Buffer, View
from chainrule.primitives.value import Shape

#: Fewer channels than this leave most of a vector empty, so vectors lie along the pixels.
FEW_CHANNELS = 12
#: Fewer entries than this are read and written in any order as quickly as another kernel begins.
LITTLE = 2**14


@dataclass(eq=False)
class Group:
    """What becomes one kernel.

    Attributes:
        number: rises with creation.
        nest: the loops (for a contraction, what is done with its result).
        product: the contraction in front of the nest, if any.
        own: a kernel of a kind of its own, such as attention's; the nest only says how much there is to do.
        call: for operations without native code: the equation, its inputs and outputs in memory.
        needs: bits of the groups that must have run before, their needs included.
        loaded: what the nest has read: for each symbol the value and its axes.
        values: the symbols it computes.
        loop: for a loop (`loops.py`) its body; two rows of the table stand for it, of which the second `ends` it.
        order: the axes from far apart to close together in memory, for what will be written.
        open: whether other operations may join.
        draws: whether it draws random numbers, which are counted in the order of its dimensions.
        checks: whether it may fail: it checks numbers, or NumPy computes it.
        reads, writes: the buffers it touches.
        apart: those of `writes` of which others may write other entries at the same time.
    """

    number: int
    nest: Nest
    product: Any = None
    call: Any = None
    own: Any = None
    loop: Any = None
    ends: bool = False
    needs: int = 0
    loaded: dict[Any, tuple[Node, tuple[int | None, ...]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    open: bool = True
    draws: bool = False
    checks: bool = False
    reads: set[Buffer] = field(default_factory=set)
    writes: set[Buffer] = field(default_factory=set)
    apart: set[Buffer] = field(default_factory=set)

    def __post_init__(self) -> None:
        #: Its place in sets of groups.
        self.bit = 1 << self.number


def image_order(shape: Shape) -> list[int]:
    """How what is convolved lies in memory: channels last, or pixels last if the channels would not fill a vector."""
    pixels = list(range(2, len(shape)))
    return [0, *pixels, 1] if shape[1] >= FEW_CHANNELS else [0, 1, *pixels]


def axes_by_stride(view: View) -> list[int]:
    """The dimensions from far apart to close together in memory; what is looked up is as far apart as its places."""
    apart = [abs(stride) for stride in view.strides]
    for x in view.look_ups:
        for d, extent in zip(x.dims, x.symbol.shape, strict=True):
            if d is not None and extent != 1:
                apart[d] = max(apart[d], abs(x.stride))
    return sorted(range(len(apart)), key=lambda d: (-apart[d], d))
