"""Checkpointing: memory for time. A part of the computation is forgotten and computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from chainrule.amp import autocast, get_autocast_dtype, is_autocast_enabled
from chainrule.autodiff.mode import enable_grad
from chainrule.cell import TensorCell
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.random import get_rng_state, set_rng_state
from chainrule.state import current_state
from chainrule.tape import Leaf, Node, Record, Source, backpropagate

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class _Recomputation:
    """The operation in the record of a checkpoint: how to compute it again."""

    name = "Checkpoint"

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: Any
    ) -> None:
        self.function = function
        self.args = tuple((x.value,) if isinstance(x, TensorCell) else x for x in args)
        self.kwargs, self.context = kwargs, context
        self.random_state = get_rng_state()
        self.autocast = autocast("cpu", get_autocast_dtype("cpu"), is_autocast_enabled("cpu"))

    def run(self) -> tuple[Any, ...]:
        """The outputs, recorded, from the same values and the same random numbers as the first time."""
        args = [Primitive.make_tensor(x[0]) if _is_kept(x) else x for x in self.args]
        now = get_rng_state()
        set_rng_state(self.random_state)
        with enable_grad(), self.autocast, self.context:
            outputs = self.function(*args, **self.kwargs)
        set_rng_state(now)
        return (outputs,) if isinstance(outputs, TensorCell) else tuple(outputs)

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> Sequence[Tensor | None]:
        """Compute again, this time keeping what is needed, and go back from there."""
        differentiable = current_state().gradients
        outputs = self.run()
        roots = [
            (y.value.source, g)
            for y, g in zip(outputs, upstream, strict=True)
            if g is not None and y.value.source is not None
        ]
        asked = [source for source, is_wanted in zip(record.sources, wanted, strict=True) if is_wanted]
        # Not beyond: behind a source may stand another, a weight used before too, whose share comes from there.
        found = iter(
            backpropagate(roots, asked, keep_graph=differentiable, differentiable=differentiable, stop=True)  # type: ignore[arg-type]
        )
        return [next(found) if is_wanted else None for is_wanted in wanted]


def _is_kept(x: Any) -> bool:
    return type(x) is tuple and len(x) == 1 and isinstance(x[0], Value)


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Two contexts that do nothing: what `checkpoint` runs in unless it is told otherwise.

    >>> first, again = noop_context_fn()
    """
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]] = noop_context_fn,
    preserve_rng_state: bool = True,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, of which only the arguments are kept and nothing that is computed on the way.

    The backward pass runs the function again, with the same random numbers. Everything that the function uses gets
    its gradient, arguments and weights alike. `context_fn` gives the two contexts in which it runs, the first time and
    again. The other settings are taken for PyTorch's sake and make no difference.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> chainrule.utils.checkpoint.checkpoint(lambda x: (x * x).sin(), x).sum().backward()
    >>> chainrule.allclose(x.grad, 2 * x * (x * x).cos())
    True
    """
    first, again = context_fn()
    recomputation = _Recomputation(function, args, kwargs, again)
    beginning = Node().order
    with first:
        outputs = function(*args, **kwargs)
    if not current_state().gradients:
        return outputs
    several = not isinstance(outputs, TensorCell)
    results = tuple(outputs) if several else (outputs,)
    sources = _sources_before(beginning, [y.value.source for y in results if y.value.source is not None])
    if not sources:
        return outputs
    forms = [(y.value.array.shape, y.value.array.dtype) for y in results]
    record = Record(recomputation, {}, tuple(sources), {}, forms)
    made = tuple(
        Primitive.make_tensor(Value(y.value.array, (record, i) if y.requires_grad else None))
        for i, y in enumerate(results)
    )
    return made if several else made[0]


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **settings: Any
) -> Any:
    """The input through a `Sequential` (or a list of functions) in so many parts, of which only the inputs are kept.

    The last part is kept whole: its backward pass comes first. Settings are those of `checkpoint`. Raises ValueError
    for a number of parts that is not positive.

    >>> import chainrule
    >>> from chainrule import nn
    >>> x = chainrule.ones(1, 2, requires_grad=True)
    >>> checkpoint_sequential(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), 2, x).shape
    Size([1, 1])
    """
    steps = list(functions)
    if segments < 1:
        raise ValueError(f"checkpoint_sequential: the parts must be one or more, got segments={segments}.")
    length = len(steps) // segments
    for first in range(0, length * (segments - 1), length) if length else ():
        input = checkpoint(_through, steps[first : first + length], input, **settings)
    return _through(steps[length * (segments - 1) :], input)


def _through(steps: Iterable[Callable[[Any], Any]], x: Any) -> Any:
    for step in steps:
        x = step(x)
    return x


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The GPUs of the arguments and the states of their generators: none, as one generator draws for all devices.

    Reversible networks keep them beside `get_rng_state()`, which is all there is to keep.

    >>> import chainrule
    >>> get_device_states(chainrule.ones(2))
    ([], [])
    """
    return [], []


def set_device_states(devices: Sequence[int], states: Sequence[Any], *, device_type: Any = None) -> None:
    """Nothing: there are no states of GPUs to bring back; `set_rng_state` is for all devices.

    >>> set_device_states(*get_device_states())
    """


def _sources_before(beginning: int, roots: list[Source]) -> list[Source]:
    """Where the recorded computation behind the roots comes from: the sources that existed before it began."""
    found: dict[Source, None] = {}
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        source = stack.pop()
        node = source[0]
        if isinstance(node, Leaf) or node.order < beginning:
            found[source] = None
        elif node not in seen and isinstance(node, Record):
            seen.add(node)
            stack.extend(s for s in node.sources if s is not None)
    return list(found)
