"""Boolean masks in brackets while a step is traced: how many entries a mask selects is not known then.

Writing needs no number: y[mask] = v is y ← where(mask, v, y). Reading gives a :class:`Selection`, which keeps the
whole tensor and the mask; it can be computed with entry by entry and written back (y[mask] *= 2), summed and averaged.
All else would need its shape and is refused.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.cell import TensorCell
from chainrule.errors import ShapeError, TraceError
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import zeros
from chainrule.functions.logic import where
from chainrule.functions.promotion import cast, expand_to
from chainrule.functions.shape import view_through
from chainrule.primitives.indexing import Index, Key
from chainrule.primitives.value import Symbol
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Masked(NamedTuple):
    """A part of a tensor with a mask on it.

    Attributes:
        part: the tensor as slices, integers and None before the mask make it: a view.
        mask: booleans of the extents of some dimensions of the part.
        first: the first of these dimensions.
    """

    part: Tensor
    mask: Tensor
    first: int

    @property
    def behind(self) -> int:
        """How many dimensions come behind those of the mask."""
        return self.part.ndim - self.first - self.mask.ndim

    def everywhere(self) -> Tensor:
        """The mask as booleans of the shape of the part."""
        spread = self.mask.reshape(tuple(self.mask.shape) + (1,) * self.behind)
        return expand_to(spread, tuple(self.part.shape))


def masked(input: Tensor, views: Key, mask: Tensor, first: int) -> Masked:
    """The part that the views leave, and the mask from its dimension `first` on; a single truth is a row of one."""
    return Masked(view_through(Index, input, key=views), mask if mask.ndim else mask.reshape(1), first)


def write(at: Masked, value: Any) -> None:
    """part[mask] = value: a number, a selection by the same mask, or a tensor that broadcasts to what is selected."""
    dtype = at.part.value.array.dtype
    if isinstance(value, Selection):
        new = value.whole_for(at)
    else:
        new = _spread(at, value)
    at.part.assign(where(at.everywhere(), cast(new, dtype), at.part))


def fits_everywhere(at: Masked, value: Tensor) -> bool:
    """Whether a value can be written without knowing how many places are selected: it is the same at all of them."""
    if isinstance(value, Selection):
        return True
    value = _without_ones(at, value)
    count_at = value.ndim - at.behind - 1
    return count_at < 0 or value.shape[count_at] == 1


def _without_ones(at: Masked, value: Tensor) -> Tensor:
    """A value with more dimensions than what is selected, all of extent 1: they do not count."""
    extra = value.ndim - (at.part.ndim - at.mask.ndim + 1)
    if extra > 0 and all(extent == 1 for extent in value.shape[:extra]):
        return value.reshape(tuple(value.shape[extra:]))
    return value


def _spread(at: Masked, value: Any) -> Tensor:
    """The value at every place of the part."""
    new = _without_ones(at, value)
    count_at = new.ndim - at.behind - 1
    if not fits_everywhere(at, new):
        return _one_by_one(at, new, count_at)
    shape = tuple(new.shape)
    if count_at >= 0:
        shape = (*shape[:count_at], *(1,) * at.mask.ndim, *shape[count_at + 1 :])
    return expand_to(new.reshape(shape), tuple(at.part.shape))


def _one_by_one(at: Masked, values: Tensor, count_at: int) -> Tensor:
    """Values for the selected places in their order: the n-th place gets the n-th value."""
    count, shape = values.shape[count_at], tuple(at.part.shape)
    rest = shape[: at.first], shape[at.first + at.mask.ndim :]
    check_numbers(_selects, at.mask, wrong=_selects_others, count=count, given=tuple(values.shape), rest=rest)
    flat = at.mask.reshape(-1).long()
    place = (flat.cumsum(0) - 1).clamp(0, max(count - 1, 0))
    if not count:
        values = zeros(
            *values.shape[:count_at], 1, *values.shape[count_at + 1 :], dtype=values.dtype, device=values.device
        )
    chosen = values.index_select(count_at, place)
    spread = (*values.shape[:count_at], *at.mask.shape, *values.shape[count_at + 1 :])
    return expand_to(chosen.reshape(spread), shape)


def _selects(mask: Any, count: int, given: tuple[int, ...], rest: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    found = int(np.count_nonzero(mask))
    if found != count:
        to = (*rest[0], found, *rest[1])
        raise ShapeError(f"cannot expand shape {given} to {to}: from the right, each dimension must be equal or 1.")


def _selects_others(mask: Tensor, count: int, **_: Any) -> Tensor:
    return mask.long().sum() != count


class Selection(TensorCell):
    """x[mask] in a traced step: the whole x, of which only the masked entries mean something.

    Every one is of a class made by `_among`, which has the methods of tensors as well.
    """

    at: Masked
    whole: Tensor

    def __init__(self, at: Masked, whole: Tensor) -> None:
        self.__dict__.update(at=at, whole=whole)

    @property
    def value(self) -> Any:
        """Never there: the entries have no shape yet."""
        raise TraceError(
            "indexing with a mask: how many entries x[mask] has is known only when the step runs, so here it has no "
            "shape. Compiled steps write through masks (y[mask] = v, y[mask] *= v), compute with x[mask] entry by "
            "entry and take its sum() and mean(). For anything else keep all entries: where(mask, x, 0), or multiply "
            "by the mask."
        )

    @property
    def _value(self) -> Any:  # type: ignore[override]
        return self.value

    def whole_for(self, at: Masked) -> Tensor:
        """All entries, for a place that is selected by the same mask."""
        same = at.first == self.at.first and tuple(at.part.shape) == tuple(self.whole.shape)
        if not (same and _equal(at.mask.shared_array(), self.at.mask.shared_array())):
            raise TraceError(
                "indexing with a mask: y[mask] = x[other] needs the same mask on both sides in a compiled step (use "
                "one variable for both), and tensors of one shape."
            )
        return self.whole

    def partner(self, other: Any) -> Any:
        """The other side of an operation, at every place."""
        if isinstance(other, Selection):
            return other.whole_for(self.at)
        if isinstance(other, TensorCell) and len(other.value.array.shape) > self.at.behind:
            raise TraceError(
                f"indexing with a mask: x[mask] meets a tensor of shape {tuple(other.shape)} in a compiled step, where "
                "it has no shape. Mask a tensor of the shape of x in the same way, or use where(mask, …, …)."
            )
        return other

    def sum(self, *given: Any, **settings: Any) -> Tensor:
        """The sum of the selected entries; along a dimension there is none."""
        if given or settings:
            return self.value
        return where(self.at.everywhere(), self.whole, 0).sum()

    def mean(self, *given: Any, **settings: Any) -> Tensor:
        """The mean of the selected entries; NaN if there are none."""
        if given or settings:
            return self.value
        return where(self.at.everywhere(), self.whole, 0).mean() * self.whole.numel() / self.at.everywhere().sum()


def select(at: Masked) -> Tensor:
    """part[mask], for the mask as it is now, whatever is written into it later.

    Entries that are not selected are 1: nothing computed from them is infinite, nor any gradient.
    """
    at = at._replace(mask=at.mask.detach_copy())
    kind: Any = type(at.mask)
    return _among(kind)(at, where(at.everywhere(), at.part, True if at.part.dtype.kind == 0 else 1))


def _equal(a: Any, b: Any, depth: int = 8) -> bool:
    """Whether two values of a trace are the same, or made from the same by the same operations."""
    trace = current_state().trace
    if a is b or trace is None or not depth:
        return a is b
    known = [trace.constant_of(x) if isinstance(x, Symbol) else x for x in (a, b)]
    if any(x is not None for x in known):
        return all(x is not None for x in known) and bool(np.array_equal(*known))
    made = {symbol: e for e in trace.equations for symbol in e.outputs if symbol is a or symbol is b}
    if len(made) != 2:
        return False
    x, y = made[a], made[b]
    return (
        x.primitive is y.primitive
        and x.parameters == y.parameters
        and x.outputs.index(a) == y.outputs.index(b)
        and len(x.inputs) == len(y.inputs)
        and all(_equal(i, j, depth - 1) for i, j in zip(x.inputs, y.inputs, strict=True))
    )


_OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_METHODS = (
    "add", "sub", "mul", "div", "pow", "clamp", "neg", "abs", "exp", "log", "sqrt", "square", "reciprocal", "sin",
    "cos", "tanh", "sigmoid", "relu", "floor", "ceil", "round", "sign",
)  # fmt: skip


@functools.cache
def _among(tensors: type) -> Any:
    """Selections that are tensors of that class, too: what is entry by entry is done on all entries, the rest refused.

    Made when the first is needed, so that the functions need not import the class of tensors.
    """
    forms = [(f"__{form}{name}__", form == "i") for name in _OPERATORS for form in ("", "r", "i")]
    forms += [(f"__{name}__", False) for name in ("neg", "abs", "invert")]
    forms += [(name, False) for name in _METHODS] + [(f"{name}_", True) for name in _METHODS]
    forms += [(name, False) for name in ("to", "float", "double", "long", "int", "detach", "clone")]
    methods = {
        name: _deferred(name, getattr(tensors, name), in_place) for name, in_place in forms if hasattr(tensors, name)
    }
    return type("Selection", (Selection, tensors), methods)


def _deferred(name: str, method: Any, in_place: bool) -> Any:
    """A method of tensors that works entry by entry, on all entries of a selection."""

    def deferred(self: Selection, *args: Any, **kwargs: Any) -> Selection:
        result = method(self.whole, *[self.partner(arg) for arg in args], **kwargs)
        if in_place:
            return self
        return type(self)(self.at, result)

    deferred.__name__ = name
    return deferred
