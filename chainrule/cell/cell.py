"""The cell under a Tensor: it holds a value, follows and writes through views, and collects a gradient.

Values never change; a cell may be given another one. That is all an in-place method does: `x.add_(1)` computes a
new value and puts it into the cell, so whatever was computed from the old value keeps it. A view is a base and the
steps that lead from it to the part seen: reading follows the base, and writing goes back through the steps and puts
a new value into the base. So everything behaves as if memory were shared, and none is. A view may have a gradient of
its own: as a leaf (`Parameter(x)`, `x.detach().requires_grad_()`), or when it was detached and something that was
computed with a gradient is written into it. It shows what its base holds, and its history is not its base's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from chainrule.cell.claim import ALONE, ALONE_WITH_VIEW, Claim, holders, holders_with_view, is_owned
from chainrule.cell.gradient import Gradients
from chainrule.cell.moving import moved
from chainrule.dtypes import DType, from_numpy_dtype
from chainrule.errors import DTypeError, GradientError, ShapeError, TraceError
from chainrule.primitives import placed
from chainrule.primitives.constants import note_made
from chainrule.primitives.placed import Placed, is_number, mixed, on_host, place_of
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import refuse_symbol, settled
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state
from chainrule.tape import Leaf


class ViewStep(NamedTuple):
    """One step from a base to a view.

    Attributes:
        primitive: what reads the part; None for `detach`, which shows everything and cuts the gradient.
        parameters: its settings.
        differentiable: whether gradients were recorded when the view was made, or there was none to record; reading
            again keeps to that.
    """

    primitive: Any
    parameters: dict[str, Any]
    differentiable: bool


class Size(tuple[int, ...]):
    """A shape: a tuple that prints as one and counts its entries with `numel()`.

    >>> Size((2, 3)), Size((2, 3)).numel()
    (Size([2, 3]), 6)
    """

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Size(tuple.__add__(other, self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: Any) -> Any:
        return Size(tuple.__mul__(self, times)) if isinstance(times, int) else NotImplemented

    __rmul__ = __mul__

    def numel(self) -> int:
        """How many entries a tensor of this shape has."""
        count = 1
        for extent in self:
            count *= extent
        return count

    def __repr__(self) -> str:
        return f"Size([{', '.join(map(str, self))}])"


class TensorCell(Gradients):
    """The cell: its value, its views, its gradient. `Tensor` adds the operations.

    Attributes:
        _value: the value held; for a view, the value it had when last read.
        _base: the tensor this is a view of; itself a view only if it is `apart`, or was.
        _steps: how to get from the base's value to this one's.
        _turned: for a base, what undoes each change of its shape in place, the latest first.
        _turns: for a view, how many of these changes its steps know of.
        _seen: the base's value from which `_value` was made.
        _leaf: collects the gradient, once one was asked for.
        _own: whether this is a view that is a leaf of its own.
        _home: where compiled programs keep its entries, if any does, and their lock (`backends/home.py`).
    """

    _value: Value
    _copies_gradient = True  # `deepcopy` of a parameter leaves the gradient behind, as PyTorch's does
    _base: Any = None
    _steps: tuple[ViewStep, ...] = ()
    _seen: Value | None = None
    _leaf: Leaf | None = None
    _own: bool = False
    _turned: tuple[tuple[ViewStep, ...], ...] = ()
    _turns: int = 0
    _home: Any = None

    __array_priority__: ClassVar[int] = 1000  # NumPy arrays leave `array * tensor` to us

    # ------------------------------------------------------------------------------------- reading

    @property
    def value(self) -> Value:
        """The value now; a view follows its base."""
        base = self._base
        if base is not None and (base._value if base._base is None else base.value) is not self._seen:
            self._follow_base()
        return self._value

    @property
    def root(self) -> Any:
        """The tensor at the bottom: this one, or what it is in the end a view of."""
        tensor = self
        while tensor._base is not None:
            tensor = tensor._base
        return tensor

    @property
    def apart(self) -> bool:
        """Whether this is a view whose history is its own: a leaf, or what was detached. Its views are based on it."""
        return self._own or any(step.primitive is None for step in self._steps)

    def shared_array(self) -> Any:
        """The entries, to be put into another cell. A trace has to know whose they are, so it sees a symbol."""
        trace = current_state().trace
        return self.value.array if trace is None else trace.lift_tensors([self])[0].array

    def _undo_turns(self) -> None:
        """Put what undoes the latest changes of the base's shape in front of this view's steps."""
        turned = self._base._turned
        new = len(turned) - self._turns
        if new:
            self._steps = (*(step for undone in turned[:new] for step in undone), *self._steps)
            self._turns = len(turned)

    def _follow_base(self) -> None:
        self._undo_turns()
        state = current_state()
        before, trace = state.gradients, state.trace
        if trace is not None and not isinstance(self.root._value.array, Symbol):
            state.trace = None  # not part of the step: it only asks what the tensor is, a shape or whether it is a leaf
        tensor, seen = self._base, self._base.value  # before it is read: if another thread changes it now, look again
        try:
            for step in self._steps:
                state.gradients = step.differentiable and before and not self._own
                if step.primitive is None:
                    tensor = Primitive.make_tensor(Value(tensor.shared_array()))
                else:
                    tensor = step.primitive.apply(tensor, **step.parameters)
        finally:
            state.gradients, state.trace = before, trace
        value = Value(tensor._value.array, self._value.source) if self.apart else tensor._value
        kept = self._value, self._seen  # nothing is freed, so no other thread comes, between the next two assignments
        self._value, self._seen = value, seen
        del kept

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The entries as a NumPy array that must not be written to; a TraceError while tracing."""
        return self.array_for()

    def array_for(self, purpose: str = "") -> np.ndarray[Any, Any]:
        """The entries for NumPy to compute with; a DeviceError if they are not on the CPU."""
        array = self._looked_at(purpose)
        if type(array) is Placed:
            raise array.refusal(purpose or "reading it as a NumPy array")
        return array

    def read(self, purpose: str = "") -> np.ndarray[Any, Any]:
        """The entries for Python to look at, brought to the CPU if they are elsewhere."""
        return on_host(self._looked_at(purpose))

    def _looked_at(self, purpose: str) -> Any:
        """The entries. A trace of a tensor from outside then holds for these numbers only."""
        array = self.value.array
        trace = current_state().trace
        if trace is not None:
            array = trace.numbers_of(self)
        elif isinstance(array, Symbol) and settled([self]):
            array = self.value.array
        if isinstance(array, Symbol):
            refuse_symbol(array, purpose)
        return array

    def moved_to(self, place: Any) -> Any:
        """This tensor at a place (`primitives/placed.py`; None is the CPU); itself if it is there."""
        return moved(self, place)

    @property
    def shape(self) -> Size:
        """The extents of the dimensions."""
        return Size(self.value.array.shape)

    @property
    def dtype(self) -> DType:
        """The data type of the entries."""
        return from_numpy_dtype(self.value.array.dtype)

    @property
    def ndim(self) -> int:
        """How many dimensions."""
        return len(self.value.array.shape)

    # ------------------------------------------------------------------------------------- writing

    def as_view_of(self, base: Any, primitive: Any, parameters: dict[str, Any]) -> Self:
        """Make this fresh result of a view primitive a view of the tensor it was made from."""
        state = current_state()
        # What shows the entries alone may go through to those that a detached view shows: its history is cut off too.
        through = base._base is not None and not (base._own if primitive is None else base.apart)
        if through:
            base._undo_turns()
        self._base = root = base._base if through else base
        self._turns = len(root._turned)
        steps = base._steps if through else ()
        self._seen = root._value if root._base is None else root.value
        if primitive is not None or not steps or steps[-1].primitive is not None:
            # Of what has no gradient nothing is cut off, and what is recorded later is seen.
            steps = (*steps, ViewStep(primitive, parameters, state.gradients or self._seen.source is None))
        self._steps = steps
        if state.trace is not None:
            state.trace.note_view(self)
        return self

    def share(self, other: Any) -> None:
        """Show what `other` holds from now on: the two have one memory, what is written into one is seen in the other.

        A tensor that is nobody's view gives its value away and becomes a view itself, so a parameter made of a tensor
        is an ordinary one. Tensors outside of a step that is traced stay what they are.
        """
        trace = current_state().trace
        alone = other._base is None and other._value.source is None and (trace is None or trace.made_here(other))
        self._value = Value(other.shared_array())
        if not alone and other.root is not self:
            self.as_view_of(other, None, {})
            return
        self._base, self._steps, self._seen, self._own = None, (), None, False
        other._value = Value(other._value.array, other._value.source)  # a compiled step sees that it is another cell
        other.as_view_of(self, None, {})

    def set_value(self, value: Value) -> None:
        """Put a value into the cell without asking: no check of shapes, leaves or views."""
        trace = current_state().trace
        if trace is not None:
            trace.note_write(self)
        elif isinstance(self._value.array, Symbol):
            settled([self])
        elif (recording := current_state().recording) is not None:
            recording.note_write(self)
        self._base, self._steps, self._seen, self._own = None, (), None, False
        self._value = value

    def put_value(self, value: Value) -> None:
        """Put a value of the same shape and type into the cell; a view writes into what it is a view of."""
        if self._base is None:
            self.set_value(value)
            return
        state = current_state()
        before, state.gradients = state.gradients, False
        try:
            self._write_through(Primitive.make_tensor(value))
        finally:
            state.gradients = before

    def assign(self, new: Any) -> Self:
        """Put the value of `new` into the cell, as an in-place operation does; a view writes into its base.

        Raises:
            ShapeError: if the new value has another shape: an in-place result cannot broadcast its own cell.
            DTypeError: if its data type is of a higher kind (float into an integer tensor).
            GradientError: if the cell is a leaf that requires a gradient, while gradients are recorded.
        """
        if new.shape != self.shape:
            raise ShapeError(f"in-place: the tensor has shape {tuple(self.shape)}, the result {tuple(new.shape)}.")
        if new.dtype is not self.dtype:
            if new.dtype.kind > self.dtype.kind:
                raise DTypeError(f"in-place: a result of {new.dtype} cannot be put into a {self.dtype} tensor.")
            new = new.to(self.dtype)
        if placed.in_use:
            new = self._beside(new)
        if self._base is None or self._own:
            self._assign_root(new, "a leaf tensor that requires a gradient")
        else:
            self._write_through(new)
        return self

    def _beside(self, new: Any) -> Any:
        """What is put into this cell, where the cell is: only a number may come from elsewhere."""
        ours, theirs = self.value.array, new.value.array
        if place_of(ours) is not place_of(theirs):
            if place_of(theirs) is not None or not is_number(theirs):
                raise mixed("what is put into a tensor", [ours, theirs])
            new = new.moved_to(place_of(ours))
        return new

    def change_shape(self, new: Any, undo: tuple[ViewStep, ...]) -> Self:
        """Take over the value of `new`, a tensor of these entries in another shape, in place.

        undo: the steps from there to the shape of now, by which earlier views find their entries.

        Raises TraceError if a compiled step does this to a tensor that it has not made.
        """
        trace = current_state().trace
        if trace is not None and not trace.made_here(self):
            raise TraceError(
                "the shape of a tensor from outside is changed in place while a step is traced; write x = x.squeeze(…) "
                "and so on, without the underscore."
            )
        if self._base is None:
            self._assign_root(new, "a leaf tensor that requires a gradient")
            self._turned = (undo, *self._turned)
        elif self.apart:
            if self._own and current_state().gradients:
                raise change_of_leaf("a leaf tensor that requires a gradient")
            source = self._value.source if self._own else new.value.source
            self._steps = (*self._steps, *new._steps)
            self._value, self._turned = Value(new.value.array, source), (undo, *self._turned)
        else:
            self._steps, self._seen, self._value, self._turns = new._steps, new._seen, new._value, new._turns
        return self

    def _assign_root(self, new: Any, what: str) -> None:
        source, state = self._value.source, current_state()
        if self._base is not None:
            if self._own and state.gradients:
                raise change_of_leaf(what)
            self._write_through(new)
            return
        if state.trace is not None:
            state.trace.note_write(self)
        elif isinstance(self._value.array, Symbol):
            settled([self])
        elif state.recording is not None:
            state.recording.note_write(self)
        if not state.gradients:
            self._value = Value(new.value.array, source)
            return
        if source is not None and isinstance(source[0], Leaf):
            raise change_of_leaf(what)
        self._value = new.value

    def overwrite(self, primitive: Any, parameters: dict[str, Any], new: Any) -> bool:
        """Put new entries into the array itself where nobody else could see that, and say whether it was done.

        So a loop that writes entry by entry need not copy everything each time. A value never changes for those who
        hold it: this one is held by this cell alone, and so is its array. Afterwards the cell holds another value.
        """
        state = current_state()
        overwrite, source = getattr(primitive, "overwrite", None), self._value.source
        plain = not state.gradients or (source is None and new.value.source is None)
        if overwrite is None or not plain or self._base is not None or _is_watched(state):
            return False
        entries = new.value.array
        if holders(self) != ALONE or not is_owned(self._value.array) or type(entries) is Placed:
            return False
        claim, alone = Claim(self), False
        try:
            # Counted again: until the claim another thread could take the value. From now on none can.
            alone = claim.is_plain and holders(claim) == ALONE and is_owned(claim._value.array)
            if alone:
                overwrite(claim._value.array, entries, **parameters)
        finally:
            claim.release(self, changed=alone)
        return alone

    def _overwrite_base(self, new: Any) -> bool:
        """The same for a view of one step: the base's entries, if only the base and this view hold them."""
        state = current_state()
        step, base = self._steps[0], self._base
        overwrite, source = getattr(step.primitive, "overwrite", None), base._value.source
        plain = not state.gradients or (source is None and new.value.source is None)
        if len(self._steps) > 1 or overwrite is None or not plain or _is_watched(state):
            return False
        if base._base is not None or self._own or self._seen is None or not is_owned(base._value.array):
            return False
        entries = new.value.array
        if type(entries) is Placed:
            return False
        if self._seen is not base._value or holders_with_view(self, base) != ALONE_WITH_VIEW:
            return False
        whole, part, alone = Claim(base), Claim(self), False
        try:
            plain = whole.is_plain and part.is_plain and self._seen is whole._value
            alone = plain and holders_with_view(part, whole) == ALONE_WITH_VIEW and is_owned(whole._value.array)
            if alone:
                overwrite(whole._value.array, entries, **step.parameters)
        finally:
            if alone:
                self._seen = None
            whole.release(base, changed=alone)
            part.release(self, changed=False)
        return alone

    def _write_through(self, new: Any) -> None:
        self._undo_turns()
        if self._overwrite_base(new):
            return
        state = current_state()
        if state.trace is not None:
            state.trace.lift_tensors([self])  # it has to know what this is a view of
        stages = [self._base]
        for step in self._steps[:-1]:
            last = stages[-1]
            stages.append(last.detach() if step.primitive is None else step.primitive.apply(last, **step.parameters))
        cut, before = self.apart, state.gradients
        source = new.value.source if before else self._value.source
        state.gradients = before and not cut
        try:
            for stage, step in zip(reversed(stages), reversed(self._steps), strict=True):
                if step.primitive is not None:
                    new = step.primitive.write(stage, new, **step.parameters)
            self._base._assign_root(new, "a view of a leaf tensor that requires a gradient")
        finally:
            state.gradients = before
        if cut and source is not self._value.source:
            if state.trace is not None:
                state.trace.note_leaf_change(self)
            self._value = Value(self._value.array, source)  # the entries are the base's, which has another value now
        if before and not cut and self._base.value.source is not None:
            # What was recorded is seen through this view too, also if it was made while nothing was recorded.
            self._steps = tuple(step._replace(differentiable=True) for step in self._steps)

    # ------------------------------------------------------------------------------------- Python's protocols

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if not self.is_leaf:
            raise GradientError("only leaves can be deep-copied; detach() the result of a computation first.")
        if id(self) in memo:
            return memo[id(self)]
        twin = memo[id(self)] = _restore(type(self), self.shared_array(), self.requires_grad)
        note_made(twin)
        if self._leaf is not None and self._leaf.spent and twin._leaf is not None:
            twin._leaf.spent = True
        elif self.grad is not None and self._copies_gradient:
            twin.grad = copy.deepcopy(self.grad, memo)
        _copy_extras(self, twin, lambda extra: copy.deepcopy(extra, memo))
        return twin

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise GradientError("only leaves can be pickled; detach() the result of a computation first.")
        array = self.shared_array() if type(self.value.array) is Placed else self.array_for("pickling")
        extras = {name: extra for name, extra in self.__dict__.items() if name not in OWN_ATTRIBUTES}
        return _restore, (type(self), array, self.requires_grad, self.kept_grad, extras)


