"""Blocks: a composite with a name, which opens to its parts and may carry a hand-derived gradient.

    @block
    def sigmoid(input):
        return 1 / (1 + exp(-input))

    @sigmoid.gradient
    def _(g, output):
        return g * output * (1 - output)

Without the second part a block's operations are recorded as usual, under its name (`features.0/sigmoid`). With it
the block is one record: only what the rule names is kept. The rule's names are read as a primitive's are: `g`, any
argument of the block, `output`. It gives one gradient, or a tuple with one for each tensor argument. A block with
several results returns a tuple of tensors; its rule gets tuples for `g` and `output`, and in `g` None for a result
whose gradient is zero because nothing used it (a result that exists for the rule's own sake, most times).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec

from chainrule.autodiff.noting import called
from chainrule.autodiff.repeating import repeated
from chainrule.cell import TensorCell
from chainrule.errors import GradientError
from chainrule.primitives import placed
from chainrule.primitives.primitive import Primitive, Rule, argument_names, read_rule
from chainrule.primitives.value import Value
from chainrule.program.graph import BlockUse
from chainrule.state import current_state
from chainrule.tape import Record

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

P = ParamSpec("P")

#: From so many entries in one of its tensors on a block is worth a program of its own.
LARGE = 2**14


class Block(Generic[P]):
    """A function of tensors and settings that the reader sees as one node; made by :func:`block`."""

    def __init__(self, function: Callable[P, Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = getattr(function, "__name__", "block").strip("_")
        names, _, settings = argument_names(function)
        self.arguments = names + settings
        self.rule: Rule | None = None
        self.small: Callable[..., Any] | None = None
        self.small_rule: Callable[..., Any] | None = None

    @staticmethod
    def computed(
        function: Callable[..., Any],
        args: Sequence[Any],
        words: Sequence[str] = (),
        small: Callable[..., Any] | None = None,
    ) -> Any:
        """What a block's function, or its gradient's, returns; large tensors are work for machine code.

        words: the names of the last arguments, which are given by name.
        small: the same on arrays, for small tensors; see `on_arrays`.
        """
        if is_known(function, args):
            if largest_of(args) >= LARGE:
                return Block.as_program(function, args, words)
            if small is not None and not words:
                arrays = [x.value.array if isinstance(x, TensorCell) else x for x in args]
                answer = current_state().quiet.run(small, *arrays)
                if answer is not None:
                    return Primitive.make_tensor(Value(answer))
            return repeated(function, args, words, LARGE)
        return called(function, args, words)

    @staticmethod
    def computed_rule(rule: Callable[..., Any], args: Sequence[Any], settings: dict[str, Any]) -> Any:
        """What a primitive's gradient rule gives: where tensors are large as a block's, else by its few operations."""
        if largest_of(args) >= LARGE and is_known(rule, args):
            return Block.as_program(rule, (*args, *settings.values()), tuple(settings))
        return rule(*args, **settings)

    @staticmethod
    def is_whole(*args: Any) -> bool:
        """Whether a block of these arguments is one node and nothing else, now: nobody looks into it."""
        return is_unobserved(current_state(), args)

    #: As `called`, by a program of its own; set by the package, which knows the compiler.
    as_program: ClassVar[Callable[[Callable[..., Any], Sequence[Any], Sequence[str]], Any]]

    def gradient(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the block a hand-derived gradient (a decorator). Its argument names say what is kept."""
        self.rule = read_rule(rule)
        known = {"g", "output", *self.arguments}
        strange = [name for name in self.rule.names if name not in known]
        if strange:
            raise TypeError(f"block {self.name}: the gradient names {strange}; it may name {sorted(known)}.")
        return rule

    def on_arrays(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the block its meaning on small arrays (a decorator): the array of its result, by NumPy itself.

        For blocks of many operations, each of which takes longer than its arithmetic where tensors are small. It must
        give the bits that the block opened gives; None leaves the case to the operations.
        """
        self.small = function
        return function

    def gradient_on_arrays(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same for the gradient: the array for the first tensor argument, where the others have none."""
        self.small_rule = function
        return function

    def parts(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The block opened: the same result, every operation of it recorded, the hand-derived gradient unused."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Compute the block and record it as one node (or, without a gradient of its own, under one name)."""
        state = current_state()
        before, path, outer = state.gradients, state.path, state.block
        state.path = f"{path}/{self.name}"
        use = None
        trace = state.trace
        if trace is not None or state.recording is not None:
            use = state.block = BlockUse(self.name, outer)
            if trace is not None and trace.notes_calls:
                return self._noted(trace, args, kwargs, path, outer)
        try:
            if self.rule is None:
                return self.function(*args, **kwargs)
            state.gradients = False
            output = Block.computed(self.function, (*args, *kwargs.values()), tuple(kwargs), self.small)
        finally:
            state.gradients, state.path, state.block = before, path, outer
        return self._recorded(output, args, kwargs, use) if before else output

    def _noted(self, trace: Any, args: Any, kwargs: Any, path: str, outer: BlockUse | None) -> Any:
        """Run for a trace that takes blocks whole, without gradients."""
        state = current_state()
        trace.enter_block(self, args, kwargs)
        try:
            output = self.function(*args, **kwargs)
        finally:
            state.path, state.block = path, outer
        trace.leave_block(output)
        return output

    def _recorded(self, output: Any, args: Sequence[Any], kwargs: dict[str, Any], use: BlockUse | None) -> Any:
        assert self.rule is not None
        given: dict[str, Any] = dict(zip(self.arguments, args))
        if kwargs or len(args) < len(self.arguments):
            defaults = self.function.__defaults__ or ()
            given = {
                **dict(zip(reversed(self.arguments), reversed(defaults), strict=False)),
                **given,
                **kwargs,
            }
        state = current_state()
        trace = state.trace
        if trace is None:
            values = {name: thing.value for name, thing in given.items() if isinstance(thing, TensorCell)}
        else:
            tensors: dict[str, Any] = {name: thing for name, thing in given.items() if isinstance(thing, TensorCell)}
            values = dict(zip(tensors, trace.lift_tensors(tuple(tensors.values())), strict=True))
        sources = tuple([value.source for value in values.values()])
        if not any(sources):
            return output
        saved: dict[str, Any] = {}
        several = isinstance(output, tuple)
        arrays = [y.value.array for y in output] if several else [output.value.array]
        for name in self.rule.names:
            if name == "output":
                saved[name] = arrays
            elif name != "g":
                saved[name] = values[name] if name in values else given[name]
        record = Record(self, {}, sources, saved, [(array.shape, array.dtype) for array in arrays])
        if trace is None and state.recording is not None:
            state.recording.note_composite(record, use, list(values.values()), arrays)
        if not several:
            return Primitive.make_tensor(Value(arrays[0], (record, 0)))
        return tuple([Primitive.make_tensor(Value(array, (record, i))) for i, array in enumerate(arrays)])

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> Sequence[Tensor | None]:
        """Apply the hand-derived gradient."""
        assert self.rule is not None
        known = self._named(record, upstream)
        answer = Block.computed(self.rule.function, [known[name] for name in self.rule.names], (), self.small_rule)
        if not isinstance(answer, tuple):
            answer = (answer, *[None] * (len(wanted) - 1))
        if len(answer) != len(wanted):
            raise GradientError(
                f"block {self.name}: the gradient gives {len(answer)} results for {len(wanted)} tensor arguments."
            )
        return placed.like_upstream(upstream, answer) if placed.in_use else answer

    def _named(self, record: Record, upstream: list[Tensor | None]) -> dict[str, Any]:
        """Everything the rule can name, as Tensors."""
        make = Primitive.make_tensor
        known = {name: make(x) if isinstance(x, Value) else x for name, x in (record.saved or {}).items()}
        output = tuple([make(Value(array, (record, i))) for i, array in enumerate(known.get("output", ()))])
        one = len(upstream) == 1
        known["g"] = upstream[0] if one else tuple(upstream)
        known["output"] = output[0] if one and output else output
        return known


def is_known(function: Callable[..., Any], args: Sequence[Any]) -> bool:
    """Whether nobody asks how a function of ours computes: that it looks at nothing else is known only of ours."""
    state = current_state()
    return (
        not state.gradients  # else its own operations are wanted: the gradient of a gradient
        and function.__module__.startswith("chainrule.")
        and is_unobserved(state, args)
    )


def is_unobserved(state: Any, args: Sequence[Any]) -> bool:
    """Whether nobody wants to see single operations, no types are chosen for them, and all tensors are on the CPU."""
    return (
        state.trace is None
        and state.autocast is None
        and state.recording is state.observer is None
        and not (placed.in_use and _is_elsewhere(args))
    )


def largest_of(args: Sequence[Any]) -> int:
    """The entries of the largest tensor, also within tuples."""
    largest = 0
    for x in args:
        if isinstance(x, TensorCell):
            size = x.value.array.size
        elif type(x) is tuple:
            size = largest_of(x)
        else:
            continue
        if size > largest:
            largest = size
    return largest


def _is_elsewhere(args: Sequence[Any]) -> bool:
    """Whether a tensor, also within tuples, is on a device: machine code is for the CPU."""
    return any(
        placed.place_of(x.value.array) is not None
        if isinstance(x, TensorCell)
        else isinstance(x, tuple) and _is_elsewhere(x)
        for x in args
    )


def block(function: Callable[P, Any]) -> Block[P]:
    """Make a composite of tensor operations one node with a name (a decorator).

    >>> import chainrule
    >>> @block
    ... def swish(x):
    ...     return x * chainrule.sigmoid(x)
    >>> swish(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    return Block(function)


Primitive.call_rule = staticmethod(Block.computed_rule)
