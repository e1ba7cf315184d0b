"""From samples to a batch: the same structure, with a batch dimension in front."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import CPU
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import from_numpy, make, tensor
from chainrule.functions.pieces import stack


def default_collate(batch: Sequence[Any]) -> Any:
    """A list of samples as one batch: what lies at the same place in each sample is stacked.

    Tensors, NumPy arrays and numbers become tensors with a first dimension for the samples: Python floats float64,
    integers int64, booleans bool, NumPy's their own type. Strings and bytes stay a list. Dictionaries, named tuples,
    lists and tuples keep their structure, at any depth; a plain tuple becomes a list, as in PyTorch.

    Raises:
        ShapeError: the samples' tensors differ in shape, or their sequences in length. Give the loader a `collate_fn`
            that pads them.
        DTypeError: something that is none of these.

    >>> default_collate([(1, {"name": "a"}), (2, {"name": "b"})])
    [tensor([1, 2]), {'name': ['a', 'b']}]
    """
    if not len(batch):
        raise ShapeError("default_collate: a batch has at least one sample, got none.")
    first = batch[0]
    if isinstance(first, TensorCell):
        return _stack_tensors(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return make(_stack_arrays([np.asarray(sample) for sample in batch]))
    if isinstance(first, (bool, int)):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype="float64")
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _same_mapping(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        return _same_sequence(first, [default_collate(column) for column in _columns(batch)])
    raise DTypeError(
        f"default_collate takes tensors, NumPy arrays, numbers, strings, dictionaries and sequences of them, "
        f"got {type(first).__name__}; give the loader a `collate_fn` that makes a batch of these."
    )


def default_convert(data: Any) -> Any:
    """NumPy arrays and scalars in any structure as tensors; everything else as it is.

    What a loader does with a sample if it makes no batches.

    >>> default_convert({"x": np.zeros(2), "name": "a"})
    {'x': tensor([0., 0.], dtype=chainrule.float64), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        return data if array.dtype.kind in "USO" else from_numpy(array)
    if isinstance(data, Mapping):
        return _same_mapping(data, {key: default_convert(part) for key, part in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _same_sequence(data, [default_convert(part) for part in data])
    return data


def map_tensors(function: Callable[[Any], Any], data: Any) -> Any:
    """A batch with the function applied to each tensor in it; other leaves stay as they are.

    >>> map_tensors(lambda x: x[0], [tensor([1, 2]), {"y": tensor([3, 4])}])
    [tensor(1), {'y': tensor(3)}]
    """
    if isinstance(data, TensorCell):
        return function(data)
    if isinstance(data, Mapping):
        return _same_mapping(data, {key: map_tensors(function, part) for key, part in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _same_sequence(data, [map_tensors(function, part) for part in data])
    return data


def tensors_of(data: Any) -> list[Any]:
    """The tensors in a batch, in order; none at all if there is anything else in it, such as a list of strings.

    >>> tensors_of([tensor(1), {"y": tensor(2)}]), tensors_of([tensor(1), ["a"]])
    ([tensor(1), tensor(2)], [])
    """
    if isinstance(data, TensorCell):
        return [data]
    if isinstance(data, Mapping):
        data = list(data.values())
    if isinstance(data, (str, bytes)) or not isinstance(data, Sequence):
        return []
    found = [tensors_of(part) for part in data]
    return [x for part in found for x in part] if all(found) else []


def _stack_tensors(batch: Sequence[Any]) -> Any:
    first = batch[0]
    if any(sample.requires_grad or sample.dtype is not first.dtype or not sample.is_cpu for sample in batch):
        return stack(list(batch))
    return make(_stack_arrays([sample.array for sample in batch]), device=CPU)


def _stack_arrays(arrays: list[np.ndarray]) -> np.ndarray:
    if arrays[0].dtype.kind in "USO":
        raise DTypeError(f"default_collate: a tensor holds numbers, not {arrays[0].dtype}; use lists of strings.")
    for place, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"default_collate: samples of a batch have the same shape, but sample 0 has {arrays[0].shape} and "
                f"sample {place} has {array.shape}; give the loader a `collate_fn` that pads or crops them."
            )
    return np.stack(arrays)


def _columns(batch: Sequence[Any]) -> list[tuple[Any, ...]]:
    lengths = [len(sample) for sample in batch]
    if len(set(lengths)) > 1:
        place = next(i for i, length in enumerate(lengths) if length != lengths[0])
        raise ShapeError(
            f"default_collate: samples of a batch have the same number of parts, but sample 0 has {lengths[0]} and "
            f"sample {place} has {lengths[place]}."
        )
    return list(zip(*batch))


def _same_mapping(like: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    """The parts in a mapping of the same kind, with the attributes of the first one where it can be copied."""
    if type(like) is dict:
        return parts
    try:
        if isinstance(like, MutableMapping):
            result = copy.copy(like)
            result.update(parts)
            return result
        return type(like)(parts)  # type: ignore[call-arg]
    except TypeError:  # its constructor takes something else
        return parts


def _same_sequence(like: Sequence[Any], parts: list[Any]) -> Any:
    if isinstance(like, tuple):
        return type(like)(*parts) if hasattr(like, "_fields") else parts
    if type(like) is list:
        return parts
    try:
        return type(like)(parts)  # type: ignore[call-arg]
    except TypeError:  # a range, or a constructor that takes something else
        return parts
