"""Tensor: a value and its place in the computation. The one class a user holds.

The parts: `cell.py` is the cell that holds a value; `functions/` has every operation, once; `methods/` makes them the
methods of a tensor. This is where they meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule.cell import TensorCell
from chainrule.dtypes import get_default_dtype
from chainrule.functions.creation import from_sizes_or_data, tensor
from chainrule.methods.conversions import Conversions, Types
from chainrule.methods.draws import Draws
from chainrule.methods.facts import Facts, describe
from chainrule.methods.further import FurtherMethods
from chainrule.methods.gradients import GradientMethods
from chainrule.methods.new import NewTensors
from chainrule.methods.operations import Operations
from chainrule.methods.shape_in_place import ShapeMethods
from chainrule.methods.sparse import SparseMethods
from chainrule.primitives.constants import note_made
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value


class Tensor(
    Operations,
    FurtherMethods,
    Conversions,
    Facts,
    NewTensors,
    ShapeMethods,
    SparseMethods,
    Draws,
    GradientMethods,
    Types,
    TensorCell,
):
    """An n-dimensional array of one data type that knows how it was computed.

    Tensors are made by `chainrule.tensor`, `zeros`, `randn`, …; operations on them make others. With
    `requires_grad=True` everything computed from a tensor is recorded, and `backward()` finds the derivatives.

    >>> import chainrule
    >>> x = chainrule.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> y = (x @ x.T).sum()
    >>> y
    tensor(52., grad_fn=<Sum>)
    >>> y.backward()
    >>> x.grad
    tensor([[ 8., 12.],
            [ 8., 12.]])
    """

    def __init__(self, *data: Any) -> None:
        """The older constructor: of data, or with whole numbers (`Tensor(2, 3)`) of that shape, filled with zeros.

        In the default floating-point type.
        """
        self._value = from_sizes_or_data(data, get_default_dtype())._value
        note_made(self)

    def _repr_html_(self) -> str:
        """For notebooks: the text, and of many entries what they are like."""
        from chainrule.explain.notebook import tensor_html

        return tensor_html(self)

    def __repr__(self) -> str:
        return describe(self)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind(0))

    def __hash__(self) -> int:
        return id(self)

    if not TYPE_CHECKING:  # a type checker would take every name then

        def __getattr__(self, name: str) -> NoReturn:
            """Say what to use instead of a method that is not there."""
            if not name.startswith("_"):
                from chainrule.absent_names import refuse

                refuse("Tensor", name, dir(type(self)))
            raise AttributeError(f"Tensor has no {name!r}")


class Parameter(Tensor):
    """A tensor that a module learns: assigning one to a module's attribute registers it. It requires a gradient.

    Made of a tensor it shares memory with it, as `detach()` does: what is written into one is seen in the other.

    >>> import chainrule
    >>> chainrule.nn.Parameter(chainrule.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    _copies_gradient = False

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        _hold(self, data)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a module keeps but does not learn: assigning one to an attribute registers it as a buffer.

    `persistent` says whether it is part of the `state_dict`. Memory is shared as by a :class:`Parameter`.

    >>> import chainrule
    >>> layer = chainrule.nn.Identity()
    >>> layer.count = chainrule.nn.Buffer(chainrule.zeros(2))
    >>> list(layer.state_dict())
    ['count']
    """

    persistent: bool

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        _hold(self, () if data is None else data)
        self.persistent = persistent


def _hold(tensor: Tensor, data: Any) -> None:
    """Give a new tensor its value; it shares the memory of a tensor."""
    if isinstance(data, Tensor):
        tensor.share(data)
    else:
        tensor._value = _made_of(data)
    note_made(tensor)


def _made_of(data: Any) -> Value:
    if hasattr(data, "to_dense"):
        raise TypeError(
            "a parameter or a buffer is a dense tensor, this one is sparse: make it of its values() and put the sparse "
            "tensor together in forward, or make it of to_dense()."
        )
    return tensor(data, dtype=get_default_dtype())._value


def _make_tensor(value: Value) -> Tensor:
    tensor = Tensor.__new__(Tensor)
    tensor._value = value
    return tensor


Primitive.make_tensor = staticmethod(_make_tensor)


def tensors_in(things: Any) -> list[Tensor]:
    """All tensors in nested lists, tuples and dictionaries, in order."""
    if isinstance(things, Tensor):
        return [things]
    if isinstance(things, dict):
        things = list(things.values())
    if isinstance(things, Sequence) and not isinstance(things, str):
        return [tensor for thing in things for tensor in tensors_in(thing)]
    return []
