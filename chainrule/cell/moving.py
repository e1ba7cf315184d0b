"""From one device to another: the entries are copied, and the gradient goes the way back.

That is the one operation which is no primitive: it says where something is computed, not what. In a traced step all is
computed at one place, so there a move is an equation that changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.errors import TraceError
from chainrule.primitives.placed import on_a_device, on_host, place_of
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.shape import Reshape
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state
from chainrule.tape import Record

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Move:
    """The operation on the tape: it knows the place that gradients go back to, None for the CPU."""

    def __init__(self, back: Any) -> None:
        self.back = back

    name = "ToCopy"

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> Sequence[Tensor | None]:
        """The gradient, where the input was."""
        gradient: Any = upstream[0]
        return [None if gradient is None else moved(gradient, self.back)]


def moved(tensor: Any, place: Any) -> Any:
    """The tensor at a place, None being the CPU; the tensor itself if it is there already."""
    state = current_state()
    if state.trace is not None:
        return _moved_in_trace(tensor, place)
    value = tensor.value
    array = value.array
    here = place_of(array)
    if here is place:
        return tensor
    if isinstance(array, Symbol) and settled([tensor]):
        return moved(tensor, place)
    if state.recording is not None:
        raise on_a_device()
    new = on_host(array) if place is None else place.put(on_host(array))
    source = None
    if value.source is not None and state.gradients:
        source = Record(Move(here), {}, (value.source,), {}, ((array.shape, array.dtype),)), 0
    return Primitive.make_tensor(Value(new, source))


def _moved_in_trace(tensor: Any, place: Any) -> Any:
    value = current_state().trace.lift_tensors([tensor])[0]  # type: ignore[union-attr]
    if place_of(value.array) is place:
        return tensor
    if value.source is not None and current_state().gradients:
        raise TraceError(
            "a tensor that requires a gradient changes its device while a step is traced. All of a compiled step is "
            "computed on one device: move parameters and inputs before it."
        )
    result = Reshape.apply(tensor, to=tuple(value.array.shape))
    result.value.array.place = place
    return result
