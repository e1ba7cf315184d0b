"""User blocks in PyTorch's form: a class with `forward` and a hand-written `backward`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.mode import no_grad
from chainrule.cell import TensorCell
from chainrule.errors import GradientError, ShapeError
from chainrule.primitives.elementwise import Cast
from chainrule.primitives.primitive import Primitive, zeros_of
from chainrule.primitives.value import Form, Value
from chainrule.program.graph import BlockUse
from chainrule.state import current_state
from chainrule.tape import Record

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Context:
    """What `forward` hands to `backward`: saved tensors, and any attributes that are set on it.

    Attributes:
        needs_input_grad: for each argument of `apply` whether its gradient is wanted.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.fills = True
        self._saved: tuple[Any, ...] = ()
        self._makers: tuple[Callable[..., Any] | None, ...] = ()
        self._not_differentiable: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors (sparse ones too) for `backward`; they are freed with the graph."""
        taken_apart = [x._apart() if getattr(x, "is_sparse", False) else ((x,), None) for x in tensors]  # type: ignore[union-attr]
        self._saved = tuple(part for parts, _ in taken_apart for part in parts)
        self._makers = tuple(make for _, make in taken_apart)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these outputs have no gradient."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that `forward` has changed these inputs in place and gives them back: they become its outputs.

        Raises GradientError (from `apply`) for a leaf that requires a gradient, and for one that is no output.
        """
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros for an output without a gradient (the default), or None."""
        self.fills = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors kept by `save_for_backward`."""
        if not self._saved:
            return ()
        parts = iter(self._saved)
        return tuple(next(parts) if make is None else make(next(parts), next(parts)) for make in self._makers)


class Function:
    """A differentiable operation with a gradient written by hand.

    Subclasses give two static methods, `forward(ctx, *arguments)` and `backward(ctx, *upstream)`, which returns one
    gradient (or None) for each argument of `forward`. If `backward` consists of tensor operations it can be
    differentiated again. Where there is a third one, `setup_context(ctx, inputs, output)`, it keeps what `backward`
    needs, and `forward(*arguments)` only computes.

    >>> import chainrule
    >>> class Square(chainrule.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = chainrule.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the outputs; nothing in here is recorded."""
        raise TypeError("a Function defines forward(ctx, …).")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what `backward` needs, in a class whose `forward` takes no `ctx`."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument from the gradients of the outputs."""
        raise TypeError("a Function defines backward(ctx, …).")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and record it as one operation."""
        state = current_state()
        recording = state.gradients
        needs = tuple(isinstance(x, TensorCell) and x.requires_grad for x in args)
        context = Context(needs)
        sources = tuple(x.value.source if isinstance(x, TensorCell) else None for x in args)
        state.gradients, outer, use = False, state.block, None
        if state.recording is not None:
            use = state.block = BlockUse(cls.__name__, outer)
        try:
            if cls.setup_context is Function.setup_context:
                answer = cls.forward(context, *args)
            else:
                answer = cls.forward(*args)
                cls.setup_context(context, args, answer)
        finally:
            state.gradients, state.block = recording, outer
        if not recording or not any(needs):
            return answer
        return _recorded(cls, context, args, sources, answer, use)


class _Applied:
    """The operation in the record of a Function: knows its class and context, and the form of each argument."""

    def __init__(
        self, function: type[Function], context: Context, kept: list[tuple[str, int]], taken: list[Form | None]
    ) -> None:
        self.function = function
        self.taken = taken
        self.context = context
        self.kept = kept
        self.name = function.__name__

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> Sequence[Tensor | None]:
        """Call the user's `backward` with the saved tensors restored."""
        make = Primitive.make_tensor
        saved = record.saved or {}
        restored: list[Any] = []
        for kind, position in self.kept:
            if kind == "output":
                restored.append(make(Value(saved["outputs"][position], (record, position))))
            else:
                restored.append(None if kind == "nothing" else make(saved["inputs"][position]))
        self.context._saved = tuple(restored)
        fills = self.context.fills
        coming = [zeros_of(form) if g is None and fills else g for g, form in zip(upstream, record.forms, strict=True)]
        answer = self.function.backward(self.context, *coming)
        self.context._saved = ()
        answers = answer if isinstance(answer, tuple) else (answer,)
        without = answers[len(wanted) :]  # for inputs there are not: PyTorch takes None there too
        if len(answers) < len(wanted) or any(g is not None for g in without):
            raise GradientError(
                f"{self.name}.backward gives {len(answers)} gradients; forward takes {len(wanted)} arguments. "
                "Return one for each, None for those without."
            )
        return [self._fitting(place, g) for place, g in enumerate(answers[: len(wanted)])]

    def _fitting(self, place: int, g: Any) -> Tensor | None:
        """What `backward` gave for an argument, in that one's shape and data type; GradientError if it cannot be."""
        if g is None:
            return None
        if not isinstance(g, TensorCell):
            raise GradientError(
                f"{self.name}.backward gives {type(g).__name__} {g!r:.40} for argument {place} of forward; return a "
                "tensor or None."
            )
        form, given = self.taken[place], g.value.array.shape
        if form is None:
            return None
        try:  # what broadcasting would have repeated is added up
            fitting: Tensor = g if given == form[0] else g.sum_to_size(form[0])  # type: ignore[assignment, attr-defined]
        except ShapeError:
            raise GradientError(
                f"{self.name}.backward gives a gradient of shape {tuple(given)} for argument {place} of forward, "
                f"which has shape {tuple(form[0])}; return one of that shape."
            ) from None
        return fitting if fitting.value.array.dtype == form[1] else Cast.apply(fitting, dtype=form[1])


