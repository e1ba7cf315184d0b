"""Whether a cell wants a gradient, and the gradient that it has collected."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chainrule.changes import WatchedList, note_change
from chainrule.errors import DTypeError, GradientError, ShapeError
from chainrule.primitives import placed
from chainrule.primitives.constants import constant
from chainrule.primitives.value import Value
from chainrule.state import current_state
from chainrule.tape import Hook, Leaf, Record


class Handle:
    """Removes a hook again."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove = remove

    def remove(self) -> None:
        """Take the hook off. Doing it twice does no harm."""
        self._remove()


class Gradients:
    """The part of `TensorCell` that has to do with its gradient. `self` is always a whole cell."""

    _leaf: Leaf | None = None

    @property
    def requires_grad(self: Any) -> bool:
        """Whether a gradient is wanted for this tensor, or for something it was computed from."""
        return self.value.source is not None

    @requires_grad.setter
    def requires_grad(self: Any, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Any:
        """Want a gradient for this tensor (or no longer), in place.

        Raises DTypeError for integers and booleans, GradientError for the result of a recorded operation.
        """
        wanted_before = self.value.source is not None
        if requires_grad is not wanted_before:
            note_change(self)
        if not requires_grad:
            if not self.is_leaf:
                raise GradientError("only leaves can stop requiring a gradient; detach() a computed tensor instead.")
            if wanted_before:
                self._note_leaf_change()
                self._own = False
                self._value = Value(self.value.array)
        elif not wanted_before:
            if not self.dtype.is_floating_point:
                raise DTypeError(f"only floating-point tensors can require gradients, this one is {self.dtype}.")
            self._note_leaf_change()
            if self._leaf is None:
                self._leaf = _new_leaf()
            wanted = Value(self.shared_array(), (self._leaf, 0))
            if self._base is None:
                self.set_value(wanted)
            else:
                self._own, self._value = True, wanted
        return self

    def _note_leaf_change(self: Any) -> None:
        trace = current_state().trace
        if trace is not None:
            trace.note_leaf_change(self)

    @property
    def is_leaf(self: Any) -> bool:
        """Whether this tensor was not computed by a recorded operation."""
        source = self.value.source
        return source is None or isinstance(source[0], Leaf)

    @property
    def grad_fn(self: Any) -> Record | None:
        """The record of the operation that made this tensor; None for leaves."""
        source = self.value.source
        return source[0] if source is not None and isinstance(source[0], Record) else None

    @property
    def grad(self: Any) -> Any:
        """The gradient collected by `backward`, a tensor of the same shape, or None.

        Raises GradientError for one that a compiled step has used up and not kept; see `docs/differences.md`.
        """
        source = self.value.source
        if source is not None and isinstance(source[0], Record) and source[1] in (source[0].kept or {}):
            return source[0].kept[source[1]]  # type: ignore[index]
        if self._leaf is None:
            return None
        self._leaf.check_kept()
        trace = current_state().trace
        if trace is not None:
            trace.note_gradient(self._leaf, "read")
        return self._leaf.gradient

    @grad.setter
    def grad(self: Any, gradient: Any) -> None:
        if gradient is not None and (gradient.shape != self.shape or gradient.dtype is not self.dtype):
            raise ShapeError(
                f"the gradient of a {self.dtype} tensor of shape {tuple(self.shape)} cannot be "
                f"{gradient.dtype} {tuple(gradient.shape)}."
            )
        if gradient is not None and placed.in_use:
            gradient = self._beside(gradient)
        source = self.value.source
        if source is not None and isinstance(source[0], Record) and source[1] in (source[0].kept or {}):
            source[0].kept[source[1]] = gradient  # type: ignore[index]
            return
        if self._leaf is None:
            if gradient is None:
                return
            self._leaf = _new_leaf()
        trace = current_state().trace
        if trace is not None:
            trace.note_gradient(self._leaf, "set")
        elif (recording := current_state().recording) is not None:
            recording.note_leaf(self._leaf)
        self._leaf.gradient, self._leaf.spent = gradient, False

    @property
    def kept_grad(self: Any) -> Any:
        """`grad`, or None for one that a compiled step has not kept: for those who only carry gradients along."""
        return None if self._leaf is not None and self._leaf.spent else self.grad

    def retain_grad(self: Any) -> None:
        """Keep the gradient of this computed tensor in `.grad` too. Raises GradientError if it has none."""
        source = self.value.source
        if source is None:
            raise GradientError("retain_grad: this tensor does not require a gradient.")
        if isinstance(source[0], Record):
            source[0].kept = {source[1]: None, **(source[0].kept or {})}

    def register_hook(self: Any, hook: Hook) -> Handle:
        """Call `hook(gradient)` in every backward pass when this tensor's gradient is complete.

        A tensor that the hook returns replaces the gradient. The answer's `remove()` takes the hook off.

        >>> import chainrule
        >>> x = chainrule.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda g: 10 * g)
        >>> x.sum().backward(); x.grad
        tensor([10., 10.])
        """
        source = self.value.source
        if source is None:
            raise GradientError("register_hook: this tensor does not require a gradient, so it never gets one.")
        return Handle(source[0].add_hook(source[1], hook))

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Any], None]) -> Handle:
        """Call `hook(tensor)` after a backward pass has added to this leaf's `.grad`; `remove()` takes the hook off.

        Raises GradientError if the tensor is no leaf that requires a gradient.

        >>> import chainrule
        >>> x = chainrule.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
        >>> (3 * x).sum().backward()
        tensor([3., 3.])
        """
        source = self.value.source
        if source is None or not isinstance(source[0], Leaf):
            raise GradientError("post-accumulate hooks belong to leaves that require a gradient.")
        calls = source[0].after = source[0].after or WatchedList()
        call = functools.partial(hook, self)
        note_change(source[0])
        calls.append(call)
        return Handle(lambda: calls.remove(call) if call in calls else None)

    def detach_copy(self: Any) -> Any:
        """A tensor of the same value that is nobody's view and has no history."""
        return constant(self.shared_array())

    # ------------------------------------------------------------------------------------- Python's protocols


def _new_leaf() -> Leaf:
    leaf = Leaf()
    trace = current_state().trace
    if trace is not None:
        trace.note_leaf(leaf)
    return leaf
