"""Hooks: functions that a module calls before and after its `forward`, and when gradients come back through it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from chainrule.autodiff.function import Function
from chainrule.cell import Handle
from chainrule.functions.creation import zeros_like
from chainrule.state import current_state
from chainrule.tensor import Tensor

_keys = itertools.count()


class Hook(NamedTuple):
    """A function, whether it wants to see keyword arguments too, and whether it is called after an error as well.

    Who looks through a module's table finds in it what the function has, and may call it.
    """

    function: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function answers."""
        return self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # how an object is copied, for instance, is its own affair
            raise AttributeError(name)
        return getattr(self.function, name)


def add_hook(hooks: dict[int, Hook], hook: Hook, first: bool = False) -> Handle:
    """Put a hook at the end of a table, or at its beginning; the answer's `remove()` takes it out again."""
    key = next(_keys)
    others = dict(hooks) if first else {}
    if first:
        hooks.clear()
    hooks[key] = hook
    hooks.update(others)
    return Handle(lambda: hooks.pop(key, None) and None)


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a module's `forward` between its hooks. After an error those that are always called get None as output."""
    left = dict(module._forward_hooks)
    try:
        return _between_hooks(module, args, kwargs, left)
    except Exception:
        for hook in left.values():
            if hook.always:
                hook.function(module, *((args, kwargs) if hook.with_kwargs else (args,)), None)
        raise


def _between_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], left: dict[int, Hook]) -> Any:
    """left: the hooks that have not been called yet."""
    for hook in list(module._forward_pre_hooks.values()):
        changed = hook.function(module, args, kwargs) if hook.with_kwargs else hook.function(module, args)
        if hook.with_kwargs and changed is not None:
            args, kwargs = changed
        elif changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    watched = module._backward_hooks or module._backward_pre_hooks
    watch = BackwardWatch(module) if watched and current_state().gradients else None
    output = module.forward(*(args if watch is None else watch.enter(args)), **kwargs)
    for key, hook in list(module._forward_hooks.items()):
        left.pop(key, None)
        seen = (args, kwargs, output) if hook.with_kwargs else (args, output)
        changed = hook.function(module, *seen)
        output = output if changed is None else changed
    return output if watch is None else watch.leave(output)


class BackwardWatch:
    """Sees the gradients of a module's results and of its inputs in one backward pass, and tells the hooks.

    Results and inputs pass through an identity each (:class:`_Gate`), whose gradient rule is where we look.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] = ()
        self.inputs_wanted = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The positional arguments, with their tensors led through the gate of the inputs."""
        places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        self.inputs_wanted = bool(places)

        def look(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
            whole: list[Any] = [zeros_like(x) if isinstance(x, Tensor) else None for x in args]
            for place, gradient in zip(places, gradients, strict=True):
                whole[place] = gradient
            changed = self._tell(tuple(whole))
            return tuple(changed[place] for place in places)

        if not self.inputs_wanted:
            return args
        passed = list(args)
        for place, x in zip(places, _through(look, True, [args[i] for i in places]), strict=True):
            passed[place] = x
        return tuple(passed)

    def leave(self, output: Any) -> Any:
        """The results, with their tensors led through the gate of the results."""
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        places = [i for i, y in enumerate(outputs) if isinstance(y, Tensor)]

        def look(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
            whole: list[Any] = [None] * len(outputs)
            for place, gradient in zip(places, gradients, strict=True):
                whole[place] = gradient
            for hook in list(self.module._backward_pre_hooks.values()):
                changed = hook.function(self.module, tuple(whole))
                if changed is not None:
                    whole = list(changed) if isinstance(changed, tuple) else [changed]
            self.grad_output = tuple(whole)
            if not self.inputs_wanted:  # nothing will come back through the inputs, so this is the time
                self._tell((None,))
            return tuple(whole[place] for place in places)

        for place, y in zip(places, _through(look, False, [outputs[i] for i in places]), strict=True):
            outputs[place] = y
        return type(output)(outputs) if isinstance(output, (tuple, list)) else outputs[0]

    def _tell(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module._backward_hooks.values()):
            changed = hook.function(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
        return grad_input


def _through(
    look: Callable[[tuple[Any, ...]], tuple[Any, ...]], fill: bool, tensors: list[Tensor]
) -> tuple[Tensor, ...]:
    """The tensors behind a gate; gradients that did not come are shown as zeros (`fill`) or None."""
    passed = _Gate.apply(look, fill, *tensors)
    return passed if isinstance(passed, tuple) else (passed,)


class _Gate(Function):
    """The identity on several tensors. Their gradients are shown to `look`, which may replace them."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The tensors as they are."""
        ctx.look, fill, *tensors = args
        ctx.set_materialize_grads(fill)
        return tuple(tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients as they are, or as `look` wants them."""
        return (None, None, *ctx.look(grad_outputs))
