"""Windows given by strides: how far apart neighbours are in memory, for programs that count in such steps.

Tensors here have no strides: views are steps from one tensor to another. What strides describe is made of such steps,
windows along one dimension after the other, so it has a gradient and is written through like every view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.creation import read_shape
from chainrule.functions.joining import unfold
from chainrule.functions.pieces import narrow
from chainrule.functions.shape import expand, permute, reshape, unsqueeze
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view whose entry [i, j, …] is the entry number offset + i·stride[0] + j·stride[1] + … of the input.

    The input's entries are counted row by row, as its `stride()` says. So it must lie like that in what it is a view
    of: of `x.t()` take a `clone()`. `storage_offset` counts from the start of that other tensor, as in PyTorch; without
    it the first entry is the input's. Raises ShapeError for entries that the input does not have.

    It may be written to where no two of its places are one entry (ShapeError).

    >>> import chainrule
    >>> as_strided(chainrule.arange(6), (2, 3), (2, 1))
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    sizes, steps = read_shape(tuple(size), "as_strided"), tuple(int(step) for step in stride)
    if len(sizes) != len(steps) or any(step < 0 for step in steps):
        raise ShapeError(
            f"as_strided takes a stride of 0 or more for each dimension, got {steps} for the shape {sizes}."
        )
    first = first_place(input)
    start = 0 if storage_offset is None else int(storage_offset) - first
    flat = reshape(input, -1)
    if 0 in sizes:
        return reshape(narrow(flat, 0, 0, 0), sizes)
    length = 1 + sum((extent - 1) * step for extent, step in zip(sizes, steps, strict=True))
    if start < 0 or start + length > flat.shape[0]:
        raise ShapeError(
            f"as_strided: shape {sizes} with strides {steps} takes the entries {start + first} to "
            f"{start + first + length - 1}, and the tensor has those from {first} to {first + flat.shape[0] - 1}."
        )
    # The largest steps first: what is left for the others is then as short as it can be, and windows that do not
    # share an entry are seen to be such.
    order = sorted(range(len(sizes)), key=lambda axis: -steps[axis] if sizes[axis] > 1 else 0)
    view = narrow(flat, 0, start, length)
    for axis in order:
        length -= (sizes[axis] - 1) * steps[axis]
        if steps[axis] == 0 or sizes[axis] == 1:
            view = unsqueeze(view, -2)
            view = expand(view, *view.shape[:-2], sizes[axis], length) if sizes[axis] > 1 else view
        else:
            view = unfold(view, view.ndim - 1, length, steps[axis])
    view = reshape(view, tuple([sizes[axis] for axis in order]))
    return permute(view, *[order.index(axis) for axis in range(len(sizes))]) if len(sizes) > 1 else view


def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A copy of the input with `src` where :func:`as_strided` looks.

    >>> import chainrule
    >>> as_strided_scatter(chainrule.zeros(4), chainrule.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    result = input.clone()
    as_strided(result, size, stride, storage_offset).copy_(src)
    return result


def first_place(input: Any) -> int:
    """The number of a tensor's first entry in what it is a view of, where it lies row by row.

    Raises ShapeError if its entries do not lie there one after another.

    >>> import chainrule
    >>> first_place(chainrule.zeros(4, 3)[2:])
    6
    """
    places = _places(input)
    if places is None or not places.size:
        return 0
    first = int(places.flat[0])
    if not np.array_equal(places.reshape(-1), np.arange(first, first + places.size)):
        raise ShapeError(
            "as_strided counts a tensor's entries row by row, and this one is a view whose entries lie otherwise in "
            "the tensor that it shows. Take x.clone(), whose entries lie row by row here, and the strides for that."
        )
    return first


def _places(tensor: Any) -> Any:
    """The number of each entry in the tensor at the bottom; None for that tensor itself."""
    _ = tensor.value  # once it has been read, its steps know of changes of the base's shape
    steps: list[Any] = []
    bottom = tensor
    while bottom._base is not None:
        steps = [*bottom._steps, *steps]
        bottom = bottom._base
    trace = current_state().trace
    given = None if trace is None else trace.given_for(bottom)  # an argument of a compiled step may be a view
    places = None if given is None else _places(given)
    steps = [step for step in steps if step.primitive is not None]
    if places is None and steps:
        places = np.arange(math.prod(bottom.shape)).reshape(bottom.shape)
    for step in steps:
        places = step.primitive.evaluate(places, **step.parameters)
    return places
