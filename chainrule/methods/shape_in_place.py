"""The shape of a tensor changed in place: `squeeze_`, `unsqueeze_`, `transpose_`, `resize_` and their like.

What is a view of the tensor stays what it was: it then gets to its entries by undoing the change first. So every change
comes with the steps that undo it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule.cell import ViewStep
from chainrule.errors import GradientError, ShapeError
from chainrule.functions import pieces, shape
from chainrule.functions.creation import read_shape
from chainrule.functions.words import teach
from chainrule.primitives.indexing import Index, Range
from chainrule.primitives.shape import Permute, Reshape
from chainrule.primitives.value import Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def in_place_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a function that gives a view in another shape."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = tuple(self.shape)
        seen = function(self, *args, **kwargs)
        return self.change_shape(seen, (_undone(seen._steps[-1], before),))

    method.__name__ = f"{function.__name__}_"
    method.__doc__ = f"`{function.__name__}` in place: this tensor itself has the other shape from now on."
    method.__wrapped__ = function  # type: ignore[attr-defined]
    return method


def _undone(step: ViewStep, before: Shape) -> ViewStep:
    if step.primitive is Permute:
        order = step.parameters["order"]
        return ViewStep(
            Permute, {"order": tuple(sorted(range(len(order)), key=order.__getitem__))}, step.differentiable
        )
    return ViewStep(Reshape, {"to": before}, step.differentiable)


class _Gone:
    """Stands where a view has lost its entries to `resize_`."""

    @staticmethod
    def apply(*_: Any, **__: Any) -> Any:
        raise ShapeError("this is a view of a tensor that resize_ has made smaller: its entries are gone.")

    write = apply


def resize_(self: Any, *size: Any) -> Tensor:
    """Another shape, in place, for as many of the first entries as there is room for; new ones are zeros.

    Raises ShapeError for a view, GradientError for a tensor that requires a gradient.

    >>> import chainrule
    >>> chainrule.tensor([[1, 2], [3, 4]]).resize_(3)
    tensor([1, 2, 3])
    """
    before, to = tuple(self.shape), read_shape(size, "resize_")
    if self.requires_grad:
        raise GradientError("resize_: a tensor that requires a gradient keeps its size; make a new one.")
    old, new = self.numel(), shape.Size(to).numel()
    if old == new:
        return self.change_shape(shape.reshape(self, to), (ViewStep(Reshape, {"to": before}, False),))
    if self._base is not None:
        raise ShapeError(f"resize_: a view of {old} entries cannot become one of {new}; clone() it first.")
    flat = self.detach_copy().reshape(-1)
    kept = flat[:new] if new < old else pieces.cat([flat, self.new_zeros(new - old)])
    if new < old:
        return self.change_shape(kept.reshape(to), (ViewStep(_Gone, {}, False),))
    back: list[tuple[Any, dict[str, Any]]] = [
        (Reshape, {"to": (new,)}),
        (Index, {"key": (Range(0, old, None),)}),
        (Reshape, {"to": before}),
    ]
    return self.change_shape(kept.reshape(to), tuple(ViewStep(step, settings, False) for step, settings in back))


def resize_as_(self: Any, the_template: Tensor) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(self, tuple(the_template.shape))


@teach
class ShapeMethods:
    """The shape changed in place; mixed into Tensor."""

    squeeze_, unsqueeze_ = in_place_view(shape.squeeze), in_place_view(shape.unsqueeze)
    transpose_, t_ = in_place_view(shape.transpose), in_place_view(shape.t)
    swapaxes_ = swapdims_ = transpose_
    resize_, resize_as_ = resize_, resize_as_
