"""What the tape keeps, and how it hangs together, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from chainrule.absent_names import teller
from chainrule.autograd.packing import PackedDict
from chainrule.cell.gradient import Handle
from chainrule.errors import GradientError
from chainrule.state import current_state
from chainrule.tape import Node

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:  # noqa: N801  (PyTorch's name)
    """Within this block everything that is kept for the backward pass goes through `pack_hook` first.

    pack_hook: gets a tensor, gives anything (a file's name, a smaller copy); that is kept instead of the tensor.
    unpack_hook: gets it back when the gradient is computed, and gives a tensor of the same shape and data type.

    Of blocks inside each other the innermost counts. Raises GradientError in the backward pass if what comes back is
    no such tensor.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.tolist(), chainrule.tensor):
    ...     y = (x * x).sum()
    >>> y.backward(); x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        state = current_state()
        if isinstance(state.saving, str):
            raise GradientError(state.saving)
        self._before.append(state.saving)
        state.saving = partial(PackedDict, self.pack_hook, self.unpack_hook)
        return self

    def __exit__(self, *exception: object) -> None:
        current_state().saving = self._before.pop()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Within this block what is kept for the backward pass is kept on the CPU, and goes to its device again for it."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda x: (x.device, x.cpu()), lambda kept: kept[1].to(kept[0]))


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within this block `saved_tensors_hooks` raises a GradientError with this message."""
    state = current_state()
    before, state.saving = state.saving, error_message
    try:
        yield
    finally:
        state.saving = before


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[[Any], None], *, mode: str = "all") -> Handle:
    """Call `fn` in every backward pass that computes gradients of these tensors.

    mode: "all" calls `fn(gradients)` at the end of the pass, with a list that has the gradient of each tensor, None for
        one that got none in it; "any" calls `fn(gradient)` at once, with the first one that is complete.

    What `fn` returns counts for nothing. The answer's `remove()` takes the hook off.

    Raises a GradientError for a tensor that requires no gradient, a ValueError for another mode.

    >>> import chainrule
    >>> w, b = chainrule.ones(2, requires_grad=True), chainrule.zeros(1, requires_grad=True)
    >>> handle = register_multi_grad_hook([w, b], lambda gradients: print(gradients))
    >>> (3 * w + b).sum().backward()
    [tensor([3., 3.]), tensor([2.])]
    >>> handle.remove()
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: mode is 'all' or 'any', got {mode!r}.")
    hooks = _MultiHook(len(tensors), fn, mode == "all")
    handles = [tensor.register_hook(partial(hooks.note, i)) for i, tensor in enumerate(tensors)]

    def remove() -> None:
        for handle in handles:
            handle.remove()

    return Handle(remove)


class _MultiHook:
    """What has come in of the gradients of several tensors in a backward pass."""

    def __init__(self, count: int, function: Callable[[Any], None], together: bool) -> None:
        self.count, self.function, self.together = count, function, together
        self.found: dict[int, Any] = {}

    def note(self, number: int, gradient: Any) -> None:
        """A gradient is complete. What was left by a pass that failed is forgotten."""
        calls = current_state().walk
        if calls is None:
            return
        first = id(self) not in calls
        if first:
            self.found = {}
            calls[id(self)] = self.finish
        self.found[number] = gradient
        if first and not self.together:
            self.function(gradient)

    def finish(self) -> None:
        """The pass is at its end."""
        found, self.found = self.found, {}
        if self.together:
            self.function([found.get(i) for i in range(self.count)])


class GradientEdge(NamedTuple):
    """A place on the tape: a node, and which of its results."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where a tensor's gradient arrives. Raises GradientError for a tensor that requires none."""
    source = tensor.value.source
    if source is None:
        raise GradientError("get_gradient_edge: this tensor does not require a gradient.")
    return GradientEdge(*source)


if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("autograd.graph", globals())
