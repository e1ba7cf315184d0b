"""Tensors of given numbers, made by no operation: what rules and functions need beside what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.primitives.placed import place_of
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Value
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.cell import TensorCell
    from chainrule.tensor import Tensor


def note_made(tensor: TensorCell) -> None:
    """Tell a trace that the step it follows has made this tensor, not from others by an operation."""
    trace = current_state().trace
    if trace is not None:
        trace.note_made(tensor)


def constant(array: Array) -> Tensor:
    """A tensor that takes over an array which nobody else writes to."""
    tensor = Primitive.make_tensor(Value(array))
    note_made(tensor)
    return tensor


def identity(n: int, like: Tensor, dtype: Any = bool) -> Tensor:
    """The identity matrix, in one of NumPy's types or ours; without one, booleans that are true on the diagonal.

    like: a tensor; it is made where that is.
    """
    made = constant(np.eye(n, dtype=getattr(dtype, "numpy", dtype)))
    return made.moved_to(place_of(like.value.array))