def _recorded(
    function: type[Function],
    context: Context,
    args: tuple[Any, ...],
    sources: tuple[Any, ...],
    answer: Any,
    use: BlockUse | None,
) -> Any:
    """The outputs with their record. sources: where the arguments came from before `forward` could change them."""
    outputs = answer if isinstance(answer, tuple) else (answer,)
    kept: list[tuple[str, int]] = []
    inputs: list[Value] = []
    arrays: dict[int, Any] = {}
    for tensor in context._saved:
        position = next((i for i, y in enumerate(outputs) if y is tensor and tensor is not None), None)
        if position is not None:  # keeping the output itself would tie a knot with the record
            kept.append(("output", position))
            arrays[position] = outputs[position].value.array
        else:
            kept.append(("nothing", 0) if tensor is None else ("input", len(inputs)))
            inputs += [] if tensor is None else [tensor.value]
    context._saved = ()
    if any(all(x is not y for y in outputs) for x in context._dirty):
        raise GradientError(f"{function.__name__}: what forward marks with mark_dirty, it returns.")
    forms = [(y.value.array.shape, y.value.array.dtype) for y in outputs]
    taken = [(x.value.array.shape, x.value.array.dtype) if isinstance(x, TensorCell) else None for x in args]
    record = Record(_Applied(function, context, kept, taken), {}, sources, {"inputs": inputs, "outputs": arrays}, forms)
    if (recording := current_state().recording) is not None:
        given = [x.value if isinstance(x, TensorCell) else None for x in args]
        recording.note_composite(record, use, given, [y.value.array for y in outputs])
    results = []
    for i, y in enumerate(outputs):
        fixed = any(y is other for other in context._not_differentiable) or not y.dtype.is_floating_point
        result = Primitive.make_tensor(Value(y.value.array, None if fixed else (record, i)))
        results.append(y.assign(result) if any(y is x for x in context._dirty) else result)
    return tuple(results) if isinstance(answer, tuple) else results[0]


class _Once(Function):
    """Gradients that cannot be differentiated: passed on with whatever they were computed from."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, *sources: Any) -> Any:
        """The gradient itself."""
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Refuse."""
        raise GradientError("a backward marked with once_differentiable is differentiated; write it in operations.")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` that computes by other means than tensor operations: differentiating it is an error.

    Without the mark a gradient by NumPy would count as a constant, and second derivatives would be silently wrong.
    """

    @functools.wraps(backward)
    def once(ctx: Any, *upstream: Any) -> Any:
        sources = [x for x in (*upstream, *ctx.saved_tensors) if isinstance(x, TensorCell) and x.requires_grad]
        with no_grad():
            answer = backward(ctx, *upstream)
        if not sources or not current_state().gradients:
            return answer
        answers = answer if isinstance(answer, tuple) else (answer,)
        return tuple(_Once.apply(g, *sources) if isinstance(g, TensorCell) else g for g in answers)

    return once
