"""The tape: what was computed, and the walk back along it that carries the chain rule.

Every recorded operation is a :class:`Record`. It knows the sources of its inputs (the records that made them, or
the :class:`Leaf` of a tensor that wants a gradient), and it keeps exactly what its gradient rules asked for.

The backward pass is one idea: *a record can only be used by records made after it*. So if we always take the
latest record that has a gradient waiting, everything that used its result has already been there, its gradient is
complete, and it can be sent on: upstream × local = downstream.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chainrule.changes import WatchedDict, note_change
from chainrule.errors import GradientError
from chainrule.state import current_state

if TYPE_CHECKING:
    from chainrule.primitives.value import Form
    from chainrule.tensor import Tensor

Hook = Callable[["Tensor"], "Tensor | None"]
_order = itertools.count()


class Differentiable(Protocol):
    """What a record needs to know of its operation: how to send gradients on (a primitive, a block, a Function)."""

    @property
    def name(self) -> str:
        """The operation's name for the reader."""

    def pull_back(self, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> Sequence[Tensor | None]:
        """The gradient of each wanted input from the gradients of the results."""


class Packed(Protocol):
    """What `autograd.graph.saved_tensors_hooks` makes of what a record keeps."""

    def unpacked(self) -> dict[str, Any]:
        """What was kept: the same numbers, or what the hooks made of them."""


class Node:
    """A place on the tape where gradients arrive.

    Attributes:
        order: rises with creation, so it says who could have used whom.
        hooks: for each result position, functions that see (and may replace) its complete gradient.
        kept: for each result position that asked with `retain_grad`, its gradient once known.
    """

    __slots__ = ("hooks", "kept", "order")

    def __init__(self) -> None:
        self.order = next(_order)
        self.hooks: dict[int, dict[int, Hook]] | None = None
        self.kept: dict[int, Tensor | None] | None = None

    def add_hook(self, position: int, hook: Hook) -> Callable[[], None]:
        """Call `hook(gradient)` when the gradient of that result is complete; returns what removes it again."""
        if self.hooks is None:
            self.hooks = {}
        hooks = self.hooks.setdefault(position, WatchedDict())
        note_change(self)
        key = next(_order)
        hooks[key] = hook
        return lambda: hooks.pop(key, None) and None


class Leaf(Node):
    """The end of the tape at a tensor that requires a gradient: here it is collected, as `tensor.grad`.

    `spent` says that a compiled step has computed a gradient, used it up and not kept it: nobody may read it then.
    """

    __slots__ = ("_home", "after", "gradient", "spent")

    def __init__(self) -> None:
        super().__init__()
        self.gradient: Tensor | None = None
        self.spent = False
        self._home: Any = None
        self.after: list[Callable[[], None]] | None = None

    def name(self) -> str:
        """PyTorch's name of the end of the tape: here gradients are added up."""
        return "AccumulateGrad"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Nothing: the tape ends here."""
        return ()

    def check_kept(self) -> None:
        """Raise a GradientError if there was a gradient that is not kept."""
        if self.spent:
            raise GradientError(
                "this gradient was not kept: the compiled step that computed it clears it first, gives it to "
                "optimizer.step(), and computes so little for its many weights that storing it would cost time. Read "
                "it in the step, after optimizer.step() (return p.grad), or clear it first: optimizer.zero_grad()."
            )

    def collect(self, gradient: Tensor, differentiable: bool) -> None:
        """Add to what has been collected. A differentiable sum is a new tensor; otherwise the same cell goes on."""
        trace, recording = current_state().trace, current_state().recording
        self.check_kept()
        if trace is not None:
            trace.note_gradient(self, "add")
        elif recording is not None:
            recording.note_leaf(self)
        if self.gradient is None:
            self.gradient = gradient if differentiable else gradient.detach_copy()
        elif differentiable:
            self.gradient = self.gradient + gradient
        else:
            self.gradient.put_value((self.gradient + gradient).value)
        for call in self.after or ():
            call()


class Record(Node):
    """One operation as it happened.

    Attributes:
        operation: what was applied.
        parameters: its settings (axes, stride, …).
        sources: for each tensor input its (node, position), None where no gradient is wanted.
        saved: what the gradient rules named, by name; None once freed.
        path: the module that was running.
        forms: shape and data type of each result.
    """

    __slots__ = ("forms", "operation", "parameters", "path", "saved", "sources")

    def __init__(
        self,
        operation: Differentiable,
        parameters: dict[str, Any],
        sources: tuple[Source | None, ...],
        saved: dict[str, Any],
        forms: Sequence[Form],
    ) -> None:
        self.order = next(_order)
        self.hooks = None
        self.kept = None
        self.operation = operation
        self.parameters = parameters
        self.sources = sources
        state = current_state()
        self.saved: dict[str, Any] | None = saved
        if callable(state.saving) and state.trace is None:  # what is only noted keeps no numbers
            self.saved = state.saving(saved)
        self.path = state.path
        self.forms = forms

    def name(self) -> str:
        """The name of the operation."""
        return self.operation.name

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Where the gradients of the inputs go: for each a node and which of its results; (None, 0) for none."""
        return tuple((None, 0) if source is None else source for source in self.sources)

    def __repr__(self) -> str:
        place = f" in {self.path}" if self.path else ""
        return f"<{self.operation.name}{place}>"


Source = tuple[Node, int]


def backpropagate(
    roots: Iterable[tuple[Source, Tensor]],
    wanted: Sequence[Source] | None = None,
    *,
    keep_graph: bool = False,
    differentiable: bool = False,
    stop: bool = False,
) -> list[Tensor | None]:
    """Carry gradients from the roots back along the tape.

    Args:
        roots: pairs of a source and the upstream gradient that starts there.
        wanted: the sources whose gradients are returned; None collects into the leaves (`tensor.grad`) instead.
        keep_graph: keep what the records saved, so that the walk can be repeated.
        differentiable: record the walk itself, so that its results can be differentiated again.
        stop: take the wanted sources as independent: what one of them was computed from gets nothing through it.

    Returns:
        For each wanted source its gradient, None where the roots do not depend on it; [] without `wanted`.
    """
    waiting: dict[Node, dict[int, Tensor]] = {}
    latest_first: list[tuple[int, Node]] = []

    def deliver(source: Source, gradient: Tensor) -> None:
        node, position = source
        there = waiting.get(node)
        if there is None:
            waiting[node] = {position: gradient}
            heapq.heappush(latest_first, (-node.order, node))
        elif position in there:
            there[position] = there[position] + gradient
        else:
            there[position] = gradient

    useful = None if wanted is None else _nodes_towards(wanted, [source for source, _ in roots])
    found: dict[Source, Tensor] = {}
    ends = set(wanted or ())
    state = current_state()
    before = state.gradients, state.path, state.block, state.autocast, state.walk
    state.walk = {} if state.walk is None else state.walk
    state.gradients, state.autocast = differentiable, None  # rules compute in the types that they get
    if state.recording is not None:
        state.block = state.recording.phase("backward")
    try:
        for source, gradient in roots:
            if useful is None or source[0] in useful:
                deliver(source, gradient)
        while latest_first:
            node = heapq.heappop(latest_first)[1]
            gradients = waiting.pop(node)
            if node.hooks or node.kept is not None:
                show_to_hooks(node, gradients)
            if useful is not None:
                found.update({(node, position): gradient for position, gradient in gradients.items()})
                if stop:
                    gradients = {p: gradient for p, gradient in gradients.items() if (node, p) not in ends}
                    if not gradients:
                        continue
            if isinstance(node, Record):
                state.path = node.path
                onward = [source is not None and (useful is None or source[0] in useful) for source in node.sources]
                if state.recording is not None:
                    onward = state.recording.wanted(node, onward)
                if any(onward):
                    if state.trace is not None:
                        state.trace.check_record(node)
                    for end, part in zip(node.sources, _send_through(node, gradients, onward), strict=True):
                        if end is not None and part is not None:
                            deliver(end, part)
                    if not (keep_graph or state.keeping):
                        node.saved = None
            elif isinstance(node, Leaf) and useful is None:
                node.collect(gradients[0], differentiable)
        if before[-1] is None:
            for call in list(state.walk.values()):
                call()
    finally:
        state.gradients, state.path, state.block, state.autocast, state.walk = before
    return [found.get(source) for source in wanted or ()]


def _send_through(record: Record, gradients: dict[int, Tensor], wanted: list[bool]) -> Sequence[Tensor | None]:
    """Upstream × local = downstream, for each wanted input of one record."""
    if record.saved is None:
        raise GradientError(
            f"backward a second time through {record.operation.name}: what it kept was freed by the first pass. "
            "Call the first backward(retain_graph=True), or compute the loss again."
        )
    upstream = [gradients.get(position) for position in range(len(record.forms))]
    kept: Any = record.saved
    if type(kept) is not dict:
        record.saved = kept.unpacked()
    try:
        return record.operation.pull_back(record, upstream, wanted)
    finally:
        record.saved = kept


def show_to_hooks(node: Node, gradients: dict[int, Tensor]) -> None:
    """Show complete gradients to the hooks of a node, which may replace them, and keep those that are asked for."""
    for position, gradient in gradients.items():
        for hook in list((node.hooks or {}).get(position, {}).values()):
            replacement = hook(gradient)
            if replacement is not None:
                _check_replacement(gradient, replacement)
                gradients[position] = gradient = replacement
        if node.kept is not None and position in node.kept:
            node.kept[position] = gradient


def _check_replacement(gradient: Tensor, replacement: Any) -> None:
    """Raise a GradientError unless what a hook returned is a tensor of the gradient's shape and data type."""
    there = gradient.value.array
    new = getattr(getattr(replacement, "value", None), "array", None)
    if new is not None and new.shape == there.shape and new.dtype == there.dtype:
        return
    got = type(replacement).__name__ if new is None else f"one of shape {tuple(new.shape)} and type {new.dtype}"
    raise GradientError(
        f"a hook took a gradient of shape {tuple(there.shape)} and type {there.dtype} and returned {got}; return a "
        "tensor like it, or None."
    )


def nodes_behind(roots: Iterable[Source]) -> list[Node]:
    """The nodes that the roots were computed by, their own included, the earliest first."""
    seen: set[Node] = set()
    stack = [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node, Record):
                stack.extend(source[0] for source in node.sources if source is not None)
    return sorted(seen, key=lambda node: node.order)


def _nodes_towards(wanted: Iterable[Source], roots: Iterable[Source]) -> set[Node]:
    """The nodes between the roots and the wanted sources: the only ones worth visiting."""
    useful = {node for node, _ in wanted}
    behind = nodes_behind(roots)
    for node in behind:
        if isinstance(node, Record) and any(source is not None and source[0] in useful for source in node.sources):
            useful.add(node)
    return useful.intersection(behind)
