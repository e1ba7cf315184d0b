"""Nested containers as JSON and arrays, and back: what `chainrule.save` writes beside the tensors.

Strings, None, booleans, lists, whole numbers and finite ones stand for themselves in JSON. All else is an object with
one key, which says what it is: `{"tuple": […]}`, `{"dict": [[key, value], …]}`, `{"tensor": {"name": …}}`.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.cell import Size
from chainrule.devices import Device
from chainrule.dtypes import DType, as_dtype
from chainrule.errors import CheckpointError
from chainrule.functions.creation import make
from chainrule.keys import checked_keys
from chainrule.nn.uninitialized import UninitializedBuffer, UninitializedParameter, is_uninitialized
from chainrule.saved_modules import Classes, pack_object, readers
from chainrule.tensor import Parameter, Tensor


class PackError(ValueError):
    """A structure that says something we never write."""


def pack(thing: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A structure that JSON can hold, and the arrays it refers to by name.

    >>> import chainrule
    >>> pack({"step": 2, "betas": (0.9, 0.99)})
    ({'dict': [['step', 2], ['betas', {'tuple': [0.9, 0.99]}]]}, {})
    >>> structure, arrays = pack({"layer": {"weight": chainrule.zeros(3)}})
    >>> list(arrays)
    ['layer.weight']
    """
    packer = _Packer()
    try:
        return packer.pack(thing, ()), packer.arrays
    except RecursionError:
        raise CheckpointError("what is to be saved is nested too deeply, or contains itself.") from None


class _Packer:
    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # by the identity of the cell that holds the value
        self.modules: dict[int, int] = {}  # the number of each module that was written, by its identity
        self.held: list[Any] = []  # so that no identity is given out again meanwhile

    def pack(self, thing: Any, path: tuple[Any, ...]) -> Any:
        kind = type(thing)
        if thing is None or kind is bool or kind is str:
            return thing
        if kind is int:
            return thing if abs(thing) < 2**63 else {"int": hex(thing)}
        if kind is float:
            return thing if math.isfinite(thing) else {"float": str(thing)}
        if kind is list:
            return self._items(thing, path)
        if kind in _SEQUENCES:
            return {_SEQUENCES[kind]: self._items(thing, path)}
        if kind in _MAPPINGS:
            pairs = [[self._key(key, path), self.pack(entry, (*path, key))] for key, entry in thing.items()]
            return {_MAPPINGS[kind]: pairs}
        if isinstance(thing, Tensor):
            return self._tensor(thing, path)
        if isinstance(thing, (np.ndarray, np.generic)):
            return {"array" if isinstance(thing, np.ndarray) else "scalar": self._array(np.asarray(thing), path)}
        if kind in (bytes, bytearray):
            return {kind.__name__: base64.b64encode(thing).decode("ascii")}
        if kind is complex:
            return {"complex": [self.pack(thing.real, path), self.pack(thing.imag, path)]}
        if isinstance(thing, DType):
            return {"dtype": thing.name}
        if isinstance(thing, Device):
            return {"device": str(thing)}
        packed = pack_object(self, thing, path, _place(path))
        if packed is None:
            raise CheckpointError(f"{_place(path)} cannot be saved: it is {_describe(thing)}")
        return packed

    def _items(self, things: Any, path: tuple[Any, ...]) -> list[Any]:
        return [self.pack(entry, (*path, i)) for i, entry in enumerate(things)]

    def _key(self, key: Any, path: tuple[Any, ...]) -> Any:
        flat = key if type(key) is tuple else (key,)
        if not all(entry is None or type(entry) in (str, int, float, bool, bytes) for entry in flat):
            raise CheckpointError(
                f"{_place(path)} cannot be saved: one of its keys is {key!r:.60}; keys are strings, numbers, None or "
                "tuples of these."
            )
        return self.pack(key, path)

    def _tensor(self, tensor: Tensor, path: tuple[Any, ...]) -> Any:
        if is_uninitialized(tensor):
            kind = "uninitialized_parameter" if isinstance(tensor, Parameter) else "uninitialized_buffer"
            return {kind: tensor.dtype.name}
        cell = _cell_of(tensor)
        name = self.names.get(id(cell))
        if name is None:
            name = self.names[id(cell)] = self._array(tensor.read("saving"), path)
            self.held.append(cell)
        entry: dict[str, Any] = {"name": name}
        if isinstance(tensor, Parameter):
            entry["parameter"] = True
        if tensor.requires_grad:
            entry["requires_grad"] = True
        return {"tensor": entry}

    def _array(self, array: np.ndarray, path: tuple[Any, ...]) -> str:
        if array.dtype.kind not in "biufV" or (array.dtype.kind == "V" and array.dtype.name != "bfloat16"):
            raise CheckpointError(f"{_place(path)} cannot be saved: it is an array of {array.dtype.name}.")
        stem = ".".join(map(str, path)).encode("utf-8", "replace").decode() or "value"
        name, number = stem, 2
        while name in self.arrays or name == "__metadata__":  # which the format keeps for itself
            name, number = f"{stem}#{number}", number + 1
        self.arrays[name] = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        return name