def _is_watched(state: Any) -> bool:
    """Whether somebody notes every operation."""
    return state.trace is not None or state.observer is not None or state.recording is not None


def change_of_leaf(what: str) -> GradientError:
    """The error of an in-place change, recorded, of a leaf or a view of one."""
    return GradientError(
        f"in-place change of {what}: its gradient would belong to a value that is gone. Do it under "
        "`with chainrule.no_grad():` (as optimisers do), or make a new tensor instead."
    )


#: What a tensor keeps among its attributes itself; all others are the user's.
OWN_ATTRIBUTES = frozenset({"_home", "_value", "_base", "_steps", "_seen", "_leaf", "_own", "_turned", "_turns"})


def _restore(kind: Any, array: Any, requires_grad: bool, grad: Any = None, extras: dict[str, Any] | None = None) -> Any:
    tensor = kind.__new__(kind)
    tensor._value = Value(array)
    tensor.requires_grad_(requires_grad)
    if grad is not None:
        tensor.grad = grad
    tensor.__dict__.update(extras or {})
    return tensor


def _copy_extras(tensor: Any, twin: Any, duplicate: Callable[[Any], Any]) -> None:
    for name, extra in tensor.__dict__.items():
        if name not in OWN_ATTRIBUTES:
            twin.__dict__[name] = duplicate(extra)
