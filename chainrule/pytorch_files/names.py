"""The names that a file of PyTorch's may use, and what each stands for here. There are no others."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from chainrule.cell import Size
from chainrule.dtypes import DType, as_dtype
from chainrule.errors import CheckpointError, DTypeError
from chainrule.keys import brief, checked_keys
from chainrule.nn.uninitialized import UninitializedBuffer, UninitializedParameter
from chainrule.pytorch_files.machine import Allowed, frozen
from chainrule.pytorch_files.storage import STORAGE_TYPES, Storage, StorageType
from chainrule.tensor import Parameter, Tensor


def find(module: str, name: str) -> Any:
    """What a name stands for: a function to call, a class of storages, a data type; else raises CheckpointError."""
    if f"{module}.{name}" in _FUNCTIONS:
        return Allowed(_FUNCTIONS[f"{module}.{name}"])
    if module in ("torch", "torch.cuda", "torch.storage"):
        if name in STORAGE_TYPES:
            return StorageType(name)
        if name.endswith("Storage"):
            raise CheckpointError(f"the file holds tensors of PyTorch's {name}, which has no counterpart here.")
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    if module == "torch":
        raise CheckpointError(f"the file refers to torch.{name}, which has no counterpart here.")
    raise CheckpointError(
        f"the file holds an object of {module}.{name}. Only tensors and plain values are read, since making other "
        "objects would run code that the file chooses. In PyTorch save a state_dict() instead of the object itself."
    )


#: PyTorch's names of the data types that tensors here have.
_DTYPES: dict[str, DType] = {
    name: as_dtype(name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
}


# -------------------------------------------------------------------------------------- tensors


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    return _tensor_of_type(storage, offset, size, stride, requires_grad, hooks, None, metadata)


def _tensor_of_type(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    if not isinstance(storage, Storage):
        raise CheckpointError(f"the file makes a tensor of a {type(storage).__name__}.")
    if metadata:
        raise CheckpointError(f"the file holds a tensor that is marked {brief(metadata)}; only plain ones are read.")
    tensor = storage.tensor(offset, tuple(size), tuple(stride), dtype)
    return tensor.requires_grad_() if requires_grad is True else tensor


def _parameter(data: Any, requires_grad: Any, hooks: Any = None, state: Any = None) -> Parameter:
    if not isinstance(data, Tensor):
        raise CheckpointError(f"the file makes a parameter of a {type(data).__name__}.")
    return Parameter(data, bool(requires_grad))


def _of_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes: they are dropped."""
    if not isinstance(function, Allowed) or not isinstance(arguments, tuple):
        raise CheckpointError("the file makes a tensor in a way that is not known.")
    return function.function(*arguments)


def _class_only(*arguments: Any) -> Any:
    raise CheckpointError("the file makes a tensor of its class, not of a storage.")


def _uninitialized_parameter(requires_grad: Any = True, device: Any = None, dtype: Any = None) -> Any:
    return UninitializedParameter(bool(requires_grad), dtype=_known(dtype))


def _uninitialized_buffer(requires_grad: Any = False, device: Any = None, dtype: Any = None) -> Any:
    return UninitializedBuffer(dtype=_known(dtype))


def _known(dtype: Any) -> DType | None:
    if dtype is not None and not isinstance(dtype, DType):
        raise DTypeError(f"{brief(dtype)} is no data type.")
    return dtype


# ----------------------------------------------------------------------------------- plain values


def _size(extents: Any) -> Size:
    return Size(int(extent) for extent in extents)


def _device(kind: Any, index: Any = None) -> str:
    """A device as its name."""
    return str(kind) if index is None else f"{kind}:{index}"


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    entries = [(key, value) for key, value in pairs]
    return OrderedDict(zip(checked_keys(key for key, _ in entries), (value for _, value in entries)))


def _counter(counts: Any = None) -> Counter[Any]:
    if not isinstance(counts, dict | None):
        raise CheckpointError(f"the file counts in a {type(counts).__name__}.")
    return Counter(counts or {})  # whose keys were looked at when it was filled


def _default(factory: Any = None) -> dict[Any, Any]:
    """A plain dictionary for a `defaultdict`: what that makes of a missing key is code, and dropped."""
    return {}


def _factory(*arguments: Any) -> Any:
    raise CheckpointError("the file calls a class of Python's.")


def _set(entries: Any = ()) -> set[Any]:
    return set(frozen(entries))


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """How bytes are written in the older protocols."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise CheckpointError("the file holds bytes in a way that is not known.")
    return text.encode("latin-1")


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.Tensor": _class_only,
    "torch.nn.parameter.Parameter": _class_only,
    "torch.nn.parameter.Buffer": _class_only,
    "torch.nn.parameter.UninitializedParameter": _uninitialized_parameter,
    "torch.nn.parameter.UninitializedBuffer": _uninitialized_buffer,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "collections.defaultdict": _default,
    "_codecs.encode": _bytes,
}
_BUILTINS: dict[str, Callable[..., Any]] = {
    "bytes": _bytes,
    "set": _set,
    "frozenset": frozen,
    "complex": _complex,
    # These stand in a defaultdict, for what it makes of a missing key.
    **dict.fromkeys(("int", "long", "float", "str", "list", "dict"), _factory),
}
for _module in ("builtins", "__builtin__"):  # as Python 3 and 2 call it
    _FUNCTIONS |= {f"{_module}.{name}": function for name, function in _BUILTINS.items()}