_SEQUENCES: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset", Size: "Size"}
_MAPPINGS: dict[type, str] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter", defaultdict: "dict"}


def _cell_of(tensor: Tensor) -> Any:
    """What two tensors have in common that are always equal: one is the other, or the other's `detach()`."""
    plain = tensor._base is not None and not tensor._own and all(step.primitive is None for step in tensor._steps)
    return tensor._base if plain else tensor


def _place(path: tuple[Any, ...]) -> str:
    return "the object" + "".join(f"[{key!r}]" for key in path) if path else "the object"


def _describe(thing: Any) -> str:
    name = f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")
    if hasattr(thing, "state_dict"):
        return f"a {name}; save its state_dict(), and load that into one made anew."
    if isinstance(thing, tuple):
        return f"a named tuple {name}; save a plain tuple or a dictionary (_asdict())."
    return f"a {name}; what can be saved are tensors, arrays, numbers, strings, None, and containers of these."


# ------------------------------------------------------------------------------------------- back


def unpack(structure: Any, arrays: dict[str, np.ndarray], classes: Classes | None = None) -> Any:
    """What `pack` was given. `classes` are those that may be named.

    Raises PackError, and what Python raises on wrong types, for what it never returns.

    >>> unpack(*pack([1, (2, float("inf")), {3: None}]))
    [1, (2, inf), {3: None}]
    """
    first: dict[str, Tensor] = {}
    tensors: dict[Any, Tensor] = {}

    def tensor(entry: dict[str, Any]) -> Tensor:
        name, wanted, parameter = entry["name"], bool(entry.get("requires_grad")), "parameter" in entry
        if (name, wanted, parameter) not in tensors:
            # A tensor, its detach() and a Parameter made of it have one memory.
            plain = first[name].detach() if name in first else make(arrays[name])
            made = Parameter(plain, wanted) if parameter else plain.requires_grad_(wanted)
            first.setdefault(name, made)
            tensors[name, wanted, parameter] = made
            _ = made.dtype  # a DTypeError for types that tensors do not have
        return tensors[name, wanted, parameter]

    def items(entries: Any) -> list[Any]:
        return [back(entry) for entry in entries]

    def pairs(entries: Any) -> dict[Any, Any]:
        keys = checked_keys(back(key) for key, _ in entries)
        return dict(zip(keys, (back(entry) for _, entry in entries)))

    def back(entry: Any) -> Any:
        if isinstance(entry, list):
            return items(entry)
        if not isinstance(entry, dict):
            return entry
        if len(entry) != 1 or next(iter(entry)) not in known:
            raise PackError(f"it says {list(entry)[:3]}, which is unknown")
        ((kind, content),) = entry.items()
        return known[kind](content)

    known: dict[str, Callable[[Any], Any]] = {
        "int": lambda text: int(text, 16),
        "float": float,
        "complex": lambda parts: complex(*items(parts)),
        "bytes": base64.b64decode,
        "bytearray": lambda text: bytearray(base64.b64decode(text)),
        "dtype": as_dtype,
        "tuple": lambda entries: tuple(items(entries)),
        "set": lambda entries: set(checked_keys(items(entries))),
        "frozenset": lambda entries: frozenset(checked_keys(items(entries))),
        "Size": lambda entries: Size(items(entries)),
        "dict": pairs,
        "OrderedDict": lambda entries: OrderedDict(pairs(entries)),
        "Counter": lambda entries: Counter(pairs(entries)),
        "array": lambda name: arrays[name],
        "scalar": lambda name: arrays[name][()],
        "tensor": tensor,
        "uninitialized_parameter": lambda dtype: UninitializedParameter(dtype=dtype),
        "uninitialized_buffer": lambda dtype: UninitializedBuffer(dtype=dtype),
        "device": Device,
        **readers(back, classes or Classes()),
    }
    return back(structure)
