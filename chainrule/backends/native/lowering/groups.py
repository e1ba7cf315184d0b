"""Where values are while a graph is lowered, and the groups that compute them; see `fuse.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chainrule.backends.native.lowering.nest import Nest, Node
from chainrule.backends.native.lowering.views import Buffer, View
from chainrule.primitives.value import DataType, Shape

#: Fewer channels than this leave most of a vector empty, so vectors lie along the pixels.
FEW_CHANNELS = 12


class Constant(NamedTuple):
    """The same number everywhere."""

    value: Any
    shape: Shape
    dtype: DataType


class Gather(NamedTuple):
    """An index in another value: which value, which dimensions of the result its dimensions are, extent and stride."""

    symbol: Any
    dims: Shape
    extent: int
    stride: int


@dataclass(frozen=True)
class Memory:
    """A value in memory.

    Attributes:
        view: where its entries are.
        guards: (dimension, low, high): outside of this range along the dimension every entry is `constant`.
        gathers: indices from other values that move the place.
    """

    view: View
    guards: tuple[tuple[int, int, int], ...] = ()
    constant: float = 0
    gathers: tuple[Gather, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the view says everything."""
        return not self.guards and not self.gathers

    @property
    def shape(self) -> Shape:
        """Its extents."""
        return self.view.shape


@dataclass(frozen=True)
class Inside:
    """A value that a group computes; for each dimension the group's axis, None where it is the same all along."""

    group: Group
    node: Node
    axes: tuple[int | None, ...]
    shape: Shape


@dataclass(eq=False)
class Group:
    """What becomes one kernel.

    Attributes:
        number: rises with creation.
        nest: the loops (for a contraction, what is done with its result).
        product: the contraction in front of the nest, if any.
        call: for operations without native code: the equation, its inputs and outputs in memory.
        needs: bits of the groups that must have run before, their needs included.
        loaded: what the nest has read: for each symbol the value and its axes.
        values: the symbols it computes.
        loop: for a loop (`loops.py`) its body; two rows of the table stand for it, of which the second `ends` it.
        order: the axes from far apart to close together in memory, for what will be written.
        open: whether other operations may join.
        checks: whether it may fail: it checks numbers, or NumPy computes it.
        reads, writes: the buffers it touches.
        apart: those of `writes` of which others may write other entries at the same time.
    """

    number: int
    nest: Nest
    product: Any = None
    call: Any = None
    loop: Any = None
    ends: bool = False
    needs: int = 0
    loaded: dict[Any, tuple[Node, tuple[int | None, ...]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    open: bool = True
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


def live_dims(memory: Memory) -> list[int]:
    """The dimensions along which a value in memory varies; one that was looked up at one place may be repeated."""
    guarded = {d for d, _, _ in memory.guards}
    gathered = {d for g in memory.gathers for d, n in zip(g.dims, g.symbol.shape, strict=True) if n != 1}
    return [
        d
        for d, (extent, stride) in enumerate(zip(memory.view.shape, memory.view.strides, strict=True))
        if extent != 1 and (stride or d in guarded or d in gathered)
    ]


def varying_dims(place: Any) -> list[int]:
    """The same for a value anywhere."""
    if isinstance(place, Inside):
        return [d for d, axis in enumerate(place.axes) if axis is not None and place.shape[d] != 1]
    return live_dims(place)


def axes_by_stride(view: View) -> list[int]:
    """The dimensions from far apart to close together in memory."""
    return sorted(range(len(view.shape)), key=lambda d: (-abs(view.strides[d]) if view.strides[d] else 0, d))
