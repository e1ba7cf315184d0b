"""What goes between a record and what it keeps: everything is packed when it is recorded and unpacked to be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import GradientError
from chainrule.primitives.placed import Placed
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value

Hook = Callable[[Any], Any]


class PackedDict(dict[str, Any]):
    """What a record keeps, by name, packed."""

    def __init__(self, pack: Hook, unpack: Hook, kept: dict[str, Any]) -> None:
        super().__init__({name: _packed(part, pack, unpack) for name, part in kept.items()})

    def unpacked(self) -> dict[str, Any]:
        """What was kept: the same numbers, or what the hooks made of them."""
        return {name: _unpacked(part) for name, part in self.items()}


class _Packed:
    """What a pack hook made of something kept, and what the thing was."""

    __slots__ = ("form", "source", "thing", "unpack", "whole")

    def __init__(self, kept: Any, pack: Hook, unpack: Hook) -> None:
        self.whole = isinstance(kept, Value)  # else it is a bare array
        array = kept.array if self.whole else kept
        self.form = array.shape, array.dtype
        self.source = kept.source if self.whole else None
        self.thing = pack(Primitive.make_tensor(Value(array)))
        self.unpack = unpack

    def restored(self) -> Any:
        tensor = self.unpack(self.thing)
        value = getattr(tensor, "value", None)
        if not isinstance(value, Value) or (value.array.shape, value.array.dtype) != self.form:
            got = f"{value.array.dtype} {value.array.shape}" if isinstance(value, Value) else type(tensor).__name__
            raise GradientError(f"saved_tensors_hooks: unpacking gave {got}, packed was {self.form[1]} {self.form[0]}.")
        return Value(value.array, self.source) if self.whole else value.array


def _packed(kept: Any, pack: Hook, unpack: Hook) -> Any:
    """Everything in what a record keeps, packed: values and arrays, in lists, tuples and dictionaries."""
    if isinstance(kept, dict):
        return {name: _packed(part, pack, unpack) for name, part in kept.items()}
    if type(kept) in (list, tuple):
        return type(kept)(_packed(part, pack, unpack) for part in kept)
    if type(kept) is Placed or hasattr(kept, "array") or hasattr(kept, "strides"):
        return _Packed(kept, pack, unpack)
    return kept


def _unpacked(kept: Any) -> Any:
    """The opposite of `_packed`; what was not packed is itself."""
    if isinstance(kept, _Packed):
        return kept.restored()
    if isinstance(kept, dict):
        return {name: _unpacked(part) for name, part in kept.items()}
    return type(kept)(map(_unpacked, kept)) if type(kept) in (list, tuple) else kept
